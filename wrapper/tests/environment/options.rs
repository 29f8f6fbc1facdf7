//! The script's options before the program: alone, together, and with the helper's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::{Map, Value};

use crate::bench::{AS_SH, Bench, odd_bytes, parse, run, script, shell, value, variables};

const SHOW: [&str; 2] = ["/usr/bin/env", "-0"];
const LEVEL: &str = "REPLIT_RTLD_LOG_LEVEL";
const FILE: &str = "REPLIT_RTLD_LOG_FILE";

#[test]
fn log_sets_a_level_and_a_place() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--env=REPLIT_RTLD_LOG_LEVEL=warn"]);
    let cases: [(&[&str], &str); 6] = [
        (&[], "warn"),
        (&["--log", "debug"], "debug"),
        (&["--log=info"], "info"),
        (&["--log", "2", "--"], "2"),
        (&["--log=3", "--log", "off"], "off"),
        (&["--log=0", "--"], "0"),
    ];
    for sh in AS_SH {
        for (options, level) in cases {
            let mut command = shell(sh, &["-e", "-u"], &script(&out), &[options, &SHOW].concat());
            let of = |file: Option<&str>, command: &mut Command| {
                let command = match file {
                    Some(file) => command.env(FILE, file),
                    None => command.env_remove(FILE),
                };
                let after = variables(command);
                assert_eq!(value(&after, LEVEL).as_deref(), Some(level), "{sh:?} {options:?}");
                assert!(!after.keys().any(|name| name.starts_with(b"__replit_env")), "{sh:?} {options:?}");
                value(&after, FILE)
            };
            let stderr = (!options.is_empty()).then_some("stderr");
            assert_eq!(of(None, &mut command).as_deref(), stderr, "{sh:?} {options:?}");
            assert_eq!(of(Some(""), &mut command).as_deref(), stderr.or(Some("")), "{sh:?} {options:?}");
            assert_eq!(of(Some("/mine.%p"), &mut command).as_deref(), Some("/mine.%p"), "{sh:?} {options:?}");
        }
    }
}

#[test]
fn options_of_the_program_are_its_own() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        for before in [&["--log=info"][..], &["--log", "info", "--"], &["--"], &[]] {
            let program = ["printf", "%s|", "--log", "x", "--print-env", "--", "--no-such-option"];
            let output = run(&mut shell(sh, &[], &script(&out), &[before, &program].concat()));
            assert_eq!(output.stdout, b"--log|x|--print-env|--|--no-such-option|", "{sh:?} {before:?}");
        }
    }
}

#[test]
fn a_level_that_is_none_is_a_usage_error() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let cases: [&[&str]; 8] = [
        &["--log"],
        &["--log="],
        &["--log", "loud", "ls"],
        &["--log=4", "ls"],
        &["--log=info"],
        &["--log", "info", "--"],
        &["--log", "info", "--no-such-option", "ls"],
        &["--logs=info", "ls"],
    ];
    for sh in AS_SH {
        for case in cases {
            let output = shell(sh, &["-e", "-u"], &script(&out), case).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{sh:?} {case:?}: {output:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[0].starts_with("replit-env: ") && lines[1].starts_with("Usage: replit-env "), "{text}");
            assert!(output.stdout.is_empty(), "{sh:?} {case:?}");
        }
    }
}

#[test]
fn the_helper_prints_what_the_options_set() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--env=REPLIT_RTLD_LOG_FILE=/mine"]);
    for sh in AS_SH {
        let print = |options: &[&str]| -> Map<String, Value> {
            let output = run(&mut shell(sh, &[], &script(&out), options));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        assert!(!print(&["--print-env=json"]).contains_key(LEVEL), "{sh:?}");
        let printed = print(&["--log=off", "--print-env=json"]);
        assert_eq!((printed[LEVEL].as_str(), printed[FILE].as_str()), (Some("off"), Some("/mine")), "{sh:?}");
        // Once, though it is declared, too.
        let output = run(&mut shell(sh, &[], &script(&out), &["--log", "off", "--print-env"]));
        assert_eq!(String::from_utf8(output.stdout).unwrap().matches(FILE).count(), 1, "{sh:?}");
        let output = run(&mut shell(sh, &[], &script(&out), &["--log", "info", "--version"]));
        assert!(output.stdout.starts_with(b"replit-env "), "{sh:?}");
    }
}

#[test]
fn what_was_exported_under_a_name_of_ours_is_no_option() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        command.env("__replit_env_level", "debug").env("__replit_env_wrong", "x");
        let after = parse(&run(&mut command).stdout);
        assert_eq!(value(&after, LEVEL), None, "{sh:?}");
        assert!(!after.keys().any(|name| name.starts_with(b"__replit_env")), "{sh:?}");
    }
}

/// What the auditor is told of the time before, and what it gives back to a program's children.
const OUTER: &str = "REPLIT_RTLD_OUTER_";

#[test]
fn no_inherit_keeps_what_was_there_before() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin", "--env=A=b"]);
    let before: [(&str, &[u8]); 6] = [
        ("LD_AUDIT", b"/users own.so:/old/rtld_loader.so"),
        ("GLIBC_TUNABLES", b""),
        ("REPLIT_LD_LIBRARY_PATH", &odd_bytes()),
        ("REPLIT_RTLD_INDEX", b"/it's $x `id` \\"),
        ("REPLIT_RTLD_LOG_FILE", b"/mine"),
        ("A", b"mine"),
    ];
    for sh in AS_SH {
        for options in [&["--no-inherit"][..], &["--log", "debug", "--no-inherit", "--"], &["--no-inherit", "--log=1"]]
        {
            let start = |options: &[&str]| {
                let mut command = shell(sh, &["-e", "-u"], &script(&out), &[options, &SHOW].concat());
                command.envs(before.map(|(name, value)| (name, OsStr::from_bytes(value))));
                // A remainder of something else, which is not from before.
                parse(&run(command.env(format!("{OUTER}REPLIT_RTLD_LOG_LEVEL"), "3")).stdout)
            };
            let mut after = start(options);
            assert_eq!(value(&after, "REPLIT_RTLD_INHERIT").as_deref(), Some("0"), "{sh:?} {options:?}");
            for (name, before) in before {
                let kept = after.remove(format!("{OUTER}{name}").as_bytes());
                assert_eq!(kept.as_deref(), (name != "A").then_some(before), "{sh:?} {options:?} {name}");
            }
            // For the program itself nothing else is different.
            after.remove(&b"REPLIT_RTLD_INHERIT"[..]);
            let options: Vec<_> = options.iter().copied().filter(|option| *option != "--no-inherit").collect();
            let mut expected = start(&options);
            expected.remove(format!("{OUTER}REPLIT_RTLD_LOG_LEVEL").as_bytes());
            assert_eq!(after, expected, "{sh:?} {options:?}");
        }
    }
}

#[test]
fn an_inherited_zero_is_as_the_option() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        command.env("REPLIT_RTLD_INHERIT", "0").env("GLIBC_TUNABLES", "a.a=1");
        let after = variables(&mut command);
        assert_eq!(value(&after, &format!("{OUTER}GLIBC_TUNABLES")).as_deref(), Some("a.a=1"), "{sh:?}");
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        let after = variables(command.env("REPLIT_RTLD_INHERIT", "1").env("GLIBC_TUNABLES", "a.a=1"));
        assert_eq!(value(&after, &format!("{OUTER}GLIBC_TUNABLES")), None, "{sh:?}");
        // The helper is to see what it prints.
        let mut command = shell(sh, &[], &script(&out), &["--print-env=json"]);
        let printed = run(command.env("REPLIT_RTLD_INHERIT", "0")).stdout;
        let printed: Map<String, Value> = serde_json::from_slice(&printed).unwrap();
        assert!(printed.keys().eq(["GLIBC_TUNABLES", "LD_AUDIT", "REPLIT_RTLD_INDEX"]), "{sh:?}: {printed:?}");
    }
}

#[test]
fn no_inherit_is_for_programs() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let cases: [(&[&str], &str); 4] = [
        (&["--no-inherit", "--print-env"], "not for --print-env"),
        (&["--no-inherit", "--log=info", "--print-env=json"], "not for --print-env"),
        (&["--no-inherit", "--", "-x"], "by its path"),
        (&["--no-inherit"], "no program"),
    ];
    for sh in AS_SH {
        for (case, complaint) in cases {
            let output = shell(sh, &[], &script(&out), case).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{sh:?} {case:?}: {output:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.starts_with("replit-env: ") && text.contains(complaint), "{sh:?} {case:?}: {text}");
        }
    }
}

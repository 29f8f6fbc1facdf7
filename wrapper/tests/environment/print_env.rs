//! `replit-env --print-env`: what it prints is what a program gets.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use crate::bench::{
    AS_SH, Bench, LOGIN, comparable, inherit, odd_environment, of_a_program, parse, run, script, shell, which,
};

#[test]
fn a_shell_that_evaluates_it_is_as_under_the_script() {
    let bench = Bench::new();
    let out = odd_environment(&bench);
    let source = bench.path("source");
    // Twice, since nothing may grow.
    let evaluate = "eval \"$(\"$@\" --print-env=sh)\"\n".repeat(2);
    fs::write(&source, format!("set -eu\n{evaluate}exec /usr/bin/env -0\n")).unwrap();
    for sh in AS_SH {
        let expected = comparable(&of_a_program(sh, &out));
        for reader in LOGIN {
            let words: Vec<_> = [which(sh[0])].into_iter().chain(sh[1..].iter().map(PathBuf::from)).collect();
            let mut command = shell(reader, &[], &source, &words);
            command.arg(script(&out));
            let after = parse(&run(inherit(&mut command)).stdout);
            assert_eq!(comparable(&after), expected, "{sh:?} in {reader:?}");
        }
    }
}

#[test]
fn sh_is_the_default_and_has_each_variable_once() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--env=A=first", "--env=A=it's"]);
    let print = |option| run(&mut shell(AS_SH[0], &[], &script(&out), &[option])).stdout;
    assert!(print("--print-env").starts_with(b"export A='it'\\''s'\nexport LD_AUDIT='"));
    assert_eq!(print("--print-env"), print("--print-env=sh"));
}

#[test]
fn json_is_an_object_of_what_is_set() {
    let bench = Bench::new();
    let out = odd_environment(&bench);
    let names = [
        "A",
        "EMPTY",
        "GLIBC_TUNABLES",
        "LD_AUDIT",
        "LINES_",
        "ODD",
        "PATH",
        "REPLIT_LD_LIBRARY_PATH",
        "REPLIT_RTLD_INDEX",
    ]
    .map(String::from);
    for sh in AS_SH {
        let output = run(inherit(&mut shell(sh, &[], &script(&out), &["--print-env=json"])));
        let printed: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(printed.keys().eq(&names), "{sh:?}: {printed:?}");
        let expected = of_a_program(sh, &out);
        for (name, value) in printed {
            let bytes: Vec<u8> = match value {
                Value::String(text) => text.into(),
                value => serde_json::from_value(value).unwrap(),
            };
            assert_eq!(bytes, expected[name.as_bytes()], "{sh:?}: {name}");
            // Bytes are for what is no text.
            let bytes_alone = ["ODD", "PATH", "REPLIT_LD_LIBRARY_PATH", "LD_AUDIT", "REPLIT_RTLD_INDEX"];
            let is_text = !bytes_alone.contains(&name.as_str());
            assert_eq!(std::str::from_utf8(&bytes).is_ok(), is_text, "{sh:?}: {name}");
        }
    }
}

#[test]
fn what_the_wrapper_does_not_set_is_not_printed() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &["--print-env=json"]);
        let output = run(command.env("REPLIT_LD_LIBRARY_PATH", "/mine").env("HOME", "/home"));
        let printed: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(printed.keys().eq(["GLIBC_TUNABLES", "LD_AUDIT", "REPLIT_RTLD_INDEX"]), "{sh:?}: {printed:?}");
    }
}

#[test]
fn other_uses_are_usage_errors() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let cases: [&[&str]; 8] = [
        &["--print-env=csh"],
        &["--print-env="],
        &["--print-env", "sh"],
        &["--print-env", "--", "ls"],
        &["--print-env", "--print-env"],
        &["--print-env", "--variables=HOME"],
        &["--variables=HOME", "--print-env"],
        &["--print-environment"],
    ];
    for case in cases {
        for sh in AS_SH {
            let output = shell(sh, &[], &script(&out), case).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{sh:?} {case:?}: {output:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{sh:?} {case:?}: {output:?}");
        }
    }
}

#[test]
fn an_output_that_takes_nothing_is_one_clear_line() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let source = bench.path("source");
    fs::write(&source, "exec \"$@\" >&-\n").unwrap();
    for sh in AS_SH {
        let fails = |command: &mut Command, complaint: &str| {
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{sh:?}: {output:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.lines().count() == 1 && text.contains(complaint), "{sh:?}: {text}");
        };
        for option in ["--print-env=sh", "--print-env=json"] {
            let mut command = shell(sh, &[], &script(&out), &[option]);
            let full = File::options().write(true).open("/dev/full").unwrap();
            fails(command.stdout(full), "cannot write to standard output: No space left");
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            fails(command.stdout(writer), "cannot write to standard output: Broken pipe");
            let mut closed = shell(AS_SH[0], &[], &source, &[which(sh[0])]);
            closed.args(&sh[1..]).arg(script(&out)).arg(option).stdout(Stdio::null());
            fails(&mut closed, "standard output is closed");
        }
    }
}

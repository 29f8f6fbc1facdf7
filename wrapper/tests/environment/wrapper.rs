//! The script `bin/replit-env`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::bench::{
    AS_SH, Bench, ODD_NAME, assignment, cli, link, link_cli, list, odd_bytes, parse, run, script, shell, value,
    variables, which,
};

const SHOW: [&str; 2] = ["/usr/bin/env", "-0"];

#[test]
fn odd_bytes_survive_in_every_path_and_value() {
    let bench = Bench::new();
    let odd = OsStr::from_bytes(ODD_NAME);
    let libraries = bench.directory("libraries").join(odd);
    let programs = bench.directory("programs").join(odd);
    fs::create_dir(&libraries).unwrap();
    fs::create_dir(&programs).unwrap();
    let out = bench.environment(
        odd,
        &[
            OsStr::new("--lib"),
            libraries.as_os_str(),
            OsStr::new("--bin"),
            programs.as_os_str(),
            OsStr::new("--env"),
            &assignment("ODD", &odd_bytes()),
        ],
    );
    let inherited = [&odd_bytes()[..], b":/second"].concat();
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        command.env("REPLIT_LD_LIBRARY_PATH", OsStr::from_bytes(&inherited));
        // Silence on stderr shows that ld.so found the auditor under its odd name.
        let after = variables(&mut command);
        let inherited = Path::new(OsStr::from_bytes(&inherited));
        assert_eq!(value(&after, "LD_AUDIT"), list(&[out.join("lib/rtld_loader.so")]), "{sh:?}");
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), list(&[&libraries, inherited]), "{sh:?}");
        assert_eq!(value(&after, "PATH"), list(&[programs.as_path(), Path::new("/usr/bin:/bin")]), "{sh:?}");
        assert_eq!(value(&after, "ODD"), Some(odd_bytes().escape_ascii().to_string()), "{sh:?}");
    }
}

#[test]
fn the_users_own_settings_are_kept_behind_ours() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib", "/usr/lib", "--lib", "/usr/share", "--bin", "/usr/sbin"]);
    let ours = out.join("lib/rtld_loader.so").into_os_string().into_string().unwrap();
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        command
            .env("LD_AUDIT", format!("/old/rtld_loader.so:/user/one.so:rtld_loader.so:{ours}:/not_rtld_loader.so"))
            .env("REPLIT_LD_LIBRARY_PATH", "/mine:/usr/share:/usr/*:/mine/usr/lib:/[u]sr/lib")
            .env("PATH", ":/usr/bin::/usr/sbin:/bin")
            .env("LD_LIBRARY_PATH", "/untouched");
        // ld.so complains about the made-up auditors on stderr.
        let after = parse(&run(&mut command).stdout);
        let expected = format!("{ours}:/user/one.so:/not_rtld_loader.so");
        assert_eq!(value(&after, "LD_AUDIT"), Some(expected), "{sh:?}");
        let expected = "/usr/lib:/usr/share:/mine:/usr/*:/mine/usr/lib:/[u]sr/lib";
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some(expected), "{sh:?}");
        // An empty entry of PATH is the working directory, so it stays.
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/sbin::/usr/bin::/bin"), "{sh:?}");
        assert_eq!(value(&after, "LD_LIBRARY_PATH").as_deref(), Some("/untouched"), "{sh:?}");
    }
}

#[test]
fn what_is_not_declared_is_not_set() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        let after = variables(&mut shell(sh, &[], &script(&out), &SHOW));
        for name in ["REPLIT_LD_LIBRARY_PATH", "LD_LIBRARY_PATH", "__replit_env_list"] {
            assert_eq!(value(&after, name), None, "{sh:?}");
        }
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/bin:/bin"), "{sh:?}");
    }
}

#[test]
fn declared_lists_are_what_ours_is_merged_with() {
    let bench = Bench::new();
    let out = bench.environment(
        "e",
        &[
            "--lib=/usr/lib",
            "--bin=/usr/sbin",
            "--env=PATH=/declared",
            "--env=REPLIT_LD_LIBRARY_PATH=/more",
            "--env=A=first",
            "--env=A=last",
        ],
    );
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        let after = variables(command.env("REPLIT_LD_LIBRARY_PATH", "/inherited"));
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/sbin:/declared"), "{sh:?}");
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib:/more"), "{sh:?}");
        assert_eq!(value(&after, "A").as_deref(), Some("last"), "{sh:?}");
    }
}

#[test]
fn declared_auditors_go_between_ours_and_the_users() {
    let bench = Bench::new();
    let declared = "--env=LD_AUDIT=/old/rtld_loader.so:/declared/one.so::/both.so:/declared/one.so";
    let out = bench.environment("e", &["--env=LD_AUDIT=/overridden.so", declared]);
    let inner = bench.environment("inner", &["--env=LD_AUDIT=/inner.so:/both.so"]);
    let ours = |out: &Path| out.join("lib/rtld_loader.so").into_os_string().into_string().unwrap();
    for sh in AS_SH {
        // ld.so complains about the made-up auditors on stderr.
        let after = parse(&run(&mut shell(sh, &[], &script(&out), &SHOW)).stdout);
        let expected = format!("{}:/declared/one.so:/both.so", ours(&out));
        assert_eq!(value(&after, "LD_AUDIT"), Some(expected), "{sh:?}");
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        let after = parse(&run(command.env("LD_AUDIT", "/user.so:/both.so:/old/rtld_loader.so")).stdout);
        let expected = format!("{}:/declared/one.so:/both.so:/user.so", ours(&out));
        assert_eq!(value(&after, "LD_AUDIT"), Some(expected), "{sh:?}");
        let inside = [script(&inner), script(&inner), SHOW[0].into(), SHOW[1].into()];
        let after = parse(&run(&mut shell(sh, &[], &script(&out), &inside)).stdout);
        let expected = format!("{}:/inner.so:/both.so:/declared/one.so", ours(&inner));
        assert_eq!(value(&after, "LD_AUDIT"), Some(expected), "{sh:?}");
    }
}

#[test]
fn nested_environments_go_inner_first_and_do_not_grow() {
    let bench = Bench::new();
    let outer = bench.environment("outer", &["--lib=/usr/lib", "--lib=/usr/share", "--bin=/usr/sbin"]);
    let inner = bench.environment("inner", &["--lib=/usr/share", "--lib=/usr/include", "--bin=/usr/games"]);
    let (outer_script, inner_script) = (script(&outer), script(&inner));
    for sh in AS_SH {
        let inside = [inner_script.as_os_str(), inner_script.as_os_str(), OsStr::new(SHOW[0]), OsStr::new(SHOW[1])];
        let after = variables(&mut shell(sh, &[], &outer_script, &inside));
        let list_of_libraries = "/usr/share:/usr/include:/usr/lib";
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some(list_of_libraries), "{sh:?}");
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/games:/usr/sbin:/usr/bin:/bin"), "{sh:?}");
        assert_eq!(value(&after, "LD_AUDIT"), list(&[inner.join("lib/rtld_loader.so")]), "{sh:?}");
    }
}

#[test]
fn strange_surroundings_do_no_harm() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin"]);
    for sh in AS_SH {
        let mut command = shell(sh, &["-e", "-u", "-f"], &script(&out), &SHOW);
        command
            .env("IFS", "/:r")
            .env("REPLIT_LD_LIBRARY_PATH", "")
            .env("ENV", "/nowhere")
            .env("CDPATH", "/")
            .env("POSIXLY_CORRECT", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("__replit_env_list", "/hers");
        let after = variables(&mut command);
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib"), "{sh:?}");
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/sbin:/usr/bin:/bin"), "{sh:?}");
        // With nothing inherited at all, the program is still found beside what is declared.
        let mut command = shell(sh, &["-e", "-u"], &script(&out), &["env", "-0"]);
        let after = variables(command.env_clear());
        assert!(value(&after, "PATH").unwrap().starts_with("/usr/sbin:"), "{sh:?}");
    }
}

#[test]
fn long_lists_are_kept_whole() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib"]);
    let long: Vec<_> = (0..600).map(|number| format!("/nix/store/{number:032}-a-package-1.2.3/lib")).collect();
    let long = long.join(":");
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &SHOW);
        let after = variables(command.env("REPLIT_LD_LIBRARY_PATH", &long));
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), Some(format!("/usr/lib:{long}")), "{sh:?}");
    }
}

#[test]
fn programs_and_arguments_of_any_name() {
    let bench = Bench::new();
    let programs = bench.directory("programs");
    let odd = OsStr::from_bytes(ODD_NAME);
    for name in [odd, OsStr::new("-n"), OsStr::new("--help"), OsStr::new("A=b"), OsStr::new("cd")] {
        // bash as any of these names would look at its own name; cat does not.
        link("cat", &programs.join(name));
    }
    fs::write(bench.path("-"), "read\n").unwrap();
    let argument = bench.path(odd);
    fs::write(&argument, "the file\n").unwrap();
    let out = bench.environment("e", &[OsStr::new("--bin"), programs.as_os_str()]);
    for sh in AS_SH {
        for name in [odd, OsStr::new("-n"), OsStr::new("--help"), OsStr::new("cd"), OsStr::new("A=b")] {
            // env(1) behind us takes a name with a dash and an equals sign for itself, and nothing else.
            let arguments = [OsStr::new("--"), name, argument.as_os_str()];
            let output = run(&mut shell(sh, &[], &script(&out), &arguments));
            assert_eq!(output.stdout, b"the file\n", "{sh:?} {name:?}: {output:?}");
        }
        let odd_arguments = [OsStr::new("printf"), OsStr::new("%s|"), odd, OsStr::new(""), OsStr::new("*")];
        let output = run(&mut shell(sh, &[], &script(&out), &odd_arguments));
        assert_eq!(output.stdout, [ODD_NAME, b"||*|"].concat(), "{sh:?}");
    }
}

#[test]
fn exit_codes_are_those_of_env() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let text = bench.path("text");
    fs::write(&text, "not a program\n").unwrap();
    let cases: [&[&str]; 6] = [
        &["no-such-program"],
        &["/no/such/program"],
        &[""],
        &[text.to_str().unwrap()],
        &["/usr"],
        &["/bin/sh", "-c", "exit 42"],
    ];
    for case in cases {
        let expected = Command::new("/usr/bin/env").args(case).output().unwrap().status.code();
        for sh in AS_SH {
            let output = shell(sh, &[], &script(&out), case).output().unwrap();
            assert_eq!(output.status.code(), expected, "{sh:?} {case:?}: {output:?}");
            assert_eq!(output.stderr.is_empty(), expected == Some(42), "{sh:?} {case:?}: {output:?}");
        }
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for sh in AS_SH {
        for arguments in [&[][..], &["--"], &["-x", "ls"], &["--no-such-option"], &["-"]] {
            let output = shell(sh, &[], &script(&out), arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{sh:?} {arguments:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{sh:?} {arguments:?}: {output:?}");
        }
    }
}

#[test]
fn the_helper_alone_is_no_wrapper() {
    let output = Command::new(cli()).arg("replit-env").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let usage = "Usage: replit-env [OPTION]... [--] PROGRAM [ARGUMENT]...\n";
    assert!(String::from_utf8(output.stderr).unwrap().starts_with(usage));
}

#[test]
fn help_and_version_come_from_the_helper() {
    let bench = Bench::new();
    // The helper's own path may be as odd as any.
    let helper = bench.path(OsStr::from_bytes(ODD_NAME));
    link_cli(&helper);
    let out = bench.environment("e", &[OsStr::new("--helper"), helper.as_os_str()]);
    for sh in AS_SH {
        let output = run(&mut shell(sh, &[], &script(&out), &["--version"]));
        assert_eq!(output.stdout, concat!("replit-env ", env!("CARGO_PKG_VERSION"), "\n").as_bytes(), "{sh:?}");
        for option in ["-h", "--help"] {
            let output = run(&mut shell(sh, &[], &script(&out), &[option]));
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("Usage: replit-env [OPTION]... [--] PROGRAM [ARGUMENT]..."), "{sh:?}: {text}");
            assert!(text.contains("REPLIT_RTLD_LOG_LEVEL"), "{sh:?}: {text}");
        }
    }
}

#[test]
fn the_script_becomes_the_program_and_starts_no_other() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin", "--env=A=b"]);
    let trace = bench.path("trace");
    // With --print-env the program is the helper.
    let starts: [&[&str]; 3] = [&["/bin/true"], &["--print-env"], &["--log", "off", "--no-inherit", "--", "/bin/true"]];
    for (sh, arguments) in AS_SH.iter().flat_map(|sh| starts.map(|arguments| (sh, arguments))) {
        let mut command = Command::new(which("strace"));
        command.args(["-f", "-qq", "-e", "trace=process", "-e", "signal=none", "-o"]).arg(&trace);
        command.arg(which(sh[0])).args(&sh[1..]).arg(script(&out)).args(arguments);
        command.env_clear().env("PATH", "/nowhere").env("REPLIT_LD_LIBRARY_PATH", "/one:/two");
        run(&mut command);
        let trace = fs::read_to_string(&trace).unwrap();
        let calls = |name: &str| trace.lines().filter(|line| line.contains(name)).count();
        // The shell itself, then the program.
        assert_eq!(calls("execve("), 2, "{sh:?} {arguments:?}: {trace}");
        assert_eq!(calls("clone") + calls("fork("), 0, "{sh:?} {arguments:?}: {trace}");
    }
}

#[test]
fn the_first_line_names_the_shell() {
    let bench = Bench::new();
    let out = bench.environment("plain", &["--env=A=b"]);
    let after = variables(Command::new(script(&out)).args(SHOW).env_clear());
    assert_eq!(value(&after, "A").as_deref(), Some("b"));

    let dash = which("dash");
    let out = bench.environment("dash", &[OsStr::new("--shell"), dash.as_os_str()]);
    // dash is the one that remembers no SHLVL.
    let after = variables(Command::new(script(&out)).args(SHOW).env_clear());
    assert_eq!(value(&after, "SHLVL"), None);
    assert!(fs::read(script(&out)).unwrap().starts_with(&[b"#!", dash.as_os_str().as_bytes(), b"\n"].concat()));
}

#[test]
fn bash_passes_on_what_no_shell_can_set() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    // Nix environments run under bash for this: dash and busybox drop such variables.
    let mut command = shell(&["bash", "--posix"], &[], &script(&out), &SHOW);
    command.env("npm.package-name", "kept").env("BASH_FUNC_f%%", "() {  :\n}");
    let after = variables(&mut command);
    assert_eq!(value(&after, "npm.package-name").as_deref(), Some("kept"));
    assert!(value(&after, "BASH_FUNC_f%%").is_some());
}

//! `replit-env --doctor` and `replit-env-cli doctor`, in environments that are broken on purpose.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::bench::{AS_SH, Bench, cli, run, script, shell};

/// An environment in order: a directory with a library.
fn environment(bench: &Bench) -> PathBuf {
    let libraries = bench.directory("lib");
    library(&libraries.join("libone.so.1"));
    bench.environment("e", &[OsStr::new("--lib"), libraries.as_os_str()])
}

/// A library that needs nothing.
fn library(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let source = path.with_extension("c");
    fs::write(&source, "int one;\n").unwrap();
    run(Command::new("cc").args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(path).arg(&source));
    fs::remove_file(source).unwrap();
}

/// The ids of what is found, and the exit code. What this machine's card lacks is not ours.
fn found(command: &mut Command) -> (Vec<String>, i32) {
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let id = |finding: &Value| finding["id"].as_str().unwrap().to_owned();
    let ids = report["findings"].as_array().unwrap().iter().map(id).filter(|id| id != "no-cuda");
    (ids.collect(), output.status.code().unwrap())
}

/// `replit-env --doctor --json` of an environment.
fn doctor(environment: &Path) -> Command {
    shell(AS_SH[0], &[], &script(environment), &["--doctor", "--json"])
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn an_environment_in_order_has_no_problem() {
    let bench = Bench::new();
    let out = environment(&bench);
    for sh in AS_SH {
        let command = || shell(sh, &[], &script(&out), &["--doctor"]);
        let output = run(&mut command());
        assert!(text(&output).starts_with("replit-env: no problem found"), "{sh:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{sh:?}: {output:?}");
        let output = run(command().args(["-v", "/bin/sh"]));
        for checked in
            ["auditor: ", "declared: ", "static TLS: ", "LD_LIBRARY_PATH: ", "log: ", "drivers: ", "program: "]
        {
            let ok = format!("\nok: {checked}");
            assert!(text(&output).contains(&ok), "{sh:?}: {checked}: {output:?}");
        }
    }
}

#[test]
fn what_is_broken_is_found_wherever_it_runs() {
    let bench = Bench::new();
    let out = environment(&bench);
    let auditor = out.join("lib/rtld_loader.so");
    fs::rename(&auditor, bench.path("auditor.so")).unwrap();
    fs::remove_dir_all(bench.path("lib")).unwrap();
    let expected = ["auditor-gone", "entry-missing", "library-path", "library-path-empty-entry"];
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &["--doctor", "--json"]);
        let (mut ids, code) = found(command.env("LD_LIBRARY_PATH", ":/nowhere"));
        ids.sort_unstable();
        assert_eq!((ids, code), (expected.map(String::from).into(), 1), "{sh:?}");
    }
    // In a shell that has sourced the hook, and without any.
    let hook = out.join("etc/profile.d/replit-env.sh");
    let source = bench.path("source");
    fs::write(&source, ". \"$1\"\nexec \"$2\" doctor --json\n").unwrap();
    for sh in AS_SH {
        let (ids, code) = found(&mut shell(sh, &[], &source, &[hook.as_path(), cli()]));
        assert_eq!((ids, code), (["auditor-gone", "entry-missing"].map(String::from).into(), 1), "{sh:?}");
    }
    let (ids, code) = found(Command::new(cli()).args(["doctor", "--json"]).env_clear());
    assert_eq!((ids, code), (["no-auditor", "static-tls", "nothing-declared"].map(String::from).into(), 1));
    // ld.so says the same, once.
    let output = doctor(&out).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("ERROR: ld.so: ") && complaint.contains("cannot be loaded as audit"), "{complaint}");
}

#[test]
fn the_auditor_of_the_calling_shell_is_seen() {
    let bench = Bench::new();
    let out = environment(&bench);
    for sh in AS_SH {
        let mut command = shell(sh, &[], &script(&out), &["--doctor", "--json"]);
        let (ids, code) = found(command.env("LD_AUDIT", "/gone it's/rtld_loader.so"));
        assert_eq!((ids, code), (vec!["callers-auditor-gone".into()], 1), "{sh:?}");
    }
}

#[test]
fn a_program_is_looked_at() {
    let bench = Bench::new();
    let out = environment(&bench);
    let of = |program: &Path| found(doctor(&out).arg(program));
    let source = bench.path("program.c");
    fs::write(&source, "int main(void) { return 0; }\nvoid _start(void) {}\n").unwrap();
    let program = bench.path("program");
    run(Command::new("cc").args(["-static", "-nostdlib", "-o"]).arg(&program).arg(&source));
    assert_eq!(of(&program), (vec!["program-static".into()], 0));
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    run(Command::new("cc").arg("-Wl,--dynamic-linker=/lib/ld-musl-x.so.1").arg("-o").arg(&program).arg(&source));
    assert_eq!(of(&program), (vec!["program-musl".into()], 1));
    run(Command::new("cc").arg("-Wl,--dynamic-linker=/nowhere/ld.so").arg("-o").arg(&program).arg(&source));
    assert_eq!(of(&program), (vec!["loader-missing".into()], 1));
    run(Command::new("cc").arg("-o").arg(&program).arg(&source));
    assert_eq!(of(&program), (vec![], 0));
    assert_eq!(of(Path::new("no-such-program")), (vec!["program-missing".into()], 1));
}

/// An environment with an index: its store, and its index.
fn indexed(bench: &Bench) -> (PathBuf, PathBuf, PathBuf) {
    let store = bench.path("store");
    let directory = store.join("one/lib");
    library(&directory.join("libone.so.1"));
    let arguments = [OsStr::new("--store"), store.as_os_str(), OsStr::new("--lib"), directory.as_os_str()];
    let out = bench.environment("e", &arguments);
    let index = out.join("lib/rtld_loader.index");
    (out, directory, index)
}

#[test]
fn an_index_is_held_against_the_store() {
    let bench = Bench::new();
    let (out, directory, _) = indexed(&bench);
    let one = directory.join("libone.so.1");
    assert_eq!(found(&mut doctor(&out)), (vec![], 0));
    // A file that is written anew; one that is added; one that is gone.
    let later = SystemTime::now() + Duration::from_secs(60);
    fs::File::options().append(true).open(&one).unwrap().set_modified(later).unwrap();
    assert_eq!(found(&mut doctor(&out)), (vec!["indexed-files-changed".into()], 1));
    fs::File::options().append(true).open(&one).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(found(&mut doctor(&out)), (vec![], 0));
    library(&directory.join("libtwo.so.1"));
    assert_eq!(found(&mut doctor(&out)), (vec!["indexed-files-changed".into()], 1));
    fs::rename(&one, directory.join("libone.so.2")).unwrap();
    assert_eq!(found(&mut doctor(&out)), (["indexed-files-gone", "indexed-files-changed"].map(String::from).into(), 1));
    assert!(text(&doctor(&out).output().unwrap()).contains("libone.so.1"));
}

#[test]
fn an_index_that_the_auditor_cannot_use_is_found() {
    let bench = Bench::new();
    let (out, directory, index) = indexed(&bench);
    let whole = fs::read(&index).unwrap();
    let with = |bytes: &[u8]| {
        fs::write(&index, bytes).unwrap();
        found(&mut doctor(&out))
    };
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    assert_eq!(with(&whole[..whole.len() - 1]), (vec!["index-damaged".into()], 1));
    assert_eq!(with(b""), (vec!["index-damaged".into()], 1));
    assert_eq!(with(&changed(0)), (vec!["index-damaged".into()], 1));
    // The version is the last byte of the magic, and the machine the second number behind it.
    assert_eq!(with(&changed(7)), (vec!["index-of-other-version".into()], 1));
    assert_eq!(with(&changed(12)), (vec!["index-of-other-machine".into()], 1));
    assert_eq!(with(&whole), (vec![], 0));
    let mut other = Command::new(cli());
    other.args(["doctor", "--json"]).env_clear().env("REPLIT_RTLD_INDEX", &index);
    let before = bench.directory("before");
    library(&before.join("libbefore.so"));
    let list = [before.as_os_str(), directory.as_os_str()].join(OsStr::new(":"));
    let (ids, _) = found(other.env("REPLIT_LD_LIBRARY_PATH", list));
    assert!(ids.contains(&"index-of-other-list".into()), "{ids:?}");
    fs::remove_file(&index).unwrap();
    assert_eq!(found(&mut doctor(&out)), (vec!["index-gone".into()], 1));
}

#[test]
fn other_uses_are_usage_errors() {
    let bench = Bench::new();
    let out = environment(&bench);
    for case in [&["--doctor", "--yaml"][..], &["--doctor", "a", "b"], &["--doctors"], &["--doctor=json"]] {
        for sh in AS_SH {
            let output = shell(sh, &[], &script(&out), case).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{sh:?} {case:?}: {output:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{sh:?} {case:?}: {output:?}");
        }
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let bench = Bench::new();
    let out = environment(&bench);
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = shell(AS_SH[0], &[], &script(&out), &["--doctor"]);
        run(command.env("TERM", "xterm").envs(variables.iter().copied())).stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    let on_terminal = |variable: &str| {
        let doctor = format!("exec '{}' --doctor", script(&out).display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &doctor, "/dev/null"]);
        run(command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env(variable, "1"))
            .stdout
            .contains(&0x1b)
    };
    assert!(on_terminal("OTHER"));
    assert!(!on_terminal("NO_COLOR"));
}

#[test]
fn paragraphs_are_as_wide_as_the_terminal() {
    let bench = Bench::new();
    let out = environment(&bench);
    for columns in [50, 70] {
        let doctor = format!("stty rows 24 columns {columns}; exec '{}' --doctor", script(&out).display());
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--command", &doctor, "/dev/null"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        let output = command.env("NO_COLOR", "1").env("LD_LIBRARY_PATH", "/nowhere").output().unwrap();
        let paragraph: Vec<_> =
            text(&output).lines().skip_while(|line| !line.starts_with("warning: ")).skip(1).collect();
        let widest =
            paragraph.iter().filter(|line| !line.starts_with("      ")).map(|line| line.trim_end().len()).max();
        assert!(widest <= Some(columns) && widest > Some(columns - 15), "{columns}: {output:?}");
    }
}

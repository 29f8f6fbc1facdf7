//! fish: what `--print-env=fish` prints, and the hook in `share/fish/vendor_conf.d`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{
    AS_SH, Bench, comparable, inherit, list, odd_environment, of_a_program, parse, run, script, shell, value,
    variables, which,
};

/// fish with a clean environment, in a locale where it takes the bytes of variables as they are.
fn fish(bench: &Bench, options: &[&str], code: &str) -> Command {
    let mut command = Command::new(which("fish"));
    command.args(options).args(["-c", code]).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HOME", bench.directory("home")).env("LC_ALL", "C.UTF-8");
    command
}

fn hook(environment: &Path) -> PathBuf {
    environment.join("share/fish/vendor_conf.d/replit-env.fish")
}

/// What programs get, but for the tests' own locale and what fish sets.
fn after(command: &mut Command) -> BTreeMap<String, String> {
    let mut after = comparable(&parse(&run(command.env("HOME", "/home")).stdout));
    after.retain(|name, _| !["LC_ALL", "USER"].contains(&name.as_str()));
    after
}

#[test]
fn what_it_evaluates_is_as_under_the_script() {
    let bench = Bench::new();
    let out = odd_environment(&bench);
    for sh in AS_SH {
        // Twice, since nothing may grow.
        let code = "$argv --print-env=fish | source; ".repeat(2) + "exec /usr/bin/env -0";
        let mut command = fish(&bench, &["--no-config"], &code);
        command.arg(which(sh[0])).args(&sh[1..]).arg(script(&out));
        assert_eq!(after(inherit(&mut command)), comparable(&of_a_program(sh, &out)), "{sh:?}");
    }
}

#[test]
fn what_fish_keeps_to_itself_is_left_out() {
    let bench = Bench::new();
    let names = ["SHLVL", "_", "fish_pid", "history", "hostname", "pipestatus", "umask", "version"];
    let declared: Vec<_> = names.iter().map(|name| format!("--env={name}=022")).chain(["--env=A=b".into()]).collect();
    let out = bench.environment("e", &declared);
    let mut command = fish(&bench, &["--no-config"], "$argv --print-env=fish | source; umask; echo $A");
    let output = run(command.arg(script(&out)).env("A", "mine"));
    let umask = run(&mut fish(&bench, &["--no-config"], "umask")).stdout;
    assert_eq!(output.stdout, [&umask[..], b"b\n"].concat());
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_hook_is_as_the_one_for_other_shells() {
    let bench = Bench::new();
    let out = odd_environment(&bench);
    let source = bench.path("source");
    fs::write(&source, "set -eu\n. \"$1\"\nexec /usr/bin/env -0\n").unwrap();
    let profile = out.join("etc/profile.d/replit-env.sh");
    // With an auditor of ours in LD_AUDIT only a login shell is given another.
    for (options, auditors) in [
        (&["--no-config", "--login"][..], "/old/rtld_loader.so:/users own.so"),
        (&["--no-config"], "/users own.so:/not_rtld_loader.so:/rtld_loader.so.old"),
    ] {
        let mut profile = shell(&["dash"], &[], &source, &[&profile]);
        let mut command = fish(&bench, options, "source $argv; source $argv; exec /usr/bin/env -0");
        inherit(command.arg(hook(&out))).env("LD_AUDIT", auditors);
        assert_eq!(after(&mut command), after(inherit(&mut profile).env("LD_AUDIT", auditors)), "{options:?}");
    }
}

#[test]
fn fish_finds_the_hook_by_itself() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib"]);
    let mut command = fish(&bench, &[], "exec /usr/bin/env -0");
    let plain = variables(&mut command);
    assert_eq!(value(&plain, "LD_AUDIT"), None);
    let after = variables(command.env("XDG_DATA_DIRS", out.join("share")));
    assert_eq!(value(&after, "LD_AUDIT"), list(&[out.join("lib/rtld_loader.so")]));
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib"));
}

#[test]
fn a_fish_that_is_started_in_an_environment_keeps_it() {
    let bench = Bench::new();
    let of_the_machine = bench.environment("machine", &["--lib=/usr/lib", "--bin=/usr/sbin"]);
    let of_the_project = bench.environment("project", &["--lib=/usr/share", "--bin=/usr/games"]);
    let lists = |options: &[&str]| {
        let inside = fish(&bench, options, "source $argv; exec /usr/bin/env -0");
        let mut command = shell(&["dash"], &[], &script(&of_the_project), &[inside.get_program()]);
        command.args(inside.get_args()).arg(OsStr::new(&hook(&of_the_machine))).env("HOME", bench.path("home"));
        let after = variables(&mut command);
        ["REPLIT_LD_LIBRARY_PATH", "PATH"].map(|name| value(&after, name).unwrap())
    };
    assert_eq!(lists(&["--no-config"]), ["/usr/share", "/usr/games:/usr/bin:/bin"]);
    let both = ["/usr/lib:/usr/share", "/usr/sbin:/usr/games:/usr/bin:/bin"];
    assert_eq!(lists(&["--no-config", "--login"]), both);
}

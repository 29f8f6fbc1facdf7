//! What goes to `share`: shell completions, in the real shells, and man pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, cli, run, script, which};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/environment");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn lines(output: Vec<u8>) -> Vec<String> {
    String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
}

/// A command with no environment but a path, a home and a locale.
fn clean(program: &str, bench: &Bench) -> Command {
    let mut command = Command::new(which(program));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("HOME", bench.directory("home"));
    command
}

/// A program that no other begins like, in a directory that is searched.
fn programs(bench: &Bench) -> String {
    let programs = bench.directory("programs");
    crate::bench::link("true", &programs.join("unmistakable"));
    format!("{}:/usr/bin:/bin", programs.display())
}

#[test]
fn bash_completes_options_values_and_programs() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let file = out.join("share/bash-completion/completions/replit-env");
    let path = programs(&bench);
    // bash takes the equals sign for a word of its own.
    let cases: [(&[&str], &[&str]); 16] = [
        (&["--pr"], &["--print-env"]),
        (&["--log", ""], &["off", "warn", "info", "debug"]),
        (&["--log", "d"], &["debug"]),
        (&["--log", "="], &["off", "warn", "info", "debug"]),
        (&["--log", "=", "d"], &["debug"]),
        (&["--print-env", "=", "f"], &["fish"]),
        (&["--log", "info", "--no-i"], &["--no-inherit"]),
        (&["unmist"], &["unmistakable"]),
        (&["--log", "=", "info", "unmist"], &["unmistakable"]),
        (&["--log", "info", "--no-inherit", "--", "unmist"], &["unmistakable"]),
        (&["--", "--pr"], &[""]),
        (&["unmistakable", "--pr"], &[""]),
        (&["ls", "--recur"], &["--recursive"]),
        (&["--explain", "--observe", "unmist"], &["unmistakable"]),
        (&["--explain", "--observe", "ls", "--recur"], &["--recursive"]),
        (&["--log", "=", "info", "--no-inherit", "ls", "/etc/hostnam"], &["/etc/hostname"]),
    ];
    for (words, expected) in cases {
        let mut command = clean("bash", &bench);
        command.arg(format!("{TESTS}/completions.bash")).arg(&file).arg("replit-env").args(words).env("PATH", &path);
        let output = run(&mut command);
        assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
        let offered = lines(output.stdout);
        assert!(offered[0].starts_with("complete ") && offered[0].ends_with(" replit-env"), "{offered:?}");
        assert_eq!(offered[1..], *expected, "{words:?}");
    }
}

#[test]
fn zsh_completes_options_values_and_programs() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let cases = [
        ("replit-env --pr", "--print-env"),
        ("replit-env --log=d", "--log=debug"),
        ("replit-env --no-i", "--no-inherit"),
        ("replit-env --no-inherit --log i", "--no-inherit --log info"),
        ("replit-env --print-env=f", "--print-env=fish"),
        ("replit-env unmist", "unmistakable"),
        ("replit-env --log=info unmist", "--log=info unmistakable"),
        ("replit-env -- unmist", "-- unmistakable"),
        ("replit-env unmistakable --no-i", "unmistakable --no-i"),
        ("replit-env --explain --observe unmist", "--explain --observe unmistakable"),
        ("replit-env unmistakable /etc/hostnam", "unmistakable /etc/hostname"),
    ];
    // It waits for what it expects.
    let mut command = clean("timeout", &bench);
    command.args(["60", "zsh", "-f"]).arg(format!("{TESTS}/completions.zsh")).arg(out.join("share/zsh/site-functions"));
    command.args(cases.map(|(typed, _)| typed)).env("PATH", programs(&bench));
    let made: Vec<_> = lines(run(&mut command).stdout).iter().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(made, cases.map(|(_, expected)| expected));
}

#[test]
fn fish_completes_options_values_and_programs() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let cases: [(&str, &[&str]); 10] = [
        ("replit-env --pr", &["--print-env", "--print-env="]),
        ("replit-env --log ", &["debug", "info", "off", "warn"]),
        ("replit-env --log=d", &["--log=debug"]),
        ("replit-env --print-env=f", &["--print-env=fish"]),
        ("replit-env --log info --no-i", &["--no-inherit"]),
        ("replit-env unmist", &["unmistakable"]),
        ("replit-env --no-inherit --log info -- unmist", &["unmistakable"]),
        ("replit-env unmistakable --no-i", &[]),
        ("replit-env --explain --observe unmist", &["unmistakable"]),
        ("replit-env unmistakable /etc/hostnam", &["/etc/hostname"]),
    ];
    // fish asks for the completions of commands that it finds.
    let path = format!("{}:{}", out.join("bin").display(), programs(&bench));
    for (typed, expected) in cases {
        let mut command = clean("fish", &bench);
        command.args(["-c", "complete --do-complete $argv[1]", typed]).env("XDG_DATA_DIRS", out.join("share"));
        let offered = lines(run(command.env("PATH", &path)).stdout);
        let words: Vec<_> = offered.iter().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, *expected, "{typed}");
    }
}

#[test]
fn the_script_prints_the_completions_that_are_installed() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    for (shell, file) in [
        ("bash", "bash-completion/completions/replit-env"),
        ("zsh", "zsh/site-functions/_replit-env"),
        ("fish", "fish/vendor_completions.d/replit-env.fish"),
    ] {
        let printed = run(Command::new(script(&out)).arg(format!("--completions={shell}"))).stdout;
        assert_eq!(printed, fs::read(out.join("share").join(file)).unwrap(), "{shell}");
    }
    let output = Command::new(script(&out)).arg("--completions=csh").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_helper_has_completions_and_the_manual() {
    let bench = Bench::new();
    let share = bench.path("share");
    run(Command::new(cli()).args(["share", "--out"]).arg(&share));
    let path = format!("{}:/usr/bin:/bin", cli().parent().unwrap().display());
    let offered = |typed: &str| {
        let mut command = clean("fish", &bench);
        command.args(["-c", "complete --do-complete $argv[1]", typed]).env("XDG_DATA_DIRS", &share);
        let offered = lines(run(command.env("PATH", &path)).stdout);
        offered.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(offered("replit-env-cli "), ["doctor", "generate", "help", "share"]);
    assert_eq!(offered("replit-env-cli generate --chan"), ["--channel", "--channel-of"]);
    for file in ["bash-completion/completions/replit-env-cli", "zsh/site-functions/_replit-env-cli"] {
        assert!(fs::read_to_string(share.join(file)).unwrap().contains("--channel-of"), "{file}");
    }
    let page = fs::read(share.join("man/man7/rtld_loader.7")).unwrap();
    assert_eq!(page, fs::read(format!("{ROOT}/docs/rtld_loader.7")).unwrap());
}

/// The pages of an environment.
fn pages(bench: &Bench) -> [std::path::PathBuf; 2] {
    let out = bench.environment::<&str>("e", &[]);
    ["man/man1/replit-env.1", "man/man7/rtld_loader.7"].map(|page| out.join("share").join(page))
}

#[test]
fn man_pages_are_without_a_warning_and_fit_a_terminal() {
    for page in pages(&Bench::new()) {
        let mut groff = Command::new(which("groff"));
        groff.args(["-man", "-ww", "-Tascii", "-P-cbou", "-rLL=80n"]).arg(&page);
        let output = run(&mut groff);
        assert!(output.stderr.is_empty(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines() {
            assert!(line.len() <= 80, "{}: {line}", page.display());
        }
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"] {
            assert!(text.lines().any(|line| line == section), "{} lacks {section}:\n{text}", page.display());
        }
    }
}

#[test]
fn help_fits_a_terminal_and_tells_of_each_option() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let page = fs::read_to_string(out.join("share/man/man1/replit-env.1")).unwrap().replace("\\-", "-");
    for option in ["-h", "--help"] {
        let text = String::from_utf8(run(Command::new(script(&out)).arg(option)).stdout).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for option in ["--log", "--no-inherit", "--print-env", "--completions", "--help", "--version"] {
            let words = text.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '-');
            assert!(words.clone().any(|word| word == option), "{option}: {text}");
            assert!(page.contains(&format!("\\fB{option}\\fR")), "{option}");
        }
    }
}

/// The words of a text that begin and end with these, without them.
fn between<'t>(text: &'t str, before: &str, after: &str) -> BTreeSet<&'t str> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(after)?.0)).collect()
}

/// What is ours in a set of variables' names.
fn ours<'t>(names: &BTreeSet<&'t str>) -> BTreeSet<&'t str> {
    names.iter().copied().filter(|name| name.starts_with("REPLIT_")).collect()
}

#[test]
fn every_text_names_the_variables_that_the_auditor_reads() {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let root = Path::new(ROOT);
    let source = read(&root.join("src/environment.rs"));
    let source = source.split("mod tests").next().unwrap();
    let expected = ours(&between(source, "b\"", "\""));
    assert!(expected.contains("REPLIT_LD_LIBRARY_PATH") && expected.len() > 5, "{expected:?}");

    let bench = Bench::new();
    let [command, auditor] = pages(&bench).map(|page| read(&page));
    let help = String::from_utf8(run(Command::new(script(&bench.path("e"))).arg("--help")).stdout).unwrap();
    let readme = read(&root.join("README.md"));
    assert_eq!(ours(&between(&readme, "\n| `", "` |")), expected, "README.md");
    assert_eq!(ours(&between(&help, "\n  ", " ")), expected, "--help");
    assert_eq!(ours(&between(&command, ".TP\n\\fB", "\\fR\n")), expected, "replit-env(1)");
    assert_eq!(ours(&between(&auditor, ".TP\n.B ", "\n")), expected, "rtld_loader(7)");
}

//! `--explain --observe`: runs a program with the auditor's log turned on, and shows what was loaded, dlopens included.
//!
//! The log says it all: each process that loads the auditor writes a file of its own, in which `cmdline:` begins a program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::report::{BAD, BOLD, DIM, GOOD, RULE, shortened, styled};

/// A program that ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Program {
    process: u32,
    command: String,
    loaded: Vec<Loaded>,
    missing: Vec<Missing>,
}

/// A library that was loaded.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    path: String,
    rule: String,
}

/// A name that was not found.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    name: String,
    /// Why not, if the auditor knows more than that.
    reason: Option<String>,
}

/// Runs the program. The exit code is 0 if all was found, and 1 if something was missing.
pub fn run(program: &OsStr, arguments: &[OsString], is_json: bool, is_verbose: bool) -> Result<ExitCode> {
    let logs = tempfile::tempdir().context("cannot make a directory for logs")?;
    let mut command = Command::new(program);
    if is_json {
        // What the program says is not for who reads the JSON.
        command.stdout(io::stderr());
    }
    // Ctrl-C ends the program, if it does; what it has loaded until then is to be told. A handler, which the program does
    // not inherit. (What is ignored, as in a script's background, stays so.)
    for signal in [SIGINT, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal)) {
        signal_hook::flag::register(signal, Arc::default()).context("cannot handle signals")?;
    }
    let status = command
        .args(arguments)
        .env("REPLIT_RTLD_LOG_LEVEL", "debug")
        .env("REPLIT_RTLD_LOG_FILE", logs.path().join("%p"))
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let programs = read(logs.path())?;
    ensure!(
        !programs.is_empty(),
        "no auditor wrote a log: LD_AUDIT does not name rtld_loader.so, or ld.so loads nothing"
    );
    let is_whole = programs.iter().all(|program| program.missing.is_empty());
    let mut stdout = anstream::stdout().lock();
    let written = match is_json {
        true => writeln!(stdout, "{:#}", json(status, &programs)),
        false => write!(stdout, "{}", text(program, status, &programs, is_verbose)),
    };
    written.and_then(|()| stdout.flush()).context("cannot write to standard output")?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a signal is ignored (proc_pid_status(5)).
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// The programs of all logs, each process's in a row.
fn read(directory: &Path) -> Result<Vec<Program>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let place = name.to_str().and_then(place).with_context(|| format!("{} is no log", entry.path().display()))?;
        files.insert(place, fs::read(entry.path())?);
    }
    let programs = files.into_iter().map(|((process, _), log)| parse(process, &String::from_utf8_lossy(&log)));
    Ok(programs.flatten().collect())
}

/// The process that a log is of, and how many programs it had run before: it is named `PID`, and then `PID.1` and so on.
fn place(name: &str) -> Option<(u32, u32)> {
    let (process, before) = name.split_once('.').unwrap_or((name, "0"));
    Some((process.parse().ok()?, before.parse().ok()?))
}

/// The programs of one process's log.
fn parse(process: u32, log: &str) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    let mut rule = String::new();
    // An argument may have lines of its own: a command goes on until the auditor is asked for its version.
    let mut is_command = false;
    for line in log.lines() {
        let (kind, rest) = line.split_once(": ").unwrap_or((line, ""));
        let is_next = kind == "cmdline" && !is_command;
        let Some(program) = programs.last_mut().filter(|_| !is_next) else {
            let command = rest.to_owned();
            programs.push(Program { process, command, ..Program::default() });
            is_command = true;
            continue;
        };
        if is_command {
            is_command = !line.starts_with("RTLD: la_version(");
            if is_command {
                program.command += &format!("\n{line}");
            }
            continue;
        }
        match kind {
            "answered from the index" => rule = "index".to_owned(),
            "found dynamically" => rule = "declared".to_owned(),
            "of the graphics driver" => rule = "driver".to_owned(),
            "left to ld.so" | "no such file" => {
                let found = rest.rsplit_once(": it is found by ").and_then(|(_, found)| found.split_once(": "));
                rule = match found.map(|(place, _)| place) {
                    Some("RUNPATH") => "runpath",
                    Some("RPATH") => "rpath",
                    Some("ld.so.cache") => "cache",
                    Some("a default directory") => "default",
                    Some(place) => place,
                    None => "ld.so",
                }
                .to_owned();
            }
            "loaded" => {
                let path = rest.rsplit_once(", for ").map_or(rest, |(path, _)| path);
                // The program itself has no name, and ld.so and what the kernel maps are asked for by nobody.
                if rest != path {
                    program.loaded.push(Loaded { path: path.to_owned(), rule: std::mem::take(&mut rule) });
                }
            }
            "refused" | "hint" => {
                if let Some(missing) = program.missing.last_mut() {
                    missing.reason = Some(rest.to_owned());
                }
            }
            _ if kind.starts_with("this process's own glibc has ") => rule = "glibc family".to_owned(),
            _ => {
                // It is taken back where a candidate is found.
                let missed = line.strip_prefix("ld library miss for ");
                program.missing.extend(missed.map(|name| Missing { name: name.to_owned(), reason: None }));
            }
        }
        if kind == "found dynamically" {
            program.missing.pop();
        }
    }
    for program in &mut programs {
        let mut names = std::collections::HashSet::new();
        program.missing.retain(|missing| names.insert(missing.name.clone()));
    }
    programs
}

fn text(program: &OsStr, status: ExitStatus, programs: &[Program], is_verbose: bool) -> String {
    let missing: Vec<_> = programs.iter().flat_map(|program| &program.missing).collect();
    let count = programs.iter().map(|program| program.loaded.len()).sum::<usize>();
    let loaded = if count == 1 { "1 library was loaded".to_owned() } else { format!("{count} libraries were loaded") };
    let verdict = match &missing[..] {
        [] => styled(GOOD, &format!("{loaded}, and none was missing")),
        [one] => styled(BAD, &format!("{loaded}, and {} was missing", one.name)),
        more => styled(BAD, &format!("{loaded}, and {} were missing", more.len())),
    };
    let mut text =
        format!("{}: {verdict}\n{}\n", styled(BOLD, &program.display().to_string()), styled(DIM, &status.to_string()));
    for program in programs {
        text += &format!(
            "\n{} {}\n",
            styled(BOLD, &program.command.replace('\n', " ")),
            styled(DIM, &format!("(process {})", program.process))
        );
        for Loaded { path, rule } in &program.loaded {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let directory = shortened(Path::new(directory), is_verbose);
            text += &format!(
                "  {} {} {}\n",
                styled(BOLD, name),
                styled(RULE, &format!("[{rule}]")),
                styled(DIM, &directory)
            );
        }
        for Missing { name, reason } in &program.missing {
            let reason = reason.as_deref().unwrap_or("nobody has it");
            text += &format!("  {} {} {reason}\n", styled(BOLD, name), styled(BAD, "[missing]"));
        }
    }
    text
}

fn json(status: ExitStatus, programs: &[Program]) -> Value {
    let programs = programs.iter().map(|program| {
        let loaded = program.loaded.iter().map(|loaded| json!({ "path": loaded.path, "rule": loaded.rule }));
        let missing = program.missing.iter().map(|missing| json!({ "name": missing.name, "reason": missing.reason }));
        json!({
            "process": program.process,
            "command": program.command,
            "loaded": loaded.collect::<Vec<_>>(),
            "missing": missing.collect::<Vec<_>>(),
        })
    });
    json!({ "status": status.to_string(), "programs": programs.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_has_a_place() {
        let mut names = ["10", "9.1", "9", "9.10", "9.2"];
        names.sort_by_key(|name| place(name).unwrap());
        assert_eq!(names, ["9", "9.1", "9.2", "9.10", "10"]);
        assert_eq!(["", "a", "9.", "9.1.1"].map(place), [None; 4]);
    }

    #[test]
    fn a_log_tells_which_rule_found_what() {
        let log = "cmdline: sh -c python3\n\
            RTLD: la_version(2)\n\
            loaded: \n\
            loaded: /g/ld-linux-x86-64.so.2\n\
            left to ld.so: libm.so.6: it is found by RUNPATH: /g/libm.so.6\n\
            loaded: /g/libm.so.6, for the program\n\
            cmdline: python3 -c import this\n\
            cmdline: str\n\
            hint: str\n\
            RTLD: la_version(2)\n\
            answered from the index: libz.so.1: /z/libz.so.1\n\
            loaded: /z/libz.so.1, for the program\n\
            ld library miss for libc1.so\n\
            searching...\n\
            \x20 /d/libc1.so: it fits\n\
            found dynamically: /d/libc1.so\n\
            loaded: /d/libc1.so, for /z/libz.so.1\n\
            ld library miss for libcuda.so.1\n\
            searching...\n\
            found dynamically: /h/libcuda.so.1\n\
            of the graphics driver: libcuda.so.1\n\
            loaded: /h/libcuda.so.1, for /d/libc1.so\n\
            ld library miss for libc2.so\n\
            searching...\n\
            not found.\n\
            refused: /d/libc2.so (needs GLIBC_2.38)\n\
            ld library miss for libc3.so\n\
            searching...\n\
            not found.\n";
        let loaded = |path: &str, rule: &str| Loaded { path: path.to_owned(), rule: rule.to_owned() };
        let programs = parse(7, log);
        assert_eq!(
            programs[0],
            Program {
                process: 7,
                command: "sh -c python3".to_owned(),
                loaded: vec![loaded("/g/libm.so.6", "runpath")],
                missing: Vec::new(),
            }
        );
        let [index, declared] =
            [("/z/libz.so.1", "index"), ("/d/libc1.so", "declared")].map(|(path, by)| loaded(path, by));
        assert_eq!(programs[1].command, "python3 -c import this\ncmdline: str\nhint: str");
        assert_eq!(programs[1].loaded, [index, declared, loaded("/h/libcuda.so.1", "driver")]);
        let missing =
            |name: &str, reason: Option<&str>| Missing { name: name.to_owned(), reason: reason.map(str::to_owned) };
        assert_eq!(
            programs[1].missing,
            [missing("libc2.so", Some("/d/libc2.so (needs GLIBC_2.38)")), missing("libc3.so", None)]
        );
    }
}

//! The system calls of one process, as strace saw them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// One line for each system call that a program made after its own start.
#[derive(Debug)]
pub struct Trace {
    /// The calls, in order, as in `openat(AT_FDCWD, …) = 3`.
    pub calls: Vec<String>,
}

/// Whose calls are in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    /// The program's own.
    Own,
    /// Those of its children, too.
    Family,
}

impl Trace {
    /// Reads strace's log, from `program`'s start on. What started it (a sandbox) is left out.
    pub(crate) fn read(log: &Path, program: &Path, whose: Whose) -> Result<Trace> {
        let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
        Trace::parse(&String::from_utf8_lossy(&text), program, whose)
            .with_context(|| format!("{} was not started", program.display()))
    }

    fn parse(text: &str, program: &Path, whose: Whose) -> Option<Trace> {
        let start = format!("execve(\"{}\"", program.display());
        let lines = text.lines().filter_map(|line| line.split_once(' ')).map(|(pid, call)| (pid, call.trim_start()));
        let lines: Vec<(&str, &str)> = lines.collect();
        let succeeds = |at: usize, (pid, call): (&str, &str)| {
            let rest = lines[at + 1..].iter().find(|(other, _)| *other == pid);
            let resumed =
                rest.is_some_and(|(_, call)| call.starts_with("<... execve resumed>") && call.ends_with("= 0"));
            call.ends_with("= 0") || (call.ends_with("<unfinished ...>") && resumed)
        };
        let started = (0..lines.len()).find(|&at| lines[at].1.starts_with(&start) && succeeds(at, lines[at]))?;
        // The sandbox waits, and what it has started before are other processes.
        let before: BTreeSet<&str> = lines[..started].iter().map(|(pid, _)| *pid).collect();
        let pid = lines[started].0;
        let counts = |other: &str| other == pid || (whose == Whose::Family && !before.contains(other));
        let own = lines[started + 1..].iter().filter(|(other, _)| counts(other));
        let mut calls: Vec<String> = Vec::new();
        // The last call of each process.
        let mut last = BTreeMap::new();
        for (pid, line) in own {
            // A call that another process interrupts takes two lines; signals and exits are no calls.
            if line.starts_with(|first: char| first.is_ascii_lowercase()) {
                last.insert(*pid, calls.len());
                calls.push(line.trim_end_matches("<unfinished ...>").into());
            } else if let (Some((_, rest)), true) = (line.split_once(" resumed>"), line.starts_with("<... "))
                // There is none yet when it is the start itself that was interrupted.
                && let Some(&call) = last.get(pid)
            {
                calls[call].push_str(rest);
            }
        }
        Some(Trace { calls })
    }

    /// The libraries and modules that were opened, in order.
    pub fn loaded(&self) -> Vec<PathBuf> {
        let opened = self.opens().filter(|(_, result)| result.starts_with(|first: char| first.is_ascii_digit()));
        opened.map(|(file, _)| PathBuf::from(file)).collect()
    }

    /// How often a library or a module was not where it was looked for.
    pub fn failed_opens(&self) -> usize {
        self.opens().filter(|(_, result)| result.starts_with("-1")).count()
    }

    /// What was opened by the name of a library, and what came of it.
    fn opens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.calls.iter().filter_map(|call| {
            let rest = call.strip_prefix("openat(AT_FDCWD, \"")?;
            let (file, rest) = rest.split_once('"')?;
            let name = file.rsplit('/').next()?;
            let numbered = |(_, rest): (&str, &str)| rest.starts_with(|first: char| first.is_ascii_digit());
            let is_library = name.ends_with(".so") || name.rsplit_once(".so.").is_some_and(numbered);
            let (_, result) = rest.rsplit_once(" = ")?;
            is_library.then_some((file, result))
        })
    }

    /// How many calls there were.
    pub fn count(&self) -> usize {
        self.calls.len()
    }
}

/// How long `program` ran, as strace's log with times says. It must have come to a good end.
pub(crate) fn duration(log: &Path, program: &Path) -> Result<Duration> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    parse_duration(&String::from_utf8_lossy(&text), program)
        .with_context(|| format!("{} did not start and end well", program.display()))
}

fn parse_duration(text: &str, program: &Path) -> Option<Duration> {
    let start = format!("execve(\"{}\"", program.display());
    let lines = || {
        text.lines().filter_map(|line| {
            let (pid, rest) = line.split_once(' ')?;
            let (time, call) = rest.trim_start().split_once(' ')?;
            Some((pid, time.parse::<f64>().ok()?, call.trim_start()))
        })
    };
    let (pid, started, _) = lines().find(|(_, _, call)| call.starts_with(&start))?;
    let (_, ended, _) = lines().find(|(other, _, call)| *other == pid && *call == "+++ exited with 0 +++")?;
    Duration::try_from_secs_f64(ended - started).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"7 execve("/bin/bwrap", ["bwrap"], 0x1 /* 2 vars */) = 0
7 brk(NULL) = 0x1
8 execve("/tmp/main", ["/tmp/main"], 0x2 /* 1 var */) = -1 ENOENT (No such file or directory)
8   execve("/tmp/main", ["/tmp/main"], 0x2 /* 1 var */) = 0
8 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY) = 3
7 wait4(8, <unfinished ...>
8 read(3, <unfinished ...>
7 <... wait4 resumed>NULL, 0, NULL) = 8
8 <... read resumed>"", 1) = 0
8 --- SIGCHLD {si_signo=SIGCHLD} ---
8 exit_group(0) = ?
8 +++ exited with 0 +++
"#;

    #[test]
    fn the_programs_own_calls_are_counted_once() {
        let trace = Trace::parse(LOG, Path::new("/tmp/main"), Whose::Own).unwrap();
        assert_eq!(trace.count(), 3, "{trace:?}");
        assert_eq!(trace.calls[1], "read(3, \"\", 1) = 0");
    }

    #[test]
    fn childrens_calls_are_there_on_demand() {
        let log = LOG.replace(
            "8 exit_group",
            "8 wait4(-1, <unfinished ...>\n9 close(3 <unfinished ...>\n8 <... wait4 resumed>NULL) = 9\n\
             9 <... close resumed>) = 0\n8 exit_group",
        );
        let calls = |whose| Trace::parse(&log, Path::new("/tmp/main"), whose).unwrap().calls;
        assert_eq!(calls(Whose::Own).len(), 4);
        let family = calls(Whose::Family);
        assert_eq!(family[2..4], ["wait4(-1, NULL) = 9", "close(3 ) = 0"]);
        assert_eq!(family.len(), 5, "{family:?}");
    }

    #[test]
    fn a_start_that_another_process_interrupts_is_one() {
        let interrupted = LOG.replace(
            "8   execve(\"/tmp/main\", [\"/tmp/main\"], 0x2 /* 1 var */) = 0",
            "8 execve(\"/tmp/main\", [\"/tmp/main\"], 0x2 /* 1 var */ <unfinished ...>\n\
             7 wait4(9, NULL, 0, NULL) = 9\n\
             8 <... execve resumed>) = 0",
        );
        assert_ne!(interrupted, LOG);
        assert_eq!(Trace::parse(&interrupted, Path::new("/tmp/main"), Whose::Own).unwrap().count(), 3);
    }

    #[test]
    fn libraries_are_told_from_other_files() {
        let calls = [
            r#"openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)"#,
            r#"openat(AT_FDCWD, "/a/libz.so.1", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)"#,
            r#"openat(AT_FDCWD, "/b/libz.so.1", O_RDONLY|O_CLOEXEC) = 3"#,
            r#"openat(AT_FDCWD, "/b/a.so.d", O_RDONLY|O_DIRECTORY) = 3"#,
            r#"openat(AT_FDCWD, "/b/_ssl.so", O_RDONLY|O_CLOEXEC) = 4"#,
            r#"openat(AT_FDCWD, "/b", O_RDONLY|O_DIRECTORY) = 3"#,
            r#"readlink("/b/libz.so.1", 0x1, 9) = -1 EINVAL (Invalid argument)"#,
        ];
        let trace = Trace { calls: calls.map(String::from).into() };
        assert_eq!(trace.failed_opens(), 1);
        assert_eq!(trace.loaded(), ["/b/libz.so.1", "/b/_ssl.so"].map(PathBuf::from));
    }

    #[test]
    fn a_program_takes_from_its_start_to_its_end() {
        let log = "7 10.000001 execve(\"/bin/bwrap\", [], 0x1) = 0\n\
                   8 11.250000 execve(\"/tmp/main\", [], 0x1 <unfinished ...>\n\
                   8 11.500000 openat(AT_FDCWD, \"/a\", O_RDONLY) = 3 (DELAYED)\n\
                   8 13.750000 +++ exited with 0 +++\n\
                   7 14.000000 +++ exited with 0 +++\n";
        let took = |log: &str| parse_duration(log, Path::new("/tmp/main"));
        assert_eq!(took(log), Some(Duration::from_millis(2500)));
        assert_eq!(took(&log.replace("8 13.750000 +++ exited with 0", "8 13.750000 +++ exited with 1")), None);
    }

    #[test]
    fn a_program_that_was_not_started_has_no_trace() {
        assert!(Trace::parse(LOG, Path::new("/tmp/other"), Whose::Own).is_none());
    }
}

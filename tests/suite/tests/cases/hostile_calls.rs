//! The system calls that the auditor makes: no others than docs/security.md says, and the process gets by without each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::instructions::IDLE;
use suite::manifest::View;
use suite::outcome::Outcome;
use suite::run::Run;

use super::Case;
use super::index::{index, with_index};
use super::machine::cache_of;
use super::versions::{NEVER, needing};

/// Where the calls are listed.
const SECURITY: &str = include_str!("../../../../docs/security.md");

/// As many names as do not fit into the memory that is taken first for what is declared.
const MANY: usize = 6_000;
/// What a call may fail with: EPERM, as sandboxes say, EIO, ENOMEM, EMFILE.
const ERRORS: [u32; 4] = [1, 5, 12, 24];

/// What is opened, but for the one that is declared: ld.so's own, what nobody has, what does not fit, and what does not matter.
const OTHERS: [&str; 4] = ["libtwin.so", "libnowhere.so", "libunfit.so", "libm.so.6"];
const FOUND: &str = "libfound.so";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hostile/seccomp-kills", kills).not_emulated(),
        Case::new("hostile/seccomp-fails", fails).not_emulated(),
        Case::new("hostile/calls-fail-at-the-start", fails_at_the_start).tool("strace"),
        Case::new("hostile/system-calls-at-the-start", at_the_start).tool("strace"),
    ]
}

/// The calls that are listed, by the names that they have on a machine of the channel's kind.
fn listed(bed: &Bed) -> Result<Vec<&'static str>> {
    listed_when(bed, &["start", "name", "log"])
}

/// Those that are made at one of these times.
fn listed_when(bed: &Bed, times: &[&str]) -> Result<Vec<&'static str>> {
    let section = SECURITY.split("\n## ").find_map(|section| section.strip_prefix("System calls\n"));
    let section = section.context("docs/security.md has no section of that name")?;
    let rows = section.lines().filter_map(|row| row.strip_prefix("| `")?.split_once("` | "));
    let is_then =
        |said: &str| said.split(" | ").next().is_some_and(|when| when.split(", ").any(|each| times.contains(&each)));
    let calls = rows.filter(|(_, said)| is_then(said)).map(|(call, _)| call);
    if bed.channel.class() == 2 {
        return Ok(calls.collect());
    }
    for (name, other) in OTHER_NAMES {
        let is_said = section.contains(&format!("`{other}`")) && section.contains(&format!("`{name}`"));
        ensure!(is_said, "docs/security.md does not say that {other} is in the place of {name}");
    }
    let calls: BTreeSet<&str> = calls.map(|call| name_of(bed, call)).collect();
    Ok(calls.into_iter().collect())
}

/// What is called otherwise on a 32-bit machine.
const OTHER_NAMES: [(&str, &str); 4] =
    [("fstat", "statx"), ("newfstatat", "statx"), ("mmap", "mmap2"), ("fcntl", "fcntl64")];

/// What a call is called on a machine of the channel's kind.
fn name_of<'c>(bed: &Bed, call: &'c str) -> &'c str {
    let is_32_bit = bed.channel.class() == 1;
    OTHER_NAMES.iter().find(|(name, _)| is_32_bit && *name == call).map_or(call, |(_, other)| other)
}

/// The situations in which calls are made, each with what is opened in it.
struct Situations<'b> {
    bed: &'b Bed<'b>,
    run: Run<'b>,
    index: PathBuf,
}

impl<'b> Situations<'b> {
    fn new(bed: &'b Bed<'b>) -> Result<Self> {
        bed.library("store/own/libtwin.so").says("own").build()?;
        bed.library("declared/libfound.so").says("declared").build()?;
        bed.library("declared/libtwin.so").says("declared").build()?;
        needing(bed, "declared/libunfit.so", "unfit", "libc.so.6", NEVER)?;
        let source = include_str!("../../fixtures/seccomp.c");
        let main = bed.program("store/bin/main").source(source).runpath("$ORIGIN/../own").build()?;
        let run = bed.run(main).declare([bed.path("declared")]);
        Ok(Situations { bed, run, index: index(bed)? })
    }

    /// A start under a rule.
    fn start(&self, run: &Run<'b>, rule: &[&str]) -> Run<'b> {
        run.clone().args(rule).args(OTHERS).arg(FOUND)
    }

    fn all(&self) -> Result<Vec<Run<'b>>> {
        let audited = self.run.with_auditor();
        Ok(vec![audited.clone(), with_index(&self.run, &self.index), self.logged(&audited)])
    }

    /// More is declared than there is memory for at first.
    fn large(&self) -> Result<Run<'b>> {
        for number in 0..MANY {
            self.bed.file(format!("many/lib{number:040}.so"), "")?;
        }
        Ok(self.run.with_auditor().declare([self.bed.path("many"), self.bed.path("declared")]))
    }

    /// There is nothing to be logged until a library is missed, and then where the process is.
    fn logged_late(&self) -> Result<Run<'b>> {
        let run = self.run.with_auditor().declare(["relative".into(), self.bed.path("declared")]);
        let run = run.env("REPLIT_RTLD_LOG_LEVEL", "1").env("REPLIT_RTLD_LOG_FILE", "late.%p");
        Ok(run.working_directory(self.bed.dir("cwd")?))
    }

    fn logged(&self, run: &Run<'b>) -> Run<'b> {
        run.clone().env("REPLIT_RTLD_LOG_LEVEL", "3").env("REPLIT_RTLD_LOG_FILE", self.bed.path("log.%p"))
    }
}

/// A call that is not listed kills the process; and each that is listed is made, so it would kill the process otherwise.
fn kills(bed: &Bed) -> Result<()> {
    let calls = listed(bed)?;
    let situations = Situations::new(bed)?;
    let mut runs = situations.all()?;
    runs.extend([situations.large()?, situations.logged_late()?]);
    let mut touched = String::new();
    if bed.view != View::Direct {
        // The cache changes, and is read again.
        let (cache, _) = cache_of(bed, "/cached", "new")?;
        touched = format!("{}=", cache.display());
        runs.push(runs[0].clone().bind(cache, &bed.channel.cache));
    }
    let start = |run: &Run, rule: &[&str]| {
        let run = situations.start(run, rule);
        if touched.is_empty() { run.audited() } else { run.arg(&touched).arg("libunfit.so").audited() }
    };
    let plain = situations.start(&situations.run, &["any", "-"]).plain()?;
    ensure!(plain.runs()?.stdout.contains("libfound.so: libfound.so: cannot open"), "{plain}");
    let mut kept = Vec::new();
    for run in &runs {
        let free = start(run, &["any", "-"])?;
        ensure!(free.runs()?.stdout.contains("libfound.so: declared\n"), "{free}");
        start(run, &["only", &calls.join(",")])?.equals(&free)?;
        kept.push(free);
    }
    for &call in &calls {
        if call == "munmap" && touched.is_empty() {
            continue;
        }
        let others: Vec<&str> = calls.iter().copied().filter(|other| *other != call).collect();
        let outcomes: Vec<Outcome> =
            runs.iter().map(|run| start(run, &["only", &others.join(",")])).collect::<Result<_>>()?;
        let is_made = outcomes.iter().zip(&kept).any(|(outcome, free)| outcome.status != free.status);
        ensure!(is_made, "no situation has a call of {call}");
    }
    Ok(())
}

/// A call that fails makes a library be missing at most, as it is without us.
fn fails(bed: &Bed) -> Result<()> {
    let situations = Situations::new(bed)?;
    let plain = situations.start(&situations.run, &["any", "-"]).plain()?;
    let each = listed(bed)?;
    let mmap = if bed.channel.class() == 1 { "mmap2" } else { "mmap" };
    let mut runs: Vec<(Run, &[&str])> = situations.all()?.into_iter().map(|run| (run, each.as_slice())).collect();
    let large = [mmap, "mremap", "getdents64"];
    runs.push((situations.large()?, &large));
    for (run, calls) in runs {
        let free = situations.start(&run, &["any", "-"]).plain()?;
        ensure!(free.runs()?.stdout.contains("libfound.so: declared\n"), "{free}");
        for call in calls {
            for error in ERRORS {
                let failed = situations.start(&run, &["fail", call, &error.to_string()]).plain()?;
                is_as_without(&failed, &plain, &free).with_context(|| format!("{call} fails with {error}"))?;
            }
        }
    }
    Ok(())
}

/// So it is with the calls that are made before the program begins: those on the index, on the program's own name and on the log.
fn fails_at_the_start(bed: &Bed) -> Result<()> {
    let situations = Situations::new(bed)?;
    let any = ["any", "-"];
    let plain = situations.start(&situations.run, &any);
    let indexed = situations.start(&with_index(&situations.run, &situations.index), &any);
    let (log, kept) = (bed.path("new.log"), bed.file("kept.log", "")?);
    let logged = |log: &Path| indexed.clone().env("REPLIT_RTLD_LOG_LEVEL", "3").env("REPLIT_RTLD_LOG_FILE", log);
    let free = indexed.plain()?;
    ensure!(free.runs()?.stdout.contains("libfound.so: declared\n"), "{free}");
    let index: &[&str] = &["openat", "fstat", "mmap", "close"];
    let exe = Path::new("/proc/self/exe");
    for (run, path, calls) in [
        (&indexed, situations.index.as_path(), index),
        (&indexed, exe, &["readlinkat"]),
        (&logged(&log), &log, &["openat", "fstat", "fcntl", "writev", "close"]),
        (&logged(&kept), &kept, &["newfstatat"]),
    ] {
        for call in calls.iter().map(|call| name_of(bed, call)) {
            for error in ERRORS {
                let _ = fs::remove_file(&log);
                // ld.so may make such a call itself, and then not find the program's own: a declared one is found.
                let (plain, _) = plain.failing(call, path, error)?;
                let [own, declared] = ["libtwin.so: own\n", "libtwin.so: declared\n"];
                let free = free.replace(own, if plain.stdout.contains(own) { own } else { declared });
                let (failed, times) = run.failing(call, path, error)?;
                ensure!(times > 0, "there is no call of {call} on {}", path.display());
                is_as_without(&failed, &plain, &free)
                    .with_context(|| format!("{call} on {} fails with {error}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Each library is what it is without us; or it is missing there, and is still, or is found.
fn is_as_without(failed: &Outcome, plain: &Outcome, free: &Outcome) -> Result<()> {
    // Who wants a log is told that there is none.
    let quiet = failed.stderr.is_empty() || failed.stderr.starts_with("rtld_loader: cannot write the log ");
    ensure!(quiet && failed.status == plain.status, "{failed}");
    ensure!(failed.stdout.lines().count() == plain.stdout.lines().count(), "{failed}");
    for (line, (plain, free)) in failed.stdout.lines().zip(plain.stdout.lines().zip(free.stdout.lines())) {
        const MISSING: &str = ": cannot open shared object file: No such file or directory";
        let is_missing = plain.ends_with(MISSING);
        ensure!(
            line == plain || is_missing && (line == free || line.ends_with(MISSING)),
            "{line}\ninstead of {plain}\nor {free}\n{failed}"
        );
    }
    Ok(())
}

/// What an auditor that does nothing does not do before the program begins, each so often: with something declared, and with an index
/// besides. The program has `$ORIGIN` in its search path. Mappings are as many at the most: some of the other's are its segments.
const STARTS: [&[(&str, usize)]; 2] =
    [&[("mmap", 1), ("readlinkat", 1)], &[("openat", 1), ("fstat", 1), ("mmap", 2), ("close", 1), ("readlinkat", 2)]];

/// How often a traced start makes calls of each kind.
fn made(run: &Run<'_>) -> Result<BTreeMap<String, usize>> {
    let mut made = BTreeMap::new();
    for kind in run.traced()?.calls.iter().filter_map(|call| Some(call.split_once('(')?.0)) {
        *made.entry(kind.to_owned()).or_default() += 1;
    }
    Ok(made)
}

/// The calls of each kind that are more than those of another start.
fn more_than(made: BTreeMap<String, usize>, other: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let more = made.into_iter().map(|(kind, count)| {
        let more = count.saturating_sub(other.get(&kind).copied().unwrap_or_default());
        (kind, more)
    });
    more.filter(|(_, more)| *more > 0).collect()
}

/// There are no others before the program runs, either: next to an auditor that does nothing each start makes exactly those that it
/// has use for, and with a log, also where there is one of that name already, none but those that are said to be made then. What a
/// library that is opened costs besides is of the kinds that are listed.
fn at_the_start(bed: &Bed) -> Result<()> {
    let [calls, at_start] = [listed(bed)?, listed_when(bed, &["start", "log"])?];
    let program = bed.program("store/bin/start").source("int main(void) { return 0; }");
    let program = program.runpath("$ORIGIN/../own").build()?;
    let situations = Situations::new(bed)?;
    // As many segments as ours has.
    let idle = bed.library("libidle.so").source(IDLE).flag("-Wl,-z,noseparate-code").build()?;
    let idle = situations.run.clone().env("LD_AUDIT", idle);
    let idle_start = made(&idle.of(&program))?;
    let found = bed.path("declared/libfound.so");
    let idle_names = made(&idle.args(["any", "-"]).args(OTHERS).arg(found))?;
    let runs = situations.all()?;
    let existing = runs[0].clone().env("REPLIT_RTLD_LOG_LEVEL", "3").env("REPLIT_RTLD_LOG_FILE", bed.file("log", "")?);
    for (nth, run) in runs.iter().chain([&existing]).enumerate() {
        let mut more = more_than(made(&run.of(&program))?, &idle_start);
        if let Some(expected) = STARTS.get(nth) {
            let mut expected: BTreeMap<String, usize> =
                expected.iter().map(|&(call, count)| (name_of(bed, call).to_owned(), count)).collect();
            let [mappings, most] = [&mut more, &mut expected].map(|made| made.remove(name_of(bed, "mmap")));
            let is_same = more == expected && mappings <= most;
            ensure!(is_same, "at the start: {more:?} and {mappings:?} mappings, not {expected:?} and {most:?}");
        } else {
            ensure!(more.contains_key("writev"), "there is no log: {more:?}");
            ensure!(more.keys().all(|call| at_start.contains(&call.as_str())), "at the start: {more:?}");
        }
        let more = more_than(made(&situations.start(run, &["any", "-"]))?, &idle_names);
        ensure!(!more.is_empty() && more.keys().all(|call| calls.contains(&call.as_str())), "{more:?}");
    }
    ensure!(bed.path("log.1").exists(), "there is no second log");
    Ok(())
}

//! What the auditor writes down, and when.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::run::Run;

use super::{Case, line};

pub const LEVEL: &str = "REPLIT_RTLD_LOG_LEVEL";
pub const FILE: &str = "REPLIT_RTLD_LOG_FILE";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("log/lines", lines),
        Case::new("log/levels", levels),
        Case::new("log/silent", silent),
        Case::new("log/skipped-candidates", skipped_candidates),
        Case::new("log/warns-of-entries", warns_of_entries),
    ]
}

/// A start that finds `libfound.so`, from a working directory of its own.
pub fn finder<'b>(bed: &'b Bed) -> Result<Run<'b>> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    Ok(run.working_directory(bed.dir("cwd")?))
}

/// What that start says with us.
pub fn found(bed: &Bed) -> String {
    line("declared", &bed.path("declared/libfound.so"))
}

/// The names in a directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The lines that people search logs for.
fn lines(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2");
    run.plain()?.misses("libfound.so")?;
    ensure!(names(&bed.path("cwd"))?.is_empty(), "there was no auditor to write a log");
    run.audited()?.prints([found(bed)])?;
    ensure!(names(&bed.path("cwd"))? == ["rtld_loader.log.1"], "{:?}", names(&bed.path("cwd"))?);
    let log = read(&bed.path("cwd/rtld_loader.log.1"))?;
    let path = bed.path("declared/libfound.so").display().to_string();
    let version = if bed.channel.version() < (2, 35) { "RTLD: la_version(1)" } else { "RTLD: la_version(2)" };
    let hit = format!("found dynamically: {path}");
    for wanted in [version, "ld library miss for libfound.so\nsearching...\n", &hit, "main libfound.so"] {
        ensure!(log.matches(wanted).count() == 1, "not once {wanted:?} in:\n{log}");
    }
    Ok(())
}

/// Numbers and words say the same, and each level says what the one below says.
fn levels(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env("REPLIT_LD_LIBRARY_PATH", format!("relative:{}", bed.path("declared").display()));
    run.plain()?.misses("libfound.so")?;
    let mut sizes = Vec::new();
    for (number, word) in [("1", "warn"), ("2", "info"), ("3", "debug")] {
        let mut logs = Vec::new();
        for level in [number, word] {
            let log = bed.path(format!("{level}.log"));
            run.clone().env(LEVEL, level).env(FILE, &log).audited()?.prints([found(bed)])?;
            logs.push(read(&log)?);
        }
        ensure!(logs[0] == logs[1], "{number}:\n{}{word}:\n{}", logs[0], logs[1]);
        ensure!(logs[0].contains("found dynamically: ") == (number != "1"), "{number}:\n{}", logs[0]);
        sizes.push(logs[0].len());
    }
    ensure!(0 < sizes[0] && sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
    ensure!(names(&bed.path("cwd"))?.is_empty(), "the log went elsewhere, too");
    Ok(())
}

/// Off means no file and no word, whatever there is to say.
fn silent(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env("REPLIT_LD_LIBRARY_PATH", format!("relative:{}", bed.path("declared").display()));
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([found(bed)])?;
    for level in ["", "0", "off"] {
        run.clone().env(LEVEL, level).env(FILE, bed.path("cwd/mine.log")).audited()?.prints([found(bed)])?;
        run.clone().env(LEVEL, level).env(FILE, "stderr").audited()?.prints([found(bed)])?;
    }
    ensure!(names(&bed.path("cwd"))?.is_empty(), "{:?}", names(&bed.path("cwd"))?);
    Ok(())
}

/// Of a library that is declared and does not fit, the log says so: its path at level 3, the failure from 2 on.
fn skipped_candidates(bed: &Bed) -> Result<()> {
    let bad = bed.file("declared/libfound.so", "INPUT(libelse.so)")?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    for level in ["2", "3"] {
        let log = bed.path(format!("log.{level}"));
        run.clone().env(LEVEL, level).env(FILE, &log).audited()?.fails_with(&bad.display().to_string())?;
        let log = read(&log)?;
        ensure!(log.contains("ld library miss for libfound.so") && log.contains("not found."), "{log}");
        ensure!(level == "2" || log.contains(&bad.display().to_string()), "{log}");
    }
    Ok(())
}

/// An entry that cannot be meant is named, from level 1 on.
fn warns_of_entries(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env("REPLIT_LD_LIBRARY_PATH", format!("some/where::{}", bed.path("declared").display()));
    run.plain()?.misses("libfound.so")?;
    run.env(LEVEL, "1").env(FILE, bed.path("log")).audited()?.prints([found(bed)])?;
    let log = read(&bed.path("log"))?;
    ensure!(log.contains("some/where") && log.contains("empty"), "{log}");
    Ok(())
}

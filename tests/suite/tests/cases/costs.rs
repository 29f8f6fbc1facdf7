//! The auditor costs no more system calls than it says.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::counts::{Counts, LIMITS};
use suite::run::Run;

use super::Case;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("costs/system-calls", system_calls).tool("strace"),
        Case::new("costs/no-directory-is-read-in-vain", no_directory_in_vain).tool("strace"),
        Case::new("costs/directories-are-read-once", directories_once).tool("strace"),
        Case::new("costs/large-directory", large_directory).tool("strace"),
        Case::new("costs/long-runpath", long_runpath).tool("strace"),
    ]
}

/// The figures of [`Counts`], each within its limit.
fn system_calls(bed: &Bed) -> Result<()> {
    let counts = Counts::take(bed)?;
    // Without the auditor these programs do something, too: the traces are not empty.
    ensure!(counts.plain > 20 && counts.failure > 0, "{counts:?}");
    let within = [
        counts.start <= LIMITS.start,
        counts.directory <= LIMITS.directory,
        counts.first_miss <= LIMITS.miss,
        counts.miss <= LIMITS.miss,
        counts.undeclared <= LIMITS.undeclared,
    ];
    ensure!(within == [true; 5], "{counts:?}\n{LIMITS:?}");
    // It was at work: being loaded and reading directories are not free.
    ensure!(counts.start > 0 && counts.directory > 0, "{counts:?}");
    Ok(())
}

/// A program that needs nothing beyond libc never looks into the declared directories.
fn no_directory_in_vain(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let declared = bed.path("declared").display().to_string();
    let run = bed.run(bed.program("main").build()?).declare([&declared]);
    let looks =
        |run: Run| -> Result<usize> { Ok(run.traced()?.calls.iter().filter(|call| call.contains(&declared)).count()) };
    ensure!(looks(run.clone())? == 0, "ld.so looks there itself");
    ensure!(looks(run.with_auditor())? == 0, "the directory was looked at for nothing");
    ensure!(looks(run.arg("libfound.so").with_auditor())? > 0, "nothing was looked for");
    Ok(())
}

/// A declared directory is opened once, however many libraries are missed.
fn directories_once(bed: &Bed) -> Result<()> {
    let names: Vec<String> = (0..20).map(|number| format!("libfound{number}.so")).collect();
    for name in &names {
        bed.library(&format!("declared/{name}")).says(name).build()?;
    }
    let opened = format!("\"{}\"", bed.path("declared").display());
    let run = bed.run(bed.program("main").build()?).args(&names).declare([bed.path("declared")]);
    run.plain()?.misses("libfound0.so")?;
    run.audited()?.runs()?;
    let calls = run.with_auditor().traced()?.calls;
    let opens = calls.iter().filter(|call| call.starts_with("open") && call.contains(&opened)).count();
    ensure!(opens == 1, "opened {opens} times");
    Ok(())
}

/// A directory with as many libraries as a whole profile costs no more than any other.
fn large_directory(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    for number in 0..1000 {
        bed.file(format!("large/libprofile-{number}.so.1"), "")?;
    }
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.runs()?;
    let without = run.with_auditor().traced()?.count();
    let both = run.clone().declare([bed.path("declared"), bed.path("large")]);
    let added = both.with_auditor().traced()?.count() as i64 - without as i64;
    ensure!(added > 0 && added <= LIMITS.directory, "{added} system calls for one directory");
    Ok(())
}

/// A library with a long RUNPATH of its own misses another one: we ask no more of its directories than ld.so does when it sees
/// them for the first time, too.
fn long_runpath(bed: &Bed) -> Result<()> {
    let found = bed.library("declared/libfound.so").says("declared").build()?;
    let mut directories = Vec::new();
    for number in 0..60 {
        directories.push(bed.dir(format!("own/{number}"))?.display().to_string());
    }
    let opener = r#"
        void *dlopen(const char *, int);
        const char *who(void) { return dlopen("libfound.so", 2) ? "found" : "missed"; }"#;
    let opener = bed.library("opener/libopener.so").source(opener).runpath(&directories.join(":")).build()?;
    let main = bed.run(bed.program("main").build()?);
    let (without, with) = (main.clone(), main.clone().declare([bed.path("declared")]).with_auditor());
    ensure!(without.clone().arg(&opener).plain()?.stdout.starts_with("missed "), "ld.so finds it");
    ensure!(with.clone().arg(&opener).plain()?.stdout.starts_with("found "), "it is not found");

    let count = |run: Run| -> Result<i64> { Ok(run.traced()?.count() as i64) };
    let failure = count(without.clone().arg(&opener))? - count(without.clone())?;
    let load = count(without.clone().arg(&opener).arg(&found))? - count(without.arg(&opener))?;
    let hit = count(with.clone().arg(&opener))? - count(with)?;
    ensure!(failure > 60 && load > 0, "a failure takes {failure} calls, a library {load}");
    let added = hit - failure - load;
    ensure!(added <= LIMITS.miss + LIMITS.directory, "{added} system calls more than ld.so's {failure}");
    Ok(())
}

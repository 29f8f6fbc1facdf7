//! Hostile places: something is scarce, many do the same at once, or files change while they are read. Nothing is lost that would
//! not be lost without the auditor, nothing is printed, no descriptor is left, and no memory grows.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::process;
use suite::run::Run;

use super::Case;
use super::logging::{FILE, LEVEL, read};
use super::versions::{NEVER, needing};

/// What the auditor's memory comes to, in KiB.
const OWN_MEMORY: usize = 4096;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hostile/reload", reload).not_emulated(),
        Case::new("hostile/reload-refused", reload_refused).not_emulated(),
        Case::new("hostile/crowd", crowd),
        Case::new("hostile/files-change-while-read", swaps),
        Case::new("hostile/directory-vanishes", directory_vanishes),
        Case::new("hostile/odd-entries", odd_entries),
        Case::new("hostile/no-descriptors", no_descriptors),
        Case::new("hostile/no-memory", no_memory).not_emulated(),
        Case::new("hostile/namespaces", namespaces).since((2, 35)).glibc_of_the_machine(),
        Case::new("hostile/thread-stack-of-16-kib", thread_stack).not_emulated(),
    ]
}

/// Ten thousand times opened and closed: nothing grows.
fn reload(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/reload.c")).build()?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("declared")]);
    ensure!(run.plain()?.stdout.starts_with("10000 failures, "));
    run.audited()?.prints(["0 failures, 0 0 0"])?;
    Ok(())
}

/// Nor where they are refused, are ld.so's own or are nobody's.
fn reload_refused(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    needing(bed, "declared/libunfit.so", "unfit", "libc.so.6", NEVER)?;
    let source = include_str!("../../fixtures/reload.c");
    let main = bed.program("main").source(source).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).args(["libunfit.so", "libtwin.so", "libnowhere.so"]).declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.prints(["20000 failures, 0 0 0"])?;
    run.audited()?.equals(&plain)?;
    Ok(())
}

/// 64 threads that open libraries while others fork, vfork and spawn, and children that open some at once.
fn crowd(bed: &Bed) -> Result<()> {
    let one = bed.library("libone.so").soname(None).says("declared").build()?;
    let names: Vec<String> = (0..64).map(|number| format!("lib{number}.so")).collect();
    for name in &names {
        process::copy_program(&one, &bed.dir("declared")?.join(name), 0o755)?;
    }
    let main = bed.program("main").source(include_str!("../../fixtures/crowd.c")).build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.clone().args(names.iter().map(|name| bed.path("declared").join(name))).plain()?.prints(["none 0"])?;
    run.clone().args(&names).plain()?.prints(["failures 0"])?;
    run.args(&names).audited()?.prints(["none 0"])?;
    Ok(())
}

/// A candidate that is never fit changes while it is read, and is replaced by things that are no libraries: the next one is found.
fn swaps(bed: &Bed) -> Result<()> {
    bed.library("good/libfound.so").says("good").build()?;
    let unfit = needing(bed, "unfit/libfound.so", "unfit", "libc.so.6", NEVER)?;
    let main = bed.program("main").source(include_str!("../../fixtures/swaps.c")).build()?;
    let changing = bed.dir("changing")?;
    let candidate = changing.join("libfound.so");
    let run = bed.run(main).arg("libfound.so").arg(unfit).arg(&candidate);
    let run = run.declare([changing, bed.path("good")]);
    run.plain()?.prints(["never 0"])?;
    run.audited()?.prints(["always 0"])?;
    // It was looked at, and as more than one thing: whole it needs a version, and there were others.
    let log = bed.path("log");
    run.env(LEVEL, "3").env(FILE, &log).audited()?.prints(["always 0"])?;
    let (log, considered) = (read(&log)?, format!("  {}: ", candidate.display()));
    let seen: BTreeSet<&str> = log.lines().filter_map(|line| line.strip_prefix(&considered)).collect();
    ensure!(seen.len() > 1 && seen.iter().any(|reason| reason.contains(NEVER)), "{seen:?}");
    ensure!(!seen.contains("it fits"), "{seen:?}");
    Ok(())
}

/// A declared directory that vanishes takes its libraries along, and brings them when it comes again.
fn directory_vanishes(bed: &Bed) -> Result<()> {
    let names = ["libone.so", "libtwo.so"];
    for name in names {
        bed.library(&format!("declared/{name}")).says(name).build()?;
    }
    let main = bed.program("main").source(include_str!("../../fixtures/renames.c")).build()?;
    let (declared, aside) = (bed.path("declared"), bed.path("aside"));
    let there = format!("{}={}", declared.display(), aside.display());
    let back = format!("{}={}", aside.display(), declared.display());
    let run = bed.run(main).declare([&declared]);
    let steps = run.clone().args([names[0], &there, names[1], &back]);
    let plain = steps.plain()?;
    plain.misses(names[0])?.misses(names[1])?;
    let audited = steps.audited()?;
    audited.misses(names[1])?;
    let path = |name: &str| declared.join(name).display().to_string();
    ensure!(audited.stderr.lines().count() == 1 && audited.status == plain.status, "{audited}");
    ensure!(audited.stdout.lines().any(|line| line == path(names[0])), "{audited}");
    let again = run.args([names[0], &there, names[1], &back, names[1]]).audited()?;
    ensure!(again.stderr == audited.stderr && again.stdout.lines().any(|line| line == path(names[1])), "{again}");
    Ok(())
}

/// Entries that are no directories of libraries, and may hold up or mislead who opens them.
fn odd_entries(bed: &Bed) -> Result<()> {
    let library = bed.library("good/libfound.so").says("good").build()?;
    let main = bed.program("main").build()?;
    let fifo = bed.path("fifo");
    process::succeed(std::process::Command::new("mkfifo").arg(&fifo))?;
    let looped = bed.path("loop");
    symlink("loop", &looped)?;
    let through = looped.join("libfound.so");
    // As long as a path may be, and longer; and too long with the name behind it.
    let long = |length: usize| format!("/{}", "x/".repeat(length / 2));
    let existing = |length: usize| format!("{}{}", bed.path("good").display(), "/.".repeat(length / 2));
    let entries = [
        fifo.display().to_string(),
        looped.display().to_string(),
        through.display().to_string(),
        long(4090),
        long(4096),
        long(10_000),
        existing(4070),
        existing(5000),
        "/dev/zero".into(),
        "/dev/full/libfound.so".into(),
        "/dev/stdin".into(),
        "/proc/self/fd".into(),
        "/proc/self/mem".into(),
        "/proc/self/task".into(),
    ];
    let run = bed.run(main).arg("libfound.so");
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    for entry in &entries {
        let both = run.clone().declare([Path::new(entry), &bed.path("good")]).audited()?;
        let line = both.runs()?.stdout.strip_prefix("good ").context("another library")?.trim_end();
        // ld.so shows the path as it was declared.
        ensure!(Path::new(line) == library || line.starts_with(entry.as_str()), "{both}");
        if !entry.starts_with(&bed.path("good").display().to_string()) {
            run.clone().declare([entry]).audited()?.equals(&plain)?;
        }
    }
    Ok(())
}

/// Where each line of what a program said while something was scarce begins.
const SCARCE: &str = "scarce\n";

/// With eight descriptors, of which some or none are left, it is as without us; and what was not found then is found later.
fn no_descriptors(bed: &Bed) -> Result<()> {
    let run = scarcity(bed)?;
    for free in 0..=5 {
        let run = run.clone().args(["files", &free.to_string()]).args(SONAMES);
        let plain = run.plain()?;
        ensure!(plain.runs()?.stdout.contains("libfound.so: libfound.so: cannot open"), "{plain}");
        let audited = run.audited()?;
        let (scarce, plenty) = halves(&audited.runs()?.stdout)?;
        let (plain_scarce, _) = halves(&plain.stdout)?;
        ensure!(plenty == [OWN, FOUND, NOWHERE, "0"], "{audited}");
        let expected = if free == 0 { plain_scarce } else { vec![OWN, FOUND, NOWHERE] };
        ensure!(scarce == expected, "{audited}{plain}");
    }
    Ok(())
}

/// With little memory, it is as without us, but for what the auditor takes; and what was not found then is found later.
fn no_memory(bed: &Bed) -> Result<()> {
    let run = scarcity(bed)?;
    let amounts: Vec<usize> = (0..64).map(|pages| pages * 4).chain((256..2 * OWN_MEMORY).step_by(128)).collect();
    let mut possible: [BTreeSet<String>; 3] = Default::default();
    let mut seen = BTreeSet::new();
    for amount in amounts {
        let run = run.clone().args(["memory", &amount.to_string()]).args(SONAMES);
        let plain = run.plain()?;
        for (possible, line) in possible.iter_mut().zip(halves(&plain.runs()?.stdout)?.0) {
            possible.insert(line.into());
        }
        let audited = run.audited()?;
        let (scarce, plenty) = halves(&audited.runs()?.stdout)?;
        ensure!(plenty == [OWN, FOUND, NOWHERE, "0"], "{amount} KiB: {audited}");
        ensure!(scarce.len() == possible.len(), "{amount} KiB: {audited}");
        for ((line, possible), wanted) in scarce.iter().zip(&possible).zip([OWN, FOUND, NOWHERE]) {
            // What is found is loaded by ld.so, which may have no memory for it.
            let is_left = line.ends_with(": Cannot allocate memory") || line.contains("failed to map segment");
            ensure!(*line == wanted || possible.contains(*line) || is_left, "{amount} KiB: {line}\n{audited}{plain}");
        }
        seen.insert(scarce[1].to_string());
        ensure!(amount < OWN_MEMORY || scarce == [OWN, FOUND, NOWHERE], "{amount} KiB: {audited}");
    }
    // It was too little, and it was enough.
    ensure!(seen.len() > 1 && seen.contains(FOUND), "{seen:?}");
    Ok(())
}

/// What is opened, and what is said of each where nothing is scarce.
const SONAMES: [&str; 3] = ["libtwin.so", "libfound.so", "libnowhere.so"];
const OWN: &str = "libtwin.so: own";
const FOUND: &str = "libfound.so: declared";
const NOWHERE: &str = "libnowhere.so: libnowhere.so: cannot open shared object file: No such file or directory";

fn scarcity<'b>(bed: &'b Bed<'b>) -> Result<Run<'b>> {
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let source = include_str!("../../fixtures/scarce.c");
    let main = bed.program("main").source(source).runpath("$ORIGIN/own").build()?;
    Ok(bed.run(main).declare([bed.path("declared")]))
}

/// What was said while something was scarce, and after that.
fn halves(said: &str) -> Result<(Vec<&str>, Vec<&str>)> {
    let (scarce, plenty) = said.split_once("plenty\n").context("it came to no end")?;
    let scarce = scarce.strip_prefix(SCARCE).context("it came to no beginning")?;
    Ok((scarce.lines().collect(), plenty.lines().collect()))
}

/// Namespaces that come and go, with libraries that open others in them.
fn namespaces(bed: &Bed) -> Result<()> {
    let inner = bed.library("declared/libinner.so").says("inner").build()?;
    let source = r#"
        #include <dlfcn.h>
        const char *who(void) {
            void *handle = dlopen("libinner.so", RTLD_NOW);
            if (!handle) return dlerror();
            // The same library, and not the same string.
            int is_inner = *((const char *(*)(void))dlsym(handle, "who"))() == 'i';
            dlclose(handle);
            return is_inner ? "inner" : "another";
        }"#;
    // A namespace has a libc of its own.
    let glibc = &bed.channel.glibc_lib;
    let outer = bed.library("declared/libfound.so").source(source).needs(&glibc.join("libc.so.6"));
    let outer = outer.runpath(&glibc.display().to_string()).build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/namespaces.c")).build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    // Without us both are found by their paths alone.
    run.clone().arg(&outer).plain()?.misses("libinner.so")?;
    let plain = run.clone().arg(&outer).env("LD_LIBRARY_PATH", inner.parent().context("a directory")?).plain()?;
    plain.prints(["inner 0"])?;
    run.clone().arg("libfound.so").plain()?.misses("libfound.so")?;
    run.arg("libfound.so").audited()?.equals(&plain)?;
    Ok(())
}

/// The smallest stack that a thread may have is enough for whatever comes of a name, with a log, too.
fn thread_stack(bed: &Bed) -> Result<()> {
    const SMALLEST: &str = "16384";
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    needing(bed, "declared/libunfit.so", "unfit", "libc.so.6", NEVER)?;
    let source = include_str!("../../fixtures/thread.c");
    let main = bed.program("main").source(source).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg(SMALLEST).declare([bed.path("declared")]);
    let log = run.clone().env("REPLIT_RTLD_LOG_LEVEL", "3").env("REPLIT_RTLD_LOG_FILE", bed.path("log.%p"));
    let missing = "cannot open";
    for (name, plain, audited) in [
        ("libtwin.so", "own", "own"),
        ("libfound.so", missing, "declared"),
        ("libunfit.so", missing, missing),
        ("libnowhere.so", missing, missing),
    ] {
        run.clone().arg(name).plain()?.prints([plain])?;
        run.clone().arg(name).audited()?.prints([audited])?;
        log.clone().arg(name).audited()?.prints([audited])?;
    }
    Ok(())
}

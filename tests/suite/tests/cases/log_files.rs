//! Where the log goes, and that nothing of it goes anywhere else.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::process;

use super::Case;
use super::environment::launch;
use super::logging::{FILE, LEVEL, finder, found, names, read};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("log/next-free-number", next_free_number),
        Case::new("log/forty-at-once", forty_at_once),
        Case::new("log/dangling-symlink", dangling_symlink),
        Case::new("log/unwritable-directory", unwritable_directory),
        Case::new("log/file", file),
        Case::new("log/file-with-pid", file_with_pid),
        Case::new("log/file-is-a-symlink", file_is_a_symlink),
        Case::new("log/stderr", stderr),
        Case::new("log/changed-directory", changed_directory),
        Case::new("log/no-descriptors", no_descriptors),
        Case::new("log/reused-descriptors", |bed| reused_descriptors(bed, "-", None)),
        Case::new("log/closed-descriptors", |bed| reused_descriptors(bed, "12", None)),
        Case::new("log/unwritable-and-stderr-reused", stderr_reused),
        Case::new("log/file-is-a-fifo", file_is_a_fifo),
        Case::new("log/closed-stderr", |bed| reused_descriptors(bed, "2", Some("stderr"))),
    ]
}

/// Files that are there already stay as they are.
fn next_free_number(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2");
    run.plain()?.misses("libfound.so")?;
    bed.file("cwd/rtld_loader.log.1", "mine")?;
    bed.dir("cwd/rtld_loader.log.2")?;
    run.audited()?.prints([found(bed)])?;
    ensure!(read(&bed.path("cwd/rtld_loader.log.1"))? == "mine", "a log was written into somebody's file");
    ensure!(read(&bed.path("cwd/rtld_loader.log.3"))?.contains("found dynamically: "), "no log");
    Ok(())
}

/// Forty processes that start together write forty logs.
fn forty_at_once(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2");
    run.plain()?.misses("libfound.so")?;
    let mut command = run.with_auditor().command()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let children = (0..40).map(|_| process::start(&mut command)).collect::<Result<Vec<_>, _>>()?;
    for mut child in children {
        ensure!(child.wait()?.success(), "one of them failed");
    }
    let logs = names(&bed.path("cwd"))?;
    ensure!(logs.len() == 40, "{} logs", logs.len());
    for log in logs {
        let log = read(&bed.path("cwd").join(log))?;
        for wanted in ["RTLD: la_version(", "found dynamically: "] {
            ensure!(log.matches(wanted).count() == 1, "not once {wanted:?} in:\n{log}");
        }
    }
    Ok(())
}

/// A symlink in the log's place leads nowhere.
fn dangling_symlink(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2");
    run.plain()?.misses("libfound.so")?;
    symlink(bed.path("victim"), bed.path("cwd/rtld_loader.log.1"))?;
    run.audited()?.prints([found(bed)])?;
    ensure!(!bed.path("victim").exists(), "the symlink was followed");
    ensure!(read(&bed.path("cwd/rtld_loader.log.2"))?.contains("found dynamically: "), "no log");
    Ok(())
}

/// Who asked for a log and cannot have it hears so, once.
fn unwritable_directory(bed: &Bed) -> Result<()> {
    // Even root makes no files there.
    let run = finder(bed)?.working_directory("/proc");
    run.plain()?.misses("libfound.so")?;
    for level in ["", "0"] {
        run.clone().env(LEVEL, level).audited()?.prints([found(bed)])?;
    }
    for level in ["2", "3"] {
        let audited = run.clone().env(LEVEL, level).audited()?;
        ensure!(audited.stdout == found(bed) + "\n", "{audited}");
        ensure!(audited.stderr.lines().count() == 1 && audited.stderr.contains("rtld_loader"), "{audited}");
    }
    Ok(())
}

/// REPLIT_RTLD_LOG_FILE is the log.
fn file(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2").env(FILE, bed.path("my.log"));
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([found(bed)])?;
    ensure!(read(&bed.path("my.log"))?.contains("found dynamically: "), "no log");
    ensure!(names(&bed.path("cwd"))?.is_empty(), "{:?}", names(&bed.path("cwd"))?);
    Ok(())
}

/// `%p` is the process's number.
fn file_with_pid(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2").env(FILE, bed.dir("logs")?.join("my.%p.log"));
    run.plain()?.misses("libfound.so")?;
    for _ in 0..2 {
        run.audited()?.prints([found(bed)])?;
    }
    for name in names(&bed.path("logs"))? {
        let pid = name.strip_prefix("my.").and_then(|rest| rest.strip_suffix(".log"));
        ensure!(pid.is_some_and(|pid| pid.parse::<u32>().is_ok()), "{name}");
        ensure!(read(&bed.path("logs").join(name))?.contains("found dynamically: "), "no log");
    }
    ensure!(!names(&bed.path("logs"))?.is_empty(), "no log");
    Ok(())
}

/// Neither a symlink to nowhere nor one to somebody's file is written through: a number makes another name.
fn file_is_a_symlink(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2").env(FILE, bed.dir("logs")?.join("link"));
    run.plain()?.misses("libfound.so")?;
    let precious = bed.file("precious", "precious")?;
    for (target, log) in [(bed.path("victim"), "logs/link.1"), (precious.clone(), "logs/link.2")] {
        symlink(&target, bed.path("logs/link"))?;
        run.audited()?.prints([found(bed)])?;
        ensure!(read(&bed.path(log))?.contains("found dynamically: "), "no log");
        fs::remove_file(bed.path("logs/link"))?;
    }
    ensure!(!bed.path("victim").exists() && read(&precious)? == "precious", "a symlink was followed");
    Ok(())
}

/// Where the log cannot be written, that is said on standard error, and not in a file that the program has in its place.
fn stderr_reused(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/reuse.c")).build()?;
    // The first thing to be said is of the empty entry, when a library is first looked for.
    let declared = format!("REPLIT_LD_LIBRARY_PATH=:{}", bed.path("declared").display());
    let (log_file, level) = (format!("{FILE}=/proc/none/log"), format!("{LEVEL}=1"));
    let auditor = format!("LD_AUDIT={}", bed.manifest.auditor.display());
    let data = bed.path("user.txt");
    let mut entries = vec![declared.as_bytes(), log_file.as_bytes(), level.as_bytes()];
    let run = |entries: &[&[u8]]| launch(bed, entries, "-", &main)?.arg(&data).arg("libfound.so").arg("close").plain();
    let plain = run(&entries)?;
    plain.runs()?;
    ensure!(read(&data)? == "before\nmissed\n", "{}", read(&data)?);
    entries.push(auditor.as_bytes());
    run(&entries)?.equals(&plain)?;
    ensure!(read(&data)? == "before\nfound\n", "the user's file:\n{}", read(&data)?);
    Ok(())
}

/// A FIFO or a device is no file to begin a row of logs with.
fn file_is_a_fifo(bed: &Bed) -> Result<()> {
    let fifo = bed.dir("logs")?.join("fifo");
    process::succeed(Command::new("mkfifo").arg(&fifo))?;
    let run = finder(bed)?.env(LEVEL, "2").env(FILE, fifo);
    run.plain()?.misses("libfound.so")?;
    let audited = run.audited()?;
    ensure!(audited.stdout == found(bed) + "\n" && audited.stderr.lines().count() == 1, "{audited}");
    ensure!(names(&bed.path("logs"))? == ["fifo"], "{:?}", names(&bed.path("logs"))?);
    Ok(())
}

/// `stderr` is the process's own.
fn stderr(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2").env(FILE, "stderr");
    run.plain()?.misses("libfound.so")?;
    let audited = run.audited()?;
    ensure!(audited.stdout == found(bed) + "\n" && audited.stderr.contains("found dynamically: "), "{audited}");
    ensure!(names(&bed.path("cwd"))?.is_empty(), "{:?}", names(&bed.path("cwd"))?);
    Ok(())
}

/// The log stays where the process was started, wherever it goes then.
fn changed_directory(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let source = r#"
        #include <dlfcn.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            if (chdir(argv[1])) return 2;
            if (!dlopen("libfound.so", RTLD_NOW)) { puts(dlerror()); return 1; }
            return 0;
        }"#;
    let main = bed.program("main").source(source).build()?;
    let run =
        bed.run(main).arg(bed.dir("elsewhere")?).declare([bed.path("declared")]).working_directory(bed.dir("cwd")?);
    ensure!(run.plain()?.stdout.contains("cannot open"), "it is found without us");
    run.env(LEVEL, "2").audited()?.runs()?;
    ensure!(names(&bed.path("elsewhere"))?.is_empty(), "{:?}", names(&bed.path("elsewhere"))?);
    ensure!(names(&bed.path("cwd"))? == ["rtld_loader.log.1"], "{:?}", names(&bed.path("cwd"))?);
    let log = read(&bed.path("cwd/rtld_loader.log.1"))?;
    ensure!(log.contains("found dynamically: "), "{log}");
    Ok(())
}

/// No descriptor stays open, in the process or in its children.
fn no_descriptors(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/descriptors.c")).build()?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("declared")]).env(LEVEL, "3");
    let plain = run.plain()?;
    ensure!(plain.stderr.contains("cannot open shared object file"), "it is found without us: {plain}");
    run.audited()?.prints(plain.stdout.lines())?;
    ensure!(read(&bed.path("rtld_loader.log.1"))?.contains("found dynamically: "), "no log");
    Ok(())
}

/// A process gets the numbers of closed descriptors for its own files, those of the standard streams, too: no log in them, and
/// nothing of theirs in the log.
fn reused_descriptors(bed: &Bed, closed: &str, log_file: Option<&str>) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/reuse.c")).build()?;
    let declared = format!("REPLIT_LD_LIBRARY_PATH={}", bed.path("declared").display());
    let log_file = log_file.map(|file| format!("{FILE}={file}"));
    let auditor = format!("LD_AUDIT={}", bed.manifest.auditor.display());
    let level = format!("{LEVEL}=3");
    let mut entries = vec![declared.as_bytes(), level.as_bytes()];
    entries.extend(log_file.iter().map(|entry| entry.as_bytes()));
    let data = bed.path("user.txt");

    let plain = launch(bed, &entries, closed, &main)?.arg(&data).arg("libfound.so").plain()?;
    plain.runs()?;
    let expected = read(&data)?.replace("missed", "found");
    ensure!(expected.starts_with("before\nfound\n"), "{expected}");
    entries.push(auditor.as_bytes());
    let audited = launch(bed, &entries, closed, &main)?.arg(&data).arg("libfound.so").plain()?;
    audited.equals(&plain)?;
    ensure!(read(&data)? == expected, "the user's file:\n{}", read(&data)?);
    if log_file.is_some() {
        // Standard error was closed: there is no log, and no other file in its place.
        ensure!(!bed.path("rtld_loader.log.1").exists(), "there is a log file");
        return Ok(());
    }
    let log = read(&bed.path("rtld_loader.log.1"))?;
    ensure!(log.contains("found dynamically: "), "the log:\n{log}");
    ensure!(!log.contains("before") && !log.contains("printed"), "the log:\n{log}");
    Ok(())
}

//! How the auditor is told what it needs to know, and what it must not take for being told.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::outcome::Outcome;
use suite::process;
use suite::run::Run;

use super::logging::names;
use super::secure::{AS_IT_IS, as_nobody};
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("environment/names-that-begin-alike", names_that_begin_alike),
        Case::new("environment/empty-level", |bed| before_ours(bed, &[b"REPLIT_RTLD_LOG_LEVEL="])),
        Case::new("environment/no-equals-sign", |bed| before_ours(bed, &[b"REPLIT", b"REPLIT_RTLD_LOG_LEVEL", b"x"])),
        Case::new("environment/empty-string", |bed| before_ours(bed, &[b"", b"=", b"=x"])),
        Case::new("environment/foreign-bytes", |bed| before_ours(bed, &[b"\xff\xfe=\xff", b"A=\x01\n\x7f"])),
        Case::new("environment/first-of-a-name-counts", first_of_a_name).not_emulated(),
        Case::new("environment/unset", |bed| declares_nothing(bed, None)),
        Case::new("environment/empty", |bed| declares_nothing(bed, Some(""))),
        Case::new("environment/only-colons", |bed| declares_nothing(bed, Some(":::"))),
        Case::new("environment/only-dot", |bed| declares_nothing(bed, Some("."))),
        Case::new("environment/hundred-kilobytes", hundred_kilobytes),
        Case::new("environment/many-entries", many_entries),
        Case::new("environment/odd-entries", odd_entries),
        Case::new("environment/writable-entries", writable_entries),
        Case::new("environment/writable-unreadable-entry", writable_unreadable_entry).views(&[View::Distribution]),
        Case::new("environment/writable-unlisted-entries", writable_unlisted_entries).not_emulated(),
        Case::new("environment/writable-unknown-entry", writable_unknown_entry).not_emulated(),
        Case::new("environment/odd-bytes", odd_bytes),
        Case::new("environment/no-proc", no_proc).views(&[View::Nix]),
        Case::new("environment/disabled", disabled),
        Case::new("environment/overwritten", |bed| rewritten(bed, "overwrite")),
        Case::new("environment/replaced", |bed| rewritten(bed, "replace")),
        Case::new("environment/overwritten-log", overwritten_log),
        Case::new("environment/opened-by-the-program", opened_by_the_program),
    ]
}

/// A start of `main` with exactly these environment entries, in this order.
pub fn launch<'b>(bed: &'b Bed, entries: &[&[u8]], closed: &str, program: &Path) -> Result<Run<'b>> {
    let text: Vec<u8> = entries.iter().flat_map(|entry| entry.iter().copied().chain([0])).collect();
    let file = bed.file(format!("environment-{}", entries.len()), text)?;
    let launch = bed.program("launch").source(include_str!("../../fixtures/launch.c")).build()?;
    Ok(bed.run(launch).arg(file).arg(closed).arg(program))
}

/// What comes before our variable in the environment is no matter.
fn before_ours(bed: &Bed, entries: &[&[u8]]) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let declared = assignment("REPLIT_LD_LIBRARY_PATH", bed.path("declared"));
    let auditor = assignment("LD_AUDIT", &bed.manifest.auditor);
    let mut all = [entries, &[declared.as_slice()]].concat();
    launch(bed, &all, "-", &main)?.arg("libfound.so").plain()?.misses("libfound.so")?;
    all.push(&auditor);
    launch(bed, &all, "-", &main)?.arg("libfound.so").plain()?.prints([line("declared", &library)])?;
    ensure!(!bed.path("rtld_loader.log.1").exists(), "nobody asked for a log");
    Ok(())
}

fn assignment(name: &str, value: impl AsRef<OsStr>) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_ref().as_bytes()].concat()
}

/// A variable is ours by its whole name, not by how it begins.
fn names_that_begin_alike(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    bed.library("decoy/libfound.so").says("decoy").build()?;
    bed.library("decoy/libdecoy.so").says("decoy").build()?;
    let decoy = bed.path("decoy");
    let run = ["R", "RE", "REPLIT", "REPLIT_LD_LIBRARY_PAT", "REPLIT_LD_LIBRARY_PATHX", "XREPLIT_LD_LIBRARY_PATH"]
        .iter()
        .fold(bed.run(bed.program("main").build()?), |run, name| run.env(name, &decoy))
        .env("REPLIT_RTLD_LOG_LEVELS", "3")
        .env("REPLIT_RTLD_LOG", "3")
        .env("REPLIT_RTLD_DISABLED", "1");
    run.clone().arg("libdecoy.so").plain()?.misses("libdecoy.so")?;
    run.clone().arg("libdecoy.so").audited()?.misses("libdecoy.so")?;
    let run = run.declare([bed.path("declared")]);
    run.clone().arg("libdecoy.so").audited()?.misses("libdecoy.so")?;
    run.arg("libfound.so").audited()?.prints([line("declared", &library)])?;
    ensure!(!bed.path("rtld_loader.log.1").exists(), "nobody asked for a log");
    Ok(())
}

/// Of two of one name getenv gives the first, and so do we.
fn first_of_a_name(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    bed.library("other/libfound.so").says("other").build()?;
    let main = bed.program("main").build()?;
    let first = assignment("REPLIT_LD_LIBRARY_PATH", bed.path("declared"));
    let second = assignment("REPLIT_LD_LIBRARY_PATH", bed.path("other"));
    let auditor = assignment("LD_AUDIT", &bed.manifest.auditor);
    launch(bed, &[&first, &second], "-", &main)?.arg("libfound.so").plain()?.misses("libfound.so")?;
    let audited = launch(bed, &[&first, &second, &auditor], "-", &main)?.arg("libfound.so").plain()?;
    audited.prints([line("declared", &library)])?;
    Ok(())
}

/// No entry means the working directory, and a program that misses nothing runs as ever.
fn declares_nothing(bed: &Bed, value: Option<&str>) -> Result<()> {
    bed.library("libplanted.so").says("planted").build()?;
    let own = bed.library("own/libown.so").says("own").build()?;
    let main = bed.program("main").needs(&own).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main);
    let run = value.into_iter().fold(run, |run, value| run.env("REPLIT_LD_LIBRARY_PATH", value));
    run.plain()?.prints(["own"])?;
    run.audited()?.prints(["own"])?;
    let run = run.arg("libplanted.so");
    let plain = run.plain()?;
    plain.misses("libplanted.so")?;
    run.audited()?.equals(&plain)?;
    // The value declares nothing, but it does not end what comes after it either.
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let value = format!("{}:{}", value.unwrap_or_default(), bed.path("declared").display());
    let both = run.arg("libfound.so").env("REPLIT_LD_LIBRARY_PATH", value).audited()?;
    both.misses("libplanted.so")?;
    ensure!(both.stdout == format!("own\n{}\n", line("declared", &library)), "{both}");
    Ok(())
}

/// The kernel lets one variable hold 128 KiB.
fn hundred_kilobytes(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let nowhere = (0..110).map(|number| format!("/nowhere/{number}{}", "x".repeat(1000))).collect::<Vec<_>>().join(":");
    let declared = bed.path("declared");
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let run = run.declare([OsStr::new(&nowhere), declared.as_os_str()]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("declared", &library)])?;
    Ok(())
}

/// Fifteen hundred directories that all exist: the first and the last count alike.
fn many_entries(bed: &Bed) -> Result<()> {
    let mut entries = Vec::new();
    for number in 0..1500 {
        let entry = bed.dir(format!("d/{number}"))?;
        fs::write(entry.join(format!("lib{number}.so")), "")?;
        entries.push(entry);
    }
    let first = bed.library("d/0/libfirst.so").says("first").build()?;
    let last = bed.library("d/1499/liblast.so").says("last").build()?;
    let run = bed.run(bed.program("main").build()?).args(["libfirst.so", "liblast.so"]).declare(&entries);
    run.plain()?.misses("libfirst.so")?.misses("liblast.so")?;
    run.audited()?.prints([line("first", &first), line("last", &last)])?;
    Ok(())
}

/// Empty, relative, missing and repeated entries do no harm, and nothing comes from the working directory.
fn odd_entries(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    bed.library("cwd/libplanted.so").says("planted").build()?;
    bed.library("cwd/relative/libplanted.so").says("planted").build()?;
    bed.library("cwd/relative/libfound.so").says("planted").build()?;
    bed.library("cwd/libfound.so").says("planted").build()?;
    let declared = bed.path("declared").display().to_string();
    let twice = format!("{declared}:{declared}");
    let with_slashes = format!("/{declared}//");
    let main = bed.program("main").build()?;
    let run = bed.run(&main).working_directory(bed.path("cwd"));
    run.clone().arg("libfound.so").plain()?.misses("libfound.so")?;
    for before in [
        "",
        ":",
        "relative",
        "./relative",
        ".",
        "..",
        "/nowhere",
        "/",
        "/dev/null",
        &declared,
        "relative/libplanted.so",
    ] {
        for list in
            [format!("{before}:{declared}"), format!("{before}:{twice}:"), format!("{before}:{declared}:{before}")]
        {
            let run = run.clone().env("REPLIT_LD_LIBRARY_PATH", list);
            run.clone().arg("libfound.so").audited()?.prints([line("declared", &library)])?;
            run.arg("libplanted.so").audited()?.misses("libplanted.so")?;
        }
    }
    let slashes: Outcome = run.arg("libfound.so").env("REPLIT_LD_LIBRARY_PATH", with_slashes).audited()?;
    slashes.runs()?;
    ensure!(slashes.stdout.starts_with("declared "), "{slashes}");
    Ok(())
}

const IT: &str = "everybody can write to it";
const DIRECTORY: &str = "everybody can write to its directory";

/// A log says that an entry is ignored, and why; or there is none, or it says nothing of the entry.
fn is_warned(log: &Path, entry: &Path, reason: Option<&str>) -> Result<()> {
    let log = fs::read_to_string(log).unwrap_or_default();
    let entry = format!("ignored \"{}\": ", entry.display());
    let is_said = match reason {
        Some(reason) => log.contains(&format!("{entry}{reason}\n")),
        None => !log.contains(&entry),
    };
    ensure!(is_said, "{entry}{reason:?}:\n{log}");
    Ok(())
}

/// Nothing comes from where everybody could put it.
fn writable_entries(bed: &Bed) -> Result<()> {
    let planted = bed.library("planted/libfound.so").says("planted").build()?;
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let run = run.env("REPLIT_RTLD_LOG_LEVEL", "warn").env("REPLIT_RTLD_LOG_FILE", bed.path("log"));
    run.plain()?.misses("libfound.so")?;
    let directory = bed.path("planted");
    // What others may not write to is as good as any; a sticky bit keeps nobody from putting something new there.
    for (entry, changed, mode, reason) in [
        (&directory, &directory, 0o775, None),
        (&directory, &directory, 0o777, Some(IT)),
        (&directory, &directory, 0o1777, Some(IT)),
        (&planted, &directory, 0o775, None),
        (&planted, &directory, 0o777, Some(DIRECTORY)),
        (&planted, &directory, 0o1777, Some(DIRECTORY)),
        (&planted, &planted, 0o666, Some(IT)),
    ] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(changed, fs::Permissions::from_mode(mode))?;
        let found = if reason.is_some() { line("declared", &library) } else { line("planted", &planted) };
        run.clone().declare([entry, &bed.path("declared")]).audited()?.prints([found])?;
        is_warned(&bed.path("log"), entry, reason)?;
        let _ = fs::remove_file(bed.path("log"));
    }
    Ok(())
}

/// Nor from a directory into which they may put it, and of which they may not say what is in it.
fn writable_unreadable_entry(bed: &Bed) -> Result<()> {
    let planted = bed.library("planted/libfound.so").says("planted").build()?;
    let auditor = bed.path("rtld_loader.so");
    process::copy_program(&bed.manifest.auditor, &auditor, 0o755)?;
    let run = as_nobody(bed, &AS_IT_IS, &bed.program("main").build()?)?.arg("libfound.so");
    let run = run.declare([bed.path("planted")]).env("LD_AUDIT", "");
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    // A log of its own for each, where anybody may make one.
    let logs = bed.dir("logs")?;
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o1777))?;
    let run = run.env("LD_AUDIT", &auditor).env("REPLIT_RTLD_LOG_LEVEL", "warn");
    for (mode, is_ignored) in [(0o711, false), (0o733, true), (0o1733, true)] {
        fs::set_permissions(bed.path("planted"), fs::Permissions::from_mode(mode))?;
        let log = logs.join(format!("{mode:o}"));
        let run = run.clone().env("REPLIT_RTLD_LOG_FILE", &log);
        let audited = run.plain()?;
        if is_ignored {
            audited.equals(&plain)?;
        } else {
            audited.prints([line("planted", &planted)])?;
        }
        is_warned(&log, &bed.path("planted"), is_ignored.then_some(IT))?;
    }
    Ok(())
}

/// Nor from where it was not listed at the first lookup, for want of memory, and is looked for ever after.
fn writable_unlisted_entries(bed: &Bed) -> Result<()> {
    const MANY: usize = 6_000;
    let planted = bed.library("planted/libfound.so").says("planted").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    for number in 0..MANY {
        bed.file(format!("many/lib{number:040}.so"), "")?;
    }
    let scarce = bed.program("scarce").source(include_str!("../../fixtures/scarce.c")).build()?;
    let seccomp = bed.program("seccomp").source(include_str!("../../fixtures/seccomp.c")).build()?;
    // No memory at all, and no more than the first.
    let none = bed.run(scarce).args(["memory", "0", "libfound.so"]);
    let no_more = bed.run(seccomp).args(["fail", "mremap", "12", "libfound.so"]);
    for run in [&none, &no_more] {
        let plain = run.plain()?;
        ensure!(plain.runs()?.stdout.contains("libfound.so: libfound.so: cannot open"), "{plain}");
    }
    let (directory, many, declared) = (bed.path("planted"), bed.path("many"), bed.path("declared"));
    for (entry, changed, mode, is_ignored) in [
        (&directory, &directory, 0o755, false),
        (&directory, &directory, 0o1777, true),
        (&planted, &directory, 0o755, false),
        (&planted, &directory, 0o1777, true),
        (&planted, &planted, 0o666, true),
    ] {
        let expected = if is_ignored { "declared" } else { "planted" };
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(changed, fs::Permissions::from_mode(mode))?;
        for run in [none.clone().declare([entry, &declared]), no_more.clone().declare([&many, entry, &declared])] {
            let log = bed.path("log");
            let _ = fs::remove_file(&log);
            let audited = run.env("REPLIT_RTLD_LOG_LEVEL", "debug").env("REPLIT_RTLD_LOG_FILE", &log).audited()?;
            let skipped = format!("  {}: everybody can write to it, or to its directory\n", planted.display());
            let log = fs::read_to_string(log)?;
            ensure!(log.contains(&skipped) == is_ignored, "{mode:o} {}: {log}", entry.display());
            let said = audited.runs()?.stdout.lines().rev().find(|line| line.contains(": "));
            ensure!(said == Some(&format!("libfound.so: {expected}")), "{mode:o} {}: {audited}", entry.display());
        }
    }
    Ok(())
}

/// Nor where it cannot be asked who may write to it.
fn writable_unknown_entry(bed: &Bed) -> Result<()> {
    let library = bed.library("planted/libfound.so").says("planted").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/seccomp.c")).build()?;
    let run = bed.run(main).declare([&library]).env("REPLIT_RTLD_LOG_LEVEL", "warn");
    let run = run.env("REPLIT_RTLD_LOG_FILE", bed.path("log"));
    let call = if bed.channel.class() == 1 { "statx" } else { "newfstatat" };
    let failing = run.args(["fail", call, "1", "libfound.so"]);
    let plain = failing.plain()?;
    ensure!(plain.runs()?.stdout.contains("libfound.so: libfound.so: cannot open"), "{plain}");
    fs::set_permissions(&library, fs::Permissions::from_mode(0o666))?;
    failing.audited()?.equals(&plain)?;
    // A 32-bit auditor looks at the log's own file by the same call, and writes nothing to what it may not look at.
    if bed.channel.class() == 1 {
        return Ok(());
    }
    let log = fs::read_to_string(bed.path("log"))?;
    ensure!(log.contains(&format!("ignored \"{}\": nobody knows who can write to it", library.display())), "{log}");
    Ok(())
}

/// A directory's name may hold any byte but a colon and NUL.
fn odd_bytes(bed: &Bed) -> Result<()> {
    let main = bed.program("main").build()?;
    for name in
        ["with space".as_bytes(), b"quote'\"", b"new\nline", b"\xff\xfe\x80", b"star*?[a]", "über".as_bytes(), b"%p%s"]
    {
        let directory = bed.dir(OsStr::from_bytes(name))?;
        let library = bed.library("declared/libfound.so").says("declared").build()?;
        fs::copy(library, directory.join("libfound.so"))?;
        let run = bed.run(&main).arg("libfound.so").declare([&directory]);
        run.plain()?.misses("libfound.so")?;
        run.audited()?.prints([line("declared", &directory.join("libfound.so"))])?;
    }
    Ok(())
}

/// What the auditor knows comes from ld.so, not from /proc. (ld.so itself reads `$ORIGIN` of the program there.)
fn no_proc(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let twin = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let run = bed.run(main).args(["libtwin.so", "libfound.so"]).declare([bed.path("declared")]);
    let run = run.env("LD_LIBRARY_PATH", bed.path("own")).without_proc();
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    let own = line("own", &twin);
    ensure!(plain.stdout == format!("{own}\n"), "{plain}");
    run.audited()?.prints([own, line("declared", &library)])?;
    Ok(())
}

/// REPLIT_RTLD_DISABLE=1 is as if we were not there. Other values are not it.
fn disabled(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.clone().env("REPLIT_RTLD_DISABLE", "1").env("REPLIT_RTLD_LOG_LEVEL", "3").audited()?.equals(&plain)?;
    for value in ["", "0"] {
        run.clone().env("REPLIT_RTLD_DISABLE", value).audited()?.prints([line("declared", &library)])?;
    }
    Ok(())
}

/// As with LD_LIBRARY_PATH, what a process was started with counts, whatever it does to its environment afterwards.
fn rewritten(bed: &Bed, how: &str) -> Result<()> {
    let run = rewrites(bed, how)?;
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("declared", &bed.path("declared/libfound.so"))])?;
    Ok(())
}

/// A program that changes its environment, and then opens a library that is declared.
fn rewrites<'b>(bed: &'b Bed, how: &str) -> Result<Run<'b>> {
    bed.library("declared/libfound.so").says("declared").build()?;
    bed.library("other/libfound.so").says("other").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/rewrite.c")).build()?;
    Ok(bed.run(main).args([how, "libfound.so"]).arg(bed.path("other")).declare([bed.path("declared")]))
}

/// A program that opens the auditor as any library keeps its environment, which by now is libc's.
fn opened_by_the_program(bed: &Bed) -> Result<()> {
    let source = r#"
        #include <dlfcn.h>
        #include <stdio.h>
        #include <stdlib.h>
        int main(int argc, char **argv) {
            setenv("LD_AUDIT", "kept", 1);
            setenv("REPLIT_RTLD_INHERIT", "0", 1);
            void *handle = dlopen(argv[1], RTLD_NOW);
            const char *variable = getenv("LD_AUDIT");
            puts(handle ? "opened" : dlerror());
            puts(variable ? variable : "gone");
            return 0;
        }"#;
    let run = bed.run(bed.program("main").source(source).build()?).arg(&bed.manifest.auditor);
    run.plain()?.prints(["opened", "kept"])?;
    run.audited()?.prints(["opened", "kept"])?;
    Ok(())
}

/// The log goes where it was asked for at the start, and a child's beside it.
fn overwritten_log(bed: &Bed) -> Result<()> {
    let found = "found dynamically: ";
    for how in ["overwrite", "fork"] {
        let run = rewrites(bed, how)?.env("REPLIT_RTLD_LOG_LEVEL", "2");
        run.plain()?.misses("libfound.so")?;
        let directory = bed.dir(how)?;
        let run = run.working_directory(&directory);
        let told = run.clone().env("REPLIT_RTLD_LOG_FILE", "stderr").audited()?;
        told.succeeds()?;
        ensure!(told.stderr.contains(found), "{told}");
        run.env("REPLIT_RTLD_LOG_FILE", directory.join("log")).audited()?.runs()?;
        let logs = names(&directory)?;
        let expected: &[&str] = if how == "fork" { &["log", "log.1"] } else { &["log"] };
        let last = fs::read_to_string(directory.join(expected.last().context("there is one")?))?;
        ensure!(logs == expected && last.contains(found), "{logs:?}\n{last}");
    }
    Ok(())
}

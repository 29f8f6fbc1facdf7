//! What others may put in the log's place: nothing of theirs is written to, before the log is there and after.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;
use suite::run::Run;

use super::Case;
use super::logging::{FILE, LEVEL, finder, found, names, read};
use super::secure::{AS_IT_IS, as_nobody};

/// O_NONBLOCK of fcntl.h, on Linux wherever this is tested.
const NONBLOCK: i32 = 0o4000;
/// The user that is nobody.
const NOBODY: u32 = 65534;

pub fn cases() -> Vec<Case> {
    // Other users are there only where the machine is as it is.
    const VIEWS: &[View] = &[View::Distribution];
    vec![
        Case::new("log/only-its-user-reads-it", only_its_user),
        Case::new("log/planted", planted).views(VIEWS),
        Case::new("log/replaced", replaced),
        Case::new("log/given-away", given_away).views(VIEWS),
        Case::new("log/privileges-dropped", privileges_dropped).views(VIEWS),
    ]
}

/// A log has command lines in it.
fn only_its_user(bed: &Bed) -> Result<()> {
    let run = finder(bed)?.env(LEVEL, "2");
    run.plain()?.misses("libfound.so")?;
    run.clone().audited()?.prints([found(bed)])?;
    run.env(FILE, bed.path("cwd/mine")).audited()?.prints([found(bed)])?;
    for log in ["cwd/rtld_loader.log.1", "cwd/mine"] {
        let mode = fs::metadata(bed.path(log))?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{log}: {mode:o}");
    }
    Ok(())
}

/// Things that somebody would like to have written to, or that would hold up who opens them.
const KINDS: [&str; 5] = ["symlink", "link", "file", "fifo", "directory"];

/// Makes such a thing, which everybody may write to; `victim` is what it leads to.
fn make(kind: &str, path: &Path, victim: &Path) -> Result<()> {
    match kind {
        "symlink" => symlink(victim, path)?,
        "link" => fs::hard_link(victim, path)?,
        "file" => fs::write(path, "")?,
        "fifo" => process::succeed(Command::new("mkfifo").arg(path))?,
        _ => fs::create_dir(path)?,
    }
    if kind != "symlink" {
        fs::set_permissions(path, Permissions::from_mode(0o777))?;
    }
    Ok(())
}

/// Another user has been before us, in a directory for all: each of their things stays as it is, and the log has another name.
fn planted(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let auditor = bed.path("rtld_loader.so");
    process::copy_program(&bed.manifest.auditor, &auditor, 0o755)?;
    let victim = bed.file("victim", "precious")?;
    let shared = bed.dir("shared")?;
    for path in [&shared, &victim] {
        fs::set_permissions(path, Permissions::from_mode(0o1777))?;
    }
    let run = as_nobody(bed, &AS_IT_IS, &bed.program("main").build()?)?.arg("libfound.so");
    let run = run.declare([bed.path("declared")]).env(LEVEL, "2").working_directory(&shared);
    run.plain()?.misses("libfound.so")?;
    let run = run.env("LD_AUDIT", &auditor);
    let places: Vec<PathBuf> =
        (1..=KINDS.len()).map(|number| shared.join(format!("rtld_loader.log.{number}"))).collect();
    for (kind, place) in KINDS.iter().zip(&places) {
        make(kind, place, &victim)?;
    }
    run.plain()?.prints([found(bed)])?;
    is_left(&shared, &victim, KINDS.len())?;
    for kind in ["symlink", "link", "file"] {
        let place = shared.join(kind);
        make(kind, &place, &victim)?;
        let before = names(&shared)?.len();
        run.clone().env(FILE, &place).plain()?.prints([found(bed)])?;
        is_left(&shared, &victim, before)?;
    }
    Ok(())
}

/// Nothing was written to what was there; and there is a log of nobody's beside that of the process that became nobody.
fn is_left(shared: &Path, victim: &Path, before: usize) -> Result<()> {
    ensure!(read(victim)? == "precious", "it was written to: {}", read(victim)?);
    let files = names(shared)?.into_iter().map(|name| shared.join(name));
    let files: Vec<(PathBuf, fs::Metadata)> =
        files.map(|path| Ok((path.clone(), fs::symlink_metadata(&path)?))).collect::<Result<_>>()?;
    ensure!(files.len() == before + 2, "{files:?}");
    for (path, metadata) in files.iter().filter(|(_, metadata)| metadata.is_file()) {
        match metadata.permissions().mode() & 0o777 {
            0o600 => ensure!(read(path)?.contains("RTLD: la_version("), "no log in {}", path.display()),
            _ => ensure!(!read(path)?.contains("RTLD"), "a log in {}", path.display()),
        }
    }
    ensure!(files.iter().any(|(_, metadata)| metadata.uid() == NOBODY), "{files:?}");
    Ok(())
}

/// A start that loads two libraries, and renames a file between the two.
fn two_steps<'b>(bed: &'b Bed, log: &Path, rename: Option<(&Path, &Path)>) -> Result<Run<'b>> {
    for name in ["one", "two"] {
        bed.library(&format!("declared/lib{name}.so")).says(name).build()?;
    }
    let main = bed.program("main").source(include_str!("../../fixtures/renames.c")).build()?;
    let rename = rename.map(|(from, to)| format!("{}={}", from.display(), to.display()));
    let arguments = ["libone.so".into()].into_iter().chain(rename).chain(["libtwo.so".into()]);
    Ok(bed.run(main).args(arguments).declare([bed.path("declared")]).env(LEVEL, "2").env(FILE, log))
}

/// Something else comes into the log's place while the process runs: that ends the log, and is said once.
fn replaced(bed: &Bed) -> Result<()> {
    let victim = bed.file("victim", "precious")?;
    let untouched = two_steps(bed, &bed.path("log"), None)?;
    untouched.plain()?.misses("libone.so")?.misses("libtwo.so")?;
    untouched.audited()?.runs()?;
    ensure!(read(&bed.path("log"))?.matches("found dynamically: ").count() == 2, "{}", read(&bed.path("log"))?);
    for kind in KINDS {
        let (log, other, aside) = (bed.path(format!("{kind}.log")), bed.path(kind), bed.path(format!("{kind}.aside")));
        make(kind, &other, &victim)?;
        // Somebody waits for what comes.
        let mut end = match kind {
            "fifo" => Some(OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&other)?),
            _ => None,
        };
        // A directory cannot take the place of a file: the log has to go first.
        let moves =
            [format!("{}={}", log.display(), aside.display()), format!("{}={}", other.display(), log.display())];
        let run = two_steps(bed, &log, None)?;
        let run = run.of(run.program()).arg("libone.so").args(moves).arg("libtwo.so").audited()?;
        ensure!(run.stdout.contains("/libone.so\n") && run.stdout.contains("/libtwo.so\n"), "{kind}: {run}");
        let said = format!("rtld_loader: cannot write the log {} (errno ", log.display());
        ensure!(run.stderr.starts_with(&said) && run.stderr.lines().count() == 1, "{kind}: {run}");
        ensure!(read(&victim)? == "precious", "{kind}: it was written to: {}", read(&victim)?);
        if kind == "file" {
            ensure!(read(&log)?.is_empty(), "it was written to: {}", read(&log)?);
        }
        if let Some(end) = &mut end {
            is_empty(end)?;
        }
        let log = read(&aside)?;
        ensure!(log.contains("/libone.so") && !log.contains("/libtwo.so"), "{kind}: {log}");
    }
    Ok(())
}

/// Nothing comes out of a FIFO.
fn is_empty(end: &mut File) -> Result<()> {
    let mut text = [0; 1];
    match end.read(&mut text) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => anyhow::bail!("the FIFO has something: {other:?}"),
    }
}

/// A program that loads a library, does something to its log, and loads another one.
fn between<'b>(bed: &'b Bed, step: &str) -> Result<Run<'b>> {
    let source = format!(
        r#"
        #include <dlfcn.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(int argc, char **argv) {{
            if (!dlopen("libone.so", RTLD_NOW)) {{ puts(dlerror()); return 1; }}
            if ({step}) {{ perror("step"); return 2; }}
            if (!dlopen("libtwo.so", RTLD_NOW)) {{ puts(dlerror()); return 1; }}
            return 0;
        }}"#
    );
    let run = two_steps(bed, &bed.path("log"), None)?;
    Ok(run.of(bed.program("between").source(source).build()?).arg(bed.path("log")))
}

/// A file of another user's is not written to, even if it has the number that the log had: who takes a file away can have that.
fn given_away(bed: &Bed) -> Result<()> {
    let run = between(bed, &format!("chown(argv[1], {NOBODY}, {NOBODY})"))?;
    ensure!(run.plain()?.stdout.contains("libone.so: cannot open"), "it is found without us");
    let audited = run.audited()?;
    let log = read(&bed.path("log"))?;
    ensure!(log.contains("/libone.so") && !log.contains("/libtwo.so"), "{audited}{log}");
    ensure!(audited.succeeds()?.stderr.lines().count() == 1, "{audited}");
    Ok(())
}

/// Who gives up the rights with which the log was made cannot write to it, nor is it handed over.
fn privileges_dropped(bed: &Bed) -> Result<()> {
    let run = between(bed, &format!("setgid({NOBODY}) || setuid({NOBODY})"))?;
    ensure!(run.env(LEVEL, "0").plain()?.stdout.contains("libone.so: cannot open"), "it is found without us");
    let audited = between(bed, &format!("setgid({NOBODY}) || setuid({NOBODY})"))?.audited()?;
    let (log, metadata) = (read(&bed.path("log"))?, fs::metadata(bed.path("log"))?);
    ensure!(metadata.uid() == 0 && metadata.permissions().mode() & 0o777 == 0o600, "{metadata:?}");
    ensure!(log.contains("/libone.so") && !log.contains("/libtwo.so"), "{audited}{log}");
    ensure!(audited.succeeds()?.stderr.lines().count() == 1, "{audited}");
    Ok(())
}

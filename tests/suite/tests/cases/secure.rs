//! Users and their rights: a program that runs with more rights than its user is left alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;

use super::inherit::LIST;
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    // bubblewrap takes the right to run such programs away.
    const VIEWS: &[View] = &[View::Distribution];
    vec![
        Case::new("secure/setuid-program", setuid_program).views(VIEWS),
        Case::new("secure/trusted-auditor", trusted_auditor).views(VIEWS),
        Case::new("secure/trusted-auditor-leaves-the-environment", trusted_leaves_environment).views(VIEWS),
        Case::new("skipped/unreadable", unreadable).views(VIEWS),
    ]
}

/// A copy of the auditor that everybody may read, and the program in an ordinary and in a setuid copy.
fn prepare(bed: &Bed) -> Result<(PathBuf, PathBuf, PathBuf)> {
    let auditor = bed.path("rtld_loader.so");
    process::copy_program(&bed.manifest.auditor, &auditor, 0o755)?;
    let main = bed.program("main").build()?;
    let setuid = bed.path("setuid");
    process::copy_program(&main, &setuid, 0o4755)?;
    Ok((auditor, main, setuid))
}

/// The same user gets the library in an ordinary program, and not in a setuid one.
fn setuid_program(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let (auditor, main, setuid) = prepare(bed)?;
    let secure = bed.program("secure").source(include_str!("../../fixtures/secure.c")).build()?;
    let start = |program: &Path, auditor: &Path| {
        let run = bed.run(&secure).args(["-", "-"]).arg(program).arg("libfound.so");
        let run = run.declare([bed.path("declared")]).env("REPLIT_RTLD_LOG_LEVEL", "0");
        run.env("LD_AUDIT", auditor).plain()
    };
    let nothing = Path::new("");
    start(&main, nothing)?.misses("libfound.so")?;
    start(&main, &auditor)?.prints([line("declared", &library)])?;
    let plain = start(&setuid, nothing)?;
    plain.misses("libfound.so")?;
    start(&setuid, &auditor)?.equals(&plain)?;
    Ok(())
}

/// An administrator may have put the auditor where ld.so takes it from even for a setuid program: by its bare name, from
/// a default directory, with the setuid bit. Then it declines.
fn trusted_auditor(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let (auditor, main, setuid) = prepare(bed)?;
    let trusted = trust(bed, &auditor)?;
    let secure = bed.program("secure").source(include_str!("../../fixtures/secure.c")).build()?;
    let start = |program: &Path, auditor: &str| {
        let run = bed.run(&secure).arg(&trusted).arg(&bed.channel.default_directories[0]).arg(program);
        run.arg("libfound.so").declare([bed.path("declared")]).env("LD_AUDIT", auditor).plain()
    };
    // ld.so takes it from there: an ordinary program is helped. (Its starter misses it, and says so.)
    let ordinary = start(&main, "rtld_loader.so")?;
    ensure!(ordinary.stdout == line("declared", &library) + "\n", "{ordinary}");
    let plain = start(&setuid, "")?;
    plain.misses("libfound.so")?;
    let audited = start(&setuid, "rtld_loader.so")?;
    audited.misses("libfound.so")?;
    ensure!(audited.stdout.is_empty(), "{audited}");
    Ok(())
}

/// A directory to be seen in the place of the glibc's, with the auditor in it.
fn trust(bed: &Bed, auditor: &Path) -> Result<PathBuf> {
    let trusted = bed.dir("trusted")?;
    for entry in fs::read_dir(&bed.channel.glibc_lib)? {
        let entry = entry?;
        symlink(entry.path(), trusted.join(entry.file_name()))?;
    }
    process::copy_program(auditor, &trusted.join("rtld_loader.so"), 0o4755)?;
    Ok(trusted)
}

/// There it takes nothing out of the environment for the sake of children either.
fn trusted_leaves_environment(bed: &Bed) -> Result<()> {
    let (auditor, _, _) = prepare(bed)?;
    let trusted = trust(bed, &auditor)?;
    let list = bed.program("list").source(LIST).build()?;
    let setuid = bed.path("setuid-list");
    process::copy_program(&list, &setuid, 0o4755)?;
    let secure = bed.program("secure").source(include_str!("../../fixtures/secure.c")).build()?;
    let start = |program: &Path| {
        let run = bed.run(&secure).arg(&trusted).arg(&bed.channel.default_directories[0]).arg(program);
        run.env("LD_AUDIT", "rtld_loader.so").env("REPLIT_RTLD_INHERIT", "0").plain()
    };
    let (ordinary, secure) = (start(&list)?, start(&setuid)?);
    ensure!(ordinary.stdout.is_empty() && secure.stdout == "[REPLIT_RTLD_INHERIT=0]\n", "{ordinary}{secure}");
    Ok(())
}

/// A candidate that the user may not read is passed over.
fn unreadable(bed: &Bed) -> Result<()> {
    let bad = bed.library("bad/libfound.so").says("bad").build()?;
    fs::set_permissions(bad, Permissions::from_mode(0o000))?;
    let good = bed.library("good/libfound.so").says("good").build()?;
    let (auditor, main, _) = prepare(bed)?;
    let secure = bed.program("secure").source(include_str!("../../fixtures/secure.c")).build()?;
    let run = bed.run(secure).args(["-", "-"]).arg(main).arg("libfound.so");
    let run = run.declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    run.env("LD_AUDIT", auditor).plain()?.prints([line("good", &good)])?;
    Ok(())
}

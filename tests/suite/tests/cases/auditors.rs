//! Other auditors beside ours: each has a namespace of its own, and ld.so reports those behind us before the program.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::run::Run;

use super::{Case, line};

/// Auditors that may stand behind ours, and from which glibc on: one that takes part, one that declines, and a library that is
/// none. The ld.so of 2.31 crashes where it unloads one of several, whoever the first is.
const OTHERS: [(&str, &str, (u32, u32)); 3] = [
    ("idle", "unsigned la_version(unsigned version) { return version; }", (2, 31)),
    ("declining", "unsigned la_version(unsigned version) { return 0; }", (2, 36)),
    ("none", "int nothing;", (2, 36)),
];

pub fn cases() -> Vec<Case> {
    let each = OTHERS.into_iter().flat_map(|(name, source, since)| {
        [
            Case::new(format!("auditors/rpath-beside-{name}"), move |bed| own_rpath(bed, source)).since(since),
            Case::new(format!("auditors/found-beside-{name}"), move |bed| found(bed, source)).since(since),
        ]
    });
    each.collect()
}

/// The same start with this auditor, alone and behind ours.
fn beside<'b>(run: &Run<'b>, bed: &Bed, source: &str) -> Result<[Run<'b>; 2]> {
    let other = bed.library("other/libother.so").source(source).build()?;
    let both = format!("{}:{}", bed.manifest.auditor.display(), other.display());
    Ok([run.clone().env("LD_AUDIT", other), run.clone().env("LD_AUDIT", both)])
}

/// What a library needs that the program opens, ld.so finds by the RPATH of the program.
fn own_rpath(bed: &Bed, source: &str) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("own/libplugin.so").says("plugin").needs(&own).build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/loaded.c")).rpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg("libplugin.so").declare([bed.path("declared")]);
    let [alone, behind] = beside(&run, bed, source)?;
    let alone = alone.plain()?;
    ensure!(alone.stdout.lines().any(|file| own == *file), "{alone}");
    behind.plain()?.equals(&alone)?;
    Ok(())
}

/// What nobody else has is declared.
fn found(bed: &Bed, source: &str) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let [alone, behind] = beside(&run, bed, source)?;
    let alone = alone.plain()?;
    ensure!(alone.stderr.contains("libfound.so: cannot open shared object file"), "{alone}");
    let behind = behind.plain()?;
    ensure!(behind.stdout.lines().any(|said| said == line("declared", &library)), "{behind}");
    Ok(())
}

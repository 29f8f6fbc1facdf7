//! What the auditor costs, in system calls: exact, and the same on every machine.
//!
//! Each figure is a difference of two runs that differ in one thing only.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::bed::Bed;
use crate::manifest::{Manifest, View};
use crate::run::Run;

/// The most system calls that each figure may come to. The trials hold the auditor to them, the bench prints them.
pub const LIMITS: Limits = Limits { start: 9, directory: 5, miss: 6, undeclared: 0, candidate: 8, member: 8, again: 2 };

/// Upper bounds for [`Counts`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Added to a program that needs nothing beyond libc.
    pub start: i64,
    /// For each declared directory, once.
    pub directory: i64,
    /// For a miss, beyond what ld.so itself spends on failing to find that name.
    pub miss: i64,
    /// For a name that nobody declares, once the directories are read.
    pub undeclared: i64,
    /// For a candidate that is looked at and does not fit.
    pub candidate: i64,
    /// For a member of this process's glibc that a candidate needs and that is not loaded.
    pub member: i64,
    /// For both together when they are looked at again.
    pub again: i64,
}

/// System calls, counted on one channel in one view.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// A program that needs nothing beyond libc, without the auditor.
    pub plain: i64,
    /// What the auditor adds to it.
    pub start: i64,
    /// What each declared directory adds, rounded up.
    pub directory: i64,
    /// What ld.so itself spends on failing to find a name for the first time, when it knows no directory yet.
    pub first_failure: i64,
    /// What the first redirected lookup costs beyond that failure, mapping the library and reading the directory.
    pub first_miss: i64,
    /// What ld.so itself spends on failing to find another name.
    pub failure: i64,
    /// What another redirected lookup costs beyond that failure and beyond mapping the library.
    pub miss: i64,
    /// What the auditor adds to failing to find a name that nobody declares.
    pub undeclared: i64,
    /// What one more candidate that does not fit adds, before another one.
    pub candidate: i64,
    /// What it adds that this candidate needs a member of the glibc family that is not loaded.
    pub member: i64,
    /// What both add together when the name is looked for once more.
    pub again: i64,
}

/// How many directories a program with many of them declares.
const MANY: i64 = 20;

impl Counts {
    /// Counts in a bed.
    pub fn take(bed: &Bed) -> Result<Counts> {
        let source = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }";
        let hello = bed.run(bed.program("hello").source(source).build()?);
        let main = bed.run(bed.program("main").build()?);
        let libraries = ["liba.so", "libb.so"].map(|name| bed.library(&format!("declared/{name}")).says(name).build());
        let [first, second] = libraries;
        let (first, second) = (first?, second?);

        let declared = bed.path("declared");
        let mut many = vec![declared.clone()];
        for number in 1..=MANY {
            bed.file(format!("many/{number}/lib{number}.so"), "")?;
            many.push(bed.path(format!("many/{number}")));
        }

        let plain = count(&hello)?;
        let start = count(&hello.declare(&many).with_auditor())? - plain;

        let alone = count(&main)?;
        let first_failure = count(&main.clone().arg("libx.so"))? - alone;
        let first_load = count(&main.clone().arg(&first))? - alone;
        let failure = count(&main.clone().args(["libx.so", "liby.so"]))? - first_failure - alone;
        let load = count(&main.clone().arg(&first).arg(&second))? - first_load - alone;

        let audited = main.declare([&declared]).with_auditor();
        let one = count(&audited.clone().arg("liba.so"))?;
        let directories = count(&audited.clone().arg("liba.so").declare(&many))? - one;
        let directory = (directories + MANY - 1).div_euclid(MANY);
        let first_miss = one - count(&audited)? - first_load - first_failure - directory;
        let miss = count(&audited.clone().args(["liba.so", "libb.so"]))? - one - load - failure;
        let unknown = count(&audited.clone().args(["liba.so", "libx.so", "liby.so"]))?;
        let undeclared = unknown - count(&audited.clone().arg("liba.so").arg("libx.so"))? - failure;
        let (candidate, member, again) = candidates(bed, &audited)?;
        Ok(Counts {
            plain,
            start,
            directory,
            first_failure,
            first_miss,
            failure,
            miss,
            undeclared,
            candidate,
            member,
            again,
        })
    }
}

/// Counts what candidates cost that do not fit, and what they cost again.
fn candidates(bed: &Bed, audited: &Run) -> Result<(i64, i64, i64)> {
    let needing = |place: &str, member: &str| {
        let stub = bed.library(&format!("stubs/{member}")).defines(&["GLIBC_9.99"]).build()?;
        bed.library(&format!("{place}/libmisfit.so")).uses(&["GLIBC_9.99"]).needs(&stub).build()
    };
    needing("first", "libc.so.6")?;
    needing("second", "libc.so.6")?;
    needing("third", "libm.so.6")?;
    bed.file("none/libother.so", "")?;
    let count = |last: &str, names: &[&str]| {
        let directories = ["first", last].map(|directory| bed.path(directory));
        count(&audited.clone().declare(directories).args(names))
    };
    let (once, twice) = (["libmisfit.so"].as_slice(), ["libmisfit.so", "libmisfit.so"].as_slice());
    let none = count("none", once)?;
    let candidate = count("second", once)? - none;
    let both = count("third", once)?;
    let again = count("third", twice)? - both - (count("none", twice)? - none);
    Ok((candidate, both - none - candidate, again))
}

fn count(run: &Run) -> Result<i64> {
    i64::try_from(run.traced()?.count()).context("a trace that long")
}

/// The figures of every channel in every view, as a table with the limits.
pub fn table(manifest: &Manifest) -> Result<String> {
    let mut table = String::new();
    let Limits { start, directory, miss, undeclared, candidate, member, again } = LIMITS;
    writeln!(
        table,
        "System calls            hello         each  first miss      later miss      undeclared  unfit candidate"
    )?;
    writeln!(
        table,
        "                        alone  added  dir.  ld.so   added   ld.so   added        added  file  libm  again"
    )?;
    for channel in &manifest.channels {
        for &view in &manifest.views {
            let counts = Counts::take(&Bed::new(manifest, channel, view)?)?;
            let name = format!("{} {} {}", channel.name, channel.glibc, short(view));
            writeln!(
                table,
                "{name:<22} {:>6} {:>6} {:>5} {:>6} {:>7} {:>7} {:>7} {:>12} {:>5} {:>5} {:>6}",
                counts.plain,
                counts.start,
                counts.directory,
                counts.first_failure,
                counts.first_miss,
                counts.failure,
                counts.miss,
                counts.undeclared,
                counts.candidate,
                counts.member,
                counts.again
            )?;
        }
    }
    let most = "at most";
    writeln!(
        table,
        "{most:<22} {:>6} {start:>6} {directory:>5} {:>6} {miss:>7} {:>7} {miss:>7} {undeclared:>12} \
         {candidate:>5} {member:>5} {again:>6}",
        "", "", ""
    )?;
    Ok(table)
}

fn short(view: View) -> &'static str {
    match view {
        View::Distribution => "distro",
        other => other.name(),
    }
}

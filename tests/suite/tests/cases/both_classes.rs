//! 32-bit programs beside 64-bit ones, with an auditor for each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::{Channel, Sibling, View};
use suite::run::Run;

use super::logging::{FILE, read};
use super::wrapper::{generate, shell};
use super::{Case, line};

/// What ld.so says of an auditor of the other class.
const WRONG_CLASS: &str = "cannot be loaded as audit interface: wrong ELF class: ELFCLASS64; ignored.";

/// Has glibc not use AVX2, so that it does not call an Intel processor haswell. The second is for 2.31.
const NO_HASWELL: &str = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable";

pub fn cases() -> Vec<Case> {
    let cases = [
        Case::new("both-classes/children", children),
        Case::new("both-classes/mixed-directory", mixed_directory),
        Case::new("both-classes/index", index),
        Case::new("both-classes/no-inherit", no_inherit),
        Case::new("both-classes/nested", nested),
        Case::new("both-classes/names-of-the-processor", names_of_the_processor),
        Case::new("both-classes/no-name-of-the-processor", no_name_of_the_processor),
        // The helper may be a program of the machine, and those are not in the other view.
        Case::new("both-classes/observe", observe).views(&[View::Distribution]),
    ];
    cases.into_iter().map(Case::with_sibling).collect()
}

fn sibling<'b>(bed: &'b Bed) -> Result<&'b Sibling> {
    bed.manifest.sibling.as_ref().context("there is no 32-bit machine")
}

/// A library of each class, in directories of their own, and a program of each that opens it. The 32-bit ones are a channel's.
struct Pair {
    libraries: [PathBuf; 2],
    programs: [PathBuf; 2],
}

impl Pair {
    fn build(bed: &Bed, channel: &Channel) -> Result<Self> {
        Ok(Self {
            libraries: [
                bed.library("lib-64/libfound.so").says("64-bit").build()?,
                bed.library("lib-32/libfound.so").channel(channel).says("32-bit").build()?,
            ],
            programs: [bed.program("main-64").build()?, bed.program("main-32").channel(channel).build()?],
        })
    }

    /// Has a 64-bit shell start the two, one after the other.
    fn start<'b>(&self, bed: &'b Bed, replit_env: &Path) -> Run<'b> {
        self.start_in(bed, bed.run(replit_env))
    }

    /// The same in an environment which is started so.
    fn start_in<'b>(&self, bed: &Bed, run: Run<'b>) -> Run<'b> {
        let script = r#""$1" libfound.so; "$2" libfound.so"#;
        run.arg(shell(bed)).args(["-c", script, "sh"]).args(&self.programs)
    }

    /// What they print where each finds its own.
    fn lines(&self) -> [String; 2] {
        [line("64-bit", &self.libraries[0]), line("32-bit", &self.libraries[1])]
    }
}

/// An environment with this declared, for one class or for both.
fn environment(bed: &Bed, name: &str, declared: &[&str], is_for_both: bool) -> Result<PathBuf> {
    let declared: Vec<_> = declared.iter().map(|directory| bed.path(directory)).collect();
    let mut arguments: Vec<_> = declared.iter().map(|directory| ("--lib", directory.as_os_str())).collect();
    if is_for_both {
        arguments.push(("--auditor-32", sibling(bed)?.auditor.as_os_str()));
    }
    generate(bed, name, &arguments)
}

/// With a 64-bit auditor alone a 32-bit child complains, and misses what is declared. With both, each finds its own, in whatever
/// order the directories are declared, and nobody complains.
fn children(bed: &Bed) -> Result<()> {
    for (nth, channel) in sibling(bed)?.channels.iter().enumerate() {
        let pair = Pair::build(bed, channel)?;
        for (order, declared) in [["lib-64", "lib-32"], ["lib-32", "lib-64"]].into_iter().enumerate() {
            let one = environment(bed, &format!("one-{nth}-{order}"), &declared, false)?;
            let outcome = pair.start(bed, &one).plain()?;
            outcome.fails_with(WRONG_CLASS)?.misses("libfound.so")?;
            ensure!(outcome.stdout == format!("{}\n", pair.lines()[0]), "{outcome}");
            let both = environment(bed, &format!("both-{nth}-{order}"), &declared, true)?;
            pair.start(bed, &both).plain()?.prints(pair.lines())?;
        }
    }
    Ok(())
}

/// Libraries of both classes need not be in directories of their own: a 32-bit program passes over a 64-bit file of its name, goes
/// on to the next directory, and has what it needs in turn from what is declared.
fn mixed_directory(bed: &Bed) -> Result<()> {
    for (nth, channel) in sibling(bed)?.channels.iter().enumerate() {
        bed.library("first/libouter.so").says("64-bit").build()?;
        let inner = bed.library("first/libinner.so").channel(channel).says("32-bit").build()?;
        let outer = bed.library("second/libouter.so").channel(channel).source("").needs(&inner).build()?;
        let main = bed.program("main-32").channel(channel).needs(&outer).build()?;
        let both = environment(bed, &format!("env-{nth}"), &["first", "second"], true)?;
        bed.run(&main).plain()?.misses("libouter.so")?;
        bed.run(&both).arg(&main).arg("libinner.so").plain()?.prints(["32-bit", &line("32-bit", &inner)])?;
    }
    Ok(())
}

/// An index of 64-bit objects is of no use to a 32-bit program, and does no harm.
fn index(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libown.so").says("own").build()?;
    let main = bed.program("bin/main").needs(&own).runpath("$ORIGIN/../own").build()?;
    for (nth, channel) in sibling(bed)?.channels.iter().enumerate() {
        let pair = Pair::build(bed, channel)?;
        let arguments = [
            ("--store", bed.root().as_os_str()),
            ("--auditor-32", sibling(bed)?.auditor.as_os_str()),
            ("--bin", main.parent().context("it is in a directory")?.as_os_str()),
            ("--lib", pair.libraries[0].as_os_str()),
            ("--lib", pair.libraries[1].as_os_str()),
        ];
        let both = generate(bed, &format!("env-{nth}"), &arguments)?;
        pair.start(bed, &both).plain()?.prints(pair.lines())?;
        // It is one that a 64-bit program of it reads.
        let log = bed.path(format!("log-{nth}"));
        bed.run(&both).env(FILE, &log).args(["--log", "debug"]).arg(&main).plain()?.prints(["own"])?;
        let log = read(&log)?;
        ensure!(log.contains("answered from the index: libown.so: "), "{log}");
    }
    Ok(())
}

/// Where there is no 32-bit auditor, a 32-bit child complains, but not one of a program that keeps the environment to itself. Where
/// there is one, a 32-bit program can do so, too.
fn no_inherit(bed: &Bed) -> Result<()> {
    for (nth, channel) in sibling(bed)?.channels.iter().enumerate() {
        let main = bed.program("main-64").source(include_str!("../../fixtures/children.c")).build()?;
        let child = bed.program("main-32").channel(channel).source("int main(void) { return 0; }").build()?;
        let one = environment(bed, &format!("one-{nth}"), &["lib-64"], false)?;
        let start = |run: Run<'_>| run.arg(&main).args(["-", "spawn"]).arg(&child).plain();
        let outcome = start(bed.run(&one))?;
        ensure!(outcome.succeeds()?.stderr.contains(WRONG_CLASS), "{outcome}");
        start(bed.run(&one).arg("--no-inherit"))?.prints([""; 0])?;

        bed.library("lib-32/libfound.so").channel(channel).says("32-bit").build()?;
        let source = include_str!("../../fixtures/children.c");
        let parent = bed.program("parent-32").channel(channel).source(source).build()?;
        let both = environment(bed, &format!("both-{nth}"), &["lib-32"], true)?;
        let run = bed.run(&both).arg("--no-inherit").arg(&parent).args(["libfound.so", "spawn"]);
        run.arg(&parent).arg("libfound.so").plain()?.prints(["found", "missed"])?;
    }
    Ok(())
}

/// An environment for both within one that is not, and the other way round.
fn nested(bed: &Bed) -> Result<()> {
    let channel = sibling(bed)?.channels.first().context("it has no channel")?;
    let pair = Pair::build(bed, channel)?;
    let one = environment(bed, "one", &["lib-64"], false)?;
    let both = environment(bed, "both", &["lib-32"], true)?;
    pair.start_in(bed, bed.run(&one).arg(&both)).plain()?.prints(pair.lines())?;
    let outcome = bed.run(&both).arg(&one).arg(&pair.programs[1]).arg("libfound.so").plain()?;
    outcome.fails_with(WRONG_CLASS)?.misses("libfound.so")?;
    Ok(())
}

/// By whatever name glibc calls the processor, it finds the auditor.
fn names_of_the_processor(bed: &Bed) -> Result<()> {
    let channel = sibling(bed)?.channels.first().context("it has no channel")?;
    let pair = Pair::build(bed, channel)?;
    let both = environment(bed, "both", &["lib-64", "lib-32"], true)?;
    for tunables in ["", NO_HASWELL] {
        let run = pair.start(bed, &both).env("GLIBC_TUNABLES", tunables);
        run.plain()?.prints(pair.lines())?;
    }
    Ok(())
}

/// Where the kernel does not tell it, and glibc has none of its own, `$PLATFORM` leads nowhere. Without it all is well.
fn no_name_of_the_processor(bed: &Bed) -> Result<()> {
    let channel = sibling(bed)?.channels.first().context("it has no channel")?;
    let pair = Pair::build(bed, channel)?;
    let starter = bed.program("no_platform").source(include_str!("../../fixtures/no_platform.c")).build()?;
    for (is_for_both, name) in [(true, "both"), (false, "one")] {
        let env = environment(bed, name, &["lib-64"], is_for_both)?;
        let printed = bed.run(&env).arg(shell(bed)).args(["-c", r#"printf %s "$LD_AUDIT""#]).plain()?;
        let run = bed.run(&starter).arg(&pair.programs[0]).arg("libfound.so").declare([bed.path("lib-64")]);
        // The starter itself is not one of those.
        let run = run.env("GLIBC_TUNABLES", NO_HASWELL).env("LD_AUDIT", &printed.stdout);
        let outcome = run.plain()?;
        match is_for_both {
            true => outcome.fails_with("cannot be loaded as audit interface")?.misses("libfound.so")?,
            false => outcome.prints([&pair.lines()[0]])?,
        };
    }
    Ok(())
}

/// What a 32-bit program loads its own auditor tells, and where there is none, the doctor says so.
fn observe(bed: &Bed) -> Result<()> {
    for (nth, channel) in sibling(bed)?.channels.iter().enumerate() {
        let pair = Pair::build(bed, channel)?;
        let both = environment(bed, &format!("both-{nth}"), &["lib-64", "lib-32"], true)?;
        let run =
            bed.run(&both).args(["--explain", "--verbose", "--observe"]).arg(&pair.programs[1]).arg("libfound.so");
        let outcome = run.plain()?;
        let directory = bed.path("lib-32");
        let expected = format!("libfound.so [declared] {}\n", directory.display());
        ensure!(outcome.runs()?.stdout.contains(&expected), "{outcome}");
        let one = environment(bed, &format!("one-{nth}"), &["lib-64"], false)?;
        for (environment, is_warned) in [(&both, false), (&one, true)] {
            let said = bed.run(environment).arg("--doctor").arg(&pair.programs[1]).plain()?;
            ensure!(said.stdout.contains("is a 32-bit program") == is_warned, "{said}");
            ensure!(!said.stdout.contains("$PLATFORM"), "{said}");
        }
    }
    Ok(())
}

//! Ways to have a program find its libraries, all for the same program and the same libraries.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::closure::{Closure, Linking};
use crate::process;
use crate::run::Run;
use crate::trace::Trace;
use crate::workloads::Workload;

/// A way. The first is what the others are compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// ld.so alone, with the RUNPATHs that there are.
    Stock,
    /// LD_LIBRARY_PATH names every directory.
    LibraryPath,
    /// Each DT_NEEDED is a path: nothing is left to search.
    Absolute,
    /// Each RUNPATH is one directory of links.
    Links,
    /// Our auditor, with every directory declared. ld.so finds everything without it.
    Ours,
    /// Our auditor, with every directory declared and nothing left of the RUNPATHs: it finds everything.
    OursAlone,
    /// Our auditor, with every directory declared and an index of all that is loaded.
    Indexed,
    /// The same without RUNPATHs.
    IndexedAlone,
}

impl Way {
    /// All ways.
    pub const ALL: [Way; 8] = [
        Way::Stock,
        Way::LibraryPath,
        Way::Absolute,
        Way::Links,
        Way::Ours,
        Way::OursAlone,
        Way::Indexed,
        Way::IndexedAlone,
    ];

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Way::Stock => "ld.so",
            Way::LibraryPath => "LD_LIBRARY_PATH",
            Way::Absolute => "absolute DT_NEEDED",
            Way::Links => "one directory of links",
            Way::Ours => "rtld_loader.so",
            Way::OursAlone => "rtld_loader.so, no RUNPATH",
            Way::Indexed => "index",
            Way::IndexedAlone => "index, no RUNPATH",
        }
    }

    /// A start of the workload in this way.
    fn run<'b>(self, bed: &'b Bed<'b>, workload: &Workload, closure: &Closure) -> Result<Run<'b>> {
        let directories = directories(workload, closure);
        let copy = |linking| closure.copy(bed, &bed.path(format!("{self:?}")), linking);
        let of_copy = |linking| -> Result<Run> {
            let copy = copy(linking)?;
            Ok(workload.run(bed, &copy.program, Some(&copy.modules)))
        };
        let stock = || workload.run(bed, &workload.program, workload.modules.as_deref());
        Ok(match self {
            Way::Stock => stock(),
            Way::LibraryPath => stock().env("LD_LIBRARY_PATH", env::join_paths(&directories)?),
            Way::Absolute => of_copy(Linking::Paths)?,
            Way::Links => of_copy(Linking::Links)?,
            Way::Ours => stock().declare(&directories).with_auditor(),
            Way::OursAlone | Way::IndexedAlone => {
                let copy = copy(Linking::Nowhere)?;
                let declared: Vec<_> = directories.iter().map(|directory| copy.directory(directory)).collect();
                let run = workload.run(bed, &copy.program, Some(&copy.modules)).declare(&declared).with_auditor();
                if self == Way::OursAlone { run } else { indexed(bed, run, &declared, &copy.program)? }
            }
            Way::Indexed => {
                let declared: Vec<_> = directories.iter().collect();
                indexed(bed, stock().declare(&declared).with_auditor(), &declared, &workload.program)?
            }
        })
    }
}

/// A start of a workload, and what strace saw of it.
pub struct Prepared<'b> {
    /// The way.
    pub way: Way,
    /// The start.
    pub run: Run<'b>,
    /// Its system calls.
    pub trace: Trace,
}

/// Starts the workload in every way, and makes sure that each comes to the same libraries. Returns how many those are, too.
pub fn prepare<'b>(bed: &'b Bed<'b>, workload: &Workload) -> Result<(usize, Vec<Prepared<'b>>)> {
    let stock = workload.run(bed, &workload.program, workload.modules.as_deref());
    // Python compiles its modules the first time.
    stock.plain()?.runs()?;
    let trace = stock.traced()?;
    let closure = Closure::of(&workload.program, &trace, workload.modules.as_deref(), bed.channel);
    let expected = names(&trace);
    let mut prepared = Vec::new();
    for way in Way::ALL {
        let run = way.run(bed, workload, &closure)?;
        run.plain()?.runs()?;
        let trace = run.traced()?;
        let ours = bed.manifest.auditor.file_name();
        let mut loaded = names(&trace);
        loaded.retain(|name| Some(name.as_os_str()) != ours);
        ensure!(
            loaded == expected,
            "{}, {}: loaded are {:?} instead",
            workload.name,
            way.title(),
            loaded.symmetric_difference(&expected).collect::<Vec<_>>()
        );
        prepared.push(Prepared { way, run, trace });
    }
    Ok((expected.len(), prepared))
}

/// The same start with an index of what is declared, of the program, and of what lies beside it. Nothing of it changes.
fn indexed<'b>(bed: &'b Bed<'b>, run: Run<'b>, declared: &[&PathBuf], program: &Path) -> Result<Run<'b>> {
    let out = bed.path("environments").join(program.strip_prefix("/")?);
    let mut generator = Command::new(&bed.manifest.replit_env_cli);
    generator.arg("generate").arg("--out").arg(&out).arg("--auditor").arg(&bed.manifest.auditor);
    for store in [bed.channel.glibc_lib.ancestors().nth(2).context("a glibc is in a store")?, bed.root()] {
        generator.arg("--store").arg(store);
    }
    for directory in declared {
        generator.arg("--lib").arg(directory);
    }
    generator.arg("--bin").arg(program.parent().context("a program is in a directory")?);
    process::succeed(&mut generator)?;
    Ok(run.env("REPLIT_RTLD_INDEX", out.join("lib/rtld_loader.index")))
}

/// Where the libraries are, and what is declared besides.
fn directories(workload: &Workload, closure: &Closure) -> Vec<PathBuf> {
    let mut directories = workload.declared.clone();
    for directory in closure.directories() {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

fn names(trace: &Trace) -> BTreeSet<PathBuf> {
    trace.loaded().iter().filter_map(|file| file.file_name()).map(PathBuf::from).collect()
}

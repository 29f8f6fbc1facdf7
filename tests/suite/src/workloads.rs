//! Programs to be started: real ones, and made-up ones of any size.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bed::Bed;
use crate::process;
use crate::run::Run;

/// Extension modules that every Python from 3.9 on has as files, also those that need libraries of other packages.
const MODULES: [&str; 20] = [
    "_bz2",
    "_ctypes",
    "_curses",
    "_curses_panel",
    "_dbm",
    "_decimal",
    "_hashlib",
    "_lsprof",
    "_lzma",
    "_multiprocessing",
    "_posixshmem",
    "_queue",
    "_sqlite3",
    "_ssl",
    "_uuid",
    "_zoneinfo",
    "mmap",
    "readline",
    "resource",
    "termios",
];

/// The programs of ImageMagick, whose name has its version.
const MAGICK: [&str; 3] = ["magick", "magick-im7.q16", "convert-im6.q16"];

/// How many libraries each object of a made-up program needs, until there are no more.
const NEEDS: usize = 10;

/// What is to be started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A program that needs nothing beyond libc, where every library of the channel is declared.
    Hello,
    /// Python, importing twenty extension modules.
    Python,
    /// ImageMagick says its version.
    Magick,
    /// libvips says its version.
    Vips,
    /// A made-up program. Each library lies in a directory of its own, spread over all, and every object has a RUNPATH of all.
    MadeUp {
        /// How many libraries it loads.
        libraries: usize,
        /// How many directories there are.
        directories: usize,
    },
}

impl Kind {
    /// Those that are measured.
    pub const PROGRAMS: [Kind; 5] =
        [Kind::Hello, Kind::Python, Kind::Magick, Kind::Vips, Kind::MadeUp { libraries: 100, directories: 100 }];
    /// And those that show what it does that more is declared.
    pub const GROWTH: [Kind; 3] = [
        Kind::MadeUp { libraries: 10, directories: 10 },
        Kind::MadeUp { libraries: 10, directories: 100 },
        Kind::MadeUp { libraries: 10, directories: 1000 },
    ];

    /// Builds it in a bed.
    pub fn build(self, bed: &Bed) -> Result<Workload> {
        match self {
            Kind::Hello => hello(bed),
            Kind::Python => python(bed),
            Kind::Magick => version(bed, "imagemagick", &MAGICK),
            Kind::Vips => version(bed, "vips", &["vips"]),
            Kind::MadeUp { libraries, directories } => made_up(bed, libraries, directories),
        }
    }
}

/// A program that can be started.
#[derive(Debug)]
pub struct Workload {
    /// Its name in tables.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// The directory of its extension modules.
    pub modules: Option<PathBuf>,
    /// Directories that are declared, whether or not something in them is loaded.
    pub declared: Vec<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Workload {
    fn new(name: impl Into<String>, program: PathBuf, arguments: &[&str]) -> Workload {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (modules, declared, environment) = (None, Vec::new(), Vec::new());
        Workload { name: name.into(), program, modules, declared, arguments, environment }
    }

    /// A start of it with another program and other modules.
    pub fn run<'b>(&self, bed: &'b Bed<'b>, program: &Path, modules: Option<&Path>) -> Run<'b> {
        let run = bed.run(program).args(&self.arguments);
        let run = self.environment.iter().fold(run, |run, (name, value)| run.env(name, value));
        match (&self.modules, modules) {
            (Some(_), Some(modules)) => run.env("PYTHONPATH", modules),
            _ => run,
        }
    }
}

fn hello(bed: &Bed) -> Result<Workload> {
    let source = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }";
    let program = bed.program("bin/hello").source(source).build()?;
    let mut declared: Vec<PathBuf> = bed.channel.libraries.values().map(|output| output.join("lib")).collect();
    declared.dedup();
    Ok(Workload { declared, ..Workload::new("hello", program, &[]) })
}

fn python(bed: &Bed) -> Result<Workload> {
    let program = bed.channel.python.clone();
    let home = program.ancestors().nth(2).context("a Python is in bin")?;
    let lib = fs::read_dir(home.join("lib"))?.collect::<Result<Vec<_>, _>>()?;
    let modules = lib.iter().map(|entry| entry.path().join("lib-dynload")).find(|modules| modules.is_dir());
    let modules = modules.with_context(|| format!("{} has no lib-dynload", home.display()))?;
    let import = format!("import {}", MODULES.join(", "));
    // A copy of the program does not know where the standard library is, so none is left to find out.
    let environment = vec![
        ("PYTHONHOME", home.to_owned()),
        ("PYTHONPYCACHEPREFIX", bed.path("compiled")),
        ("PYTHONHASHSEED", "0".into()),
        ("HOME", "/nowhere".into()),
    ];
    let workload = Workload::new("python3, 20 modules", program, &["-c", &import]);
    Ok(Workload { modules: Some(modules), environment, ..workload })
}

/// A program that says its version.
fn version(bed: &Bed, package: &str, names: &[&str]) -> Result<Workload> {
    let output = bed.channel.programs.get(package);
    let bin = output.with_context(|| format!("{} has no {package}", bed.channel.name))?.join("bin");
    let program = names.iter().map(|name| bin.join(name)).find(|program| program.exists());
    let program = program.with_context(|| format!("{} has none of {names:?}", bin.display()))?;
    Ok(Workload::new(format!("{package} --version"), program, &["--version"]))
}

fn made_up(bed: &Bed, libraries: usize, directories: usize) -> Result<Workload> {
    let mut all = Vec::new();
    for number in 0..directories {
        let directory = format!("all/{number}");
        // Something is in each of them.
        bed.file(format!("{directory}/libother{number}.so"), "")?;
        all.push(bed.path(directory));
    }
    // Needed ones are there before those that need them.
    let mut built: Vec<Option<PathBuf>> = vec![None; libraries];
    for number in (0..libraries).rev() {
        let place = format!("all/{}/lib{number}.so", number * directories / libraries);
        let library = bed.library(&place).source(format!("int number{number}(void) {{ return {number}; }}\n"));
        let needed = needed_by(Some(number), libraries).filter_map(|number| built[number].as_ref());
        built[number] = Some(needed.fold(library, |library, needed| library.needs(needed)).build()?);
    }
    let program = bed.program("bin/main").source("int main(void) { return 0; }\n");
    let needed = needed_by(None, libraries).filter_map(|number| built[number].as_ref());
    let program = needed.fold(program, |program, needed| program.needs(needed)).build()?;

    // Set afterwards: the bed's own path would be in everything that is kept of the objects.
    let mut runpath: Vec<&Path> = all.iter().map(PathBuf::as_path).collect();
    runpath.push(&bed.channel.glibc_lib);
    let runpath = std::env::join_paths(runpath)?;
    for object in built.iter().flatten().chain([&program]) {
        let mut patchelf = Command::new(bed.manifest.tool("patchelf")?);
        process::succeed(patchelf.arg("--set-rpath").arg(&runpath).arg(object))?;
    }
    let name = format!("{libraries} libraries in {directories} directories");
    Ok(Workload { declared: all, ..Workload::new(name, program, &[]) })
}

/// The libraries that library `number` needs, or the program: a tree, so that many objects have a search of their own.
fn needed_by(number: Option<usize>, libraries: usize) -> impl Iterator<Item = usize> {
    let first = number.map_or(0, |number| NEEDS * (number + 1));
    first.min(libraries)..(first + NEEDS).min(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_is_needed_once() {
        for libraries in [1, 10, 11, 100] {
            let needed = (0..libraries).flat_map(|number| needed_by(Some(number), libraries));
            let mut all: Vec<usize> = needed_by(None, libraries).chain(needed).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..libraries));
        }
    }
}

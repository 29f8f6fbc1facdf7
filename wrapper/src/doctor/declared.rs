//! REPLIT_LD_LIBRARY_PATH: whether there are libraries where it says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::candidate;
use rtld_loader::declared::{Problem, entries};
use rtld_loader::drivers::DIRECTORY;
use rtld_loader::index::is_listed;
use rtld_loader::skip::Skip;
use rtld_loader::tokens::has_token;
use rtld_loader::views::Look;

use super::auditor;
use super::finding::Finding;
use super::message::show_bytes;
use super::report::Report;
use super::world::{STORE, World};
use crate::platform;

/// The entries that count, each once, without closing slashes.
pub fn usable(world: &World) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for (entry, _) in entries(world.bytes("REPLIT_LD_LIBRARY_PATH")).filter(|(_, fit)| fit.is_ok()) {
        let path: PathBuf = Path::new(OsStr::from_bytes(entry.path)).components().collect();
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

/// Whether a path is where NixOS puts drivers.
fn is_of_driver(path: &Path) -> bool {
    path.starts_with(OsStr::from_bytes(DIRECTORY))
}

/// Whether what is declared comes from Nix.
pub fn is_of_store(world: &World) -> bool {
    usable(world).iter().any(|entry| entry.starts_with(STORE))
}

pub fn check(world: &World, report: &mut Report) {
    let before = report.len();
    let mut count = 0;
    for (entry, fit) in entries(world.bytes("REPLIT_LD_LIBRARY_PATH")) {
        count += 1;
        match fit {
            Ok(()) => {}
            Err(Problem::Empty) => report.find(Finding::EntryEmpty),
            Err(Problem::Relative) => {
                report.find(Finding::EntryRelative { entry: OsStr::from_bytes(entry.path).into() });
            }
        }
    }
    if count == 0 {
        return report.find(Finding::NothingDeclared);
    }
    let usable = usable(world);
    let mut barren = Vec::new();
    for entry in &usable {
        // A package that is declared for its programs may have a directory of libraries with none in it.
        if check_entry(world, entry, report) == Content::Nothing && !entry.starts_with(STORE) {
            barren.push(entry.clone());
        }
    }
    report.well_since(before, format!("declared: {} of {count} entries have libraries", usable.len() - barren.len()));
    if !barren.is_empty() {
        report.find(Finding::EntriesBarren { entries: barren });
    }
    let repeated = repeated(world, &usable);
    if !repeated.is_empty() {
        report.find(Finding::EntriesRepeated { entries: repeated });
    }
    let is_outside = |entry: &&PathBuf| !entry.starts_with(STORE) && !is_of_driver(entry) && world.exists(entry);
    let outside: Vec<_> = usable.iter().filter(is_outside).cloned().collect();
    if is_of_store(world) && !outside.is_empty() {
        report.find(Finding::EntriesOutside { entries: outside });
    }
}

/// What an entry has to offer.
#[derive(PartialEq, Eq)]
enum Content {
    /// Nothing, and nobody has been told.
    Nothing,
    /// Anything else.
    Known,
}

fn check_entry(world: &World, path: &Path, report: &mut Report) -> Content {
    let entry = path.to_owned();
    if has_token(entry.as_os_str().as_bytes()) {
        report.find(Finding::EntryToken { entry });
        return Content::Known;
    }
    if !world.exists(path) {
        report.find(if entry.starts_with(STORE) {
            Finding::EntryCollected { entry }
        } else if is_of_driver(&entry) {
            Finding::NoDriver { entry }
        } else {
            Finding::EntryMissing { entry }
        });
        return Content::Known;
    }
    // A single file counts only where nobody can put another one beside it.
    let parent = path.parent().filter(|_| !world.is_directory(path));
    if let Some(at) = world.writable(path).or_else(|| world.writable(parent?)) {
        report.find(Finding::EntryWritable { entry: entry.clone(), at });
    }
    if parent.is_some() {
        if let Err(reason) = judge(world, path) {
            report.find(Finding::EntryUnloadable { entry, reason });
        }
        return Content::Known;
    }
    let libraries = world.names(path).into_iter().filter(|name| is_listed(name.as_bytes()));
    let mut first = None;
    for library in libraries.map(|name| path.join(name)).filter(|library| !world.is_directory(library)) {
        match judge(world, &library) {
            Ok(()) => return Content::Known,
            // Linker scripts and archives have such names, too.
            Err(reason) => first = first.or(Some((library, reason))),
        }
    }
    match first {
        Some((example, reason)) => report.find(Finding::EntryForeign { entry, example, reason }),
        None => return Content::Nothing,
    }
    Content::Known
}

/// Whether ld.so would load a library, as far as its beginning tells: that of a 32-bit program, too, if those have an auditor.
fn judge(world: &World, path: &Path) -> Result<(), String> {
    let look = world.look(path);
    let is_for_32 = |look: &Look| matches!(look, Look::File(file) if platform::is_i386(file.as_bytes()));
    let verdict = match candidate::check(&look).unwrap_or(Err(Skip::Broken)) {
        Err(Skip::OtherMachine) if is_for_32(&look) && auditor::is_for_32(world) => Ok(()),
        verdict => verdict,
    };
    verdict.map_err(|skip| show_bytes(&skip.text().concat()))
}

/// The entries that stand there again.
fn repeated(world: &World, usable: &[PathBuf]) -> Vec<PathBuf> {
    let all: Vec<PathBuf> = world.list("REPLIT_LD_LIBRARY_PATH").map(|entry| entry.components().collect()).collect();
    usable.iter().filter(|entry| all.iter().filter(|other| other == entry).count() > 1).cloned().collect()
}

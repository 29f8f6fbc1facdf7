//! A program: whether ld.so starts it with the auditor, and which of the declared libraries its glibc can load.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::family;
use rtld_loader::index::is_listed;

use super::auditor;
use super::declared::usable;
use super::finding::Finding;
use super::message::{show, show_bytes};
use super::program_file::ProgramFile;
use super::report::Report;
use super::world::World;
use crate::channels;
use crate::library_file::LibraryFiles;
use crate::object_file::ObjectFile;

/// How many scripts may be each other's interpreters, as in Linux.
const SCRIPTS: usize = 5;
/// The oldest glibc 2.N that is supported, and the first with which auditors leave a call's registers alone.
const SUPPORTED: u32 = 34;
const WHOLE: u32 = 35;

/// The program of a name: where it is.
pub fn check(world: &World, name: &OsStr, report: &mut Report) -> Option<PathBuf> {
    let Some(path) = world.program(name) else {
        report.find(Finding::ProgramMissing { name: name.into() });
        return None;
    };
    check_file(world, &path, SCRIPTS, report);
    Some(path)
}

/// A program, or an interpreter of one, where so many scripts may still follow.
fn check_file(world: &World, path: &Path, scripts: usize, report: &mut Report) {
    let owned = path.to_owned();
    if !world.metadata(path).is_some_and(|metadata| metadata.is_file()) {
        return report.find(Finding::ProgramUnknown { path: owned });
    }
    if world.file(path).is_some_and(|file| is_library(&file)) {
        return report.find(Finding::ProgramLibrary { path: owned });
    }
    if !world.is_executable(path) {
        return report.find(Finding::ProgramNotExecutable { path: owned });
    }
    let (loader, is_own) = match ProgramFile::read(world, path) {
        Some(ProgramFile::Script { interpreter, named_to_env }) => {
            return check_script(world, path, &interpreter, named_to_env, scripts, report);
        }
        Some(ProgramFile::Elf { loader }) => (loader, true),
        Some(ProgramFile::Elf32 { loader, is_i386 }) => {
            let is_helped = is_i386 && auditor::is_for_32(world);
            // What is static has no need of an auditor, and what has no ld.so, or musl's, has another problem.
            if !is_helped && loader.as_deref().is_some_and(|loader| !is_musl(loader) && world.exists(loader)) {
                return report.find(Finding::Program32 { path: owned });
            }
            (loader, false)
        }
        Some(ProgramFile::OtherMachine) => return report.find(Finding::ProgramOfOtherMachine { path: owned }),
        Some(ProgramFile::Unknown) => return report.find(Finding::ProgramUnknown { path: owned }),
        // What may be executed and not read.
        None => return report.well(format!("program: {} cannot be read", show(path))),
    };
    let before = report.len();
    if world.file(path).is_some_and(|file| world.caller.gains(&file)) {
        report.find(Finding::ProgramPrivileged { path: owned.clone() });
    }
    let Some(loader) = loader else {
        return report.find(Finding::ProgramStatic { path: owned });
    };
    if is_musl(&loader) {
        return report.find(Finding::ProgramMusl { path: owned, loader });
    }
    if !world.exists(&loader) {
        return report.find(Finding::LoaderMissing { path: owned, loader });
    }
    let glibc = world.real(&loader).and_then(|loader| minor(world, loader.parent()?));
    if let Some(minor) = glibc {
        check_glibc(world, path, minor, is_own, report);
    }
    let glibc = glibc.map_or("of unknown version".into(), |minor| format!("2.{minor}"));
    report.well_since(before, format!("program: {} is started by {}, glibc {glibc}", show(path), show(&loader)));
}

/// Whether a file is a library that cannot be started. It need not be executable.
fn is_library(file: &Path) -> bool {
    let object = File::open(file).ok().and_then(|file| ObjectFile::read(&file));
    object
        .is_some_and(|object| object.shared && object.is_dynamic && !object.is_program && object.interpreter.is_none())
}

/// Whether an ld.so is musl's.
fn is_musl(loader: &Path) -> bool {
    loader.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl-"))
}

fn check_script(
    world: &World,
    path: &Path,
    interpreter: &Path,
    named_to_env: Option<OsString>,
    scripts: usize,
    report: &mut Report,
) {
    if !world.exists(interpreter) {
        let (path, interpreter) = (path.to_owned(), interpreter.to_owned());
        return report.find(Finding::ScriptInterpreterMissing { path, interpreter });
    }
    // env(1) goes on to the program that the line is about.
    let next = match &named_to_env {
        None => interpreter.to_owned(),
        Some(name) => match world.program(name) {
            Some(next) => next,
            None => return report.find(Finding::ProgramMissing { name: name.into() }),
        },
    };
    report.well(format!("program: {} is a script for {}", show(path), show(&next)));
    if let Some(scripts) = scripts.checked_sub(1) {
        check_file(world, &next, scripts, report);
    }
}

/// The N of the glibc 2.N that is in a directory.
fn minor(world: &World, directory: &Path) -> Option<u32> {
    channels::stated(&world.file(directory)?)
}

/// Of the glibc of a program of our class the declared libraries are looked at, too.
fn check_glibc(world: &World, path: &Path, minor: u32, is_own: bool, report: &mut Report) {
    let path = path.to_owned();
    if cfg!(target_arch = "aarch64") && minor < WHOLE {
        return report.find(Finding::GlibcDeclined { path, minor });
    }
    if minor < SUPPORTED {
        report.find(Finding::GlibcUnsupported { path: path.clone(), minor });
    }
    if !is_own {
        return;
    }
    let needed = needed(world);
    let of = needed.len();
    let libraries: Vec<_> = needed.into_iter().filter(|(_, needed)| *needed > minor).collect();
    if libraries.is_empty() {
        report.well(format!("glibc: 2.{minor} is new enough for all of {of} declared libraries"));
    } else {
        report.find(Finding::GlibcTooOld { path, minor, libraries, of });
    }
}

/// The declared libraries by soname, each with the least N of a glibc 2.N that some build of it can be loaded with.
fn needed(world: &World) -> Vec<(String, u32)> {
    let mut files = LibraryFiles::new();
    let mut least = BTreeMap::<Vec<u8>, u32>::new();
    let libraries = usable(world).into_iter().flat_map(|entry| match world.is_directory(&entry) {
        true => world.names(&entry).into_iter().map(|name| entry.join(name)).collect(),
        false => vec![entry],
    });
    for path in libraries {
        let Some(name) = path.file_name().filter(|name| is_listed(name.as_bytes())) else { continue };
        let file = world.file(&path).filter(|file| file.is_file() && !family::contains(name.as_bytes()));
        // What needs no version of glibc's is for all of them; what is no library is for none.
        let Some(library) = file.as_deref().and_then(|file| files.read(file)) else { continue };
        let newest = channels::newest_need(library).unwrap_or(0);
        // A library has names besides: with all of its version, and for linkers.
        let object = file.and_then(|file| ObjectFile::read(&File::open(file).ok()?));
        let soname = object.and_then(|object| object.soname).unwrap_or_else(|| name.as_bytes().to_vec());
        least.entry(soname).and_modify(|least| *least = newest.min(*least)).or_insert(newest);
    }
    least.into_iter().map(|(name, needed)| (show_bytes(&name), needed)).collect()
}

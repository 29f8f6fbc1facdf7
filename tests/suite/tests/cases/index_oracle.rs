//! The index against ld.so itself: every program and every library of a whole closure loads the same files with it as without,
//! in the same order, and what ld.so finds is opened where it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::dynamic::Dynamic;
use suite::manifest::View;
use suite::run::Run;

use super::Case;
use super::index::{JEMALLOC, of_closure, with_index};
use super::wrapper::generate;

/// Says what a program has loaded, in its place: see the file.
pub const LIST: &str = include_str!("../../fixtures/list.c");
/// Opens libraries: see the file.
pub const OPEN_EACH: &str = include_str!("../../fixtures/open_each.c");

/// A library that calls malloc before libc.so.6 is ready, under any auditor of an old glibc.
pub const JEMALLOC_SONAME: &str = "libjemalloc";

/// How much an index may have of what it indexes.
const PER_CENT: u64 = 1;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/oracle-programs", programs).views(&[View::Nix, View::Direct]).tool("strace"),
        Case::new("index/oracle-libraries", libraries).views(&[View::Nix, View::Direct]).tool("strace"),
        Case::new("index/size", size).views(&[View::Nix, View::Direct]),
    ]
}

/// An object of the closure.
pub struct Object {
    /// Where it is.
    pub path: PathBuf,
    /// It needs a library, and is among programs.
    pub is_program: bool,
    /// It is named like a library.
    pub is_library: bool,
}

/// A closure and its index.
pub struct Closure {
    /// Its objects, by path.
    pub objects: Vec<Object>,
    /// How large all files are.
    bytes: u64,
    /// Where its index is.
    pub index: PathBuf,
}

impl Closure {
    /// All that is reached from what the channel has.
    pub fn of(bed: &Bed) -> Result<Closure> {
        let channel = bed.channel;
        let programs: Vec<&Path> = channel.programs.values().map(PathBuf::as_path).chain([python(bed)?]).collect();
        let libraries: Vec<&Path> = channel.libraries.values().map(PathBuf::as_path).collect();
        Closure::read(bed, &programs, &libraries)
    }

    /// All that is reached from outputs with programs and from ones with libraries. The objects of the glibc are left out.
    fn read(bed: &Bed, programs: &[&Path], libraries: &[&Path]) -> Result<Closure> {
        let mut roots: Vec<PathBuf> = libraries.iter().chain(programs).map(PathBuf::from).collect();
        let (mut known, mut objects, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
        while let Some(root) = roots.pop() {
            if !known.insert(root.clone()) {
                continue;
            }
            for path in files(&root)? {
                bytes += fs::metadata(&path)?.len();
                let Ok(dynamic) = Dynamic::read(&path) else { continue };
                roots.extend(dynamic.runpath.iter().flat_map(|list| list.split(':')).filter_map(store_path));
                if bed.channel.glibc_lib.starts_with(&root) {
                    continue;
                }
                let is_in = |name: &str| path.parent().is_some_and(|directory| directory.ends_with(name));
                let is_library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
                // A static one would not be stopped.
                let is_program = is_in("bin") && !is_library && !dynamic.needed.is_empty();
                objects.push(Object { is_program, is_library, path });
            }
        }
        objects.sort_by(|one, other| one.path.cmp(&other.path));
        let list = known.iter().map(|path| format!("{}\n", path.display())).collect::<String>();
        let list = bed.file("store-paths", list)?;
        let options = libraries.iter().map(|output| ("--lib-of", output.as_os_str()));
        let options = options.chain(programs.iter().map(|output| ("--bin-of", output.as_os_str())));
        let options: Vec<_> = options.chain([("--closure", list.as_os_str())]).collect();
        generate(bed, "env", &options)?;
        Ok(Closure { objects, bytes, index: bed.path("env/lib/rtld_loader.index") })
    }
}

/// The output that Python is in.
fn python<'b>(bed: &Bed<'b>) -> Result<&'b Path> {
    bed.channel.python.ancestors().nth(2).context("python is in an output")
}

/// The store path that a directory is in.
fn store_path(directory: &str) -> Option<PathBuf> {
    let below = directory.strip_prefix("/nix/store/")?;
    Some(Path::new("/nix/store").join(below.split('/').next()?))
}

/// All files below a directory. Links are none.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut rest) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = rest.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => rest.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// The failed attempts to open a library or a module of the closure.
fn fails(bed: &Bed, calls: Vec<String>) -> Vec<String> {
    let is_failing = |call: &String| call.starts_with("open") && call.contains(".so") && call.contains(" = -1 ");
    of_closure(bed, calls.into_iter().filter(is_failing).collect())
}

/// Every program, up to its first instruction.
fn programs(bed: &Bed) -> Result<()> {
    let closure = Closure::of(bed)?;
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let list = bed.library("liblist.so").source(LIST).needs(&libc).build()?;
    let (mut count, mut saved) = (0, 0);
    for Object { path, .. } in closure.objects.iter().filter(|object| object.is_program) {
        let run = bed.run(path).env("LD_PRELOAD", &list);
        // Room for libraries with storage of their own, as the script makes it.
        let run = run.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000");
        let plain = run.plain()?;
        let files: Vec<&str> = plain.runs()?.stdout.lines().collect();
        ensure!(files.contains(&list.to_string_lossy().as_ref()), "{plain}");
        if bed.channel.version() < JEMALLOC && files.iter().any(|file| file.contains(JEMALLOC_SONAME)) {
            continue;
        }
        let indexed = with_index(&run, &closure.index);
        let loaded = indexed.plain()?;
        ensure!(
            without_auditor(&loaded.runs()?.stdout) == without_auditor(&plain.stdout),
            "{loaded}instead of\n{plain}"
        );
        let before = fails(bed, run.traced()?.calls).len();
        let fails = fails(bed, indexed.traced()?.calls);
        ensure!(fails.is_empty(), "{}: {fails:#?}", path.display());
        (count, saved) = (count + 1, saved + before);
    }
    ensure!(count >= 10 && saved > 0, "{count} programs, {saved} failing opens");
    Ok(())
}

/// A list of loaded files without the auditor.
pub fn without_auditor(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.ends_with("/rtld_loader.so")).collect()
}

/// Every library and module, opened by its path.
fn libraries(bed: &Bed) -> Result<()> {
    let closure = Closure::of(bed)?;
    let libraries = closure.objects.iter().filter(|object| object.is_library);
    let list: String = libraries.clone().map(|object| format!("{}\n", object.path.display())).collect();
    let opener = bed.run(bed.program("open").source(OPEN_EACH).build()?);
    let opener = opener.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000");
    let run = opener.clone().arg(bed.file("list", list)?);
    let indexed = with_index(&run, &closure.index);
    let (plain, loaded) = (run.plain()?, indexed.plain()?);
    ensure!(libraries.count() >= 80 && plain.runs()?.stdout.lines().count() > 800, "{plain}");
    for (part, expected) in parts(&loaded.runs()?.stdout).iter().zip(parts(&plain.stdout)) {
        ensure!(*part == expected, "{part:#?}\ninstead of\n{expected:#?}");
    }
    let calls = |run: &Run| -> Result<Vec<String>> { Ok(fails(bed, run.traced_with_children()?.calls)) };
    let (before, after) = (calls(&run)?, calls(&indexed)?);
    // The program that opens them is not of the closure.
    let own = calls(&with_index(&opener.arg(bed.file("nothing", "")?), &closure.index))?;
    ensure!(before.len() > own.len(), "there is nothing to save: {before:#?} {own:#?}");
    ensure!(after == own, "{} instead of {}: {after:#?}", after.len(), before.len());
    Ok(())
}

/// The index of Python's closure, and of all that there is, is small beside what it indexes.
fn size(bed: &Bed) -> Result<()> {
    // Both have their index at one place.
    for whole in [false, true] {
        let closure = if whole { Closure::of(bed)? } else { Closure::read(bed, &[python(bed)?], &[])? };
        let size = fs::metadata(&closure.index)?.len();
        let (objects, bytes) = (closure.objects.len(), closure.bytes);
        ensure!(objects >= 40, "{objects} objects");
        ensure!(size * 100 < bytes * PER_CENT, "{size} bytes for {objects} objects in {bytes} bytes");
    }
    Ok(())
}

/// What is said of each library.
pub fn parts(text: &str) -> Vec<Vec<&str>> {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in without_auditor(text) {
        match parts.last_mut().filter(|_| line.starts_with(' ')) {
            Some(part) => part.push(line),
            None => parts.push(vec![line]),
        }
    }
    parts
}

//! Index files that say what is declared: several of them, and ones that cannot be used. The same is found as without.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;

use super::Case;
use super::index::{INDEX, index as index_of_programs, with_index};
use super::index_declared::{FOUND, alike, index, library, open, opens_alone, says};
use super::logging::{FILE, LEVEL, read};
use super::versions::{NEVER, needing};

/// As many index files as are used.
const INDICES: usize = 8;
/// Where the header says where the hints begin.
const HINTS: std::ops::Range<usize> = 52..56;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/declared-nested", nested).tool("strace"),
        Case::new("index/declared-without-a-use", without_use),
        Case::new("index/declared-damaged", damaged),
        Case::new("index/declared-by-many-files", many_files),
        Case::new("index/ignored-entries", ignored_entries),
        Case::new("index/declared-writable", declared_writable),
    ]
}

/// Environments in each other that share a directory: all that is declared is found where it would be found without an
/// index, and nothing is read.
fn nested(bed: &Bed) -> Result<()> {
    for (directory, names) in [
        ("store/a", ["libone.so", "libtwo.so"].as_slice()),
        ("store/shared", &["libtwo.so", "libthree.so", "libfour.so"]),
        ("store/c", &["libone.so", "libfour.so", "libfive.so"]),
    ] {
        for name in names {
            library(bed, directory, name)?;
        }
    }
    let one = ["store/a", "store/shared"];
    let two = ["store/shared", "store/c"];
    let (first, second) = (index(bed, "one", &one)?, index(bed, "two", &two)?);
    let names = ["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so"];
    // The inner one goes first, and what the outer one has besides is behind it.
    for (outer, inner, list, indices) in [
        ("one", "two", ["store/shared", "store/c", "store/a"], [&second, &first]),
        ("two", "one", ["store/a", "store/shared", "store/c"], [&first, &second]),
    ] {
        let run = open(bed, &names, &list)?;
        let indices = indices.map(|index| index.as_os_str()).join(OsStr::new(":"));
        let live = alike(&run, Path::new(&indices))?;
        ensure!(live.runs()?.stdout.lines().count() == names.len(), "{live}");
        let [outer, inner] = [outer, inner].map(|name| bed.path(name).join("bin/replit-env"));
        let script = bed.run(outer).arg(inner).arg(bed.path("main")).args(names).plain()?;
        ensure!(script.runs()?.stdout == live.stdout, "{script}instead of\n{live}");
        let opened: Vec<_> =
            live.stdout.lines().filter_map(|line| line.split_once(' ')).map(|(_, file)| file.into()).collect();
        opens_alone(bed, &with_index(&run, Path::new(&indices)), &opened)?;
    }
    Ok(())
}

/// An index that says nothing of what is declared: a list of another environment's.
fn without_use(bed: &Bed) -> Result<()> {
    library(bed, "store/a", FOUND)?;
    library(bed, "users", FOUND)?;
    let index = index(bed, "env", &["store/a"])?;
    let run = open(bed, &[FOUND], &["users"])?;
    alike(&run, &index)?.prints([says(bed, "users", FOUND)])?;
    // A directory that begins like one of the index.
    library(bed, "store/ab", FOUND)?;
    alike(&open(bed, &[FOUND], &["store/ab"])?, &index)?.prints([says(bed, "store/ab", FOUND)])?;
    Ok(())
}

/// Index files that are none: the same is found, by reading, and a log says why.
fn damaged(bed: &Bed) -> Result<()> {
    needing(bed, "store/first/libfound.so", "first", "libc.so.6", NEVER)?;
    library(bed, "store/second", FOUND)?;
    let declared = ["store/first", "store/second"];
    let good = index(bed, "env", &declared)?;
    let bytes = fs::read(&good)?;
    let run = open(bed, &[FOUND], &declared)?;
    let expected = says(bed, "store/second", FOUND);
    alike(&run, &good)?.prints([&expected])?;
    let mut files = vec![bed.path("missing"), bed.dir("directory")?, bed.file("empty", "")?];
    let changed = |name: &str, at: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        bed.file(name, changed)
    };
    files.extend([changed("magic", 0)?, changed("version", 7)?, changed("length", 9)?, changed("machine", 12)?]);
    for len in [1, 8, 59, bytes.len() / 2, bytes.len() - 1] {
        files.push(bed.file(format!("cut-{len}"), &bytes[..len])?);
    }
    for file in files {
        let log = bed.path("log");
        let _ = fs::remove_file(&log);
        alike(&run, &file)?.prints([&expected])?;
        with_index(&run, &file).env(LEVEL, "1").env(FILE, &log).plain()?.prints([&expected])?;
        let warning = format!("REPLIT_RTLD_INDEX: ignored \"{}\"", file.display());
        ensure!(read(&log)?.contains(&warning), "no warning of {}", file.display());
    }
    // Whatever a number in it says, nothing breaks; and the program comes to an end. The hints come last, and this name is not
    // looked for there.
    let hints = bytes.get(HINTS).context("it has a header")?.try_into().map(u32::from_le_bytes)? as usize;
    ensure!(hints > 200 && hints < bytes.len(), "the hints are at {hints}");
    for at in (0..hints).step_by(4) {
        for value in [0, 0xff] {
            let mut changed = bytes.clone();
            changed[at..bytes.len().min(at + 4)].fill(value);
            let outcome = with_index(&run, &bed.file("changed", changed)?).plain()?;
            ensure!(!outcome.is_killed(), "{value:#x} at {at}: {outcome}");
        }
    }
    Ok(())
}

/// More index files than are used: what the others know is read.
fn many_files(bed: &Bed) -> Result<()> {
    let count = INDICES + 2;
    let (mut names, mut declared, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        let (directory, name) = (format!("store/{number}"), format!("lib{number}.so"));
        library(bed, &directory, &name)?;
        library(bed, &directory, FOUND)?;
        indices.push(index(bed, &format!("env{number}"), &[&directory])?);
        names.push(name);
        declared.push(directory);
    }
    names.push(FOUND.into());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for turn in 0..2 {
        let paths: Vec<&str> = declared.iter().map(String::as_str).collect();
        let list = indices.iter().map(|index| index.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":"));
        let run = open(bed, &names, &paths)?;
        let live = run.audited()?;
        ensure!(live.runs()?.stdout.lines().count() == names.len(), "{live}");
        run.with_auditor().env(INDEX, list).plain()?.equals(&live)?;
        if turn == 0 {
            declared.reverse();
        }
    }
    Ok(())
}

/// Entries that could be another file in every working directory, or everybody's, are ignored, and a log says so.
fn ignored_entries(bed: &Bed) -> Result<()> {
    let own = bed.library("store/own/libown.so").says("own").build()?;
    let main = bed.program("store/bin/main").needs(&own).runpath("$ORIGIN/../own").build()?;
    let index = index_of_programs(bed)?;
    let working_directory = index.parent().context("it is in a directory")?;
    let run = bed.run(main).working_directory(working_directory).env(LEVEL, "3");
    run.plain()?.prints(["own"])?;
    let index = index.display().to_string();
    let (relative, it) = ("it is not an absolute path", "everybody can write to it");
    for (entry, mode, reason) in [
        (index.as_str(), 0o644, None),
        (&index, 0o664, None),
        (&index, 0o666, Some(it)),
        (&index, 0o646, Some(it)),
        ("rtld_loader.index", 0o644, Some(relative)),
        ("./rtld_loader.index", 0o644, Some(relative)),
        ("", 0o644, Some("it is empty")),
    ] {
        fs::set_permissions(&index, fs::Permissions::from_mode(mode))?;
        let log = bed.path("log");
        let _ = fs::remove_file(&log);
        // An empty value is no entry.
        let list = if entry.is_empty() { ":".into() } else { entry.to_string() };
        run.with_auditor().env(INDEX, list).env(FILE, &log).plain()?.prints(["own"])?;
        let log = read(&log)?;
        ensure!(log.contains("answered from the index: libown.so") == reason.is_none(), "{entry:?} {mode:o}: {log}");
        let complaint = format!("REPLIT_RTLD_INDEX: ignored \"{entry}\": {}\n", reason.unwrap_or_default());
        ensure!(log.contains(&complaint) == reason.is_some(), "{entry:?} {mode:o}: {log}");
    }
    Ok(())
}

/// A declared directory that everybody can write to is ignored, whoever called it a store.
fn declared_writable(bed: &Bed) -> Result<()> {
    library(bed, "store/open", FOUND)?;
    library(bed, "store/second", FOUND)?;
    let declared = ["store/open", "store/second"];
    let run = open(bed, &[FOUND], &declared)?;
    for (mode, found) in [(0o755, "store/open"), (0o1777, "store/second")] {
        fs::set_permissions(bed.path("store/open"), fs::Permissions::from_mode(mode))?;
        let index = index(bed, &format!("env-{mode:o}"), &declared)?;
        alike(&run, &index)?.prints([says(bed, found, FOUND)])?;
    }
    Ok(())
}

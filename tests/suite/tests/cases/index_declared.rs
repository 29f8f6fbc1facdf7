//! What is declared, from the index: the same is found as by reading directories and files, and nothing is read.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::outcome::Outcome;
use suite::run::Run;

use super::index::with_index;
use super::index_paths::collision;
use super::versions::{NEVER, needing};
use super::wrapper::generate;
use super::{Case, line};

const X86_64: &str = "x86_64-linux";

/// What is looked for.
pub const FOUND: &str = "libfound.so";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/declared-many-directories", many_directories).tool("strace"),
        Case::new("index/declared-nothing-is-read", nothing_is_read).tool("strace"),
        Case::new("index/declared-outside-among-inside", outside_among_inside),
        Case::new("index/declared-single-files", single_files).tool("strace"),
        Case::new("index/declared-closing-slash", closing_slash).tool("strace"),
        Case::new("index/declared-any-name", any_name).tool("strace"),
        Case::new("index/declared-one-hash", one_hash).tool("strace"),
        Case::new("index/declared-no-library", no_library),
        Case::new("index/declared-links", links),
        Case::new("index/declared-hwcaps", hwcaps).system(X86_64).since((2, 33)),
        Case::new("index/declared-changed-by-hand", changed_by_hand),
    ]
}

/// A library in a directory of the bed, which says where it is.
pub fn library(bed: &Bed, directory: &str, name: &str) -> Result<PathBuf> {
    bed.library(&format!("{directory}/{name}")).says(directory).build()
}

/// What is printed of such a library.
pub fn says(bed: &Bed, directory: &str, name: &str) -> String {
    line(directory, &bed.path(directory).join(name))
}

/// An environment that declares paths of the bed, in a directory of that name. Returns its index.
pub fn index(bed: &Bed, name: &str, declared: &[&str]) -> Result<PathBuf> {
    let store = bed.dir("store")?;
    // A closing slash stays.
    let paths: Vec<OsString> = declared.iter().map(|path| bed.path(path).into_os_string()).collect();
    let entries = paths.iter().map(|path| ("--lib", path.as_os_str()));
    generate(bed, name, &[("--store", store.as_os_str())].into_iter().chain(entries).collect::<Vec<_>>())?;
    Ok(bed.path(name).join("lib/rtld_loader.index"))
}

/// A program outside of the store opens libraries, with these paths of the bed declared.
pub fn open<'b>(bed: &'b Bed, sonames: &[&str], declared: &[&str]) -> Result<Run<'b>> {
    let main = bed.program("main").build()?;
    Ok(bed.run(main).args(sonames).declare(declared.iter().map(|path| bed.path(path))))
}

/// With the index it comes to what it comes to without, which is returned.
pub fn alike(run: &Run, index: &Path) -> Result<Outcome> {
    let live = run.audited()?;
    with_index(run, index).plain()?.equals(&live)?;
    Ok(live)
}

/// The calls that name something in a directory of the bed.
fn calls_in(bed: &Bed, run: &Run, directory: &str) -> Result<Vec<String>> {
    let directory = format!("{}/", bed.path(directory).display());
    let calls = run.traced()?.calls;
    // What it prints is no look at a file.
    let names = |call: &String| call.contains(&directory) && !call.starts_with("write(");
    Ok(calls.into_iter().filter(|call| names(call) || call.starts_with("getdents")).collect())
}

/// The program opens these files of the store, and that is all that is done there.
pub fn opens_alone(bed: &Bed, run: &Run, files: &[PathBuf]) -> Result<()> {
    let calls = calls_in(bed, run, "store")?;
    let are_opens = calls.len() == files.len()
        && calls.iter().zip(files).all(|(call, file)| {
            call.starts_with("open") && call.contains(&format!("\"{}\"", file.display())) && !call.contains(" = -1 ")
        });
    ensure!(are_opens, "expected opens of {files:#?} alone: {calls:#?}");
    Ok(())
}

/// Ten, a hundred or a thousand directories: neither a start nor a library that is found in the last of them takes a call
/// more.
fn many_directories(bed: &Bed) -> Result<()> {
    let hello = bed.program("hello").source("int main(void) { return 0; }\n").build()?;
    library(bed, "store/last", FOUND)?;
    let (mut counts, mut live) = (Vec::new(), Vec::new());
    for count in [10, 100, 1000] {
        let mut declared = Vec::new();
        for number in 1..count {
            let name = format!("store/{number}");
            bed.file(format!("{name}/lib{number}.so"), "")?;
            declared.push(name);
        }
        declared.push("store/last".into());
        let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
        let index = index(bed, &format!("env{count}"), &declared)?;
        let run = open(bed, &[FOUND], &declared)?;
        alike(&run, &index)?.prints([says(bed, "store/last", FOUND)])?;
        let start = bed.run(&hello).declare(declared.iter().map(|path| bed.path(path)));
        let count = |run: &Run| -> Result<usize> { Ok(run.traced()?.count()) };
        counts.push([count(&with_index(&start, &index))?, count(&with_index(&run, &index))?]);
        live.push(count(&run.with_auditor())?);
    }
    ensure!(live[0] + 90 < live[1] && live[1] + 900 < live[2], "directories that are read cost nothing: {live:?}");
    ensure!(counts.iter().all(|these| *these == counts[0]), "{counts:?}");
    Ok(())
}

/// Candidates are judged without a look at them, those that are refused, too; and no directory is listed.
fn nothing_is_read(bed: &Bed) -> Result<()> {
    needing(bed, "store/first/libfound.so", "first", "libc.so.6", NEVER)?;
    needing(bed, "store/first/libunfit.so", "first", "libc.so.6", NEVER)?;
    let found = library(bed, "store/second", FOUND)?;
    library(bed, "store/third", FOUND)?;
    let declared = ["store/first", "store/second", "store/third"];
    let run = open(bed, &[FOUND], &declared)?;
    run.plain()?.misses(FOUND)?;
    let index = index(bed, "env", &declared)?;
    alike(&run, &index)?.prints([says(bed, "store/second", FOUND)])?;
    let indexed = with_index(&run, &index);
    ensure!(calls_in(bed, &run.with_auditor(), "store")?.len() > 5, "nothing is read without an index either");
    opens_alone(bed, &indexed, &[found])?;
    // A name that nobody declares.
    let undeclared = open(bed, &["libnowhere.so"], &declared)?;
    alike(&undeclared, &index)?.misses("libnowhere.so")?;
    opens_alone(bed, &with_index(&undeclared, &index), &[])?;
    // What none can serve: nothing is read but the place that the reason is put at.
    let unfit = open(bed, &["libunfit.so"], &declared)?;
    alike(&unfit, &index)?.fails_with(&format!("needs {NEVER}"))?;
    let calls = calls_in(bed, &with_index(&unfit, &index), "store")?;
    ensure!(calls.iter().all(|call| call.contains(&format!("needs {NEVER}"))), "{calls:#?}");
    Ok(())
}

/// Directories outside of the store keep their place among those inside, and are looked into.
fn outside_among_inside(bed: &Bed) -> Result<()> {
    for (directory, names) in [
        ("store/first", ["libone.so"].as_slice()),
        ("outside/a", &["libone.so", "libtwo.so"]),
        ("store/second", &["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so"]),
        ("outside/b", &["libthree.so", "libsix.so"]),
    ] {
        for name in names {
            library(bed, directory, name)?;
        }
    }
    let declared = ["store/first", "outside/a", "outside/later", "store/second", "outside/b"];
    let index = index(bed, "env", &declared)?;
    let names = ["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so", "libsix.so"];
    let run = open(bed, &names, &declared)?;
    let places =
        |places: [&str; 6]| places.iter().zip(names).map(|(place, name)| says(bed, place, name)).collect::<Vec<_>>();
    let (inside, outside) = ("store/second", "outside/b");
    alike(&run, &index)?.prints(places(["store/first", "outside/a", inside, inside, inside, outside]))?;
    // What comes later, into a directory that there was and into one that there was not.
    library(bed, "outside/a", "libfour.so")?;
    library(bed, "outside/later", "libfive.so")?;
    library(bed, "outside/later", "libone.so")?;
    let later = ["store/first", "outside/a", inside, "outside/a", "outside/later", outside];
    alike(&run, &index)?.prints(places(later))?;
    fs::remove_dir_all(bed.path("outside"))?;
    let left = open(bed, &names[..5], &declared)?;
    let left_places = places(["store/first", inside, inside, inside, inside, outside]);
    alike(&left, &index)?.prints(&left_places[..5])?;
    Ok(())
}

/// Files that are declared one by one: what is beside them is not.
fn single_files(bed: &Bed) -> Result<()> {
    let (one, two) = (library(bed, "store/lib", "libone.so")?, library(bed, "store/other", "libtwo.so")?);
    library(bed, "store/lib", "libtwo.so")?;
    library(bed, "store/lib", "libthree.so")?;
    let declared = ["store/lib/libone.so", "store/other/libtwo.so"];
    let index = index(bed, "env", &declared)?;
    let run = open(bed, &["libone.so", "libtwo.so"], &declared)?;
    alike(&run, &index)?.prints([says(bed, "store/lib", "libone.so"), says(bed, "store/other", "libtwo.so")])?;
    opens_alone(bed, &with_index(&run, &index), &[one, two])?;
    alike(&open(bed, &["libthree.so"], &declared)?, &index)?.misses("libthree.so")?;
    // With one outside among them.
    let outside = ["store/lib/libone.so", "outside/libtwo.so", "store/other/libtwo.so"];
    let mixed = self::index(bed, "mixed", &outside)?;
    let run = open(bed, &["libone.so", "libtwo.so"], &outside)?;
    alike(&run, &mixed)?.prints([says(bed, "store/lib", "libone.so"), says(bed, "store/other", "libtwo.so")])?;
    library(bed, "outside", "libtwo.so")?;
    alike(&run, &mixed)?.prints([says(bed, "store/lib", "libone.so"), says(bed, "outside", "libtwo.so")])?;
    Ok(())
}

/// An entry with a closing slash is the directory without, on the command line and in the variable.
fn closing_slash(bed: &Bed) -> Result<()> {
    let found = library(bed, "store/lib", FOUND)?;
    library(bed, "store/second", FOUND)?;
    let plain = ["store/lib", "store/second"];
    let slash = ["store/lib/", "store/second"];
    for (name, declared) in [("plain", plain), ("slash", slash)] {
        let index = index(bed, name, &declared)?;
        for declared in [plain, slash] {
            let run = open(bed, &[FOUND], &declared)?;
            alike(&run, &index)?.prints([says(bed, "store/lib", FOUND)])?;
            opens_alone(bed, &with_index(&run, &index), std::slice::from_ref(&found))?;
        }
        let run = open(bed, &[FOUND], &["store/lib//", "store/second"])?;
        alike(&run, &index)?.prints([line("store/lib", &bed.path("store/lib//").join(FOUND))])?;
    }
    Ok(())
}

/// A library may have any name.
fn any_name(bed: &Bed) -> Result<()> {
    let plugin = library(bed, "store/lib", "plugin")?;
    let dotted = library(bed, "store/lib", "plugin.1.dylib")?;
    let declared = ["store/lib"];
    let index = index(bed, "env", &declared)?;
    let run = open(bed, &["plugin", "plugin.1.dylib"], &declared)?;
    run.plain()?.misses("plugin")?;
    alike(&run, &index)?.prints([says(bed, "store/lib", "plugin"), says(bed, "store/lib", "plugin.1.dylib")])?;
    opens_alone(bed, &with_index(&run, &index), &[plugin, dotted])?;
    alike(&open(bed, &["other"], &declared)?, &index)?.misses("other")?;
    Ok(())
}

/// Two names of one hash, each in a directory of its own.
fn one_hash(bed: &Bed) -> Result<()> {
    let names = collision("")?;
    let declared = ["store/first", "store/second"];
    let mut files = Vec::new();
    for (directory, name) in declared.into_iter().zip(&names) {
        files.push(library(bed, directory, name)?);
    }
    let index = index(bed, "env", &declared)?;
    for nth in [0, 1] {
        let run = open(bed, &[names[nth].as_str()], &declared)?;
        alike(&run, &index)?.prints([says(bed, declared[nth], &names[nth])])?;
        opens_alone(bed, &with_index(&run, &index), &files[nth..=nth])?;
        // Of one that is declared without the other, the other is not declared.
        let alone = self::index(bed, "alone", &declared[nth..=nth])?;
        let other = open(bed, &[names[1 - nth].as_str()], &declared[nth..=nth])?;
        alike(&other, &alone)?.misses(&names[1 - nth])?;
    }
    Ok(())
}

/// What is no library is passed over as by a look at it, and is the reason where nothing else is there.
fn no_library(bed: &Bed) -> Result<()> {
    let mut other_class = fs::read(library(bed, "store/second", FOUND)?)?;
    other_class[4] = 3 - other_class[4];
    for (name, content) in [
        ("script", b"/* GNU ld script */\nGROUP ( libfound.so.1 )\n".as_slice()),
        ("empty", b""),
        ("short", b"\x7fELF"),
        ("class", &other_class),
    ] {
        let first = format!("store/{name}");
        bed.file(format!("{first}/{FOUND}"), content)?;
        bed.file(format!("{first}/libbroken.so"), content)?;
        let declared = [first.as_str(), "store/second"];
        let index = index(bed, name, &declared)?;
        let found = alike(&open(bed, &[FOUND], &declared)?, &index)?;
        found.prints([says(bed, "store/second", FOUND)])?;
        let broken = alike(&open(bed, &["libbroken.so"], &declared)?, &index)?;
        broken.fails_with("libbroken.so")?;
    }
    let program = bed.program("store/program/libfound.so").source("int main(void) { return 0; }\n").build()?;
    bed.dir("store/directory/libfound.so")?;
    for directory in ["store/program", "store/directory"] {
        let declared = [directory, "store/second"];
        let index = index(bed, "env", &declared)?;
        let found = alike(&open(bed, &[FOUND], &declared)?, &index)?;
        found.prints([says(bed, "store/second", FOUND)])?;
    }
    ensure!(program.is_file());
    Ok(())
}

/// Links in the store and out of it, of files and of directories.
fn links(bed: &Bed) -> Result<()> {
    library(bed, "store/real", FOUND)?;
    library(bed, "outside", FOUND)?;
    for (link, target) in [
        ("store/file-in/libfound.so", "../real/libfound.so"),
        ("store/file-out/libfound.so", "../../outside/libfound.so"),
        ("store/file-nowhere/libfound.so", "../real/libnone.so"),
        ("store/file-loop/libfound.so", "libfound.so"),
        ("store/directory-in", "real"),
        ("store/directory-out", "../outside"),
        ("store/directory-nowhere", "none"),
        ("links/directory-in", "../store/real"),
        ("links/file-in/libfound.so", "../../store/real/libfound.so"),
    ] {
        let link = bed.path(link);
        fs::create_dir_all(link.parent().context("it is in a directory")?)?;
        symlink(target, link)?;
    }
    library(bed, "store/last", FOUND)?;
    for (first, says) in [
        ("store/file-in", "store/real"),
        ("store/file-out", "outside"),
        ("store/file-nowhere", "store/last"),
        ("store/file-loop", "store/last"),
        ("store/directory-in", "store/real"),
        ("store/directory-out", "outside"),
        ("store/directory-nowhere", "store/last"),
        ("links/directory-in", "store/real"),
        ("links/file-in", "store/real"),
    ] {
        let declared = [first, "store/last"];
        let index = index(bed, "env", &declared)?;
        let run = open(bed, &[FOUND], &declared)?;
        let place = if says == "store/last" { says } else { first };
        alike(&run, &index)?.prints([line(says, &bed.path(place).join(FOUND))])?;
        if first == "store/file-out" {
            fs::remove_file(bed.path("outside").join(FOUND))?;
            alike(&run, &index)?.prints([self::says(bed, "store/last", FOUND)])?;
            library(bed, "outside", FOUND)?;
        }
    }
    Ok(())
}

/// A declared directory has a library, and its subdirectory for this processor has, too, or alone.
fn hwcaps(bed: &Bed) -> Result<()> {
    let below = "store/lib/glibc-hwcaps/x86-64-v2";
    library(bed, "store/lib", FOUND)?;
    library(bed, below, FOUND)?;
    library(bed, below, "libonly.so")?;
    library(bed, "store/second", "libonly.so")?;
    library(bed, below, "libalone.so")?;
    let declared = ["store/lib", "store/second"];
    let index = index(bed, "env", &declared)?;
    for name in [FOUND, "libonly.so", "libalone.so"] {
        alike(&open(bed, &[name], &declared)?, &index)?;
    }
    alike(&open(bed, &[FOUND], &declared)?, &index)?.prints([says(bed, "store/lib", FOUND)])?;
    alike(&open(bed, &["libonly.so"], &declared)?, &index)?.prints([says(bed, "store/second", "libonly.so")])?;
    Ok(())
}

/// Whoever changes the variable is obeyed.
fn changed_by_hand(bed: &Bed) -> Result<()> {
    for (directory, names) in [
        ("store/a", ["libone.so", "libtwo.so"].as_slice()),
        ("store/b", &["libtwo.so", "libthree.so"]),
        ("store/c", &["libone.so", "libthree.so", "libfour.so"]),
        ("users", &["libone.so", "libfour.so", "libfive.so"]),
    ] {
        for name in names {
            library(bed, directory, name)?;
        }
    }
    let index = index(bed, "env", &["store/a", "store/b", "store/c"])?;
    let names = ["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so"];
    let mut outcomes = Vec::new();
    for declared in [
        ["store/a", "store/b", "store/c"].as_slice(),
        &["store/a", "store/b"],
        &["store/b", "store/c"],
        &["store/a", "store/c"],
        &["store/c", "store/b", "store/a"],
        &["users", "store/a", "store/b", "store/c"],
        &["store/a", "users", "store/b", "store/c"],
        &["store/a", "store/b", "store/c", "users"],
        &["store/a", "store/b", "store/c", "store/a"],
        &["users"],
        &["store/a"],
        &["store"],
    ] {
        let outcome = alike(&open(bed, &names, declared)?, &index)?;
        outcomes.push(outcome.stdout.clone());
    }
    let expected = [("store/a", 0), ("store/a", 1), ("store/b", 2), ("store/c", 3)];
    let expected = expected.map(|(place, nth)| says(bed, place, names[nth]) + "\n").concat();
    ensure!(outcomes[0] == expected, "{}", outcomes[0]);
    outcomes.dedup();
    ensure!(outcomes.len() >= 10, "what is changed makes no difference: {outcomes:#?}");
    // As a text that is not what the generator would write, and without anything.
    let path = |name: &str| bed.path(name).display().to_string();
    let main = bed.path("main");
    for text in [
        String::new(),
        ":".into(),
        format!(":{}", path("store/a")),
        format!("{}::{}", path("store/a"), path("store/b")),
        format!("{}:{}:{}:", path("store/a"), path("store/b"), path("store/c")),
        format!("{}:{}:{}x", path("store/a"), path("store/b"), path("store/c")),
        format!("{}:{}:{}/libthree.so", path("store/a"), path("store/b"), path("store/c")),
        format!("{}:{}:{}/libfour.so", path("store/a"), path("store/b"), path("store/c")),
        format!("relative:{}:{}", path("store/c"), path("store/b")),
    ] {
        let run = bed.run(&main).args(names).env("REPLIT_LD_LIBRARY_PATH", text);
        alike(&run, &index)?;
    }
    alike(&bed.run(&main).args(names), &index)?.misses("libone.so")?;
    Ok(())
}

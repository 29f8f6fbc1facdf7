//! A directory that may change in the middle of a RUNPATH whose other directories never do: whatever is there, and whenever it
//! comes, the same files are loaded with an index as without.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;
use suite::run::Run;

use super::Case;
use super::index::{failing_opens, index, index_by, with_index};
use super::index_search::{TWIN, list, main, same, twin};

const X86_64: &str = "x86_64-linux";

/// Renames and opens: see the file.
const RENAMES: &str = include_str!("../../fixtures/renames.c");

pub fn cases() -> Vec<Case> {
    // Where Nix builds there is no root, who may look into everything.
    const ROOTS: &[View] = &[View::Nix, View::Distribution];
    vec![
        Case::new("index/live-directory", directory).tool("strace"),
        Case::new("index/live-directory-hwcaps", |bed| processors(bed, "glibc-hwcaps/x86-64-v2"))
            .system(X86_64)
            .since((2, 33)),
        Case::new("index/live-directory-tls", |bed| processors(bed, "tls")).system(X86_64).before((2, 37)),
        Case::new("index/live-directory-no-library", no_library),
        Case::new("index/live-directory-changes", changes),
        Case::new("index/live-directories", several),
        Case::new("index/unlistable-directory", |bed| unlistable(bed, "")).views(ROOTS),
        Case::new("index/unlistable-hwcaps", |bed| unlistable(bed, "glibc-hwcaps/x86-64-v2"))
            .views(ROOTS)
            .system(X86_64)
            .since((2, 33)),
        Case::new("index/unreachable-directory", unreachable).views(ROOTS),
    ]
}

/// The generator without the right to look wherever root may.
fn without_rights(bed: &Bed) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search").arg(&bed.manifest.replit_env_cli);
    command
}

/// A directory of the store that the generator may not list, or that has such a directory for a processor, before one that
/// has the library, too: the program keeps what it finds in the first.
fn unlistable(bed: &Bed, below: &str) -> Result<()> {
    let first = twin(bed, format!("store/first/{below}").trim_end_matches('/'))?;
    let second = twin(bed, "store/second")?;
    let program = main(bed).needs(&second).runpath(&list(bed, &["store/first", "store/second"])).build()?;
    let closed = first.parent().context("it is in a directory")?;
    fs::set_permissions(closed, Permissions::from_mode(0o311))?;
    let index = index_by(without_rights(bed), bed)?;
    same(&bed.run(&program), &index, &first)?;
    // Nor does a declared one come before it.
    let run = bed.run(&program).declare([bed.path("store/second")]);
    same(&run, &index, &first)?;
    fs::set_permissions(closed, Permissions::from_mode(0o755))?;
    Ok(())
}

/// The generator cannot even tell whether there is such a directory.
fn unreachable(bed: &Bed) -> Result<()> {
    let first = twin(bed, "store/closed/first")?;
    let second = twin(bed, "store/second")?;
    let program = main(bed).needs(&second).runpath(&list(bed, &["store/closed/first", "store/second"])).build()?;
    fs::set_permissions(bed.path("store/closed"), Permissions::from_mode(0o600))?;
    let index = index_by(without_rights(bed), bed)?;
    same(&bed.run(&program).declare([bed.path("store/second")]), &index, &first)?;
    fs::set_permissions(bed.path("store/closed"), Permissions::from_mode(0o755))?;
    Ok(())
}

/// A program of the store with a directory outside of it between two inside. The last has the library.
struct Middle<'b> {
    bed: &'b Bed<'b>,
    run: Run<'b>,
    index: PathBuf,
}

impl<'b> Middle<'b> {
    fn new(bed: &'b Bed<'b>) -> Result<Self> {
        bed.dir("store/first")?;
        let last = twin(bed, "store/last")?;
        let runpath = list(bed, &["store/first", "live", "store/last"]);
        let run = bed.run(main(bed).needs(&last).runpath(&runpath).build()?);
        Ok(Middle { bed, run, index: index(bed)? })
    }

    /// The library of this directory is loaded, with the index and without.
    fn loads(&self, directory: &str) -> Result<()> {
        let plain = self.run.plain()?;
        let wanted = self.bed.path(directory).join(TWIN).display().to_string();
        ensure!(plain.runs()?.stdout.lines().any(|file| file == wanted), "{plain}expected {wanted}\n");
        with_index(&self.run, &self.index).plain()?.equals(&plain)?;
        Ok(())
    }

    /// Takes away what is there.
    fn clear(&self) -> Result<()> {
        let live = self.bed.path("live");
        match fs::symlink_metadata(&live) {
            Err(_) => {}
            Ok(data) if data.is_dir() => fs::remove_dir_all(live)?,
            Ok(_) => fs::remove_file(live)?,
        }
        Ok(())
    }
}

/// It is not there, is empty, has other libraries, or has this one; or what is there is no directory.
fn directory(bed: &Bed) -> Result<()> {
    let middle = Middle::new(bed)?;
    middle.loads("store/last")?;
    bed.dir("live")?;
    middle.loads("store/last")?;
    bed.library("live/libother.so").says("other").build()?;
    middle.loads("store/last")?;
    // ld.so looks into it. Into the others it does not.
    let fails = failing_opens(&with_index(&middle.run, &middle.index), TWIN)?;
    let live = bed.path("live").display().to_string();
    ensure!(fails.iter().all(|call| call.contains(&live)), "{fails:#?}");
    twin(bed, "live")?;
    middle.loads("live")?;
    middle.clear()?;
    middle.loads("store/last")?;
    bed.file("live", "")?;
    middle.loads("store/last")?;
    middle.clear()?;
    process::succeed(Command::new("mkfifo").arg(bed.path("live")))?;
    middle.loads("store/last")?;
    for target in ["nowhere", "live", "store/first", "elsewhere"] {
        middle.clear()?;
        symlink(target, bed.path("live"))?;
        middle.loads("store/last")?;
    }
    twin(bed, "elsewhere")?;
    middle.loads("live")
}

/// It has a subdirectory for this processor, which has the library, alone or not.
fn processors(bed: &Bed, subdirectory: &str) -> Result<()> {
    let middle = Middle::new(bed)?;
    let below = format!("live/{subdirectory}");
    bed.dir(&below)?;
    middle.loads("store/last")?;
    bed.library(&format!("{below}/libother.so")).says("other").build()?;
    middle.loads("store/last")?;
    twin(bed, &below)?;
    middle.loads(&below)?;
    twin(bed, "live")?;
    middle.loads(&below)?;
    fs::remove_dir_all(bed.path(below))?;
    middle.loads("live")
}

/// A file of that name there that is no library, at which ld.so stops or not.
fn no_library(bed: &Bed) -> Result<()> {
    let middle = Middle::new(bed)?;
    let alike = |succeeds: bool| -> Result<()> {
        let plain = middle.run.plain()?;
        ensure!(plain.runs().is_ok() == succeeds, "{plain}");
        with_index(&middle.run, &middle.index).plain()?.equals(&plain)?;
        Ok(())
    };
    let mut other_class = fs::read(bed.path("store/last").join(TWIN))?;
    other_class[4] = 3 - other_class[4];
    for (content, succeeds) in
        [(b"/* GNU ld script */\nGROUP ( libtwin.so.1 )\n".as_slice(), false), (b"", false), (&other_class, true)]
    {
        bed.file(format!("live/{TWIN}"), content)?;
        alike(succeeds)?;
    }
    fs::remove_file(bed.path("live").join(TWIN))?;
    symlink("nowhere", bed.path("live").join(TWIN))?;
    alike(true)?;
    fs::remove_file(bed.path("live").join(TWIN))?;
    // A link to itself ends the list.
    symlink(TWIN, bed.path("live").join(TWIN))?;
    alike(false)?;
    fs::remove_file(bed.path("live").join(TWIN))?;
    bed.dir(format!("live/{TWIN}"))?;
    alike(false)
}

/// While the process runs it comes, goes, or gets a library. ld.so asks once whether it is there, when it looks for something
/// in it for the first time.
fn changes(bed: &Bed) -> Result<()> {
    let names = ["libone.so", "libtwo.so", "libfirst.so"];
    let [one, two, first] = names;
    for directory in ["store/last", "full", "part"] {
        for name in &names[..2] {
            bed.library(&format!("{directory}/{name}")).says(directory).build()?;
        }
    }
    fs::remove_file(bed.path("part").join(one))?;
    bed.library(&format!("store/first/{first}")).says("first").build()?;
    let runpath = list(bed, &["store/first", "live", "store/last"]);
    let program =
        |name: &str, runpath: &str| bed.program(&format!("store/bin/{name}")).source(RENAMES).runpath(runpath).build();
    // One looks there for its libc.so.6, too, and one does not get there.
    let early = program("early", &runpath)?;
    let late = program("late", &format!("{}:{runpath}", bed.channel.glibc_lib.display()))?;
    let index = index(bed)?;
    // What there is at the start, what is done, and where the second library comes from then.
    for (at_start, steps, early_place, late_place) in [
        ("", [one, "full=live", two].as_slice(), "store/last", "store/last"),
        ("", &["full=live", one, two], "store/last", "live"),
        ("", &[first, "full=live", two], "store/last", "live"),
        ("", &["libnowhere.so", "full=live", two], "store/last", "store/last"),
        ("empty", &[one, "full/libtwo.so=live/libtwo.so", two], "live", "live"),
        ("empty", &[one, "live=aside", "full=live", two], "live", "live"),
        ("part", &[one, "live=aside", two], "store/last", "store/last"),
        ("full", &[one, "live/libtwo.so=aside", two], "store/last", "store/last"),
    ] {
        let start = |run: &Run| -> Result<String> {
            // Each start finds what the one before has moved where it was.
            let moved = ["live", "aside", "full", "part", "empty"].map(|name| bed.path(name));
            for path in &moved {
                let _ = fs::remove_dir_all(path);
                let _ = fs::remove_file(path);
            }
            for (directory, names) in [("full", &names[..2]), ("part", &names[1..2]), ("empty", &[])] {
                bed.dir(directory)?;
                for name in names {
                    bed.library(&format!("{directory}/{name}")).says(directory).build()?;
                }
            }
            if !at_start.is_empty() {
                fs::rename(bed.path(at_start), bed.path("live"))?;
                bed.dir("full")?;
                bed.library("full/libtwo.so").says("full").build()?;
            }
            let outcome = run.plain()?;
            Ok(format!("{}{}{}", outcome.status, outcome.stdout, outcome.stderr))
        };
        for (main, place) in [(&early, early_place), (&late, late_place)] {
            let run = bed.run(main).args(steps);
            let plain = start(&run)?;
            let wanted = bed.path(place).join(two).display().to_string();
            ensure!(plain.lines().any(|line| line == wanted), "{steps:?}: {plain}expected {wanted}");
            let indexed = start(&with_index(&run, &index))?;
            ensure!(indexed == plain, "{steps:?}: {indexed}instead of\n{plain}");
        }
    }
    Ok(())
}

/// Several of them, one behind what has the library; and a requester without one behind a requester with.
fn several(bed: &Bed) -> Result<()> {
    let last = twin(bed, "store/last")?;
    let runpath = list(bed, &["live/a", "store/first", "live/b", "store/last", "live/c"]);
    let plugin = bed.library("store/lib/libplugin.so").says("plugin").needs(&last);
    plugin.runpath(&list(bed, &["store/first", "store/last"])).build()?;
    bed.dir("store/first")?;
    let program = main(bed).runpath(&(runpath + ":" + &list(bed, &["store/lib"]))).build()?;
    let index = index(bed)?;
    let run = bed.run(program);
    let alike = |wanted: &str, arguments: &[&str]| -> Result<()> {
        let run = run.clone().args(arguments);
        let plain = run.plain()?;
        let wanted = bed.path(wanted).join(TWIN).display().to_string();
        ensure!(plain.runs()?.stdout.lines().any(|file| file == wanted), "{plain}expected {wanted}\n");
        with_index(&run, &index).plain()?.equals(&plain)?;
        Ok(())
    };
    alike("store/last", &[TWIN])?;
    twin(bed, "live/c")?;
    alike("store/last", &[TWIN])?;
    twin(bed, "live/b")?;
    alike("live/b", &[TWIN])?;
    alike("store/last", &["libplugin.so", TWIN])?;
    alike("live/b", &[TWIN, "libplugin.so"])?;
    twin(bed, "live/a")?;
    alike("live/a", &[TWIN])?;
    alike("store/last", &["libplugin.so"])?;
    // What is in a live one alone, behind all that has been searched.
    bed.library("live/c/libonly.so").says("only").build()?;
    let only = run.clone().arg("libonly.so");
    only.plain()?.runs()?;
    with_index(&only, &index).plain()?.equals(&only.plain()?)?;
    Ok(())
}

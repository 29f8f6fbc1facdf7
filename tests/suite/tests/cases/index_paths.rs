//! Names and paths that an index must not take for others: each is held against ld.so's own search.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use suite::bed::Bed;
use suite::damage::Damage;
use suite::manifest::View;
use suite::run::Run;

use super::Case;
use super::index::{index, with_index};
use super::index_search::{TWIN, list, main, same, straight, twin};
use super::wrapper::generate;

/// Says what is loaded: see the file.
const LOADED: &str = include_str!("../../fixtures/loaded.c");

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/dots", dots).tool("strace"),
        Case::new("index/dots-through-links", dots_through_links),
        Case::new("index/links-out-of-the-store", links_out),
        Case::new("index/one-hash-two-sonames", one_hash),
        Case::new("index/one-hash-two-paths", one_hash_of_paths),
        Case::new("index/needed-twice", needed_twice).tool("strace"),
        Case::new("index/needed-by-path", needed_by_path),
        Case::new("index/requester-by-link", requester_by_link).tool("strace"),
        Case::new("index/requester-is-gone", requester_is_gone),
        Case::new("index/script", script),
        Case::new("index/hard-links", hard_links),
        Case::new("index/hard-links-without-proc", hard_links_without_proc).views(&[View::Nix]).not_emulated(),
        Case::new("index/links-without-proc", links_without_proc).views(&[View::Nix]).not_emulated(),
    ]
}

/// `..` in a RUNPATH that stays in the store.
fn dots(bed: &Bed) -> Result<()> {
    let twin = twin(bed, "store/lib")?;
    bed.dir("store/bin/deep")?;
    let store = bed.path("store").display().to_string();
    for (nth, (runpath, place)) in [
        ("$ORIGIN/../none:$ORIGIN/../lib".to_string(), "store/bin/../lib"),
        ("$ORIGIN/deep/../none:$ORIGIN/deep/../../lib".to_string(), "store/bin/deep/../../lib"),
        (format!("{store}/none:{store}/bin/../lib"), "store/bin/../lib"),
        (format!("{store}/none:{store}/lib/../lib/../lib"), "store/lib/../lib/../lib"),
    ]
    .into_iter()
    .enumerate()
    {
        let program = bed.program(&format!("store/bin/main{nth}")).source(LOADED).needs(&twin);
        let program = program.runpath(&runpath).build()?;
        straight(&bed.run(program), &index(bed)?, &bed.path(place).join(TWIN))?;
    }
    Ok(())
}

/// A link that leads out of the store, to what comes later, or through a place outside back into it.
fn links_out(bed: &Bed) -> Result<()> {
    let (last, other) = (twin(bed, "store/last")?, twin(bed, "store/other/lib")?);
    bed.dir("store/other/bin")?;
    bed.dir("outside")?;
    for (link, target) in [("store/driver", "outside/driver"), ("store/current", "outside/current")] {
        symlink(bed.path(target), bed.path(link))?;
    }
    symlink(bed.path("store/none"), bed.path("outside/current"))?;
    let start = |name: &str, link: &str| -> Result<Run> {
        let program = bed.program(&format!("store/bin/{name}")).source(LOADED).needs(&last);
        Ok(bed.run(program.runpath(&list(bed, &[link, "store/last"])).build()?))
    };
    let (driver, current) = (start("driver", "store/driver/lib")?, start("current", "store/current/lib")?);
    let index = index(bed)?;
    same(&driver, &index, &last)?;
    same(&current, &index, &last)?;
    twin(bed, "outside/driver/lib")?;
    fs::remove_file(bed.path("outside/current"))?;
    symlink(bed.path("store/other"), bed.path("outside/current"))?;
    same(&driver, &index, &bed.path("store/driver/lib").join(TWIN))?;
    ensure!(other.exists());
    same(&current, &index, &bed.path("store/current/lib").join(TWIN))
}

/// Behind a link `..` leads up from where the link leads to, which may be out of the store, and may change.
fn dots_through_links(bed: &Bed) -> Result<()> {
    for directory in ["store/lib", "store/x/lib", "outside/lib", "last", "store/last"] {
        twin(bed, directory)?;
    }
    bed.dir("store/x/y")?;
    bed.dir("outside/y")?;
    bed.dir("store/bin")?;
    symlink("x/y", bed.path("store/inside"))?;
    symlink("../outside/y", bed.path("store/out"))?;
    symlink("../outside/later", bed.path("store/later"))?;
    symlink("../../x", bed.path("store/x/y/up"))?;
    let mut programs = Vec::new();
    for (nth, (element, place)) in [
        ("inside/../lib", "store/inside/../lib"),
        ("inside/up/../lib", "store/inside/up/../lib"),
        ("out/../lib", "store/out/../lib"),
        ("later/../lib", "store/last"),
        ("none/../lib", "store/last"),
        ("bin/../../last", "store/bin/../../last"),
        ("bin/../../outside/y/../lib", "store/bin/../../outside/y/../lib"),
        ("../store/lib", "store/../store/lib"),
        ("../../../../../../../../../none", "store/last"),
    ]
    .into_iter()
    .enumerate()
    {
        let twin = bed.path("store/last").join(TWIN);
        let runpath = format!("{}:{}", bed.path("store").join(element).display(), list(bed, &["store/last"]));
        let program = bed.program(&format!("store/bin/main{nth}")).source(LOADED).needs(&twin).runpath(&runpath);
        programs.push((program.build()?, place));
    }
    let index = index(bed)?;
    for (program, place) in &programs {
        same(&bed.run(program), &index, &bed.path(place).join(TWIN))?;
    }
    // What leads out of the store leads elsewhere now.
    bed.dir("outside/later")?;
    same(&bed.run(&programs[3].0), &index, &bed.path("store/later/../lib").join(TWIN))?;
    fs::rename(bed.path("outside/lib"), bed.path("outside/gone"))?;
    for nth in [2, 3, 6] {
        same(&bed.run(&programs[nth].0), &index, &bed.path("store/last").join(TWIN))?;
    }
    Ok(())
}

/// Two names whose hash is the same behind what precedes them.
pub fn collision(before: &str) -> Result<[String; 2]> {
    let hash = |text: &str| {
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    };
    let mut known = HashMap::new();
    // Numbers in a row would not do: this hash keeps names apart that differ in few bits.
    for number in 0..1_000_000_u64 {
        let name = format!("lib{:016x}.so", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if let Some(other) = known.insert(hash(&format!("{before}{name}")), name.clone()) {
            return Ok([other, name]);
        }
    }
    bail!("there are no two such names")
}

/// Two sonames of one hash, in one list of answers.
fn one_hash(bed: &Bed) -> Result<()> {
    let names = collision("")?;
    let mut libraries = Vec::new();
    for (directory, name) in ["store/first", "store/second"].into_iter().zip(&names) {
        libraries.push(bed.library(&format!("{directory}/{name}")).says(directory).build()?);
    }
    let [one, two] = &libraries[..] else { bail!("there are two") };
    let runpath = list(bed, &["store/bin/none", "store/first", "store/second"]);
    let both = main(bed).needs(one).needs(two).runpath(&runpath).build()?;
    let program = |name: &str| bed.program(&format!("store/bin/{name}")).source(LOADED).runpath(&runpath);
    let (second, open) = (program("second").needs(two).build()?, program("open").build()?);
    let index = index(bed)?;
    for loads in [one, two] {
        same(&bed.run(&both), &index, loads)?;
    }
    // One is needed, and the other one is not there.
    fs::remove_file(one)?;
    let (run, missing) = (bed.run(second), bed.run(both));
    same(&run, &index_of(bed, "again")?, two)?;
    same_failure(&run.arg(&names[0]), &index_of(bed, "again")?, &names[0])?;
    same_failure(&missing, &index_of(bed, "again")?, &names[0])?;
    same_failure(&bed.run(open).arg(&names[0]), &index_of(bed, "again")?, &names[0])
}

/// Two files of one directory whose paths have one hash.
fn one_hash_of_paths(bed: &Bed) -> Result<()> {
    let directory = bed.dir("store/lib")?;
    let names = collision(&format!("{}/", directory.display()))?;
    let mut programs = Vec::new();
    for name in &names {
        let library = bed.library(&format!("store/lib/{name}")).says(name).build()?;
        let program = bed.program(&format!("store/bin/{name}")).source(LOADED).needs(&library);
        programs.push((program.runpath(&list(bed, &["store/bin/none", "store/lib"])).build()?, library));
    }
    let open = main(bed).runpath(&list(bed, &["store/bin/none", "store/lib"])).build()?;
    let index = index(bed)?;
    for ((program, library), name) in programs.iter().zip(&names) {
        same(&bed.run(program), &index, library)?;
        same(&bed.run(&open).arg(name), &index, library)?;
        same(&bed.run(&open).args(&names), &index, library)?;
    }
    // With one of them gone it is not the other one.
    fs::remove_file(&programs[0].1)?;
    let again = index_of(bed, "again")?;
    same_failure(&bed.run(&open).arg(&names[0]), &again, &names[0])?;
    same(&bed.run(open).arg(&names[1]), &again, &programs[1].1)
}

/// An index of another environment, which declares the programs of both directories that have some.
fn index_of(bed: &Bed, name: &str) -> Result<PathBuf> {
    let (store, bin, other) = (bed.dir("store")?, bed.dir("store/bin")?, bed.dir("store/other/bin")?);
    let programs = [bin, other];
    let programs = programs.iter().map(|directory| ("--bin", directory.as_os_str()));
    generate(bed, name, &[("--store", store.as_os_str())].into_iter().chain(programs).collect::<Vec<_>>())?;
    Ok(bed.path(name).join("lib/rtld_loader.index"))
}

/// It fails with the index as it does without: no library of this name.
fn same_failure(run: &Run, index: &Path, name: &str) -> Result<()> {
    let plain = run.plain()?;
    plain.misses(name)?;
    with_index(run, index).plain()?.equals(&plain)?;
    Ok(())
}

/// A library that is needed twice by one object.
fn needed_twice(bed: &Bed) -> Result<()> {
    bed.dir("store/first")?;
    let twin = twin(bed, "store/second")?;
    let other = bed.library("store/second/libother.so").defines(&["X_1"]).build()?;
    let plugin = bed.library("store/lib/libplugin.so").says("plugin").defines(&["Y_1"]).uses(&["X_1"]);
    let plugin = plugin.needs(&twin).needs(&other).runpath(&list(bed, &["store/first", "store/second"])).build()?;
    let mut damage = Damage::read(&plugin)?;
    damage.needs_first_twice()?;
    // Nobody brings the other one now, and ld.so insists that somebody does.
    let runpath = list(bed, &["store/first", "store/second", "store/lib"]);
    damage.write(&plugin)?;
    let program = main(bed).needs(&other).runpath(&runpath).build()?;
    let run = bed.run(program).arg(plugin);
    straight(&run, &index(bed)?, &twin)
}

/// A DT_NEEDED with a slash in it is a path, and is not searched for.
fn needed_by_path(bed: &Bed) -> Result<()> {
    twin(bed, "store/lib")?;
    let elsewhere = bed.path("store/elsewhere").join(TWIN);
    for (nth, soname) in [
        elsewhere.display().to_string(),
        format!("$ORIGIN/../elsewhere/{TWIN}"),
        format!("elsewhere/{TWIN}"),
        format!("./{TWIN}"),
    ]
    .iter()
    .enumerate()
    {
        let library = bed.library(&format!("store/elsewhere/{TWIN}")).says("elsewhere").soname(Some(soname)).build()?;
        let program = bed.program(&format!("store/bin/main{nth}")).source(LOADED).needs(&library);
        let program = program.runpath(&list(bed, &["store/bin/none", "store/lib"])).build()?;
        let index = index(bed)?;
        for directory in ["store", "store/elsewhere", "store/lib"] {
            let run = bed.run(&program).working_directory(bed.path(directory));
            with_index(&run, &index).plain()?.equals(&run.plain()?)?;
        }
    }
    Ok(())
}

/// A library that is found by a link, as most are: its own needs are those of the file, and `$ORIGIN` is where the link is.
fn requester_by_link(bed: &Bed) -> Result<()> {
    let (deep, other) = (twin(bed, "store/real/deep")?, twin(bed, "store/second")?);
    twin(bed, "store/linked/deep")?;
    let runpath = format!("$ORIGIN/none:$ORIGIN/deep:{}", list(bed, &["store/second"]));
    let middle = bed.library("store/real/libmiddle.so.1.2.3").says("middle").soname(Some("libmiddle.so.1"));
    let middle = middle.needs(&deep).runpath(&runpath).build()?;
    symlink("libmiddle.so.1.2.3", bed.path("store/real/libmiddle.so.1"))?;
    bed.dir("store/linked")?;
    symlink("../real/libmiddle.so.1", bed.path("store/linked/libmiddle.so.1"))?;
    bed.dir("store/alone")?;
    symlink("../real/libmiddle.so.1.2.3", bed.path("store/alone/libmiddle.so.1"))?;
    let mut programs = Vec::new();
    for directory in ["real", "linked", "alone"] {
        let program = bed.program(&format!("store/bin/{directory}")).source(LOADED).needs(&middle);
        programs.push(program.runpath(&list(bed, &["store/bin/none", &format!("store/{directory}")])).build()?);
    }
    let index = index(bed)?;
    let expected = [deep, bed.path("store/linked/deep").join(TWIN), other];
    for (program, loads) in programs.iter().zip(&expected) {
        straight(&bed.run(program), &index, loads)?;
    }
    Ok(())
}

/// A requester is closed, and another one is in its place in memory.
fn requester_is_gone(bed: &Bed) -> Result<()> {
    let mut plugins = Vec::new();
    for (name, directory) in [("libone.so", "store/first"), ("libtwo.so", "store/other")] {
        let twin = twin(bed, directory)?;
        let plugin = bed.library(&format!("store/lib/{name}")).says(name).needs(&twin);
        plugins.push(plugin.runpath(&list(bed, &["store/bin/none", directory])).build()?);
    }
    let program = bed.program("store/bin/main").source(include_str!("../../fixtures/in_turn.c"));
    let run = bed.run(program.runpath(&list(bed, &["store/bin/none", "store/lib"])).build()?);
    let index = index(bed)?;
    for loads in ["store/first", "store/other"] {
        same(&run.clone().args(&plugins), &index, &bed.path(loads).join(TWIN))?;
    }
    same(&run.args(["libone.so", "libtwo.so"]), &index, &plugins[1])
}

/// A script of the store is started, by the name that the kernel hands on, and is not the program.
fn script(bed: &Bed) -> Result<()> {
    let found = twin(bed, "store/other/own")?;
    for directory in ["store/own", "outside/own"] {
        twin(bed, directory)?;
    }
    let program = bed.program("store/other/bin/main").source(LOADED).needs(&found);
    let program = program.runpath("$ORIGIN/none:$ORIGIN/../own").build()?;
    let text = format!("#!{}\n", program.display());
    let scripts = ["store/bin/script", "outside/bin/script"].map(|name| bed.file(name, &text));
    let index = index_of(bed, "env")?;
    for script in scripts {
        let script = script?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        // It opens its argument, the script itself, which is no library.
        let run = bed.run(&script);
        let plain = run.plain()?;
        let own = bed.path("store/other/bin/../own").join(TWIN).display().to_string();
        ensure!(plain.stdout.lines().any(|file| file == own), "{plain}");
        with_index(&run, &index).plain()?.equals(&plain)?;
    }
    Ok(())
}

/// A program has another name in another directory, in the store or beside it, before the index was made or later: what
/// `$ORIGIN` is, is where it was started.
fn hard_links(bed: &Bed) -> Result<()> {
    let index = hard_linked(bed)?;
    for (name, place) in HARD_LINKS {
        let wanted = bed.path(place).join(TWIN);
        same(&bed.run(bed.path(name)), &index, &wanted)?;
        let (directory, file) = name.rsplit_once('/').context("it is in a directory")?;
        same(&bed.run(format!("./{file}")).working_directory(bed.path(directory)), &index, &wanted)?;
    }
    Ok(())
}

/// Without /proc nobody knows where the program is.
fn hard_links_without_proc(bed: &Bed) -> Result<()> {
    let index = hard_linked(bed)?;
    for (name, _) in HARD_LINKS {
        let wanted = bed.path("store/last").join(TWIN);
        same(&bed.run(bed.path(name)).without_proc(), &index, &wanted)?;
        let (directory, file) = name.rsplit_once('/').context("it is in a directory")?;
        let relative = bed.run(format!("./{file}")).working_directory(bed.path(directory)).without_proc();
        same(&relative, &index, &wanted)?;
    }
    Ok(())
}

/// Names of one program, and where `$ORIGIN/../own` leads from there, or what comes behind.
const HARD_LINKS: [(&str, &str); 4] = [
    ("store/bin/main", "store/bin/../own"),
    ("store/other/bin/main", "store/other/bin/../own"),
    ("store/later/bin/main", "store/last"),
    ("outside/bin/main", "outside/bin/../own"),
];

fn hard_linked(bed: &Bed) -> Result<PathBuf> {
    let last = twin(bed, "store/last")?;
    for directory in ["store/own", "store/other/own", "outside/own"] {
        twin(bed, directory)?;
    }
    let runpath = format!("$ORIGIN/../own:{}", list(bed, &["store/last"]));
    let program = main(bed).needs(&last).runpath(&runpath).build()?;
    let link = |name: &str| -> Result<()> {
        let link = bed.path(name);
        fs::create_dir_all(link.parent().context("it is in a directory")?)?;
        Ok(fs::hard_link(&program, link)?)
    };
    link("store/other/bin/main")?;
    link("outside/bin/main")?;
    let index = index_of(bed, "env")?;
    link("store/later/bin/main")?;
    Ok(index)
}

/// A program that is started by a link, where nobody knows where it is.
fn links_without_proc(bed: &Bed) -> Result<()> {
    let last = twin(bed, "store/last")?;
    for directory in ["store/own", "store/other/own", "outside/own"] {
        twin(bed, directory)?;
    }
    let origin = format!("$ORIGIN/../own:{}", list(bed, &["store/last"]));
    let plain = list(bed, &["store/bin/none", "store/last"]);
    let mut programs = Vec::new();
    for (name, runpath) in [("origin", origin), ("plain", plain)] {
        let program =
            bed.program(&format!("store/bin/{name}")).source(LOADED).needs(&last).runpath(&runpath).build()?;
        for directory in ["store/other/bin", "outside/bin"] {
            symlink(&program, bed.dir(directory)?.join(name))?;
            programs.push(bed.path(directory).join(name));
        }
        programs.push(program);
    }
    let index = index_of(bed, "env")?;
    for program in programs {
        same(&bed.run(program).without_proc(), &index, &last)?;
    }
    Ok(())
}

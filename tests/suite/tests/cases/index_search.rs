//! The searches that an index stands for, each held against ld.so's own: whatever the directories are, the same files are
//! loaded with it as without.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::object::Object;
use suite::run::Run;

use super::Case;
use super::index::{failing_opens, index, with_index};

const X86_64: &str = "x86_64-linux";

/// What every search is for.
pub const TWIN: &str = "libtwin.so";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/third-directory", third_directory).tool("strace"),
        Case::new("index/one-soname-two-requesters", two_requesters),
        Case::new("index/origin", origin),
        Case::new("index/origin-of-a-linked-program", linked_program),
        Case::new("index/hwcaps", |bed| hwcaps(bed, "glibc-hwcaps/x86-64-v2")).system(X86_64).since((2, 33)),
        Case::new("index/legacy-tls", |bed| hwcaps(bed, "tls")).system(X86_64).before((2, 37)),
        Case::new("index/legacy-platform", |bed| hwcaps(bed, "tls/x86_64")).system(X86_64).before((2, 37)),
        Case::new("index/other-soname", |bed| other_soname(bed, Some("libother.so"))),
        Case::new("index/without-soname", |bed| other_soname(bed, None)),
        Case::new("index/path-with-dots", path_with_dots),
        Case::new("index/rpath", rpath),
        Case::new("index/directory-outside", |bed| outside(bed, &bed.path("outside"))),
        Case::new("index/directory-outside-by-dots", |bed| outside(bed, &bed.path("store/second/../../outside"))),
        Case::new("index/directory-outside-by-link", outside_by_link),
        Case::new("index/absent-store-path", absent),
        Case::new("index/elements", elements),
        Case::new("index/requester-outside", requester_outside),
        Case::new("index/dlopen", dlopen).tool("strace"),
        Case::new("index/text-before", |bed| before(bed, "/* GNU ld script */\nGROUP ( libtwin.so.1 )\n".as_bytes())),
        Case::new("index/empty-before", |bed| before(bed, b"")),
        Case::new("index/wrong-class-before", wrong_class),
        Case::new("index/directory-before", directory_before),
        Case::new("index/dangling-link-before", dangling),
    ]
}

/// A build of the library that is looked for, in a directory of the bed. It says which.
pub fn twin(bed: &Bed, directory: &str) -> Result<PathBuf> {
    bed.library(&format!("{directory}/{TWIN}")).says(directory).build()
}

/// A program of the store that opens its arguments and lists what is loaded.
pub fn main<'b>(bed: &'b Bed) -> Object<'b> {
    bed.program("store/bin/main").source(include_str!("../../fixtures/loaded.c"))
}

/// Directories of the bed as a RUNPATH.
pub fn list(bed: &Bed, directories: &[&str]) -> String {
    directories.iter().map(|directory| bed.path(directory).display().to_string()).collect::<Vec<_>>().join(":")
}

/// With the index it comes to what it comes to without. `loads` is among what is loaded.
pub fn same(run: &Run, index: &Path, loads: &Path) -> Result<()> {
    let plain = run.plain()?;
    let wanted = loads.display().to_string();
    ensure!(plain.runs()?.stdout.lines().any(|file| file == wanted), "{plain}expected {wanted}\n");
    with_index(run, index).plain()?.equals(&plain)?;
    Ok(())
}

/// As [`same`], and the twin is not looked for in vain.
pub fn straight(run: &Run, index: &Path, loads: &Path) -> Result<()> {
    same(run, index, loads)?;
    ensure!(!failing_opens(run, TWIN)?.is_empty(), "ld.so goes there straight");
    let fails = failing_opens(&with_index(run, index), TWIN)?;
    ensure!(fails.is_empty(), "{fails:?}");
    Ok(())
}

/// A library in the last of three directories, of which one does not exist in a place that does.
fn third_directory(bed: &Bed) -> Result<()> {
    bed.dir("store/first")?;
    let twin = twin(bed, "store/third")?;
    let runpath = list(bed, &["store/first", "store/first/none", "store/third"]);
    let program = main(bed).needs(&twin).runpath(&runpath).build()?;
    straight(&bed.run(program), &index(bed)?, &twin)
}

/// Each requester gets the build that its own RUNPATH leads to, whoever comes first.
fn two_requesters(bed: &Bed) -> Result<()> {
    let builds = [twin(bed, "store/first")?, twin(bed, "store/second")?];
    let plugin = |name: &str, directory: &str, build: &Path| {
        let library = bed.library(&format!("store/lib/{name}")).says(name).needs(build);
        library.runpath(&list(bed, &["store/bin/none", directory])).build()
    };
    let [one, two] = &builds;
    let plugins = [plugin("libone.so", "store/first", one)?, plugin("libtwo.so", "store/second", two)?];
    let open = bed.run(main(bed).runpath(&list(bed, &["store/lib"])).build()?);
    let needs = |nth: usize| {
        let program = bed.program(&format!("store/bin/needs{nth}")).source(include_str!("../../fixtures/loaded.c"));
        program.needs(&plugins[nth]).runpath(&list(bed, &["store/lib"])).build()
    };
    let programs = [needs(0)?, needs(1)?];
    let index = index(bed)?;
    same(&open.clone().args(["libone.so", "libtwo.so"]), &index, one)?;
    same(&open.args(["libtwo.so", "libone.so"]), &index, two)?;
    for (program, build) in programs.iter().zip(&builds) {
        same(&bed.run(program), &index, build)?;
    }
    Ok(())
}

/// `$ORIGIN` is the directory by which a library was reached, not the one that it is in.
fn origin(bed: &Bed) -> Result<()> {
    let deep = twin(bed, "store/real/deep")?;
    let middle = bed.library("store/real/libmiddle.so").says("middle").needs(&deep).runpath("$ORIGIN/deep").build()?;
    symlink("real", bed.path("store/linked"))?;
    bed.dir("store/file")?;
    symlink("../real/libmiddle.so", bed.path("store/file/libmiddle.so"))?;
    let other = twin(bed, "store/file/deep")?;
    let through = |directory: &str| -> Result<PathBuf> {
        let program = bed.program(&format!("store/bin/{directory}")).source(include_str!("../../fixtures/loaded.c"));
        program.needs(&middle).runpath(&format!("$ORIGIN/../none:$ORIGIN/../{directory}")).build()
    };
    let programs = [through("real")?, through("linked")?, through("file")?];
    let index = index(bed)?;
    let bin = bed.path("store/bin");
    let expected = [bin.join("../real/deep").join(TWIN), bin.join("../linked/deep").join(TWIN)];
    for (program, loads) in programs.iter().zip(expected.iter().chain([&bin.join("../file/deep").join(TWIN)])) {
        same(&bed.run(program), &index, loads)?;
    }
    // Both in one process.
    let open = bed.run(&programs[0]).arg(bed.path("store/file/libmiddle.so")).arg(other);
    same(&open, &index, &bed.path("store/file/deep").join(TWIN))
}

/// `$ORIGIN` of a program is the directory of the file itself.
fn linked_program(bed: &Bed) -> Result<()> {
    let twin = twin(bed, "store/bin/own")?;
    self::twin(bed, "store/bin/deep/own")?;
    let program = main(bed).needs(&twin).runpath("$ORIGIN/none:$ORIGIN/own").build()?;
    bed.dir("store/bin/deep")?;
    let links = ["store/bin/deep/main", "store/bin/link", "outside"].map(|link| bed.path(link));
    for link in &links {
        symlink(&program, link)?;
    }
    let index = index(bed)?;
    for start in links.iter().chain([&program]) {
        same(&bed.run(start), &index, &twin)?;
    }
    Ok(())
}

/// What lies below a directory for this processor is ld.so's to choose, also when the directory itself has none, and in
/// an earlier directory.
fn hwcaps(bed: &Bed, subdirectory: &str) -> Result<()> {
    let both = twin(bed, "store/both")?;
    let special = twin(bed, &format!("store/both/{subdirectory}"))?;
    let only = twin(bed, &format!("store/only/{subdirectory}"))?;
    let program = |name: &str, directories: &[&str]| {
        let program = bed.program(&format!("store/bin/{name}")).source(include_str!("../../fixtures/loaded.c"));
        program.needs(&both).runpath(&list(bed, directories)).build()
    };
    let both = program("both", &["store/bin/none", "store/both"])?;
    let first = program("first", &["store/only", "store/both"])?;
    let index = index(bed)?;
    same(&bed.run(both), &index, &special)?;
    same(&bed.run(first), &index, &only)
}

/// ld.so knows a library by the name that it was searched for, too, also when its soname is another one: who needs that name
/// later gets it, whether it finds another one or none.
fn other_soname(bed: &Bed, soname: Option<&str>) -> Result<()> {
    let stub = twin(bed, "stub")?;
    let first = bed.library(&format!("store/first/{TWIN}")).says("first").soname(soname).build()?;
    twin(bed, "store/second")?;
    let later = |name: &str| bed.library(&format!("store/lib/{name}")).says(name).needs(&stub);
    let other = later("libother-path.so").runpath(&list(bed, &["store/bin", "store/second"])).build()?;
    let none = later("libno-path.so").build()?;
    let runpath = list(bed, &["store/bin", "store/first"]);
    let program = main(bed).needs(&stub).runpath(&runpath).build()?;
    let index = index(bed)?;
    let run = bed.run(program);
    same(&run, &index, &first)?;
    same(&run.clone().arg(other), &index, &first)?;
    same(&run.arg(none), &index, &first)
}

/// A library that is opened by a path that is not the shortest searches as by any other.
fn path_with_dots(bed: &Bed) -> Result<()> {
    let twin = twin(bed, "store/second")?;
    self::twin(bed, "store/lib/own")?;
    let plugin = bed.library("store/lib/libplugin.so").says("plugin").needs(&twin);
    plugin.runpath("$ORIGIN/none:$ORIGIN/../second:$ORIGIN/own").build()?;
    let run = bed.run(main(bed).build()?);
    let index = index(bed)?;
    for directory in ["store/lib", "store/bin/../lib", "store/./lib", "store//lib"] {
        let opened = run.clone().arg(bed.path(directory).join("libplugin.so"));
        same(&opened, &index, &bed.path(directory).join("../second").join(TWIN))?;
    }
    let opened = run.working_directory(bed.path("store")).arg("lib/libplugin.so");
    same(&opened, &index, &bed.path("store/lib/../second").join(TWIN))
}

/// A DT_RPATH, which is inherited by a library without a search path and not by one with a DT_RUNPATH.
fn rpath(bed: &Bed) -> Result<()> {
    let twin = twin(bed, "store/first")?;
    let other = self::twin(bed, "store/second")?;
    let heir = bed.library("store/lib/libheir.so").says("heir").needs(&twin).build()?;
    let own = bed.library("store/lib/libown.so").says("own").needs(&twin);
    let own = own.runpath(&list(bed, &["store/bin/none", "store/second"])).build()?;
    let program = main(bed).rpath(&list(bed, &["store/bin/none", "store/lib", "store/first"])).build()?;
    let index = index(bed)?;
    let open = bed.run(&program);
    same(&open.clone().arg(TWIN), &index, &twin)?;
    same(&open.clone().arg(&heir), &index, &twin)?;
    same(&open.clone().arg("libheir.so"), &index, &twin)?;
    same(&open.clone().arg(&own), &index, &other)?;
    same(&open.arg("libown.so"), &index, &other)
}

/// A directory outside of the store goes before the one that has the library. It may have one later.
fn outside(bed: &Bed, directory: &Path) -> Result<()> {
    bed.dir("store/second")?;
    bed.dir("outside")?;
    let twin = twin(bed, "store/second")?;
    let runpath = format!("{}:{}", directory.display(), list(bed, &["store/second"]));
    let program = main(bed).needs(&twin).runpath(&runpath).build()?;
    let index = index(bed)?;
    let run = bed.run(program);
    same(&run, &index, &twin)?;
    self::twin(bed, "outside")?;
    same(&run, &index, &directory.join(TWIN))
}

fn outside_by_link(bed: &Bed) -> Result<()> {
    bed.dir("store")?;
    symlink("../outside", bed.path("store/link"))?;
    outside(bed, &bed.path("store/link"))
}

/// What is not in the store yet may come, as when a path is fetched.
fn absent(bed: &Bed) -> Result<()> {
    let second = twin(bed, "store/second")?;
    let program = main(bed).needs(&second).runpath(&list(bed, &["store/absent/lib", "store/second"])).build()?;
    let index = index(bed)?;
    let run = bed.run(program);
    same(&run, &index, &second)?;
    let twin = twin(bed, "store/absent/lib")?;
    same(&run, &index, &twin)
}

/// Elements that are no plain directory, before one that is.
fn elements(bed: &Bed) -> Result<()> {
    let (first, second) = (twin(bed, "store/first/lib")?, twin(bed, "store/second")?);
    for directory in ["store/cwd/relative", "store/cwd", "store/first/lib64", "store/first/lib/x86_64-linux-gnu"] {
        twin(bed, directory)?;
    }
    let store = bed.path("store").display().to_string();
    let elements = [
        "first/$LIB",
        "first/${LIB}",
        "first/lib/",
        "first/lib//",
        "first//lib",
        "first/./lib",
        "first/none/../lib",
        "first/lib/../lib",
        "first/$PLATFORM",
        "none/",
        "first/l:",
        "$first",
        "first/lib",
        "second",
    ];
    let mut programs = Vec::new();
    for (nth, element) in elements.iter().map(|element| format!("{store}/{element}")).enumerate() {
        programs.push((nth, element));
    }
    programs.extend(
        ["relative", "", ".", "./relative", "$ORIGIN", "$ORIGINAL"]
            .map(String::from)
            .into_iter()
            .zip(100..)
            .map(|(element, nth)| (nth, element)),
    );
    let mut built = Vec::new();
    for (nth, element) in programs {
        let program = bed.program(&format!("store/bin/main{nth}")).source(include_str!("../../fixtures/loaded.c"));
        let program = program.needs(&second).runpath(&format!("{element}:{store}/second")).build()?;
        built.push((program, element));
    }
    let index = index(bed)?;
    for (program, element) in built {
        let run = bed.run(program).working_directory(bed.path("store/cwd"));
        let plain = run.plain()?;
        plain.runs()?;
        let indexed = with_index(&run, &index).plain()?;
        ensure!(indexed.equals(&plain).is_ok(), "RUNPATH {element}: {indexed}instead of\n{plain}");
    }
    ensure!(first != second);
    Ok(())
}

/// A program that the index does not know, and a library that it does not know, beside ones that it knows.
fn requester_outside(bed: &Bed) -> Result<()> {
    let (first, second) = (twin(bed, "store/first")?, twin(bed, "store/second")?);
    let known = bed.library("store/first/libknown.so").says("known").needs(&first);
    let known = known.runpath(&list(bed, &["store/bin/none", "store/first"])).build()?;
    let unknown = bed.library("outside/libunknown.so").says("unknown").needs(&second);
    let unknown = unknown.runpath(&list(bed, &["store/bin/none", "store/second"])).build()?;
    let runpath = list(bed, &["store/bin/none", "store/first"]);
    let inside = main(bed).needs(&known).runpath(&runpath).build()?;
    let index = index(bed)?;
    let source = include_str!("../../fixtures/loaded.c");
    let outside = bed.program("outside/main").source(source).runpath(&runpath).build()?;
    same(&bed.run(&outside).arg("libknown.so").arg(&unknown), &index, &first)?;
    same(&bed.run(&outside).arg(&unknown).arg("libknown.so"), &index, &second)?;
    same(&bed.run(inside).arg(unknown), &index, &first)
}

/// dlopen of a bare soname: the caller's directories count, be it the program or a library.
fn dlopen(bed: &Bed) -> Result<()> {
    let (first, second) = (twin(bed, "store/first")?, twin(bed, "store/second")?);
    let source = r#"void *dlopen(const char *, int);
        __attribute__((constructor)) static void start(void) { dlopen("libtwin.so", 2); }"#;
    let opener = bed.library("store/lib/libopener.so").source(source);
    let opener = opener.runpath(&list(bed, &["store/bin", "store/second"])).build()?;
    let program = main(bed).needs(&opener).flag("-Wl,-rpath-link,/nowhere");
    let program = program.runpath(&list(bed, &["store/bin", "store/first", "store/lib"])).build()?;
    let plain = bed.program("store/bin/open").source(include_str!("../../fixtures/loaded.c"));
    let plain = plain.runpath(&list(bed, &["store/bin", "store/first", "store/lib"])).build()?;
    let index = index(bed)?;
    straight(&bed.run(program), &index, &second)?;
    let run = bed.run(plain);
    straight(&run.clone().arg(TWIN), &index, &first)?;
    straight(&run.clone().args([TWIN, "libopener.so"]), &index, &first)?;
    straight(&run.clone().args(["libopener.so", TWIN]), &index, &second)?;
    // What nobody has fails in the same words.
    let missing = run.arg("libnowhere.so");
    missing.plain()?.misses("libnowhere.so")?;
    with_index(&missing, &index).plain()?.equals(&missing.plain()?)?;
    Ok(())
}

/// A program whose RUNPATH leads to `first` and then to a library, with the index of it.
pub fn second_of_two<'b>(bed: &'b Bed) -> Result<(Run<'b>, PathBuf, PathBuf)> {
    let twin = twin(bed, "store/second")?;
    bed.dir("store/first")?;
    let program = main(bed).needs(&twin).runpath(&list(bed, &["store/first", "store/second"])).build()?;
    Ok((bed.run(program), index(bed)?, twin))
}

/// Something else of that name in an earlier directory: ld.so stops there, with or without the index.
fn before(bed: &Bed, content: &[u8]) -> Result<()> {
    let before = bed.file(format!("store/first/{TWIN}"), content)?;
    let (run, index, _) = second_of_two(bed)?;
    run.plain()?.fails_with(&before.display().to_string())?;
    with_index(&run, &index).plain()?.equals(&run.plain()?)?;
    Ok(())
}

/// A library of another class there is passed over.
fn wrong_class(bed: &Bed) -> Result<()> {
    let mut bytes = fs::read(twin(bed, "store/second")?)?;
    bytes[4] = bed.channel.other_class();
    bed.file(format!("store/first/{TWIN}"), bytes)?;
    let (run, index, twin) = second_of_two(bed)?;
    same(&run, &index, &twin)
}

/// At a directory of that name ld.so stops.
fn directory_before(bed: &Bed) -> Result<()> {
    bed.dir(format!("store/first/{TWIN}"))?;
    let (run, index, _) = second_of_two(bed)?;
    run.plain()?.fails_with("cannot read file data")?;
    with_index(&run, &index).plain()?.equals(&run.plain()?)?;
    Ok(())
}

/// A link that leads nowhere is passed over. If it leads out of the store, it may lead somewhere later.
fn dangling(bed: &Bed) -> Result<()> {
    bed.dir("store/first")?;
    symlink("../../outside/libtwin.so", bed.path("store/first").join(TWIN))?;
    let (run, index, second) = second_of_two(bed)?;
    same(&run, &index, &second)?;
    twin(bed, "outside")?;
    same(&run, &index, &bed.path("store/first").join(TWIN))
}

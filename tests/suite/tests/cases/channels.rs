//! Channels as a whole: from which of the declared channels a process gets a library.
//!
//! The channels are made up: directories of libraries whose RUNPATHs lead to a glibc, the process's own or one that only
//! says which one it is. They are in a store, which the index has, or beside it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::run::Run;

use super::index::with_index;
use super::versions::{NEVER, STDCXX};
use super::wrapper::generate;
use super::{Case, line};

/// What every channel has.
const FOUND: &str = "libfound.so";

/// Where channels may be.
const PLACES: [&str; 2] = ["store", "beside"];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for place in PLACES {
        let mut case = |name: &str, check: fn(&Bed, &str) -> Result<()>| {
            cases.push(Case::new(format!("channels/{name}-{place}"), move |bed: &Bed| check(bed, place)));
        };
        case("order", order);
        case("what-others-lack", what_others_lack);
        case("refused", refused);
        case("all-refused", all_refused);
        case("libraries-around", libraries_around);
        case("inherited", inherited);
        case("nested", nested);
        case("single-files", single_files);
        case("without-index", without_index);
        case("changed-by-hand", changed_by_hand);
        let runtime =
            Case::new(format!("channels/runtime-libraries-{place}"), move |bed| runtime_libraries(bed, place));
        cases.push(runtime.store_only());
        // Before its libc.so.6 is loaded, nothing tells the version of an older one.
        let at_start = Case::new(format!("channels/at-start-{place}"), move |bed| at_start(bed, place));
        cases.push(at_start.since((2, 33)));
    }
    cases
}

/// The N of the process's glibc 2.N.
fn minor(bed: &Bed) -> u32 {
    bed.channel.version().1
}

/// The directory of a glibc 2.`minor` that has nothing but its name.
fn glibc(bed: &Bed, minor: u32) -> Result<PathBuf> {
    let banner = format!("GNU C Library (made up) stable release version 2.{minor}.");
    let libc = bed.library(&format!("glibc/{minor}/libc.so.6"));
    let libc = libc.source(format!("const char banner[] = \"{banner}\\n\";\n")).build()?;
    Ok(libc.parent().context("it is in a directory")?.into())
}

/// A channel of a bed.
struct Channel<'b> {
    bed: &'b Bed<'b>,
    /// Its directory in the bed.
    directory: String,
    name: &'static str,
    glibc: PathBuf,
}

impl<'b> Channel<'b> {
    fn new(bed: &'b Bed<'b>, place: &str, name: &'static str, glibc: PathBuf) -> Self {
        Channel { bed, directory: format!("{place}/{name}"), name, glibc }
    }

    /// A channel of the process's own glibc.
    fn own(bed: &'b Bed<'b>, place: &str) -> Self {
        Channel::new(bed, place, "own", bed.channel.glibc_lib.clone())
    }

    /// A channel of a glibc that is so many versions newer than the process's.
    fn made_up(bed: &'b Bed<'b>, place: &str, name: &'static str, newer: i32) -> Result<Self> {
        let minor = minor(bed).checked_add_signed(newer).context("there is no such version")?;
        Ok(Channel::new(bed, place, name, glibc(bed, minor)?))
    }

    /// Adds a library, which says the channel's name.
    fn has(self, soname: &str) -> Result<Self> {
        self.library(soname, &[])
    }

    /// Adds a library that needs a version which no glibc has.
    fn has_unfit(self, soname: &str) -> Result<Self> {
        let stub = self.bed.library("stub/libc.so.6").defines(&[NEVER]).build()?;
        let library = self.bed.library(&format!("{}/{soname}", self.directory)).says(self.name);
        library.uses(&[NEVER]).needs(&stub).runpath(&self.runpath()).build()?;
        Ok(self)
    }

    /// Adds a library that defines versions.
    fn library(self, soname: &str, versions: &[&str]) -> Result<Self> {
        let library = self.bed.library(&format!("{}/{soname}", self.directory)).says(self.name);
        library.defines(versions).runpath(&self.runpath()).build()?;
        Ok(self)
    }

    fn runpath(&self) -> String {
        self.glibc.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bed.path(&self.directory).join(name)
    }

    /// What is printed of one of its libraries.
    fn line(&self, soname: &str) -> String {
        line(self.name, &self.path(soname))
    }

    fn declared(&self) -> Declared {
        Declared::Channel(self.name, self.bed.path(&self.directory))
    }
}

/// What is said on the command line.
enum Declared {
    Channel(&'static str, PathBuf),
    Library(PathBuf),
}

/// Declares in this order. Returns `replit-env`.
fn environment(bed: &Bed, name: &str, declared: &[Declared]) -> Result<PathBuf> {
    let store = bed.dir("store")?;
    let options = declared.iter().map(|declared| match declared {
        Declared::Channel(name, path) => ("--channel", [name.as_ref(), path.as_os_str()].join("=".as_ref())),
        Declared::Library(path) => ("--lib", path.into()),
    });
    let options: Vec<(&str, OsString)> = [("--store", store.into())].into_iter().chain(options).collect();
    let options: Vec<_> = options.iter().map(|(option, value)| (*option, value.as_os_str())).collect();
    generate(bed, name, &options)
}

/// Opens libraries in an environment.
fn open<'b>(bed: &'b Bed, replit_env: &Path, sonames: &[&str]) -> Result<Run<'b>> {
    let main = bed.program("main").build()?;
    bed.run(&main).args(sonames).plain()?.misses(sonames[0])?;
    Ok(bed.run(replit_env).arg(main).args(sonames))
}

/// The same with what is declared as channels declared as mere directories.
fn unordered(declared: Vec<Declared>) -> Vec<Declared> {
    let plain = |declared| match declared {
        Declared::Channel(_, path) | Declared::Library(path) => Declared::Library(path),
    };
    declared.into_iter().map(plain).collect()
}

/// The channel of the process's own glibc: by its directory, else by its version. Else the newest of the older ones, else
/// the oldest of the newer ones. Whatever the order on the command line.
fn order(bed: &Bed, place: &str) -> Result<()> {
    let ranks = [
        Channel::own(bed, place),
        Channel::made_up(bed, place, "same", 0)?,
        Channel::made_up(bed, place, "older", -1)?,
        Channel::made_up(bed, place, "oldest", -3)?,
        Channel::made_up(bed, place, "newer", 1)?,
        Channel::made_up(bed, place, "newest", 3)?,
    ];
    let ranks = ranks.into_iter().map(|channel| channel.has(FOUND)).collect::<Result<Vec<_>>>()?;
    for first in 0..ranks.len() {
        let mut declared: Vec<&Channel> = ranks[first..].iter().collect();
        let (expected, last) = (declared[0].line(FOUND), declared[declared.len() - 1].line(FOUND));
        declared.reverse();
        let plain = unordered(declared.iter().map(|channel| channel.declared()).collect());
        open(bed, &environment(bed, "plain", &plain)?, &[FOUND])?.plain()?.prints([last])?;
        let length = declared.len();
        for turn in [0, 1, 2] {
            declared.rotate_left(turn % length);
            let entries: Vec<_> = declared.iter().map(|channel| channel.declared()).collect();
            let run = open(bed, &environment(bed, "env", &entries)?, &[FOUND])?;
            run.plain()?.prints([&expected])?;
        }
    }
    Ok(())
}

/// What a program needs is loaded before its libc.so.6 is, and comes from the same channels.
fn at_start(bed: &Bed, place: &str) -> Result<()> {
    let ranks = [
        Channel::own(bed, place),
        Channel::made_up(bed, place, "older", -1)?,
        Channel::made_up(bed, place, "oldest", -3)?,
        Channel::made_up(bed, place, "newer", 1)?,
        Channel::made_up(bed, place, "newest", 3)?,
    ];
    let ranks = ranks.into_iter().map(|channel| channel.has(FOUND)).collect::<Result<Vec<_>>>()?;
    let main = bed.program("needs").needs(&ranks[0].path(FOUND)).build()?;
    bed.run(&main).plain()?.misses(FOUND)?;
    for first in 0..ranks.len() {
        let expected = ranks[first].name;
        let declared: Vec<_> = ranks[first..].iter().rev().map(Channel::declared).collect();
        bed.run(environment(bed, "env", &declared)?).arg(&main).plain()?.prints([expected])?;
    }
    Ok(())
}

/// What one channel lacks comes from the next, and nothing else does.
fn what_others_lack(bed: &Bed, place: &str) -> Result<()> {
    let newest = Channel::made_up(bed, place, "newest", 3)?.has("libone.so")?.has("libtwo.so")?.has("libthree.so")?;
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?.has("libtwo.so")?.has("libthree.so")?;
    let older = Channel::made_up(bed, place, "older", -1)?.has("libone.so")?.has("libtwo.so")?;
    let own = Channel::own(bed, place).has("libone.so")?;
    let sonames = ["libone.so", "libtwo.so", "libthree.so"];
    let lines = [own.line("libone.so"), older.line("libtwo.so"), newer.line("libthree.so")];
    let declared = [newest, newer, older, own].map(|channel| channel.declared());
    let plain = sonames.map(|soname| line("newest", &bed.path(place).join("newest").join(soname)));
    open(bed, &environment(bed, "env", &declared)?, &sonames)?.plain()?.prints(&lines)?;
    let replit_env = environment(bed, "plain", &unordered(declared.into()))?;
    open(bed, &replit_env, &sonames)?.plain()?.prints(plain)?;
    Ok(())
}

/// A library of the process's own channel that cannot be loaded is passed over, and so is one of a newer channel.
fn refused(bed: &Bed, place: &str) -> Result<()> {
    let newest = Channel::made_up(bed, place, "newest", 3)?.has(FOUND)?.has("libonly.so")?;
    let newer = Channel::made_up(bed, place, "newer", 1)?.has(FOUND)?.has_unfit("libonly.so")?;
    let older = Channel::made_up(bed, place, "older", -1)?.has(FOUND)?;
    let own = Channel::own(bed, place).has_unfit(FOUND)?.has("libown.so")?;
    let lines = [older.line(FOUND), own.line("libown.so"), newest.line("libonly.so")];
    let declared = [newest, newer, own, older].map(|channel| channel.declared());
    let run = open(bed, &environment(bed, "env", &declared)?, &[FOUND, "libown.so", "libonly.so"])?;
    run.plain()?.prints(lines)?;
    Ok(())
}

/// Where none can be loaded, the reason is that of the process's own channel.
fn all_refused(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has_unfit(FOUND)?;
    let own = Channel::own(bed, place).has_unfit(FOUND)?;
    let reason = format!("{FOUND} (needs {NEVER}, this process has glibc {}", bed.channel.glibc);
    let reason = own.path(&reason).display().to_string();
    let declared = [newer, own].map(|channel| channel.declared());
    open(bed, &environment(bed, "env", &declared)?, &[FOUND])?.plain()?.fails_with(&reason)?;
    Ok(())
}

/// What is declared in no channel keeps its place: before the channels, and behind them all else.
fn libraries_around(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?.has("libtwo.so")?;
    let own = Channel::own(bed, place).has("libone.so")?.has("libtwo.so")?.has("libthree.so")?;
    for (directory, sonames) in [
        ("before", ["libone.so"].as_slice()),
        ("between", &["libone.so", "libtwo.so", "libfour.so"]),
        ("behind", &["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so"]),
    ] {
        for soname in sonames {
            bed.library(&format!("{place}/{directory}/{soname}")).says(directory).build()?;
        }
    }
    let library = |name: &str| bed.path(place).join(name);
    let around = |name: &str, soname: &str| line(name, &library(name).join(soname));
    let lines = [
        around("before", "libone.so"),
        own.line("libtwo.so"),
        own.line("libthree.so"),
        around("between", "libfour.so"),
        around("behind", "libfive.so"),
    ];
    let declared = [
        Declared::Library(library("before")),
        newer.declared(),
        Declared::Library(library("between")),
        own.declared(),
        Declared::Library(library("behind")),
    ];
    let sonames = ["libone.so", "libtwo.so", "libthree.so", "libfour.so", "libfive.so"];
    open(bed, &environment(bed, "env", &declared)?, &sonames)?.plain()?.prints(lines)?;
    Ok(())
}

/// What the variable had before is behind all channels.
fn inherited(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?;
    for soname in ["libone.so", "libtwo.so"] {
        bed.library(&format!("users/{soname}")).says("users").build()?;
    }
    let lines = [newer.line("libone.so"), line("users", &bed.path("users/libtwo.so"))];
    let replit_env = environment(bed, "env", &[newer.declared()])?;
    let run = open(bed, &replit_env, &["libone.so", "libtwo.so"])?.declare([bed.path("users")]);
    run.plain()?.prints(lines)?;
    Ok(())
}

/// Environments in each other, each with its channels: they are one list of channels. What is declared in none stands where the
/// nesting puts it.
fn nested(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?.has("libtwo.so")?;
    let older = Channel::made_up(bed, place, "older", -1)?.has("libone.so")?.has("libtwo.so")?.has("libfour.so")?;
    let own = Channel::own(bed, place).has("libone.so")?;
    for (directory, soname) in [("inner", "libthree.so"), ("outer", "libthree.so"), ("outer", "libfour.so")] {
        bed.library(&format!("{place}/{directory}/{soname}")).says(directory).build()?;
    }
    let library = |name: &str| Declared::Library(bed.path(place).join(name));
    let outer = environment(bed, "outer", &[library("outer"), own.declared(), older.declared()])?;
    let inner = environment(bed, "inner", &[library("inner"), newer.declared()])?;
    let lines = [
        own.line("libone.so"),
        older.line("libtwo.so"),
        line("inner", &bed.path(place).join("inner/libthree.so")),
        older.line("libfour.so"),
    ];
    let main = bed.program("main").build()?;
    let run = bed.run(outer).arg(inner).arg(main).args(["libone.so", "libtwo.so", "libthree.so", "libfour.so"]);
    run.plain()?.prints(lines)?;
    Ok(())
}

/// The compiler's runtime libraries are of the process's own channel though another defines more, unless the requester
/// needs what only that one has.
fn runtime_libraries(bed: &Bed, place: &str) -> Result<()> {
    let few = ["GLIBCXX_3.4.1"].as_slice();
    let more = ["GLIBCXX_3.4.1", "GLIBCXX_3.4.2"].as_slice();
    let most = ["GLIBCXX_3.4.1", "GLIBCXX_3.4.2", "GLIBCXX_3.4.3"].as_slice();
    let newer = Channel::made_up(bed, place, "newer", 1)?.library(STDCXX, most)?;
    let older = Channel::made_up(bed, place, "older", -1)?.library(STDCXX, few)?;
    let own = Channel::own(bed, place).library(STDCXX, few)?;
    let (own_line, newer_line) = (own.line(STDCXX), newer.line(STDCXX));
    // A file of its own in the same channel: of one channel it is still the one that defines most.
    let second = Declared::Channel("own", bed.path(place).join("second"));
    Channel { directory: format!("{place}/second"), ..Channel::own(bed, place) }.library(STDCXX, more)?;
    let second_line = line("own", &bed.path(place).join("second").join(STDCXX));
    let channels = || vec![newer.declared(), own.declared(), older.declared()];
    let replit_env = environment(bed, "env", &channels())?;
    open(bed, &replit_env, &[STDCXX])?.plain()?.prints([&own_line])?;
    let both = environment(bed, "both", &channels().into_iter().chain([second]).collect::<Vec<_>>())?;
    open(bed, &both, &[STDCXX])?.plain()?.prints([second_line])?;
    let plain = environment(bed, "plain", &unordered(channels()))?;
    open(bed, &plain, &[STDCXX])?.plain()?.prints([&newer_line])?;
    // Each of them is asked for by a library of its own, which is in nobody's way.
    for (version, expected) in [("GLIBCXX_3.4.1", &own_line), ("GLIBCXX_3.4.3", &newer_line)] {
        let plugin = super::versions::wheel(bed, &format!("plugins/lib{version}.so"), STDCXX, &[version])?;
        let main = bed.program("main").build()?;
        bed.run(&main).arg(&plugin).plain()?.misses(STDCXX)?;
        let run = bed.run(&replit_env).arg(main).arg(&plugin).arg(STDCXX);
        run.plain()?.prints([line("wheel", &plugin), expected.clone()])?;
    }
    Ok(())
}

/// A channel of single files.
fn single_files(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?.has("libtwo.so")?;
    let own = Channel::own(bed, place).has("libone.so")?.has("libtwo.so")?;
    let lines = [own.line("libone.so"), newer.line("libtwo.so")];
    let declared = [
        Declared::Channel("newer", newer.path("libone.so")),
        Declared::Channel("newer", newer.path("libtwo.so")),
        Declared::Channel("own", own.path("libone.so")),
    ];
    open(bed, &environment(bed, "env", &declared)?, &["libone.so", "libtwo.so"])?.plain()?.prints(lines)?;
    let plain = environment(bed, "plain", &unordered(declared.into()))?;
    let lines = ["libone.so", "libtwo.so"].map(|soname| newer.line(soname));
    open(bed, &plain, &["libone.so", "libtwo.so"])?.plain()?.prints(lines)?;
    Ok(())
}

/// Without the file that says what is of which channel the order is that of the command line.
fn without_index(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has(FOUND)?;
    let own = Channel::own(bed, place).has(FOUND)?;
    let lines = [own.line(FOUND), newer.line(FOUND)];
    let replit_env = environment(bed, "env", &[newer.declared(), own.declared()])?;
    let run = open(bed, &replit_env, &[FOUND])?;
    run.plain()?.prints([&lines[0]])?;
    let index = bed.path("env/lib/rtld_loader.index");
    ensure!(index.is_file(), "there is no index");
    fs::remove_file(index)?;
    run.plain()?.prints([&lines[1]])?;
    Ok(())
}

/// Whoever puts something in front of the variable gets it first. The order among channels stays what it is.
fn changed_by_hand(bed: &Bed, place: &str) -> Result<()> {
    let newer = Channel::made_up(bed, place, "newer", 1)?.has("libone.so")?.has("libtwo.so")?.has("libthree.so")?;
    let older = Channel::made_up(bed, place, "older", -1)?.has("libone.so")?.has("libtwo.so")?;
    let own = Channel::own(bed, place).has("libone.so")?;
    for soname in ["libone.so", "libfour.so"] {
        bed.library(&format!("users/{soname}")).says("users").build()?;
    }
    let sonames = ["libone.so", "libtwo.so", "libthree.so", "libfour.so"];
    let [one, two, three] = [own.line("libone.so"), older.line("libtwo.so"), newer.line("libthree.so")];
    let [users_one, users_four] =
        ["libone.so", "libfour.so"].map(|soname| line("users", &bed.path("users").join(soname)));
    let lines = |first: &String| [first.clone(), two.clone(), three.clone(), users_four.clone()];
    environment(bed, "env", &[newer.declared(), older.declared(), own.declared()])?;
    let main = bed.run(bed.program("main").build()?).args(sonames);
    let [newer, older, own] = [newer, older, own].map(|channel| bed.path(channel.directory));
    let users = bed.path("users");
    for (declared, first) in [
        ([&users, &newer, &older, &own], &users_one),
        ([&newer, &users, &older, &own], &one),
        ([&own, &older, &newer, &users], &one),
        ([&older, &own, &users, &newer], &one),
    ] {
        let run = with_index(&main, &bed.path("env/lib/rtld_loader.index")).declare(declared);
        run.plain()?.prints(lines(first))?;
    }
    Ok(())
}

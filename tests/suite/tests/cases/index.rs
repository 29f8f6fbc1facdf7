//! The index: programs of a closure find what ld.so finds without it, and look for it nowhere else.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::outcome::Outcome;
use suite::process;
use suite::run::Run;

use super::logging::{FILE, LEVEL, read};
use super::wrapper::{generate, generate_by};
use super::{Case, line};

/// The variable that names index files.
pub const INDEX: &str = "REPLIT_RTLD_INDEX";

/// From this version on a program with jemalloc starts under an auditor.
pub const JEMALLOC: (u32, u32) = (2, 32);

/// What an index adds: it is opened, its size is asked for, it is mapped, and closed.
const CALLS: i64 = 4;

pub fn cases() -> Vec<Case> {
    vec![
        opens("curl", "curl", &["--version"]),
        opens("dnsutils", "dig", &["-v"]),
        opens("openssl", "openssl", &["version"]),
        opens("redis", "redis-server", &["--version"]).since(JEMALLOC),
        opens("python", "python3", &["-c", "pass"]),
        Case::new("index/no-failing-opens-python-modules", python_modules).tool("strace"),
        Case::new("index/same-files", same_files).tool("strace"),
        Case::new("index/foreign-program", foreign_program).several_channels().tool("strace"),
        Case::new("index/foreign-library", foreign_library).beside_older_channels().store_only(),
        Case::new("index/damaged", damaged),
        Case::new("index/several", several).tool("strace"),
        Case::new("index/system-calls", system_calls).tool("strace"),
    ]
}

/// An environment with an index of what lies in a directory of the bed, `store`, and is reached from its `bin`. Returns
/// the index.
pub fn index(bed: &Bed) -> Result<PathBuf> {
    index_by(Command::new(&bed.manifest.replit_env_cli), bed)
}

/// The same with a command that starts the generator.
pub fn index_by(generator: Command, bed: &Bed) -> Result<PathBuf> {
    let (store, programs) = (bed.path("store"), bed.dir("store/bin")?);
    generate_by(generator, bed, "env", &[("--store", store.as_os_str()), ("--bin", programs.as_os_str())])?;
    Ok(bed.path("env/lib/rtld_loader.index"))
}

/// The same start with the auditor and an index.
pub fn with_index<'b>(run: &Run<'b>, index: &Path) -> Run<'b> {
    run.with_auditor().env(INDEX, index)
}

/// The failed attempts of a traced program to open a file whose name has `name` in it.
pub fn failing_opens(run: &Run, name: &str) -> Result<Vec<String>> {
    let calls = run.traced()?.calls;
    // A script that starts the program is not it.
    let own = calls.iter().rposition(|call| call.starts_with("execve(") && call.ends_with(" = 0"));
    let own = calls[own.map_or(0, |at| at + 1)..].iter();
    let fails = own.filter(|call| call.starts_with("open") && call.contains(name) && call.contains(" = -1 "));
    Ok(fails.cloned().collect())
}

/// Those of some opens that are not in ld.so's own directories and cache: a program may load a plugin of the machine, which has no
/// other search path.
pub fn of_closure(bed: &Bed, mut opens: Vec<String>) -> Vec<String> {
    let channel = bed.channel;
    let own = channel.default_directories.iter().map(|directory| format!("\"{}/", directory.display()));
    let own: Vec<String> = own.chain([format!("\"{}\"", channel.cache.display())]).collect();
    opens.retain(|call| own.iter().all(|place| !call.contains(place)));
    opens
}

/// The libraries that ld.so opens for a traced program, in order. The auditor is none of them, and looks at files in its own way.
pub fn opened_libraries(run: &Run) -> Result<Vec<String>> {
    let calls = run.traced()?.calls.into_iter().filter(|call| !call.contains("O_NONBLOCK"));
    let opens = calls.filter(|call| call.starts_with("open") && !call.contains(" = -1 "));
    let files = opens.filter_map(|call| call.split('"').nth(1).map(String::from));
    let is_library =
        |file: &str| file.contains(".so") && !file.ends_with("/rtld_loader.so") && !file.ends_with(".cache");
    Ok(files.filter(|file| is_library(file)).collect())
}

/// The output of a package of the channel.
fn output(bed: &Bed, package: &str) -> Result<PathBuf> {
    let directory = bed.channel.python.parent().and_then(Path::parent);
    let known = bed.channel.programs.get(package).map(PathBuf::as_path);
    let found = known.or(directory.filter(|_| package == "python"));
    Ok(found.with_context(|| format!("the channel has no {package}"))?.into())
}

/// An environment that declares an output. Returns `replit-env`.
fn environment(bed: &Bed, output: &Path) -> Result<PathBuf> {
    generate(bed, "env", &[("--bin-of", output.as_os_str()), ("--lib-of", output.as_os_str())])
}

/// A program of the closure opens each library where it is.
fn opens(package: &'static str, name: &'static str, arguments: &'static [&'static str]) -> Case {
    let check = move |bed: &Bed| -> Result<()> {
        let output = output(bed, package)?;
        let program = output.join("bin").join(name);
        // Without a home Python looks for one, in libraries that an old glibc opens.
        let plain = bed.run(&program).args(arguments).env("HOME", "/nowhere");
        let indexed = bed.run(environment(bed, &output)?).arg(&program).args(arguments).env("HOME", "/nowhere");
        indexed.plain()?.equals(&plain.plain()?)?;
        saves_failing_opens(bed, &plain, &indexed)
    };
    Case::new(format!("index/no-failing-opens-{name}"), check).tool("strace")
}

/// Python opens its extension modules by their paths. What they need is opened where it is.
fn python_modules(bed: &Bed) -> Result<()> {
    let code = "import ssl, ctypes, bz2, lzma, zlib, hashlib, math, json, array, select, socket, struct
import decimal, pyexpat, mmap, multiprocessing, uuid, sqlite3, readline, curses
for file in sorted(line.split()[-1] for line in open('/proc/self/maps') if '.so' in line and ' r-xp ' in line):
    print(file)";
    let run = bed.run(&bed.channel.python).args(["-c", code]).env("HOME", "/nowhere");
    let plain = run.plain()?;
    ensure!(plain.runs()?.stdout.lines().filter(|file| file.contains("/lib-dynload/")).count() >= 10, "{plain}");
    environment(bed, &output(bed, "python")?)?;
    let indexed = with_index(&run, &bed.path("env/lib/rtld_loader.index"));
    let loaded = indexed.plain()?;
    let own = |file: &&str| !file.ends_with("/rtld_loader.so");
    let (expected, loaded): (Vec<_>, Vec<_>) =
        (plain.stdout.lines().collect(), loaded.runs()?.stdout.lines().filter(own).collect());
    ensure!(loaded == expected, "{loaded:#?} instead of {expected:#?}");
    saves_failing_opens(bed, &run, &indexed)
}

/// With an index no library of the closure is looked for in vain, and so there is less of that than without. How much there is then,
/// the glibc and the processor say: each directory may have others below it for newer processors (glibc-hwcaps).
fn saves_failing_opens(bed: &Bed, plain: &Run, indexed: &Run) -> Result<()> {
    let (before, after) = (failing_opens(plain, ".so")?, failing_opens(indexed, ".so")?);
    ensure!(after.len() < before.len(), "there is nothing to save: {after:#?} instead of {before:#?}");
    let fails = of_closure(bed, after);
    ensure!(fails.is_empty(), "{} instead of {}: {:#?}", fails.len(), before.len(), &fails[..fails.len().min(5)]);
    Ok(())
}

/// What ld.so lists when it only traces, without the addresses.
fn files(outcome: &Outcome) -> Result<Vec<String>> {
    let lines = outcome.runs()?.stdout.lines();
    let files: Vec<_> = lines.map(|line| line.rsplit_once(" (").map_or(line, |(file, _)| file).to_string()).collect();
    ensure!(files.iter().any(|file| file.contains("libc.so.6 => /")), "{outcome}expected a list of libraries\n");
    Ok(files)
}

/// Every program opens the same files as without, in the same order, and says the same.
fn same_files(bed: &Bed) -> Result<()> {
    for package in ["bash", "curl", "dnsutils", "openssl", "redis", "python"] {
        let output = output(bed, package)?;
        environment(bed, &output)?;
        let index = bed.path("env/lib/rtld_loader.index");
        let mut programs = 0;
        for file in fs::read_dir(output.join("bin"))? {
            let program = file?.path();
            if !fs::read(&program).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")) {
                continue;
            }
            programs += 1;
            let run = bed.run(&program).arg("--version").env("HOME", "/nowhere");
            // Room for jemalloc, as the script makes it. A trace shows what is opened even where that does not start.
            let run = run.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000");
            let (expected, opened) = (opened_libraries(&run)?, opened_libraries(&with_index(&run, &index))?);
            let name = program.display();
            ensure!(!expected.is_empty() && opened == expected, "{name}: {opened:#?} instead of {expected:#?}");
            // What ldd(1) asks for.
            let traced = run.env("LD_TRACE_LOADED_OBJECTS", "1");
            let (expected, listed) = (files(&traced.plain()?)?, files(&with_index(&traced, &index).plain()?)?);
            ensure!(listed == expected, "{name}: {listed:#?} instead of {expected:#?}");
        }
        ensure!(programs > 0, "{} has no program", output.display());
    }
    Ok(())
}

/// A program of another channel in this channel's environment loads what it loads without.
fn foreign_program(bed: &Bed) -> Result<()> {
    let outputs = ["curl", "openssl", "python"].map(|package| output(bed, package));
    let outputs = outputs.into_iter().collect::<Result<Vec<_>>>()?;
    let libraries = bed.channel.libraries.values().map(|output| ("--lib-of", output.as_os_str()));
    let programs = outputs.iter().map(|output| ("--bin-of", output.as_os_str()));
    generate(bed, "env", &programs.chain(libraries).collect::<Vec<_>>())?;
    let index = bed.path("env/lib/rtld_loader.index");
    let others = bed.manifest.channels.iter().filter(|channel| channel.name != bed.channel.name);
    for other in others {
        let python = bed.run(&other.python).args(["-c", "pass"]).env("HOME", "/nowhere");
        let curl = bed.run(other.programs["curl"].join("bin/curl")).arg("--version");
        for run in [python, curl] {
            let (expected, opened) = (opened_libraries(&run)?, opened_libraries(&with_index(&run, &index))?);
            ensure!(opened == expected, "{}: {opened:#?} instead of {expected:#?}", other.name);
        }
        let code = "import ssl, ctypes, math; print(math.cos(0), ssl.OPENSSL_VERSION); ctypes.CDLL('libm.so.6')";
        let plain = bed.run(&other.python).args(["-c", code]).env("HOME", "/nowhere");
        with_index(&plain, &index).plain()?.equals(&plain.plain()?)?;
    }
    Ok(())
}

/// A library of an older channel gets the members of this process's glibc, though the index knows where it leads to.
fn foreign_library(bed: &Bed) -> Result<()> {
    let older = bed.manifest.channels.iter().filter(|channel| channel.version() < bed.channel.version());
    let main = bed.program("main").source(include_str!("../../fixtures/loaded.c")).build()?;
    for older in older {
        let output = older.libraries.get("cairo").context("there is no cairo")?;
        generate(bed, "env", &[("--lib-of", output.as_os_str())])?;
        let index = bed.path("env/lib/rtld_loader.index");
        let run = bed.run(&main).arg("libcairo.so.2").declare([output.join("lib")]);
        let without = run.audited()?;
        let with = with_index(&run, &index).plain()?;
        with.equals(&without)?;
        let members: Vec<&str> = with.runs()?.stdout.lines().filter(|file| file.contains("/libm.so.6")).collect();
        ensure!(members == [bed.channel.glibc_lib.join("libm.so.6").display().to_string()], "{members:?}");
        let log = bed.path("log");
        with_index(&run, &index).env(LEVEL, "3").env(FILE, &log).plain()?.equals(&without)?;
        ensure!(read(&log)?.contains("answered from the index: libpng16.so.16"), "the index answers nothing");
    }
    Ok(())
}

/// A program of the store, with a library in the last of its directories.
fn last_of_three<'b>(bed: &'b Bed) -> Result<Run<'b>> {
    let library = bed.library("store/third/libfound.so").says("third").build()?;
    for directory in ["store/first", "store/second"] {
        bed.dir(directory)?;
    }
    let runpath = ["first", "second", "third"].map(|name| bed.path("store").join(name).display().to_string());
    Ok(bed.run(bed.program("store/bin/main").needs(&library).runpath(&runpath.join(":")).build()?))
}

/// A list of index files that are none: the program runs, and a log says so.
fn damaged(bed: &Bed) -> Result<()> {
    let run = last_of_three(bed)?;
    run.plain()?.prints(["third"])?;
    let good = index(bed)?;
    let bytes = fs::read(&good)?;
    let is_used = |index: &Path| -> Result<bool> {
        let log = bed.path("log");
        let _ = fs::remove_file(&log);
        with_index(&run, index).env(LEVEL, "3").env(FILE, &log).plain()?.prints(["third"])?;
        Ok(read(&log)?.contains("answered from the index: libfound.so"))
    };
    ensure!(is_used(&good)?, "the index is not used");

    let mut files = vec![bed.path("missing"), bed.dir("directory")?, bed.file("empty", "")?];
    files.push(bed.file("garbage", [0xa5; 5000])?);
    let mut version = bytes.clone();
    version[7] ^= 0x40;
    files.push(bed.file("version", version)?);
    let mut machine = bytes.clone();
    machine[12] ^= 1;
    files.push(bed.file("machine", machine)?);
    for len in [1, 7, 8, 12, 27, 28, 29, bytes.len() / 2, bytes.len() - 1] {
        files.push(bed.file(format!("cut-{len}"), &bytes[..len])?);
    }
    let mut longer = bytes.clone();
    longer.push(0);
    files.push(bed.file("longer", longer)?);
    let fifo = bed.path("fifo");
    process::succeed(Command::new("mkfifo").arg(&fifo))?;
    files.push(fifo);
    for file in files {
        let name = file.display();
        let log = bed.path("warnings");
        let _ = fs::remove_file(&log);
        let indexed = with_index(&run, &file);
        indexed.plain().with_context(|| name.to_string())?.prints(["third"])?;
        indexed.env(LEVEL, "1").env(FILE, &log).plain()?.prints(["third"])?;
        let warning = format!("REPLIT_RTLD_INDEX: ignored \"{name}\"");
        ensure!(read(&log)?.contains(&warning), "no warning of {name}");
        ensure!(!is_used(&file)?, "{name} is used");
    }
    // Whatever any number in it says, nothing breaks. What it then names may not be there.
    for at in (0..bytes.len()).step_by(4).take(1000) {
        let mut changed = bytes.clone();
        changed[at..bytes.len().min(at + 4)].fill(0xff);
        let outcome = with_index(&run, &bed.file("changed", changed)?).plain()?;
        ensure!(!outcome.is_killed(), "at {at}: {outcome}");
    }
    Ok(())
}

/// Environments in each other: the index that knows the program is used, whichever it is.
fn several(bed: &Bed) -> Result<()> {
    let run = last_of_three(bed)?;
    run.plain()?.prints(["third"])?;
    let knows = index(bed)?;
    let other = output(bed, "curl")?;
    generate(bed, "other", &[("--bin-of", other.as_os_str())])?;
    let other = bed.path("other/lib/rtld_loader.index");
    let list = |files: &[&Path]| files.iter().map(|file| file.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":"));
    let missing = bed.path("missing");
    ensure!(!failing_opens(&with_index(&run, &other), "libfound.so")?.is_empty(), "the other one knows the program");
    for files in [list(&[&other, &knows]), list(&[&knows, &other]), list(&[&missing, Path::new(""), &knows])] {
        let indexed = with_index(&run, Path::new(&files));
        indexed.plain()?.prints(["third"])?;
        let fails = failing_opens(&indexed, "libfound.so")?;
        ensure!(fails.is_empty(), "{}: {fails:?}", files.display());
    }
    // An environment inside another one: the script keeps the outer one's.
    generate(bed, "inner", &[])?;
    let main = bed.path("store/bin/main");
    let nested = bed.run(bed.path("env/bin/replit-env")).arg(bed.path("inner/bin/replit-env")).arg(main);
    nested.plain()?.prints(["third"])?;
    let fails = failing_opens(&nested, "libfound.so")?;
    ensure!(fails.is_empty(), "{fails:?}");
    Ok(())
}

/// An index costs a program that needs nothing beyond libc no more than being mapped.
fn system_calls(bed: &Bed) -> Result<()> {
    let source = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }";
    let hello = bed.run(bed.program("store/bin/hello").source(source).build()?);
    // An environment that says something is kept, in a page of its own, also without an index.
    let hello = hello.declare([bed.dir("declared")?]);
    let index = index(bed)?;
    hello.plain()?.prints(["hello"])?;
    let indexed = with_index(&hello, &index);
    indexed.plain()?.prints(["hello"])?;
    let count = |run: &Run| -> Result<i64> { Ok(run.traced()?.count() as i64) };
    let added = count(&indexed)? - count(&hello.with_auditor())?;
    ensure!(added > 0 && added <= CALLS, "{added} system calls");
    let found = bed.library("store/libfound.so").says("found").build()?;
    let opened = bed.run(bed.program("main").build()?).arg(&found);
    with_index(&opened, &index).plain()?.prints([line("found", &found)])?;
    Ok(())
}

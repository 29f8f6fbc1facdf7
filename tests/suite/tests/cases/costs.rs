//! The auditor costs no more system calls than it says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::bounds::CALLS;
use suite::counts::{Counts, LIMITS};
use suite::dynamic::Dynamic;
use suite::instructions::IDLE;
use suite::run::Run;

use super::hints;
use super::index::with_index;
use super::versions::{STDCXX, libstdcxx, wheel};
use super::wrapper::generate;
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("costs/system-calls", system_calls).tool("strace"),
        Case::new("costs/index", index).tool("strace"),
        Case::new("costs/hint", hint).tool("strace"),
        Case::new("costs/no-directory-is-read-in-vain", no_directory_in_vain).tool("strace"),
        Case::new("costs/directories-are-read-once", directories_once).tool("strace"),
        Case::new("costs/large-directory", large_directory).tool("strace"),
        Case::new("costs/long-runpath", long_runpath).tool("strace"),
        Case::new("costs/before-libc", before_libc).tool("strace"),
        Case::new("costs/real-candidate", real_candidate).store_only().several_channels().tool("strace"),
        Case::new("costs/own-glibc", own_glibc).tool("strace"),
        Case::new("costs/python", python).tool("strace"),
        Case::new("costs/found-library-is-not-compared", found_is_not_compared).tool("strace"),
    ]
}

/// The figures of [`Counts`], each within its limit.
fn system_calls(bed: &Bed) -> Result<()> {
    let counts = Counts::take(bed)?;
    // Without the auditor these programs do something, too: the traces are not empty.
    ensure!(counts.plain > 20 && counts.failure > 0, "{counts:?}");
    let within = [
        counts.start <= LIMITS.start,
        counts.directory <= LIMITS.directory,
        counts.first_miss <= LIMITS.miss,
        counts.miss <= LIMITS.miss,
        counts.undeclared <= LIMITS.undeclared,
        counts.candidate <= LIMITS.candidate,
        counts.member <= LIMITS.member,
        counts.again <= LIMITS.again,
    ];
    ensure!(within == [true; 8], "{counts:?}\n{LIMITS:?}");
    // It was at work: being loaded, reading directories and looking at files are not free.
    ensure!(
        [counts.start, counts.directory, counts.candidate, counts.member].iter().all(|&count| count > 0),
        "{counts:?}"
    );
    Ok(())
}

/// With an index of all that is declared, a program that needs nothing beyond libc takes so many calls more than without the
/// auditor.
fn index(bed: &Bed) -> Result<()> {
    let hello = bed.program("store/bin/hello").source("int main(void) { return 0; }\n").build()?;
    let mut declared = Vec::new();
    for number in 0..100 {
        bed.file(format!("store/{number}/lib{number}.so"), "")?;
        declared.push(bed.path(format!("store/{number}")));
    }
    // The glibc is in a store, too.
    let glibc = bed.channel.glibc_lib.ancestors().nth(2).context("it is in a store path")?;
    let (store, programs) = (bed.path("store"), bed.path("store/bin"));
    let options = declared.iter().map(|directory| ("--lib", directory.as_os_str()));
    let stores = [glibc, &store].map(|store| ("--store", store.as_os_str()));
    let options = options.chain(stores).chain([("--bin", programs.as_os_str())]);
    generate(bed, "env", &options.collect::<Vec<_>>())?;
    let run = bed.run(hello);
    let index = bed.path("env/lib/rtld_loader.index");
    let indexed = with_index(&run, &index).declare(&declared);
    indexed.plain()?.runs()?;
    let trace = indexed.traced()?;
    ensure!(trace.calls.iter().any(|call| call.contains(&*index.to_string_lossy())), "the index is not opened");
    ensure!(trace.failed_opens() == 0, "{trace:?}");
    let added = trace.count() as i64 - run.traced()?.count() as i64;
    ensure!(added <= CALLS as i64, "{added} system calls");
    Ok(())
}

/// Where an index knows which package brings a library, a miss is searched for once before ld.so does. What it does not know
/// costs nothing.
fn hint(bed: &Bed) -> Result<()> {
    generate(bed, "env", &[("--lib", bed.dir("declared")?.as_os_str())])?;
    let main = bed.run(bed.program("main").build()?);
    let audited = with_index(&main, &bed.path("env/lib/rtld_loader.index")).declare([bed.path("declared")]);
    audited.clone().arg(hints::SONAME).plain()?.fails_with("add pkgs.")?;
    let count = |run: &Run, names: &[&str]| -> Result<i64> { Ok(run.clone().args(names).traced()?.count() as i64) };
    let further = |run: &Run, name: &str| -> Result<i64> {
        // By then all directories are known.
        let known = [hints::SONAME, "libx.so"];
        Ok(count(run, &[known.as_slice(), &[name]].concat())? - count(run, &known)?)
    };
    let failure = further(&main, "liby.so")?;
    ensure!(failure > 0, "ld.so fails for nothing");
    let undeclared = further(&audited, "liby.so")? - failure;
    ensure!(undeclared == 0, "{undeclared} system calls for a name that nobody knows");
    // ld.so's own failure comes on top: it searches for the text.
    let hint = further(&audited, "libClp.so.1")? - 2 * failure;
    ensure!(-failure < hint && hint <= LIMITS.miss, "{hint} system calls more than twice ld.so's {failure}");
    Ok(())
}

/// A program that needs nothing beyond libc never looks into the declared directories.
fn no_directory_in_vain(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let declared = bed.path("declared").display().to_string();
    let run = bed.run(bed.program("main").build()?).declare([&declared]);
    let looks =
        |run: Run| -> Result<usize> { Ok(run.traced()?.calls.iter().filter(|call| call.contains(&declared)).count()) };
    ensure!(looks(run.clone())? == 0, "ld.so looks there itself");
    ensure!(looks(run.with_auditor())? == 0, "the directory was looked at for nothing");
    ensure!(looks(run.arg("libfound.so").with_auditor())? > 0, "nothing was looked for");
    Ok(())
}

/// A declared directory is opened once, however many libraries are missed.
fn directories_once(bed: &Bed) -> Result<()> {
    let names: Vec<String> = (0..20).map(|number| format!("libfound{number}.so")).collect();
    for name in &names {
        bed.library(&format!("declared/{name}")).says(name).build()?;
    }
    let opened = format!("\"{}\"", bed.path("declared").display());
    let run = bed.run(bed.program("main").build()?).args(&names).declare([bed.path("declared")]);
    run.plain()?.misses("libfound0.so")?;
    run.audited()?.runs()?;
    let calls = run.with_auditor().traced()?.calls;
    let opens = calls.iter().filter(|call| call.starts_with("open") && call.contains(&opened)).count();
    ensure!(opens == 1, "opened {opens} times");
    Ok(())
}

/// A directory with as many libraries as a whole profile costs no more than any other.
fn large_directory(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    for number in 0..1000 {
        bed.file(format!("large/libprofile-{number}.so.1"), "")?;
    }
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.runs()?;
    let without = run.with_auditor().traced()?.count();
    let both = run.clone().declare([bed.path("declared"), bed.path("large")]);
    let added = both.with_auditor().traced()?.count() as i64 - without as i64;
    ensure!(added > 0 && added <= LIMITS.directory, "{added} system calls for one directory");
    Ok(())
}

/// A library with a long RUNPATH of its own misses another one: we ask no more of its directories than ld.so does when
/// it sees them for the first time, too.
fn long_runpath(bed: &Bed) -> Result<()> {
    let found = bed.library("declared/libfound.so").says("declared").build()?;
    let mut directories = Vec::new();
    for number in 0..60 {
        directories.push(bed.dir(format!("own/{number}"))?.display().to_string());
    }
    let opener = r#"
        void *dlopen(const char *, int);
        const char *who(void) { return dlopen("libfound.so", 2) ? "found" : "missed"; }"#;
    let opener = bed.library("opener/libopener.so").source(opener).runpath(&directories.join(":")).build()?;
    let main = bed.run(bed.program("main").build()?);
    let (without, with) = (main.clone(), main.clone().declare([bed.path("declared")]).with_auditor());
    ensure!(without.clone().arg(&opener).plain()?.stdout.starts_with("missed "), "ld.so finds it");
    ensure!(with.clone().arg(&opener).plain()?.stdout.starts_with("found "), "it is not found");

    let count = |run: Run| -> Result<i64> { Ok(run.traced()?.count() as i64) };
    let failure = count(without.clone().arg(&opener))? - count(without.clone())?;
    let load = count(without.clone().arg(&opener).arg(&found))? - count(without.arg(&opener))?;
    let hit = count(with.clone().arg(&opener))? - count(with)?;
    ensure!(failure > 60 && load > 0, "a failure takes {failure} calls, a library {load}");
    let added = hit - failure - load;
    ensure!(added <= LIMITS.miss + LIMITS.directory, "{added} system calls more than ld.so's {failure}");
    Ok(())
}

/// A program needs several declared libraries before its libc.so.6 is there, which is at the end of a long RUNPATH: it
/// is looked for once. Each further library costs as much as a candidate does later on.
fn before_libc(bed: &Bed) -> Result<()> {
    const LIBRARIES: usize = 6;
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let source = "int getpid(void); int (*volatile used)(void) = getpid;\n";
    let mut libraries = Vec::new();
    for number in 0..LIBRARIES {
        libraries.push(bed.library(&format!("declared/lib{number}.so")).source(source).needs(&libc).build()?);
    }
    let mut runpath = Vec::new();
    for number in 0..30 {
        runpath.push(bed.dir(format!("own/{number}"))?.display().to_string());
    }
    let last = bed.dir("last")?;
    runpath.extend([&bed.channel.glibc_lib, &last].map(|directory| directory.display().to_string()));
    let program = |libraries: &[PathBuf]| {
        // ld.so looks into no default directory once it has found a library, but we do before we say that it will not.
        let program = bed.program(&format!("main{}", libraries.len())).flag("-Wl,-z,nodefaultlib");
        let program = libraries
            .iter()
            .fold(program.source("int main(void) { return 0; }\n"), |program, library| program.needs(library));
        program.runpath(&runpath.join(":")).build()
    };
    let (one, all) = (program(&libraries[..1])?, program(&libraries)?);
    let needed = Dynamic::read(&all)?.needed;
    ensure!(needed.last().is_some_and(|last| last == "libc.so.6") && needed.len() > LIBRARIES, "{needed:?}");
    // What all but the first add.
    let further = |[one, all]: [Run; 2]| -> Result<i64> {
        all.plain()?.runs()?;
        Ok(all.traced()?.count() as i64 - one.traced()?.count() as i64)
    };
    let declaring = [&one, &all].map(|program| bed.run(program).declare([bed.path("declared")]));
    declaring[1].plain()?.misses("lib0.so")?;
    let audited = further(declaring.map(|run| run.with_auditor()))?;
    let idle = bed.library("libidle.so").source(IDLE).build()?;
    for library in &libraries {
        fs::copy(library, last.join(library.file_name().context("it has a name")?))?;
    }
    let plain = further([&one, &all].map(|program| bed.run(program).env("LD_AUDIT", &idle)))?;
    let further = LIBRARIES as i64 - 1;
    // Where ld.so has found them then there is nothing otherwise.
    let added = audited - plain - further;
    ensure!(plain > 30 * further, "ld.so takes {plain} calls");
    let limit = further * (LIMITS.candidate + LIMITS.again);
    ensure!(added > 0 && added <= limit, "{added} system calls more than ld.so's {plain}");
    Ok(())
}

/// Real libraries are laid out as they are, and cost no more to look at than the fixtures: what they need of libm is looked at for
/// each of them.
fn real_candidate(bed: &Bed) -> Result<()> {
    let libraries = libstdcxx(bed)?;
    let (own, newest) = libraries.last().context("there is no channel")?;
    let plugin = wheel(bed, "own/libwheel.so", STDCXX, &[newest])?;
    bed.file("none/libother.so", "")?;
    let run = bed.run(bed.program("main").build()?).arg(plugin);
    run.plain()?.misses(STDCXX)?;
    let count = |first: &Path| -> Result<i64> {
        let run = run.clone().declare([first, own]).with_auditor();
        run.plain()?.runs()?;
        Ok(run.traced()?.count() as i64)
    };
    let without = count(&bed.path("none"))?;
    for (other, _) in libraries.iter().filter(|(directory, _)| directory != own) {
        let added = count(other)? - without;
        ensure!(added > 0 && added <= LIMITS.candidate + LIMITS.again, "{added} system calls for {}", other.display());
    }
    Ok(())
}

/// What our auditor adds to a start of `run` with something declared, beyond what one adds that does nothing: before
/// glibc 2.35 ld.so itself works for any auditor, for each library.
fn added(bed: &Bed, run: Run) -> Result<i64> {
    bed.library("declared/libtwin.so").says("declared").build()?;
    let run = run.declare([bed.path("declared")]);
    let idle = run.clone().env("LD_AUDIT", bed.library("libidle.so").source(IDLE).build()?);
    idle.plain()?.runs()?;
    Ok(run.with_auditor().traced()?.count() as i64 - idle.traced()?.count() as i64)
}

/// Members of the glibc family that the program needs, or a library that leads to the same glibc, cost nothing.
fn own_glibc(bed: &Bed) -> Result<()> {
    let source = "int main(void) { return 0; }\n";
    let start = added(bed, bed.run(bed.program("hello").source(source).build()?))?;
    ensure!(start <= LIMITS.start, "{start} system calls to start");
    let glibc = &bed.channel.glibc_lib;
    let members = ["libm.so.6", "libpthread.so.0", "libresolv.so.2"].map(|soname| glibc.join(soname));
    let program = members.iter().fold(bed.program("needs").source(source), |program, member| program.needs(member));
    let needed = added(bed, bed.run(program.build()?))?;
    ensure!(needed == start, "{needed} system calls instead of {start} for a program that needs them");
    let library = bed.library("own/libplugin.so").says("plugin").runpath(&glibc.display().to_string());
    let library = members.iter().fold(library, |library, member| library.needs(member)).build()?;
    let opened = added(bed, bed.run(bed.program("main").build()?).arg(library))?;
    ensure!(opened == start, "{opened} system calls instead of {start} for a library that needs them");
    Ok(())
}

/// Python starts, with the libraries that it needs of other packages: the declared directory is read, and no more.
fn python(bed: &Bed) -> Result<()> {
    // Without a home it looks for one, in libraries that an old glibc opens.
    let run = bed.run(&bed.channel.python).args(["-c", "pass"]).env("HOME", "/nowhere");
    run.plain()?.runs()?;
    let added = added(bed, run)?;
    ensure!(added > 0 && added <= LIMITS.start + LIMITS.directory, "{added} system calls");
    Ok(())
}

/// What ld.so finds by itself is not compared with what is declared.
fn found_is_not_compared(bed: &Bed) -> Result<()> {
    let declared = bed.library("declared/libtwin.so").says("declared").build()?;
    bed.library("own/libtwin.so").says("own").build()?;
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]);
    run.plain()?.prints([line("own", &bed.path("own/libtwin.so"))])?;
    let calls = run.with_auditor().traced()?.calls;
    ensure!(calls.iter().any(|call| call.contains("own/libtwin.so")), "it is not found");
    let compared = calls.iter().find(|call| call.contains(&declared.display().to_string()));
    ensure!(compared.is_none(), "{compared:?}");
    Ok(())
}

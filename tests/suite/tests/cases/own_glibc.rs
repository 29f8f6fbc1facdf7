//! The members of the glibc family come from the process's own glibc, wherever a library's RUNPATH leads. What the user
//! or the program itself asks for stays theirs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::dynamic::Dynamic;
use suite::manifest::{Channel, View};
use suite::outcome::Outcome;
use suite::run::Run;

use super::{Case, line};

/// From this version on a program has libpthread and libdl in its libc.so.6, and its libraries may need them all the
/// same.
const ONE_LIBRARY: (u32, u32) = (2, 34);

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("own-glibc/silent-libm", silent_libm).since(ONE_LIBRARY).several_channels(),
        Case::new("own-glibc/deadly-libpthread", deadly_libpthread).since(ONE_LIBRARY).several_channels(),
        Case::new("own-glibc/users-and-groups", users_and_groups).before(ONE_LIBRARY).views(&[View::Distribution]),
        Case::new("own-glibc/missing-distribution-path", missing_distribution_path).views(&[View::Nix]),
        Case::new("own-glibc/own-lacks-it", own_lacks_it).several_channels(),
        Case::new("own-glibc/own-lacks-what-a-candidate-needs", own_lacks_need),
        Case::new("own-glibc/relative-ld-library-path", relative_ld_library_path),
        Case::new("own-glibc/relative-ld-library-path-at-start", relative_at_start),
        Case::new("own-glibc/somebodys-libm", somebodys_libm),
        Case::new("own-glibc/ld-library-path", ld_library_path).several_channels(),
        Case::new("own-glibc/programs-runpath", programs_runpath).several_channels(),
        Case::new("own-glibc/nothing-declared", nothing_declared).several_channels(),
    ];
    // A symbol that each of them has always had. A program for an old glibc has its libdl before anybody else needs
    // it.
    let members = [
        ("libm.so.6", "cos"),
        ("libpthread.so.0", "pthread_mutex_lock"),
        ("libdl.so.2", "dlopen"),
        ("librt.so.1", "timer_create"),
        ("libresolv.so.2", "__dn_skipname"),
        ("libnss_files.so.2", "_nss_files_getpwuid_r"),
    ];
    for (soname, symbol) in members {
        let case = |how: &str, check: fn(&Bed, &str, &str) -> Result<()>| {
            let case = Case::new(format!("own-glibc/{how}/{soname}"), move |bed| check(bed, soname, symbol));
            let case = case.several_channels();
            if soname == "libdl.so.2" { case.since(ONE_LIBRARY) } else { case }
        };
        cases.extend([case("opened", opened), case("needed", needed), case("preloaded", preloaded)]);
    }
    cases
}

/// The channels with another glibc than this one.
fn others<'b>(bed: &'b Bed<'b>) -> impl Iterator<Item = &'b Channel> {
    bed.manifest.channels.iter().filter(|channel| channel.glibc != bed.channel.glibc)
}

/// A library that was built for another channel and needs a member of its glibc, and nothing else.
fn plugin(bed: &Bed, other: &Channel, soname: &str, symbol: &str) -> Result<PathBuf> {
    let source = format!("int {symbol}(void) __attribute__((weak)); int (*volatile used)(void) = {symbol};\n");
    let library = bed.library(&format!("own/{}/libplugin.so", other.name)).channel(other).source(source);
    library.needs(&other.glibc_lib.join(soname)).runpath(&other.glibc_lib.display().to_string()).build()
}

fn program(bed: &Bed) -> Result<PathBuf> {
    bed.program("main").source(include_str!("../../fixtures/loaded.c")).build()
}

/// Something is declared, so that there is something to do.
fn declaring<'b>(bed: &Bed, run: Run<'b>) -> Result<Run<'b>> {
    bed.library("declared/libonly.so").says("declared").build()?;
    Ok(run.declare([bed.path("declared")]))
}

/// Whether a file of this directory was loaded.
fn loaded_from(outcome: &Outcome, directory: &Path) -> bool {
    outcome.stdout.lines().any(|file| Path::new(file).starts_with(directory))
}

/// ld.so alone loads the member of the other glibc, or fails over it. With us it is this process's own.
fn gets_own(bed: &Bed, run: Run, other: &Channel, soname: &str) -> Result<()> {
    let run = declaring(bed, run)?;
    let plain = run.plain()?;
    ensure!(plain.runs().is_err() || loaded_from(&plain, &other.glibc_lib), "nothing is wrong with it: {plain}");
    let audited = run.audited()?;
    audited.runs()?;
    let own = bed.channel.glibc_lib.join(soname);
    let is_there = audited.stdout.lines().any(|file| Path::new(file) == own);
    ensure!(is_there && !loaded_from(&audited, &other.glibc_lib), "{audited}");
    Ok(())
}

/// A library that the program opens needs the member.
fn opened(bed: &Bed, soname: &str, symbol: &str) -> Result<()> {
    for other in others(bed) {
        let run = bed.run(program(bed)?);
        gets_own(bed, run.arg(plugin(bed, other, soname, symbol)?), other, soname)?;
    }
    Ok(())
}

/// A library that the program needs when it starts needs the member.
fn needed(bed: &Bed, soname: &str, symbol: &str) -> Result<()> {
    for other in others(bed) {
        let library = plugin(bed, other, soname, symbol)?;
        let main = bed.program("needs").source(include_str!("../../fixtures/loaded.c")).needs(&library);
        let main = main.runpath(&format!("$ORIGIN/own/{}", other.name)).build()?;
        gets_own(bed, bed.run(main), other, soname)?;
    }
    Ok(())
}

/// A library in LD_PRELOAD needs the member.
fn preloaded(bed: &Bed, soname: &str, symbol: &str) -> Result<()> {
    for other in others(bed) {
        let run = bed.run(program(bed)?).env("LD_PRELOAD", plugin(bed, other, soname, symbol)?);
        gets_own(bed, run, other, soname)?;
    }
    Ok(())
}

/// The worst kind: without us nobody notices.
fn silent_libm(bed: &Bed) -> Result<()> {
    for other in others(bed) {
        let run = declaring(bed, bed.run(program(bed)?).arg(plugin(bed, other, "libm.so.6", "cos")?))?;
        let plain = run.plain()?;
        plain.runs()?;
        ensure!(loaded_from(&plain, &other.glibc_lib), "{plain}");
        gets_own(bed, run, other, "libm.so.6")?;
    }
    Ok(())
}

/// With lazy binding, a libpthread from before 2.34 ends the process: dlopen does not come back to say so.
fn deadly_libpthread(bed: &Bed) -> Result<()> {
    let old = others(bed).find(|channel| channel.version() < ONE_LIBRARY);
    let old = old.context("no channel is old enough")?;
    let run = bed.run(program(bed)?).arg("-l").arg(plugin(bed, old, "libpthread.so.0", "pthread_mutex_lock")?);
    let plain = declaring(bed, run.clone())?.plain()?;
    // It says `symbol lookup error`, or on aarch64 nothing at all.
    ensure!(plain.runs().is_err() && plain.stdout.is_empty(), "it went on: {plain}");
    gets_own(bed, run, old, "libpthread.so.0")
}

/// An old libc.so.6 opens libnss_files by name when it is asked for users: ld.so.cache leads to the machine's.
fn users_and_groups(bed: &Bed) -> Result<()> {
    let source = r#"
        #include <pwd.h>
        #include <stdio.h>
        int main(void) { struct passwd *root = getpwuid(0); return puts(root ? root->pw_name : "nobody") < 0; }"#;
    let run = declaring(bed, bed.run(bed.program("main").source(source).build()?))?;
    run.plain()?.prints(["nobody"])?;
    run.audited()?.prints(["root"])?;
    Ok(())
}

/// A program knows the path of a member by heart, where there is no such directory.
fn missing_distribution_path(bed: &Bed) -> Result<()> {
    for directory in ["/lib/x86_64-linux-gnu", "/usr/lib", "/lib64"] {
        let path = format!("{directory}/libm.so.6");
        let run = declaring(bed, bed.run(program(bed)?).arg(&path).without_default_directories())?;
        run.plain()?.misses(&path)?;
        let audited = run.audited()?;
        audited.runs()?;
        let libm = bed.channel.glibc_lib.join("libm.so.6");
        ensure!(audited.stdout.contains(&format!("{}\n", libm.display())), "{audited}");
    }
    Ok(())
}

/// A member that some glibcs lack.
const LACKING: &str = "libBrokenLocale.so.1";

/// Makes a copy of the channel's glibc for programs of the bed, without one member.
fn glibc_without(bed: &Bed, lacking: &str) -> Result<PathBuf> {
    let own = bed.dir("glibc")?;
    for entry in fs::read_dir(&bed.channel.glibc_lib)? {
        let entry = entry?;
        if entry.file_name() != lacking {
            symlink(entry.path(), own.join(entry.file_name()))?;
        }
    }
    Ok(own)
}

/// Where the process's own glibc lacks a member, ld.so goes its way.
fn own_lacks_it(bed: &Bed) -> Result<()> {
    let own = glibc_without(bed, LACKING)?;
    let main = bed.program("main").source(include_str!("../../fixtures/loaded.c")).runpath("$ORIGIN/glibc").build()?;
    for other in others(bed) {
        let run = |soname: &str| declaring(bed, bed.run(&main).arg(plugin(bed, other, soname, "nothing")?));
        let lacking = run(LACKING)?;
        lacking.audited()?.equals(&lacking.plain()?)?;
        // It is this copy that counts.
        let audited = run("libresolv.so.2")?.audited()?;
        ensure!(loaded_from(audited.runs()?, &own) && !loaded_from(&audited, &other.glibc_lib), "{audited}");
        ensure!(audited.stdout.contains(&format!("{}\n", own.join("libresolv.so.2").display())), "{audited}");
    }
    Ok(())
}

/// A declared library needs a version of a member that the process's own glibc lacks, and leads to one elsewhere: it is
/// loaded as ld.so loads it by its path. One that is sure to fit goes before it.
fn own_lacks_need(bed: &Bed) -> Result<()> {
    let own = glibc_without(bed, LACKING)?;
    let member = bed.channel.glibc_lib.join(LACKING);
    let version = Dynamic::read(&member)?.versions.into_iter().next().context("it defines no version")?;
    let elsewhere = bed.library(&format!("elsewhere/{LACKING}")).defines(&[&version]).build()?;
    let library = bed.library("first/libfound.so").says("first").uses(&[&version]).needs(&elsewhere);
    let library = library.runpath("$ORIGIN/../elsewhere").build()?;
    let sure = bed.library("sure/libfound.so").says("sure").build()?;
    let main = bed.program("main").runpath("$ORIGIN/glibc").build()?;
    let (first, second) = (line("first", &library), line("sure", &sure));
    bed.run(&main).arg(&library).plain()?.prints([&first])?;
    let alone = bed.run(&main).arg("libfound.so").declare([bed.path("first")]);
    let both = alone.clone().declare([bed.path("first"), bed.path("sure")]);
    alone.plain()?.misses("libfound.so")?;
    alone.audited()?.prints([&first])?;
    both.audited()?.prints([&second])?;
    // It is this copy that counts.
    symlink(member, own.join(LACKING))?;
    both.audited()?.prints([&first])?;
    Ok(())
}

/// A program that is started in its directory, with a glibc of its own below it. It is the process's, although nobody
/// knows for sure where it is.
fn relative_ld_library_path(bed: &Bed) -> Result<()> {
    glibc_without(bed, LACKING)?;
    let source =
        "int getpid(void); int (*volatile used)(void) = getpid;\nconst char *who(void) { return \"found\"; }\n";
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let found = bed.library("declared/libfound.so").source(source).needs(&libc).build()?;
    let loaded = bed.program("loaded").source(include_str!("../../fixtures/loaded.c")).build()?;
    let loaded = bed.run(loaded).env("LD_LIBRARY_PATH", "glibc").plain()?;
    ensure!(loaded.runs()?.stdout.lines().any(|file| file == "glibc/libc.so.6"), "{loaded}");
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").env("LD_LIBRARY_PATH", "glibc");
    let run = run.declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("found", &found)])?;
    Ok(())
}

/// The same before libc.so.6 is loaded, and for a member that is not.
fn relative_at_start(bed: &Bed) -> Result<()> {
    glibc_without(bed, LACKING)?;
    for (member, symbol) in [("libc.so.6", "getpid"), ("libm.so.6", "cos")] {
        let source = format!(
            "int {symbol}(void); int (*volatile used)(void) = {symbol};\nconst char *who(void) {{ return \"found\"; }}\n"
        );
        let needs = bed.channel.glibc_lib.join(member);
        let found = bed.library("declared/libfound.so").source(source).needs(&needs).build()?;
        let starts = bed.run(bed.program("starts").needs(&found).build()?);
        let opens = bed.run(bed.program("main").build()?).arg("libfound.so");
        for (run, expected) in [(starts, "found".into()), (opens, line("found", &found))] {
            let run = run.declare([bed.path("declared")]);
            let beside = format!("glibc:{}", bed.path("declared").display());
            run.clone().env("LD_LIBRARY_PATH", beside).plain()?.prints([&expected])?;
            let run = run.env("LD_LIBRARY_PATH", "glibc");
            run.plain()?.misses("libfound.so")?;
            run.audited()?.prints([&expected])?;
        }
    }
    Ok(())
}

/// A library that only has the name of a member, with no glibc beside it.
fn somebodys_libm(bed: &Bed) -> Result<()> {
    let theirs = bed.library("own/theirs/libm.so.6").says("somebody's").build()?;
    let library = bed.library("own/libplugin.so").source("").needs(&theirs).runpath("$ORIGIN/theirs").build()?;
    let run = declaring(bed, bed.run(program(bed)?).arg(library))?;
    let plain = run.plain()?;
    ensure!(loaded_from(plain.runs()?, &bed.path("own/theirs")), "{plain}");
    run.audited()?.equals(&plain)?;
    Ok(())
}

/// A directory with another glibc's libm alone, and that glibc's libc.so.6 above it.
fn only_libm(bed: &Bed, other: &Channel) -> Result<PathBuf> {
    let directory = bed.dir(format!("user-{}/lib", other.name))?;
    symlink(other.glibc_lib.join("libm.so.6"), directory.join("libm.so.6"))?;
    symlink(other.glibc_lib.join("libc.so.6"), directory.join("../libc.so.6"))?;
    Ok(directory)
}

/// LD_LIBRARY_PATH is the user's choice, good or bad.
fn ld_library_path(bed: &Bed) -> Result<()> {
    for other in others(bed) {
        let directory = only_libm(bed, other)?;
        let library = plugin(bed, other, "libm.so.6", "cos")?;
        let run = declaring(bed, bed.run(program(bed)?).arg(library).env("LD_LIBRARY_PATH", &directory))?;
        let plain = run.plain()?;
        ensure!(loaded_from(&plain, &directory) || plain.stderr.contains("libm.so.6"), "{plain}");
        run.audited()?.equals(&plain)?;
    }
    Ok(())
}

/// And so is the program's own RUNPATH the program's.
fn programs_runpath(bed: &Bed) -> Result<()> {
    for other in others(bed) {
        let directory = only_libm(bed, other)?;
        let main = bed.program(&format!("main-{}", other.name)).source(include_str!("../../fixtures/loaded.c"));
        let run = bed.run(main.runpath(&directory.display().to_string()).build()?).arg("libm.so.6");
        let run = declaring(bed, run)?;
        let plain = run.plain()?;
        ensure!(loaded_from(&plain, &directory) || plain.stderr.contains("libm.so.6"), "{plain}");
        run.audited()?.equals(&plain)?;
    }
    Ok(())
}

/// Who declares nothing gets what ld.so gives.
fn nothing_declared(bed: &Bed) -> Result<()> {
    for other in others(bed) {
        let run = bed.run(program(bed)?).arg(plugin(bed, other, "libm.so.6", "cos")?);
        let plain = run.plain()?;
        ensure!(plain.runs().is_err() || loaded_from(&plain, &other.glibc_lib), "nothing is wrong with it: {plain}");
        run.audited()?.equals(&plain)?;
        gets_own(bed, run, other, "libm.so.6")?;
    }
    Ok(())
}

//! What ld.so finds on the machine: in its cache, in its default directories, in subdirectories for this processor.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;

use super::never_replaced::{falls_back, keeps};
use super::{Case, line};

const X86_64: &str = "x86_64-linux";
const HWCAPS: &str = "glibc-hwcaps/x86-64-v2";

pub fn cases() -> Vec<Case> {
    const NIX: &[View] = &[View::Nix];
    const DISTRIBUTION: &[View] = &[View::Distribution];
    vec![
        Case::new("kept/cache", |bed| cache(bed, "libtwin.so", "new")).views(NIX),
        Case::new("kept/cache-compat", |bed| cache(bed, "libtwin.so", "compat")).views(NIX),
        Case::new("kept/cache-old", |bed| cache(bed, "libtwin.so", "old")).views(NIX),
        Case::new("kept/cache-hwcaps", |bed| cache(bed, &format!("{HWCAPS}/libtwin.so"), "new"))
            .views(NIX)
            .system(X86_64)
            .since((2, 33)),
        Case::new("kept/cache-of-the-machine", |bed| machine(bed, "libz.so.1", true))
            .views(DISTRIBUTION)
            .of_the_machine(),
        Case::new("kept/default-of-the-machine", |bed| machine(bed, "libz.so.1", false))
            .views(DISTRIBUTION)
            .of_the_machine(),
        Case::new("kept/path-of-the-machine", |bed| machine(bed, "/usr/lib/x86_64-linux-gnu/libz.so.1", true))
            .views(DISTRIBUTION)
            .system(X86_64)
            .of_the_machine(),
        Case::new("kept/default-first", |bed| default_first(bed, "libtwin.so")).views(NIX),
        Case::new("kept/default-hwcaps", |bed| default_first(bed, &format!("{HWCAPS}/libtwin.so")))
            .views(NIX)
            .system(X86_64)
            .since((2, 33)),
        Case::new("kept/default-later", default_later).views(NIX),
        Case::new("kept/runpath-hwcaps", |bed| runpath(bed, HWCAPS)).system(X86_64).since((2, 33)),
        Case::new("kept/runpath-legacy-platform", |bed| runpath(bed, "x86_64")).system(X86_64).before((2, 37)),
        Case::new("kept/runpath-legacy-tls", |bed| runpath(bed, "tls/x86_64")).system(X86_64).before((2, 37)),
        Case::new("kept/ld-library-path-hwcaps", ld_library_path_hwcaps).system(X86_64).since((2, 33)),
        Case::new("kept/rpath-hwcaps", rpath_hwcaps).system(X86_64).since((2, 33)),
        Case::new("fallback/default-hwcaps-of-another-processor", other_processor)
            .views(NIX)
            .system(X86_64)
            .before((2, 37)),
        Case::new("kept/distribution-path-with-token", path_with_token).views(NIX).system(X86_64),
        Case::new("fallback/no-default-directory", no_default_directory).views(NIX),
        Case::new("fallback/stale-cache-entry", stale_cache_entry).views(NIX),
        Case::new("fallback/damaged-cache", damaged_cache).views(NIX),
        Case::new("fallback/declared-hwcaps-are-not-searched-for", declared_hwcaps),
    ]
}

/// Has ldconfig make a cache of a directory that is to be seen as /cached. Returns the cache and the directory.
fn make_cache(bed: &Bed, file: &str, format: &str) -> Result<(PathBuf, PathBuf)> {
    bed.library(&format!("root/cached/{file}")).says("own").build()?;
    cache_of(bed, "/cached", format)
}

/// Has ldconfig make a cache of a directory that is to be seen there, and is below `root` in the bed. Returns both.
pub fn cache_of(bed: &Bed, directory: &str, format: &str) -> Result<(PathBuf, PathBuf)> {
    bed.file("root/etc/ld.so.conf", format!("{directory}\n"))?;
    let mut ldconfig = Command::new(bed.manifest.tool("ldconfig")?);
    ldconfig.args(["-X", "-c", format, "-f", "/etc/ld.so.conf", "-C", "/etc/ld.so.cache", "-r"]).arg(bed.path("root"));
    process::succeed(&mut ldconfig)?;
    Ok((bed.path("root/etc/ld.so.cache"), bed.path("root").join(directory.trim_start_matches('/'))))
}

/// A directory that only the cache knows.
fn cache(bed: &Bed, file: &str, format: &str) -> Result<()> {
    let (cache, cached) = make_cache(bed, file, format)?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so").bind(cache, &bed.channel.cache).bind(cached, "/cached"))
}

/// Where none of its default directories exists, ld.so asks no auditor there.
fn no_default_directory(bed: &Bed) -> Result<()> {
    let main = bed.program("main").build()?;
    falls_back(bed, bed.run(main).arg("libtwin.so").without_default_directories())
}

/// The cache names a file that is gone.
fn stale_cache_entry(bed: &Bed) -> Result<()> {
    let (cache, _) = make_cache(bed, "libtwin.so", "new")?;
    let main = bed.program("main").build()?;
    falls_back(bed, bed.run(main).arg("libtwin.so").bind(cache, &bed.channel.cache))
}

/// A cache that is cut off anywhere does no harm. What ld.so makes of it is not known, so the library may be found only at the
/// last moment, under ld.so's own idea of its name.
fn damaged_cache(bed: &Bed) -> Result<()> {
    let (cache, cached) = make_cache(bed, "libtwin.so", "new")?;
    let whole = fs::read(&cache)?;
    let main = bed.program("main").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    for length in [0, 1, 11, 20, 47] {
        let cut = bed.file("cut.cache", &whole[..length.min(whole.len())])?;
        let run = bed.run(&main).arg("libtwin.so").declare([bed.path("declared")]);
        let run = run.bind(cut, &bed.channel.cache).bind(&cached, "/cached");
        run.plain()?.misses("libtwin.so")?;
        let audited = run.audited()?;
        ensure!(audited.runs()?.stdout.starts_with("declared "), "{audited}");
    }
    Ok(())
}

/// The machine's own zlib: its cache knows it, and it lies in its first default directory. The second is enough.
fn machine(bed: &Bed, name: &str, with_cache: bool) -> Result<()> {
    bed.library("declared/libz.so.1").says("declared").build()?;
    let only = bed.library("declared/libonly.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let run = bed.run(main).args([name, "libonly.so"]).declare([bed.path("declared")]);
    let run = if with_cache { run } else { run.bind(make_cache(bed, "libelse.so", "new")?.0, &bed.channel.cache) };
    let plain = run.plain()?;
    plain.misses("libonly.so")?;
    ensure!(plain.stdout.starts_with("somebody /"), "{plain}");
    run.audited()?.prints([plain.stdout.trim_end(), &line("declared", &only)])?;
    Ok(())
}

/// The first default directory, where glibc itself lies.
fn default_first(bed: &Bed, file: &str) -> Result<()> {
    bed.library(&format!("default/{file}")).says("own").build()?;
    for entry in fs::read_dir(&bed.channel.glibc_lib)? {
        let entry = entry?;
        std::os::unix::fs::symlink(entry.path(), bed.path("default").join(entry.file_name()))?;
    }
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so").bind(bed.path("default"), &bed.channel.default_directories[0]))
}

/// Every other default directory, where the auditor is asked last.
fn default_later(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    // The first is where the Nix view has glibc.
    let (first, others) = bed.channel.default_directories.split_first().context("ld.so has default directories")?;
    let later = others.iter().filter(|directory| !first.starts_with(directory));
    let mut seen = 0;
    for directory in later {
        keeps(bed, bed.run(&main).arg("libtwin.so").bind(bed.path("own"), directory))?;
        seen += 1;
    }
    ensure!(seen > 0, "this ld.so has no other default directory");
    Ok(())
}

/// In the first default directory there is one for a processor that no machine is, so ld.so passes it by: the library is found
/// only then, under ld.so's own idea of its name.
fn other_processor(bed: &Bed) -> Result<()> {
    bed.library("own/x86_64/x86_64/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]).bind(bed.path("own"), "/usr/lib");
    run.plain()?.misses("libtwin.so")?;
    let audited = run.audited()?;
    ensure!(audited.runs()?.stdout.starts_with("declared "), "{audited}");
    Ok(())
}

/// ld.so replaces `$LIB` in a path after it has asked us. There is no file of the name that we see.
fn path_with_token(bed: &Bed) -> Result<()> {
    bed.library("own/lib/x86_64-linux-gnu/libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("/usr/lib/tokens/$LIB/libtwin.so").bind(bed.path("own"), "/usr/lib/tokens"))
}

fn runpath(bed: &Bed, subdirectory: &str) -> Result<()> {
    bed.library(&format!("own/{subdirectory}/libtwin.so")).says("own").build()?;
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so"))
}

fn rpath_hwcaps(bed: &Bed) -> Result<()> {
    bed.library(&format!("own/{HWCAPS}/libtwin.so")).says("own").build()?;
    let main = bed.program("main").rpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so"))
}

fn ld_library_path_hwcaps(bed: &Bed) -> Result<()> {
    bed.library(&format!("own/{HWCAPS}/libtwin.so")).says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so").env("LD_LIBRARY_PATH", bed.path("own")))
}

/// A subdirectory of a declared directory is not declared.
fn declared_hwcaps(bed: &Bed) -> Result<()> {
    bed.library(&format!("declared/{HWCAPS}/libfound.so")).says("variant").build()?;
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("declared", &library)])?;
    Ok(())
}

//! A candidate that fits may bring along a library that does not, by its own RUNPATH. ld.so would load both and fail.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::Channel;

use super::versions::{NEVER, needing};
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("brings/unmet-need", unmet_need),
        Case::new("brings/far-down", far_down),
        Case::new("brings/by-origin", by_origin),
        Case::new("brings/broken", broken),
        Case::new("brings/loaded-already", loaded_already),
        Case::new("brings/of-this-glibc", of_this_glibc).tool("strace"),
        Case::new("brings/real-libxext", real_libxext).store_only().several_channels(),
    ]
}

/// In `bad` a libfound.so that brings `brings`, in `good` one that brings nothing. The first is passed over, and alone it
/// is refused for this reason.
fn passed_over(bed: &Bed, brings: &Path, runpath: &str, reason: &str) -> Result<()> {
    let bad = bed.library("bad/libfound.so").says("bad").needs(brings).runpath(runpath).build()?;
    let good = bed.library("good/libfound.so").says("good").build()?;
    let run = bed.run(bed.program("main").build()?);
    let direct = run.clone().arg(&bad).plain()?;
    ensure!(direct.stdout.is_empty() && !direct.stderr.is_empty(), "ld.so loads it: {direct}");
    let run = run.arg("libfound.so");
    run.plain()?.misses("libfound.so")?;
    run.clone().declare([bed.path("bad"), bed.path("good")]).audited()?.prints([line("good", &good)])?;
    run.declare([bed.path("bad")]).audited()?.fails_with(&format!("{} ({reason}", bad.display()))?;
    Ok(())
}

/// What it brings needs a version that this glibc does not define.
fn unmet_need(bed: &Bed) -> Result<()> {
    let brought = needing(bed, "brought/libbrought.so", "brought", "libc.so.6", NEVER)?;
    let runpath = format!("{}:{}", bed.path("nowhere").display(), bed.path("brought").display());
    passed_over(bed, &brought, &runpath, &format!("brings libbrought.so, which needs {NEVER}, this process has glibc "))
}

/// Not what it brings is at fault, but what that brings in turn, and that one in turn.
fn far_down(bed: &Bed) -> Result<()> {
    let mut brought = needing(bed, "brought/libbrought0.so", "brought", "libm.so.6", NEVER)?;
    for number in 1..8 {
        let library = bed.library(&format!("brought/libbrought{number}.so")).says("brought");
        brought = library.needs(&brought).runpath("$ORIGIN").build()?;
    }
    let runpath = bed.path("brought").display().to_string();
    passed_over(bed, &brought, &runpath, &format!("brings libbrought0.so, which needs {NEVER}, "))
}

/// `$ORIGIN` is the candidate's directory.
fn by_origin(bed: &Bed) -> Result<()> {
    let brought = needing(bed, "bad/deep/libbrought.so", "brought", "libc.so.6", "GLIBC_PRIVATE_9")?;
    passed_over(bed, &brought, "$ORIGIN/deep", "brings libbrought.so, which needs GLIBC_PRIVATE_9, ")
}

/// A file that ld.so stops at.
fn broken(bed: &Bed) -> Result<()> {
    let reference = bed.library("reference/libbrought.so").says("reference").build()?;
    bed.file("brought/libbrought.so", "INPUT(libbrought.so.1)\n")?;
    let runpath = bed.path("brought").display().to_string();
    passed_over(bed, &reference, &runpath, "brings libbrought.so, which cannot be loaded; ")
}

/// What is in the process already is not brought along: it is the process's then.
fn loaded_already(bed: &Bed) -> Result<()> {
    let loaded = bed.library("loaded/libbrought.so").says("loaded").build()?;
    needing(bed, "brought/libbrought.so", "brought", "libc.so.6", NEVER)?;
    let runpath = bed.path("brought").display().to_string();
    let bad = bed.library("bad/libfound.so").says("bad").needs(&loaded).runpath(&runpath).build()?;
    let run = bed.run(bed.program("main").build()?).declare([bed.path("bad")]);
    run.clone().arg("libfound.so").audited()?.fails_with("(brings libbrought.so, ")?;
    run.arg(&loaded).arg("libfound.so").audited()?.prints([line("loaded", &loaded), line("bad", &bad)])?;
    Ok(())
}

/// A candidate that leads to this process's glibc was built together with what it needs: nothing of that is looked at.
fn of_this_glibc(bed: &Bed) -> Result<()> {
    let mut brought = bed.library("brought/libbrought0.so").says("brought").build()?;
    for number in 1..8 {
        let library = bed.library(&format!("brought/libbrought{number}.so")).says("brought");
        brought = library.needs(&brought).runpath("$ORIGIN").build()?;
    }
    let glibc = bed.channel.glibc_lib.display().to_string();
    let here = bed.path("brought").display().to_string();
    let count = |place: &str, runpath: String| -> Result<usize> {
        let library = bed.library(&format!("{place}/libfound.so")).says("found").needs(&brought).runpath(&runpath);
        let library = library.build()?;
        let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path(place)]);
        run.audited()?.prints([line("found", &library)])?;
        let opened = run.with_auditor().traced()?.calls;
        Ok(opened.iter().filter(|call| call.starts_with("open") && call.contains("/libbrought")).count())
    };
    // ld.so opens each of the eight, where it is at once.
    let (ours, foreign) = (count("ours", format!("{here}:{glibc}"))?, count("foreign", here.clone())?);
    ensure!(ours > 0 && foreign >= ours + 8, "{ours} opens for one of this glibc, {foreign} for another");
    Ok(())
}

/// libXext of a newer channel needs little itself; the libX11 that it brings needs the newer glibc.
fn real_libxext(bed: &Bed) -> Result<()> {
    let libxext = |channel: &Channel| channel.libraries.get("libxext").map(|output| output.join("lib"));
    let own = libxext(bed.channel).context("this channel has libXext")?;
    let channels = bed.manifest.channels.iter().filter(|channel| channel.version() > bed.channel.version());
    let run = bed.run(&bed.channel.python).arg("-c").arg("import ctypes; ctypes.CDLL('libXext.so.6'); print('loaded')");
    run.clone().declare([&own]).audited()?.prints(["loaded"])?;
    for newer in channels.filter_map(libxext) {
        let both = run.clone().declare([&newer, &own]);
        both.plain()?.misses("libXext.so.6")?;
        both.audited()?.prints(["loaded"])?;
        run.clone().declare([&newer]).audited()?.fails_with("libXext.so.6 (")?;
    }
    Ok(())
}

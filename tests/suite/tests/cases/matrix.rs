//! This channel's Python with the cairo of each: text is drawn wherever that can be, and nothing of a foreign glibc
//! gets in.

use anyhow::{Result, bail, ensure};
use suite::bed::Bed;
use suite::dynamic::Dynamic;
use suite::manifest::View;
use suite::matrix::{Cell, Way, draw, draw_in_every_order};

use super::Case;

/// Where no library of the machine helps.
const NIX: &[View] = &[View::Nix];

/// From this version on, libpthread, libdl and librt are parts of libc. What was built before needs them all the same.
const ONE_LIBRARY: (u32, u32) = (2, 34);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("matrix/one-cairo", one_cairo).views(NIX),
        Case::new("matrix/every-order", every_order).views(NIX).several_channels(),
        Case::new("matrix/own-glibc", own_glibc).views(NIX),
    ]
}

/// A cairo that can load draws, and the other ones are refused with the reason.
fn one_cairo(bed: &Bed) -> Result<()> {
    for way in [Way::LibraryPath, Way::Ours] {
        let cell = draw(bed, way, &[])?;
        ensure!(cell.failure() == Some("no file"), "there is a cairo without declaring one: {cell:?}");
    }
    for cairo in &bed.manifest.channels {
        draw(bed, Way::Ours, &[cairo])?.is_as_it_must(bed.channel, cairo)?;
    }
    Ok(())
}

/// With all of them declared there is one that can load, wherever it stands. The first file of the right name is not
/// always the one.
fn every_order(bed: &Bed) -> Result<()> {
    for way in [Way::LibraryPath, Way::FirstFile] {
        let cells = draw_in_every_order(bed, way)?;
        let fails = cells.iter().filter_map(Cell::failure).any(|reason| reason.contains("GLIBC_"));
        ensure!(fails, "{way:?} works in every order, too: {cells:?}");
    }
    for cell in draw_in_every_order(bed, Way::Ours)? {
        cell.drawing()?;
    }
    Ok(())
}

/// Whatever cairo's RUNPATH leads to, the members of the glibc family that it needs are those of the running glibc.
fn own_glibc(bed: &Bed) -> Result<()> {
    let python = bed.channel;
    // The view shows the same glibc in the first default directory.
    let own = [Some(&python.glibc_lib), python.default_directories.first()];
    let older = bed.manifest.channels.iter().filter(|channel| channel.version() <= python.version());
    for cairo in older {
        if cairo.version() < ONE_LIBRARY && cairo.version() < python.version() {
            let foreign = draw(bed, Way::FirstFile, &[cairo])?;
            let fails = foreign.failure().is_some_and(|reason| reason.contains("GLIBC_PRIVATE"));
            ensure!(fails, "a foreign libpthread does no harm: {foreign:?}");
        }
        let cell = draw(bed, Way::Ours, &[cairo])?;
        let drawing = cell.drawing()?;
        for file in &drawing.glibc {
            let is_own = own.iter().flatten().any(|directory| file.starts_with(directory));
            ensure!(is_own, "with the cairo of {}: {drawing:?}", cairo.glibc);
        }
        let [library] = &drawing.cairo[..] else { bail!("more than one cairo: {drawing:?}") };
        for needed in Dynamic::read(library)?.needed {
            // By the name of the file that a soname leads to. Other libraries are not in this directory.
            let Ok(member) = python.glibc_lib.join(&needed).canonicalize() else { continue };
            let is_there = drawing.glibc.iter().any(|file| file.file_name() == member.file_name());
            ensure!(is_there, "{needed} is not there: {drawing:?}");
        }
    }
    Ok(())
}

//! This channel's Python with the cairo of each: text is drawn wherever that can be, and nothing of a foreign glibc
//! gets in.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use suite::bed::Bed;
use suite::dynamic::Dynamic;
use suite::manifest::{Channel, View};
use suite::matrix::{Cell, Way, draw, draw_in, draw_in_every_order, orders};

use super::Case;
use super::wrapper::generate;

/// Where no library of the machine helps.
const NIX: &[View] = &[View::Nix];

/// From this version on, libpthread, libdl and librt are parts of libc. What was built before needs them all the same.
const ONE_LIBRARY: (u32, u32) = (2, 34);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("matrix/one-cairo", one_cairo).views(NIX),
        Case::new("matrix/every-order", every_order).views(NIX).several_channels(),
        Case::new("matrix/own-glibc", own_glibc).views(NIX),
        Case::new("matrix/channels", channels).views(NIX).several_channels(),
        Case::new("matrix/channels-but-the-own", other_channels).views(NIX).several_channels(),
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

/// All libraries of some channels, declared as channels or as what they are. Returns what came of drawing with them.
fn draw_with(bed: &Bed, channels: &[&Channel], as_channels: bool) -> Result<Cell> {
    let mut options: Vec<(&str, OsString)> = Vec::new();
    for channel in channels {
        let outputs = channel.libraries.values().map(|output| output.as_os_str());
        if as_channels {
            let list = outputs.collect::<Vec<_>>().join(":".as_ref());
            options.push(("--channel-of", [channel.name.as_ref(), list.as_os_str()].join("=".as_ref())));
        } else {
            options.extend(outputs.map(|output| ("--lib-of", output.to_owned())));
        }
    }
    let options: Vec<_> = options.iter().map(|(option, value)| (*option, value.as_os_str())).collect();
    let fonts: Vec<_> = bed.manifest.channels.iter().collect();
    draw_in(bed, &generate(bed, "env", &options)?, &fonts)
}

/// The libraries that are loaded where these channels are declared.
fn libraries(bed: &Bed, channels: &[&Channel], as_channels: bool) -> Result<Vec<PathBuf>> {
    let cell = draw_with(bed, channels, as_channels)?;
    let drawing = cell.drawing()?;
    ensure!(drawing.libraries.len() >= 10, "there are more libraries: {drawing:?}");
    Ok(drawing.libraries.clone())
}

/// With all channels declared, in whatever order, the process has of its own channel what it has where nothing else is
/// declared, and nothing of another.
fn channels(bed: &Bed) -> Result<()> {
    let all: Vec<&Channel> = bed.manifest.channels.iter().collect();
    let alone = libraries(bed, &[bed.channel], true)?;
    for order in orders(&all) {
        let loaded = libraries(bed, &order, true)?;
        ensure!(loaded == alone, "{:#?}\ninstead of\n{alone:#?}", loaded);
    }
    let is_older = |other: &&&Channel| other.version() < bed.channel.version();
    if let Some(older) = all.iter().find(is_older) {
        let loaded = libraries(bed, &[older, bed.channel], false)?;
        ensure!(loaded != alone, "where they are not known as channels the order on the command line does not matter");
    }
    Ok(())
}

/// Where its own channel is not declared, a process has the newest of the older ones, as if that were alone. Newer ones are
/// refused.
fn other_channels(bed: &Bed) -> Result<()> {
    let others: Vec<&Channel> =
        bed.manifest.channels.iter().filter(|channel| channel.name != bed.channel.name).collect();
    let older = others.iter().filter(|other| other.version() <= bed.channel.version());
    let newest = older.max_by_key(|other| other.version());
    let alone = newest.map(|newest| libraries(bed, &[newest], true)).transpose()?;
    for order in orders(&others) {
        match &alone {
            Some(alone) => {
                let loaded = libraries(bed, &order, true)?;
                ensure!(loaded == *alone, "{loaded:#?}\ninstead of\n{alone:#?}");
            }
            None => {
                let cell = draw_with(bed, &order, true)?;
                let is_refused = cell.failure().is_some_and(|reason| reason.starts_with("refused: needs GLIBC_"));
                ensure!(is_refused, "{cell:?}");
            }
        }
    }
    Ok(())
}

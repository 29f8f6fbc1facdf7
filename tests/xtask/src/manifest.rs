//! The manifest: what the integration tests run on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use xshell::Shell;

use crate::channels::TestBed;
use crate::data::Release;
use crate::{build, setup, users};

#[derive(Serialize)]
struct Manifest {
    auditor: PathBuf,
    /// Whether its programs are run by an emulator.
    emulated: bool,
    replit_env_cli: PathBuf,
    tools: BTreeMap<&'static str, PathBuf>,
    views: [&'static str; 2],
    /// As each channel describes itself, with what users bring along.
    channels: Vec<Value>,
}

/// Builds the auditor and the host program, and writes the manifest of them and of `bed`'s channels, or of `channel`
/// alone.
pub fn make(sh: &Shell, bed: &TestBed, channel: Option<&str>) -> Result<PathBuf> {
    let dist = build::dist(sh, bed.machine);
    build::run(sh, bed.machine, &dist)?;
    write(sh, bed, &dist, channel)
}

/// Writes the manifest for what `cargo xtask build` leaves in `dist`.
pub fn write(sh: &Shell, bed: &TestBed, dist: &Path, channel: Option<&str>) -> Result<PathBuf> {
    let chosen = bed.channels.iter().filter(|release| channel.is_none_or(|name| name == release.name));
    let describe = |release: &Release| -> Result<Value> {
        let mut channel = read(sh, &bed.description(&release.name))?;
        users::describe(bed, release, &mut channel);
        Ok(channel)
    };
    let manifest = Manifest {
        emulated: bed.machine.is_emulated(),
        auditor: dist.join("rtld_loader.so"),
        replit_env_cli: dist.join("replit-env-cli"),
        tools: tools(bed)?,
        views: ["nix", "distribution"],
        channels: chosen.map(describe).collect::<Result<_>>()?,
    };
    anyhow::ensure!(!manifest.channels.is_empty(), "there is no such channel: {}", channel.unwrap_or_default());
    let file = bed.of_set().join("manifest.json");
    sh.write_file(&file, serde_json::to_vec_pretty(&manifest)?)?;
    Ok(file)
}

/// What of this machine's tools is of use with the bed's programs. An emulator's system calls and memory are to be seen in the
/// place of theirs, and this machine's ldconfig knows none of their libraries.
fn tools(bed: &TestBed) -> Result<BTreeMap<&'static str, PathBuf>> {
    let mut tools: BTreeMap<_, _> = setup::tools().collect();
    if bed.machine.is_emulated() {
        tools.retain(|name, _| !["gdb", "strace"].contains(name));
        let newest = &bed.channels.first().context("there is a channel")?.name;
        tools.insert("ldconfig", bed.channel(newest)?.programs.glibc.join("bin/ldconfig"));
    }
    Ok(tools)
}

/// Builds for the 32-bit machine that `bed` is for, and adds that and its channels to a manifest, whose programs have those of
/// that machine for children.
pub fn add_sibling(sh: &Shell, manifest: &Path, bed: &TestBed) -> Result<()> {
    let dist = build::dist(sh, bed.machine);
    build::run(sh, bed.machine, &dist)?;
    let channels = bed.channels.iter().map(|release| read(sh, &bed.description(&release.name)));
    let mut content = read(sh, manifest)?;
    content["sibling"] =
        json!({ "auditor": dist.join("rtld_loader.so"), "channels": channels.collect::<Result<Vec<_>>>()? });
    sh.write_file(manifest, serde_json::to_vec_pretty(&content)?)?;
    Ok(())
}

fn read(sh: &Shell, file: &Path) -> Result<Value> {
    serde_json::from_slice(&sh.read_binary_file(file)?).with_context(|| file.display().to_string())
}

//! Puts the crates of Cargo.lock into the store, where the stand-in's rustPlatform looks for them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::nix::Nix;
use crate::step;

#[derive(Deserialize)]
struct CargoLock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Of a downloaded crate; those of this workspace have none.
    checksum: Option<String>,
}

/// Downloads what is missing, and adds the files.
pub fn add(sh: &Shell, nix: &Nix) -> Result<()> {
    step::run("crates", cmd!(sh, "cargo fetch --locked").quiet())?;
    let lock: CargoLock = toml::from_str(&sh.read_file("Cargo.lock")?).context("Cargo.lock")?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is no home directory")?;
    // One directory for each registry; a mirror's has another name.
    let caches = sh.read_dir(home.join("registry/cache"))?;
    let mut files = Vec::new();
    for package in lock.package.iter().filter(|package| package.checksum.is_some()) {
        let name = format!("{}-{}.crate", package.name, package.version);
        let file = caches.iter().map(|cache| cache.join(&name)).find(|file| file.exists());
        files.push(file.with_context(|| format!("cargo fetch did not leave {name}"))?);
    }
    nix.add(sh, "crates into the store", &files)
}

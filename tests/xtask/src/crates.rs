//! The crates of Cargo.lock. Puts them into the store, where the stand-in's rustPlatform looks for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::nix::Nix;
use crate::step;

/// Cargo.lock.
#[derive(Deserialize)]
pub struct CargoLock {
    /// Those of this workspace, too.
    pub package: Vec<Package>,
}

/// A crate.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of a downloaded crate; those of this workspace have none.
    pub checksum: Option<String>,
}

impl CargoLock {
    /// Reads the one in the tree at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
        toml::from_str(&text).context("Cargo.lock")
    }
}

/// Where cargo keeps what it downloads, when `sh` runs it.
pub fn home(sh: &Shell) -> Result<PathBuf> {
    let home = sh.var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(Path::new(&sh.var_os("HOME")?).join(".cargo"))).context("there is no home directory")
}

/// Downloads what is missing, and adds the files.
pub fn add(sh: &Shell, nix: &Nix) -> Result<()> {
    step::run("crates", cmd!(sh, "cargo fetch --locked").quiet())?;
    let lock = CargoLock::read(&sh.current_dir())?;
    // One directory for each registry; a mirror's has another name.
    let caches = sh.read_dir(home(sh)?.join("registry/cache"))?;
    let mut files = Vec::new();
    for package in lock.package.iter().filter(|package| package.checksum.is_some()) {
        let name = format!("{}-{}.crate", package.name, package.version);
        let file = caches.iter().map(|cache| cache.join(&name)).find(|file| file.exists());
        files.push(file.with_context(|| format!("cargo fetch did not leave {name}"))?);
    }
    nix.add(sh, "crates into the store", &files)
}

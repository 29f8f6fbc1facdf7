//! `cargo xtask matrix`: which Python can draw with which cairo, three ways side by side.

use anyhow::{Context, Result};
use suite::manifest::Manifest;
use suite::matrix;
use xshell::Shell;

use crate::channels::Set;
use crate::{channels, manifest, setup, step};

/// Prints a table for each way; fails if our auditor's is not as it must be.
pub fn run(sh: &Shell) -> Result<()> {
    setup::run(sh)?;
    let bed = channels::make(sh, Set::Tests)?;
    let manifest = manifest::make(sh, &bed, None)?;
    step::say("Drawing …");
    let manifest = Manifest::load(&manifest, bed.directory.join("objects"))?;
    let (tables, verdict) = matrix::tables(&manifest)?;
    print!("{tables}");
    verdict.context("rtld_loader.so does not do what it must")
}

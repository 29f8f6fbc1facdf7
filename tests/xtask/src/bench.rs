//! `cargo xtask bench`: what the auditor costs.

use anyhow::Result;
use suite::counts;
use suite::manifest::Manifest;
use xshell::Shell;

use crate::{channels, manifest, setup, step};

/// Prints the figures of every channel, or of `channel` alone.
pub fn run(sh: &Shell, channel: Option<&str>) -> Result<()> {
    setup::run(sh)?;
    let bed = channels::make(sh)?;
    let manifest = manifest::make(sh, &bed, channel)?;
    step::say("Counting …");
    let manifest = Manifest::load(&manifest, bed.directory.join("objects"))?;
    print!("{}", counts::table(&manifest)?);
    Ok(())
}

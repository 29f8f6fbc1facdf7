//! `cargo xtask bench`: what the auditor costs.

use anyhow::{Result, ensure};
use suite::manifest::Manifest;
use suite::{calls, counts, instructions};
use xshell::Shell;

use crate::channels::Set;
use crate::{channels, manifest, setup, step};

/// Prints the figures of every channel, or of `channel` alone. More instructions than there may be are an error; the
/// integration tests see to the system calls.
pub fn run(sh: &Shell, channel: Option<&str>) -> Result<()> {
    setup::run(sh)?;
    setup::install(sh, &["valgrind"])?;
    let bed = channels::make(sh, Set::Bench)?;
    let manifest = manifest::make(sh, &bed, channel)?;
    let manifest = Manifest::load(&manifest, bed.directory.join("objects"))?;
    step::say("Counting …");
    println!("{}", counts::table(&manifest)?);
    let (table, fit) = instructions::table(&manifest)?;
    println!("{table}");
    print!("{}", calls::table(&manifest)?);
    ensure!(fit, "the auditor runs more instructions than it may");
    Ok(())
}

//! Looks for what in the auditor could panic.
//!
//! A panic carries the location of its source. A build whose panic handler reads the location has the paths of exactly
//! those source files in it that hold a panic which the optimiser could not prove impossible.

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::machine::Machine;
use crate::{build, step};

/// What may be left. rustix asserts that a descriptor which the kernel returned is not -1, and that it returned as many
/// bytes of directory entries as there were room for.
const ALLOWED: &[&str] = &["/src/maybe_polyfill/no_std/os/fd/owned.rs", "/src/fs/raw_dir.rs"];

/// Fails if a panic of any other source file could be reached in what is built for a machine: what the optimiser can prove differs
/// between them.
pub fn check(sh: &Shell, machine: &Machine) -> Result<()> {
    machine.prepare(sh)?;
    let target = sh.current_dir().join("target/panics");
    let build = build::auditor(sh, machine, &target, &["--cfg", "panic_locations"]);
    step::run(&format!("what could panic on {}", machine.system), build)?;
    let library = sh.read_binary_file(build::release(machine, &target).join("librtld_loader.so"))?;
    let sources: Vec<&str> = library
        .split(|byte| !byte.is_ascii_graphic())
        .filter_map(|string| std::str::from_utf8(string).ok())
        .filter(|string| string.ends_with(".rs"))
        .collect();
    let other: Vec<_> = sources.iter().filter(|source| !ALLOWED.iter().any(|end| source.ends_with(end))).collect();
    ensure!(other.is_empty(), "panics could be reached in {other:?}");
    // Should the handler no longer keep the locations, there would be none at all.
    sources.first().context("the locations of rustix's assertions are missing: this check sees nothing")?;
    Ok(())
}

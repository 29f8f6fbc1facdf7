//! Fuzz targets: each reads foreign bytes as the auditor does, and holds what comes of it against a reader of its own,
//! as naive as can be. `cargo xtask fuzz` has libFuzzer find bytes for them; tests/replay.rs runs them without.
//!
//! A target is a function that panics where something does not hold, with inputs to start from. What libFuzzer finds is
//! kept in finds/TARGET, and stays a test for good.
//!
//! The auditor's readers are safe code (`deny(unsafe_code)`), so what would be memory corruption elsewhere is a panic
//! here, and no sanitizer is needed.

#![deny(unsafe_code)]

mod bytes;

mod world;

pub mod environment;

pub mod tokens;

pub mod search;

pub mod ld_so_cache;

pub mod versions;

pub mod gate;

pub mod elf_file;

pub mod index;

pub mod index_bytes;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its program, and of its directory of finds.
    pub name: &'static str,
    /// Runs it on some bytes.
    pub run: fn(&[u8]),
    /// Inputs to start from: valid ones, made for this machine.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "elf_file", run: elf_file::run, seeds: elf_file::seeds },
    Target { name: "environment", run: environment::run, seeds: environment::seeds },
    Target { name: "gate", run: gate::run, seeds: gate::seeds },
    Target { name: "index", run: index::run, seeds: index::seeds },
    Target { name: "index_bytes", run: index_bytes::run, seeds: index_bytes::seeds },
    Target { name: "ld_so_cache", run: ld_so_cache::run, seeds: ld_so_cache::seeds },
    Target { name: "search", run: search::run, seeds: search::seeds },
    Target { name: "tokens", run: tokens::run, seeds: tokens::seeds },
    Target { name: "versions", run: versions::run, seeds: versions::seeds },
];

/// Leaves the seeds of a target in the directory that `FUZZ_SEEDS` names, if it does.
///
/// # Panics
///
/// If they cannot be written.
pub fn write_seeds(target: &str) {
    let Some(directory) = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    let target = TARGETS.iter().find(|known| known.name == target).expect("it is in the list");
    for (nth, seed) in (target.seeds)().into_iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{nth}")), seed).expect("the seeds can be written");
    }
}

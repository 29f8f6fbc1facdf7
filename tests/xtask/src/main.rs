//! The project's chores. `cargo xtask --help` lists them.

mod apt;
mod bench;
mod build;
mod channels;
mod crates;
mod data;
mod deb;
mod demo;
mod deny;
mod docs;
mod flake;
mod format;
mod fuzz;
mod image;
mod indexing;
mod lock;
mod machine;
mod manifest;
mod matrix;
mod nix;
mod panics;
mod pins;
mod pip;
mod plot;
mod reproduce;
mod sbom;
#[cfg(test)]
mod security;
mod setup;
mod step;
mod sweep;
mod templates;
mod test;
mod tree;
mod users;
#[cfg(test)]
mod workflows;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xshell::Shell;

use machine::Machine;

#[derive(Parser)]
#[command(about = "The project's chores", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds rtld_loader.so and replit-env-cli.
    Build(build::Arguments),
    /// Makes the channels of the test bed, and the manifest that names them.
    Channels {
        /// The machine that they are for, as Rust names it; unless it is this one.
        #[arg(long)]
        target: Option<String>,
    },
    /// Formats the Rust and the Nix files.
    Format,
    /// Has libFuzzer look for bytes that are not read as they should be.
    Fuzz(fuzz::Arguments),
    /// Sets everything up and runs a program through `nix run .#replit-env`, after a run without it.
    Run {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Sets everything up and runs all checks and tests.
    Test(test::Arguments),
    /// Sets everything up and measures what the auditor costs.
    Bench(bench::Arguments),
    /// Sets everything up and shows which Python can draw text with which cairo, in three ways side by side.
    Matrix,
    /// Sets everything up and runs every program of the machine and of the channels without and with the auditor.
    Sweep(sweep::Arguments),
    /// Holds the crates to deny.toml, with cargo-deny: licences, versions, origins, and what is known against them.
    Deny(deny::Arguments),
    /// Builds twice, in places that differ in all that must not count, compares, and prints the hashes.
    Reproduce(reproduce::Arguments),
    /// Writes the SBOM: what is linked into rtld_loader.so and replit-env-cli, as CycloneDX.
    Sbom(sbom::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    let sh = Shell::new()?;
    // Chores work from anywhere in the tree.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("tests/xtask is in the tree")?;
    let called_from = sh.current_dir();
    sh.change_dir(root);
    match chore {
        Chore::Build(arguments) => build::chore(&sh, &called_from, &arguments)?,
        Chore::Channels { target } => {
            setup::run(&sh)?;
            let machine = target.as_deref().map_or_else(Machine::host, Machine::named)?;
            let bed = channels::make_for(&sh, machine, channels::Set::Tests)?;
            users::make(&sh, &bed)?;
            let manifest = manifest::write(&sh, &bed, &build::dist(&sh, bed.machine), None)?;
            println!("{}", manifest.display());
        }
        Chore::Format => format::run(&sh)?,
        Chore::Fuzz(arguments) => fuzz::run(&sh, &arguments)?,
        Chore::Run { command } => return demo::run(&sh, &called_from, &command),
        Chore::Test(arguments) => test::run(&sh, &arguments)?,
        Chore::Bench(arguments) => bench::run(&sh, &arguments)?,
        Chore::Matrix => matrix::run(&sh)?,
        Chore::Sweep(arguments) => sweep::run(&sh, &arguments)?,
        Chore::Deny(arguments) => deny::run(&sh, &arguments)?,
        Chore::Reproduce(arguments) => reproduce::run(&sh, &arguments)?,
        Chore::Sbom(arguments) => sbom::run(&sh, &called_from, &arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

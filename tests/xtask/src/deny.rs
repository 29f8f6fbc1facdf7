//! `cargo xtask deny`: the crates are what deny.toml lets in.
//!
//! cargo-deny is compiled on its first run, which takes minutes: so this is no part of `cargo xtask test`. What needs
//! no database is held by a unit test as well, which is.

use std::path::PathBuf;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::step;

/// The version that deny.toml is written for.
const VERSION: &str = "0.20.2";

/// What to leave out.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out the advisories, whose database comes from GitHub.
    #[arg(long)]
    offline: bool,
}

/// Fails if a crate is not let in.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    let cargo_deny = installed(sh)?;
    // Without `--workspace` the crates of the auditor alone would be looked at.
    let check = |what: &[&str]| cmd!(sh, "{cargo_deny} --workspace --locked check").args(what).quiet();
    step::run("licences, versions and origins of crates", check(&["licenses", "bans", "sources"]))?;
    if arguments.offline {
        step::say("Left out: advisories");
    } else {
        step::run("advisories", check(&["advisories"]))?;
    }
    Ok(())
}

/// The machine's cargo-deny if it is the right one, else ours.
fn installed(sh: &Shell) -> Result<PathBuf> {
    let is_right = |program: &PathBuf| {
        let version = cmd!(sh, "{program} --version").quiet().ignore_stderr().read();
        version.is_ok_and(|version| version == format!("cargo-deny {VERSION}"))
    };
    let root = sh.current_dir().join("target/tools");
    let ours = root.join("bin/cargo-deny");
    for program in [PathBuf::from("cargo-deny"), ours.clone()] {
        if is_right(&program) {
            return Ok(program);
        }
    }
    step::say(&format!("Installing with cargo: cargo-deny {VERSION}, in {}", root.display()));
    let install = cmd!(sh, "cargo install --locked --force --root {root} --version ={VERSION} cargo-deny");
    step::run("cargo install cargo-deny", install.quiet())?;
    Ok(ours)
}

#[cfg(test)]
mod tests;

//! Installs what the chores need of Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::step;

/// Debian packages, without which a chore would fail. Rust and gcc are there, or this would not run; so are the
/// packages that every Debian has.
const PACKAGES: &[&str] = &[
    "bash-completion",
    "bubblewrap",
    "busybox",
    "curl",
    "debian-archive-keyring",
    "fish",
    "gdb-minimal",
    "git",
    "groff-base",
    "nix-bin",
    "patchelf",
    "strace",
    "zsh",
];

/// Packages that do as well as one of `PACKAGES`.
const ALTERNATIVES: &[(&str, &str)] = &[("gdb-minimal", "gdb")];

/// Programs that the integration tests and the bench may use, as the manifest names them. Of valgrind the bench wants the
/// tool itself, which needs nothing of the machine: Debian's `valgrind` is a script that sets LD_LIBRARY_PATH.
const TOOLS: &[&str] = &[
    "bash",
    "bwrap",
    "callgrind-amd64-linux",
    "callgrind-arm64-linux",
    "curl",
    "gdb",
    "git",
    "ldconfig",
    "patchelf",
    "strace",
];

/// Certificates that Debian's programs trust.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Has Node.js, which brings certificates of its own, trust those of the machine, too.
pub fn trusting(command: Cmd<'_>) -> Cmd<'_> {
    const VARIABLE: &str = "NODE_EXTRA_CA_CERTS";
    let is_ours_to_say = std::env::var_os(VARIABLE).is_none() && Path::new(CERTIFICATES).exists();
    if is_ours_to_say { command.env(VARIABLE, CERTIFICATES) } else { command }
}

/// Installs what every chore needs.
pub fn run(sh: &Shell) -> Result<()> {
    install(sh, PACKAGES)
}

/// Installs those of `packages` that are missing.
pub fn install(sh: &Shell, packages: &[&str]) -> Result<()> {
    if cmd!(sh, "id --user").quiet().read()? != "0" {
        // Without a daemon, Nix writes to /nix itself.
        bail!("this has to be run by root: it installs Debian packages ({}) and fills /nix/store", packages.join(", "));
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_there(sh, package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    step::say(&format!("Installing from Debian: {names}"));
    let install = || {
        cmd!(sh, "apt-get --quiet --assume-yes --no-install-recommends install")
            .args(&missing)
            .quiet()
            .env("DEBIAN_FRONTEND", "noninteractive")
    };
    // A machine whose package index is fresh needs no other.
    if step::run("apt-get install", install()).is_err() {
        step::run("apt-get update", cmd!(sh, "apt-get --quiet update").quiet())?;
        step::run("apt-get install", install())?;
    }
    Ok(())
}

/// Installs the parts of the Rust toolchain that only the tests need: rustup's minimal profile lacks them.
pub fn rust_components(sh: &Shell) -> Result<()> {
    for (component, subcommand) in [("clippy", "clippy"), ("rustfmt", "fmt")] {
        let version = cmd!(sh, "cargo {subcommand} --version").quiet().ignore_stdout().ignore_stderr();
        if version.run().is_err() {
            step::say(&format!("Installing with rustup: {component}"));
            step::run("rustup component add", cmd!(sh, "rustup component add {component}").quiet())?;
        }
    }
    Ok(())
}

/// Installs pip, unless the machine's Python has one: another than Debian's may come first.
pub fn pip(sh: &Shell) -> Result<()> {
    let version = cmd!(sh, "python3 -m pip --version").quiet().ignore_stdout().ignore_stderr();
    if version.run().is_err() { install(sh, &["python3-pip"]) } else { Ok(()) }
}

/// The tools that this machine has.
pub fn tools() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let directories = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/libexec/valgrind"];
    let find = move |tool| directories.iter().map(|directory| PathBuf::from(directory).join(tool)).find(|p| p.exists());
    TOOLS.iter().filter_map(move |tool| Some((*tool, find(tool)?)))
}

fn is_there(sh: &Shell, package: &str) -> bool {
    let alternatives = ALTERNATIVES.iter().filter(|(name, _)| *name == package).map(|(_, other)| *other);
    std::iter::once(package).chain(alternatives).any(|name| {
        let status = cmd!(sh, "dpkg-query --show").args(["--showformat=${db:Status-Status}", name]);
        status.quiet().ignore_stderr().read().is_ok_and(|status| status == "installed")
    })
}

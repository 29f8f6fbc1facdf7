//! Builds the auditor and the host program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::{crates, step};

/// What makes a shared object of the library that ld.so takes into any process.
const LINK: &[&str] = &[
    // No libc, no start files, and nothing left undefined: also not what a reachable panic would call.
    "-nostartfiles",
    "-nostdlib",
    // GNU ld, which every toolchain has: the layout below is its.
    "-fuse-ld=bfd",
    "-Wl,-z,defs",
    "-Wl,-z,now",
    "-Wl,-z,noexecstack",
    // Auditors with DT_RELR fail before glibc 2.36.
    "-Wl,-z,nopack-relative-relocs",
    // Two segments in place of four: two system calls less in every process.
    "-Wl,-z,noseparate-code",
    "-Wl,--gc-sections",
    "-Wl,--hash-style=gnu",
    "-Wl,--build-id=none",
    "-Wl,--strip-all",
    "-Wl,-soname,rtld_loader.so",
    "-Wl,--as-needed",
];

/// Leaves rtld_loader.so and replit-env-cli in `out`.
pub fn run(sh: &Shell, out: &Path) -> Result<()> {
    in_place(sh, &target(sh), out)
}

/// Where cargo compiles.
fn target(sh: &Shell) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh.current_dir().join("target"), PathBuf::from)
}

/// The same, compiling in `target`.
pub fn in_place(sh: &Shell, target: &Path, out: &Path) -> Result<()> {
    step::run("build rtld_loader.so", auditor(sh, target, &[]))?;
    let cli = cmd!(sh, "cargo build --release --package replit-env-cli --target-dir {target}");
    let cli = cli.arg("--config").arg(without_places(sh, target)?);
    step::run("build replit-env-cli", cli.quiet())?;
    sh.create_dir(out)?;
    for (from, to) in [("librtld_loader.so", "rtld_loader.so"), ("replit-env-cli", "replit-env-cli")] {
        replace(sh, &target.join("release").join(from), &out.join(to))?;
    }
    Ok(())
}

/// The command that builds the auditor as release/librtld_loader.so below `target`.
pub fn auditor<'a>(sh: &'a Shell, target: &Path, flags: &[&str]) -> Cmd<'a> {
    let link = LINK.iter().map(|argument| format!("-Clink-arg={argument}"));
    let cargo = cmd!(sh, "cargo rustc --release --package rtld_loader --lib --crate-type cdylib");
    cargo
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .args(["--", "--cfg", "audit_so"])
        .args(flags)
        .args(link)
        .quiet()
}

/// Directories of this machine, and what the compiler writes in their place: the helper's panics name the sources of its
/// crates. (The auditor has no panics, and cargo names what is in the tree from there.)
fn places(sh: &Shell, target: &Path) -> Result<[(PathBuf, &'static str); 2]> {
    Ok([(crates::home(sh)?.join("registry/src"), "crates"), (target.to_owned(), "target")])
}

/// What tells cargo so.
fn without_places(sh: &Shell, target: &Path) -> Result<String> {
    let flags = places(sh, target)?.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()));
    Ok(format!("build.rustflags={}", toml::Value::from(flags.to_vec())))
}

/// Fails if what was left in `out` names such a directory. `cargo xtask reproduce` sees more, but builds twice.
pub fn check_places(sh: &Shell, out: &Path) -> Result<()> {
    for file in sh.read_dir(out)? {
        let content = std::fs::read(&file)?;
        let content = String::from_utf8_lossy(&content);
        for (place, _) in places(sh, &target(sh))? {
            let is_named = content.contains(&*place.to_string_lossy());
            ensure!(!is_named, "{} names {}", file.display(), place.display());
        }
    }
    Ok(())
}

/// Puts a file in the place of another, which processes may be running with.
fn replace(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    sh.copy_file(from, &new)?;
    std::fs::rename(&new, to).with_context(|| format!("replacing {}", to.display()))
}

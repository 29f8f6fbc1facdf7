//! Builds the auditor and the host program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::machine::Machine;
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

/// What to build.
#[derive(clap::Args)]
pub struct Arguments {
    /// The machine to build for, as Rust names it: x86_64-unknown-linux-gnu, i686-unknown-linux-gnu, or
    /// aarch64-unknown-linux-gnu. Unless it is this one, the helper is linked statically.
    #[arg(long)]
    target: Option<String>,
    /// Where to leave the files; target/dist, or target/dist-TARGET.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Builds what the arguments say.
pub fn chore(sh: &Shell, called_from: &Path, arguments: &Arguments) -> Result<()> {
    let machine = arguments.target.as_deref().map_or_else(Machine::host, Machine::named)?;
    let out = arguments.out.as_ref().map_or_else(|| dist(sh, machine), |out| called_from.join(out));
    run(sh, machine, &out)
}

/// Where the files are left unless somebody says otherwise.
pub fn dist(sh: &Shell, machine: &Machine) -> PathBuf {
    let name = if machine.is_host() { "dist".to_owned() } else { format!("dist-{}", machine.target) };
    sh.current_dir().join("target").join(name)
}

/// Leaves rtld_loader.so and replit-env-cli in `out`.
pub fn run(sh: &Shell, machine: &Machine, out: &Path) -> Result<()> {
    machine.prepare(sh)?;
    in_place(sh, machine, &target(sh), out)
}

/// Where cargo compiles.
fn target(sh: &Shell) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh.current_dir().join("target"), PathBuf::from)
}

/// The same, compiling in `target`.
pub fn in_place(sh: &Shell, machine: &Machine, target: &Path, out: &Path) -> Result<()> {
    let title = |name: &str| {
        if machine.is_host() { format!("build {name}") } else { format!("build {name} for {}", machine.target) }
    };
    step::run(&title("rtld_loader.so"), auditor(sh, machine, target, &[]))?;
    let cli = cmd!(sh, "cargo build --release --package replit-env-cli --target-dir {target}");
    let cli = cli.args(for_machine(machine)).arg("--config").arg(helper_flags(sh, machine, target)?);
    step::run(&title("replit-env-cli"), cli.quiet())?;
    sh.create_dir(out)?;
    for (from, to) in [("librtld_loader.so", "rtld_loader.so"), ("replit-env-cli", "replit-env-cli")] {
        replace(sh, &release(machine, target).join(from), &out.join(to))?;
    }
    Ok(())
}

/// The command that builds the auditor as release/librtld_loader.so below `target`.
pub fn auditor<'a>(sh: &'a Shell, machine: &Machine, target: &Path, flags: &[&str]) -> Cmd<'a> {
    let link = LINK.iter().map(|argument| format!("-Clink-arg={argument}"));
    let cargo = cmd!(sh, "cargo rustc --release --package rtld_loader --lib --crate-type cdylib");
    cargo
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .args(for_machine(machine))
        .args(["--", "--cfg", "audit_so"])
        .args(flags)
        .args(link)
        .quiet()
}

/// What tells cargo which machine to build for. Nothing does for this one: what has been compiled for it is used again.
fn for_machine(machine: &Machine) -> Vec<String> {
    if machine.is_host() {
        return Vec::new();
    }
    let linker = format!("target.{}.linker={:?}", machine.target, machine.compiler());
    ["--target".into(), machine.target.into(), "--config".into(), linker].into()
}

/// Where cargo leaves what it has built in `target`.
pub fn release(machine: &Machine, target: &Path) -> PathBuf {
    let target = if machine.is_host() { target.to_owned() } else { target.join(machine.target) };
    target.join("release")
}

/// Directories of this machine, and what the compiler writes in their place: the helper's panics name the sources of its
/// crates. (The auditor has no panics, and cargo names what is in the tree from there.)
fn places(sh: &Shell, target: &Path) -> Result<[(PathBuf, &'static str); 2]> {
    Ok([(crates::home(sh)?.join("registry/src"), "crates"), (target.to_owned(), "target")])
}

/// What tells cargo so. Of the glibc on another machine nothing is known: there the helper comes without need of one.
fn helper_flags(sh: &Shell, machine: &Machine, target: &Path) -> Result<String> {
    let places = places(sh, target)?;
    let named = places.iter().map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()));
    let linked = (!machine.is_host()).then(|| "-Ctarget-feature=+crt-static".to_owned());
    Ok(format!("build.rustflags={}", toml::Value::from(named.chain(linked).collect::<Vec<_>>())))
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

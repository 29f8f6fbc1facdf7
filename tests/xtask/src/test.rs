//! `cargo xtask test`: every check and test, the integration tests last.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::channels::{Set, TestBed};
use crate::flake::Flake;
use crate::machine::{MACHINES, Machine};
use crate::{build, channels, format, image, manifest, panics, setup, step, templates, users};

/// What to test.
#[derive(clap::Args)]
pub struct Arguments {
    /// Run the integration tests on this channel alone.
    #[arg(long)]
    channel: Option<String>,
    /// Run the integration tests of this machine alone, all of them, as Rust names it: i686-unknown-linux-gnu, or
    /// aarch64-unknown-linux-gnu under qemu.
    #[arg(long)]
    target: Option<String>,
    /// Run these parts alone.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// For the integration tests: a filter, --list, --test-threads=N …
    #[arg(last = true)]
    harness: Vec<String>,
}

/// A part of the tests.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Part {
    /// Formatting, lints and unit tests.
    Cargo,
    /// The flake, default.nix, a second project's flake, the templates, and the image.
    Nix,
    /// What could panic, and real processes on each channel, of other machines whose programs run here.
    Machines,
    /// Real processes on each channel.
    Integration,
}

/// Runs the tests; the first step that fails ends it.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    setup::run(sh)?;
    if let Some(target) = &arguments.target {
        let manifest = manifest_of(sh, Machine::named(target)?, arguments)?;
        return integration(sh, &manifest, &arguments.harness);
    }
    let bed = channels::make(sh, Set::Tests)?;
    let runs = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if runs(Part::Cargo) {
        cargo(sh)?;
    }
    if runs(Part::Nix) {
        nix(sh, &bed)?;
    }
    if runs(Part::Machines) {
        for machine in MACHINES.iter().filter(|machine| !machine.is_host() && machine.can_run()) {
            panics::check(sh, machine)?;
            other_machine(sh, machine, arguments)?;
        }
    }
    if runs(Part::Integration) {
        let manifest = manifest_of(sh, bed.machine, arguments)?;
        integration(sh, &manifest, &arguments.harness)?;
    }
    Ok(())
}

/// Builds for a machine, and makes its channels.
fn manifest_of(sh: &Shell, machine: &'static Machine, arguments: &Arguments) -> Result<PathBuf> {
    let bed = channels::make_for(sh, machine, Set::Tests)?;
    users::make(sh, &bed)?;
    let manifest = manifest::make(sh, &bed, arguments.channel.as_deref())?;
    build::check_places(sh, &build::dist(sh, machine))?;
    if let Some(sibling) = machine.sibling() {
        manifest::add_sibling(sh, &manifest, &channels::make_for(sh, sibling, Set::Tests)?)?;
    }
    Ok(manifest)
}

/// The integration tests of another machine, in short. An emulator is slow, and the machine it runs on is no distribution of its
/// programs': with one, `--target` alone has the cases seen in that view, too.
fn other_machine(sh: &Shell, machine: &'static Machine, arguments: &Arguments) -> Result<()> {
    let manifest = manifest_of(sh, machine, arguments)?;
    let (harness, system) = (&arguments.harness, machine.system);
    let all_but: &[&str] = if machine.is_emulated() { &["--skip", "/distribution/"] } else { &[] };
    let tests = suite(sh, &manifest, harness).args(all_but);
    let output = step::run(&format!("integration tests of {system}"), tests)?;
    let passed = count(&output);
    ensure!(passed > 0 || !harness.is_empty(), "there are no tests of {system}");
    step::say(&format!("  {passed} passed"));
    Ok(())
}

/// What needs no channel.
fn cargo(sh: &Shell) -> Result<()> {
    setup::rust_components(sh)?;
    let warnings = ["--", "-D", "warnings"];
    format::check(sh)?;
    step::run("cargo clippy", cmd!(sh, "cargo clippy --workspace --all-targets {warnings...}"))?;
    // The entry points are there only in the build of the shared object.
    let entry = cmd!(sh, "cargo clippy --package rtld_loader --lib --target-dir target/clippy-audit_so {warnings...}");
    step::run("cargo clippy of the shared object", entry.env("RUSTFLAGS", "--cfg audit_so"))?;
    panics::check(sh, Machine::host()?)?;
    let suite = step::run("unit tests of the suite", cmd!(sh, "cargo test --package suite --lib"))?;
    let others = step::run("unit tests", cmd!(sh, "cargo test --workspace --exclude suite"))?;
    let passed = count(&suite) + count(&others);
    ensure!(passed > 0, "there are no unit tests");
    step::say(&format!("  {passed} passed"));
    Ok(())
}

/// How many tests passed, as their summaries have it.
fn count(output: &str) -> usize {
    let passed = |line: &str| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok();
    output.lines().filter_map(passed).sum()
}

/// What users of Nix do, with the newest release in place of nixpkgs.
fn nix(sh: &Shell, bed: &TestBed) -> Result<()> {
    let newest = &bed.channels.first().context("there is a channel")?.name;
    let flake = Flake::new(sh, bed, newest)?;
    if let Some(sibling) = bed.machine.sibling() {
        // The auditor for 32-bit programs is built by what the sandbox shows.
        sibling.prepare(sh)?;
    }
    let check = "flake check --print-build-logs";
    step::run("nix flake check", flake.with_channels(flake.command(sh, check, ""), ""))?;
    fetches_no_channel(sh, &flake)?;
    glibcs_are_checked(sh, &flake)?;

    let version = r#"import ctypes; print("cairo", ctypes.CDLL("libcairo.so.2").cairo_version())"#;
    let run = flake.command(sh, "run", "replit-env").args(["--", "python3", "-c", version]);
    let output = step::run("nix run .#replit-env -- python3", run)?;
    ensure!(output.starts_with("cairo 1"), "nix run printed {output}");

    let built = step::run("nix-build -A replit-env", flake.nix_build(sh, "replit-env"))?;
    let environment = flake.build(sh, "replit-env")?;
    ensure!(Path::new(built.trim()) == environment, "default.nix makes {built}, the flake {}", environment.display());

    let consumer = flake.source.join("tests/consumer");
    let project = format!("path:{}", flake.source.display());
    let consumer = flake.command_in(sh, check, &format!("path:{}", consumer.display()));
    let consumer = flake.with_channels(consumer.args(["--override-input", "replit-env", &project]), "replit-env/");
    step::run("nix flake check of a second project", consumer)?;
    templates::check(sh, bed, &flake)?;
    image::check(sh, &flake)
}

/// What is made of the default packages fetches one nixpkgs: here it is overridden, and no other can be had.
fn fetches_no_channel(sh: &Shell, flake: &Flake) -> Result<()> {
    let offline = |words, attribute| {
        let command = flake.command(sh, words, attribute).args(["--option", "download-attempts", "1"]);
        // Nothing listens there.
        command.env("https_proxy", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9")
    };
    for attribute in ["rtld-loader", "replit-env", "default"] {
        let build = offline("build --no-link --print-build-logs", attribute);
        step::run(&format!("nix build .#{attribute} without the channels"), build)?;
    }
    let run = offline("run", "replit-env").args(["--", "true"]);
    step::run("nix run .#replit-env without the channels", run)?;

    let channel = "stable-24_05";
    let error = flake.failure(offline("build --no-link", &format!("replit-env-{channel}")))?;
    let commit = flake.locked_commit(sh, channel)?;
    ensure!(error.contains(&commit), "nix does not look for {commit}: {error}");
    Ok(())
}

/// A channel with another glibc than nix/channels.toml says does not pass.
fn glibcs_are_checked(sh: &Shell, flake: &Flake) -> Result<()> {
    let check = format!("checks.{}-linux.glibcs", std::env::consts::ARCH);
    // With a commit, which is what tells a channel from a stand-in for one.
    let channel = format!("path:{}?rev={}", flake.nixpkgs.display(), "0".repeat(40));
    let command = flake.with_channels(flake.command(sh, "build --no-link", &check), "");
    let error = flake.failure(command.args(["--override-input", "nixpkgs-unstable", &channel]))?;
    ensure!(error.contains("unstable has glibc"), "{error}");
    Ok(())
}

/// The integration tests. Their summary is the last thing that is printed.
fn integration(sh: &Shell, manifest: &Path, harness: &[String]) -> Result<()> {
    let build = cmd!(sh, "cargo test --package suite --test integration --no-run");
    step::run("integration tests: build", build)?;
    suite(sh, manifest, harness).quiet().run()?;
    Ok(())
}

/// The integration tests on the channels of a manifest. More arguments may follow.
fn suite<'a>(sh: &'a Shell, manifest: &Path, harness: &[String]) -> Cmd<'a> {
    cmd!(sh, "cargo test --quiet --package suite --test integration -- {harness...}").env("RTLD_MANIFEST", manifest)
}

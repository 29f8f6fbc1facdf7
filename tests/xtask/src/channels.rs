//! `cargo xtask channels`: the Debian releases of tests/channels as Nix packages, and the manifest that names them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::data::{Data, Release};
use crate::deb::Deb;
use crate::lock::{Lock, Toolchain};
use crate::machine::Machine;
use crate::nix::Nix;
use crate::pip::{self, Wheel};
use crate::{apt, step};

/// The wheel with the channels' Node.js.
const NODEJS: &str = "users/nodejs.txt";

/// Which packages the channels have.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Set {
    /// Those that tests need.
    Tests,
    /// Those of the bench and of the sweep, too.
    Bench,
}

/// Where the test bed is.
pub struct TestBed {
    /// target/testbed, or one in it for another machine.
    pub directory: PathBuf,
    /// What its programs run on.
    pub machine: &'static Machine,
    set: Set,
    /// The releases, newest first.
    pub channels: Vec<Release>,
    /// The machine's Rust, which Nix builds with.
    pub toolchain: Toolchain,
}

/// What the chores need to know of a channel that was made.
#[derive(Deserialize)]
pub struct Channel {
    /// Its ld.so.
    pub interpreter: PathBuf,
    /// The directory of its libc.so.6.
    pub glibc_lib: PathBuf,
    /// Where its ld.so looks by default.
    pub default_directories: Vec<PathBuf>,
    /// Its Python.
    pub python: PathBuf,
    /// Programs of it.
    pub programs: Programs,
}

/// Store paths with programs.
#[derive(Deserialize)]
pub struct Programs {
    /// ldconfig and its like.
    pub glibc: PathBuf,
    /// Node.js, where it is to be had.
    pub nodejs: Option<PathBuf>,
}

impl TestBed {
    /// What belongs to this set of packages alone.
    pub fn of_set(&self) -> PathBuf {
        match self.set {
            Set::Tests => self.directory.clone(),
            Set::Bench => self.directory.join("bench"),
        }
    }

    /// The stand-in nixpkgs of a channel.
    pub fn nixpkgs(&self, channel: &str) -> PathBuf {
        self.of_set().join(channel).join("nixpkgs")
    }

    /// What a channel says of itself for the manifest; also the link that keeps its store paths.
    pub fn description(&self, channel: &str) -> PathBuf {
        self.of_set().join(channel).join("channel.json")
    }

    /// What a channel was made of.
    fn stamp(&self, channel: &str) -> PathBuf {
        self.of_set().join(channel).join("stamp")
    }

    /// A channel, as its description has it.
    pub fn channel(&self, channel: &str) -> Result<Channel> {
        let file = self.description(channel);
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }

    /// The Nix of the test bed.
    pub fn nix(&self, sh: &Shell) -> Result<Nix> {
        Nix::new(sh, &self.directory.join("nix"), &self.toolchain, self.machine)
    }
}

/// Makes what is missing of this machine's channels.
pub fn make(sh: &Shell, set: Set) -> Result<TestBed> {
    make_for(sh, Machine::host()?, set)
}

/// Makes what is missing of the channels for a machine.
pub fn make_for(sh: &Shell, machine: &'static Machine, set: Set) -> Result<TestBed> {
    machine.prepare(sh)?;
    machine.prepare_to_run(sh)?;
    let started = Instant::now();
    let sources = sh.current_dir().join("tests/channels");
    let data = Data::read(&sources.join("channels.toml"))?;
    let data = if set == Set::Bench { data.with_bench() } else { data };
    let directory = sh.current_dir().join("target/testbed");
    let bed = TestBed {
        directory: if machine.is_host() { directory } else { directory.join(machine.system) },
        machine,
        set,
        channels: data.releases.iter().filter(|release| release.is_for(machine)).cloned().collect(),
        toolchain: toolchain(sh)?,
    };
    let nix = bed.nix(sh)?;
    let stamp = stamp(sh, &sources, &bed.toolchain)?;
    let is_stale = |release: &&Release| {
        // The link is dangling when its store path was collected.
        !bed.description(&release.name).exists() || sh.read_file(bed.stamp(&release.name)).ok().as_ref() != Some(&stamp)
    };
    let stale: Vec<&Release> = bed.channels.iter().filter(is_stale).collect();
    if stale.is_empty() {
        return Ok(bed);
    }
    let mirror = apt::mirror(sh)?;
    step::say(&format!("Channels from {mirror}, in {}", bed.directory.display()));
    let nodejs = if machine.is_host() { Some(nodejs(sh, &bed, &nix, &sources)?) } else { None };
    let maker = Maker { bed: &bed, data: &data, root: sh.current_dir(), nix, mirror, nodejs, stamp };
    std::thread::scope(|scope| {
        let one = |release| {
            let maker = &maker;
            scope.spawn(move || maker.make(release))
        };
        let threads: Vec<_> = stale.into_iter().map(one).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("errors are returned"))
    })?;
    step::say(&format!("Channels are ready ({:.0} s)", started.elapsed().as_secs_f32()));
    Ok(bed)
}

/// The wheel of Node.js, in the store.
fn nodejs(sh: &Shell, bed: &TestBed, nix: &Nix, sources: &Path) -> Result<Wheel> {
    let wheel = pip::download(sh, &sources.join(NODEJS), &bed.directory.join("nodejs"))?;
    nix.add(sh, "Node.js into the store", std::slice::from_ref(&wheel.file))?;
    Ok(wheel)
}

/// What it takes to make a channel.
struct Maker<'a> {
    bed: &'a TestBed,
    data: &'a Data,
    root: PathBuf,
    nix: Nix,
    mirror: String,
    nodejs: Option<Wheel>,
    stamp: String,
}

impl Maker<'_> {
    fn make(&self, release: &Release) -> Result<()> {
        // A Shell stays on its thread.
        let sh = Shell::new()?;
        sh.change_dir(&self.root);
        self.make_in(&sh, release).with_context(|| format!("channel {}", release.name))?;
        sh.write_file(self.bed.stamp(&release.name), &self.stamp)?;
        Ok(())
    }

    fn make_in(&self, sh: &Shell, release: &Release) -> Result<()> {
        let name = &release.name;
        // Both sets have most packages in common.
        let apt = self.bed.directory.join(name).join("apt");
        let left_out = &self.data.left_out.packages;
        let machine = self.bed.machine;
        let source = apt::Source { mirror: &self.mirror, release, architecture: machine.debian };
        let downloads = apt::download(sh, &apt, &source, &self.data.wanted(), left_out)?;
        let read = |download| Deb::read(download, machine.triplet);
        let debs = downloads.into_iter().map(read).collect::<Result<Vec<_>>>()?;

        let nixpkgs = self.bed.nixpkgs(name);
        sh.remove_path(&nixpkgs)?;
        sh.create_dir(&nixpkgs)?;
        for file in sh.read_dir(self.root.join("tests/channels/nixpkgs"))? {
            sh.copy_file(file, &nixpkgs)?;
        }
        let lock = Lock::new(self.data, release, machine, &self.bed.toolchain, self.nodejs.as_ref(), &debs)?;
        sh.write_file(nixpkgs.join("lock.json"), serde_json::to_vec_pretty(&lock)?)?;

        // Under the names that they have in the store.
        let pool = apt.join("pool");
        sh.remove_path(&pool)?;
        sh.create_dir(&pool)?;
        let mut added = Vec::new();
        for deb in &debs {
            let file = pool.join(deb.store_name());
            sh.hard_link(&deb.file, &file)?;
            added.push(file);
        }
        self.nix.add(sh, &format!("{name}: packages into the store"), &added)?;
        let title = format!("{name}: store paths");
        self.nix.build(sh, &title, &nixpkgs, "channel", &self.bed.description(name))?;
        check_default_directories(sh, &self.bed.channel(name)?)
    }
}

/// Holds channels.toml to what ld.so says of itself, from 2.33 on.
fn check_default_directories(sh: &Shell, channel: &Channel) -> Result<()> {
    let ld_so = &channel.interpreter;
    let Ok(diagnostics) = cmd!(sh, "{ld_so} --list-diagnostics").quiet().ignore_stderr().read() else {
        return Ok(());
    };
    let directory = |line: &str| -> Option<PathBuf> {
        let (_, quoted) = line.strip_prefix("path.system_dirs[")?.split_once("]=")?;
        Some(PathBuf::from(quoted.trim_matches('"').trim_end_matches('/')))
    };
    let said: Vec<PathBuf> = diagnostics.lines().filter_map(directory).collect();
    let stated = &channel.default_directories;
    ensure!(said == *stated, "{} looks into {said:?}, not into {stated:?}", ld_so.display());
    Ok(())
}

/// The toolchain that runs this very program; rustup's own programs do not work outside of a home directory.
fn toolchain(sh: &Shell) -> Result<Toolchain> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(Toolchain {
        path: cmd!(sh, "{rustc} --print sysroot").quiet().read()?,
        version: cmd!(sh, "{rustc} --version").quiet().read()?,
    })
}

/// Everything that a channel is made of, but for what the mirror has.
fn stamp(sh: &Shell, sources: &Path, toolchain: &Toolchain) -> Result<String> {
    let mut files = sh.read_dir(sources.join("nixpkgs"))?;
    files.extend(["channels.toml", NODEJS].map(|name| sources.join(name)));
    let mut stamp = serde_json::to_string(toolchain)?;
    for file in files {
        stamp += &format!("\n{}\n{}", file.display(), sh.read_file(&file)?);
    }
    Ok(stamp)
}

//! The project's flake, evaluated with a stand-in for nixpkgs, or with one for each of its channels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::channels::TestBed;
use crate::nix::Nix;
use crate::pins::Pins;
use crate::{crates, step, tree};

/// A copy of the project without what git ignores, and the stand-ins to build it with.
pub struct Flake {
    /// The copy. Unlike the tree itself it has no target/, which Nix would copy to the store where there is no git.
    pub source: PathBuf,
    /// The stand-in nixpkgs.
    pub nixpkgs: PathBuf,
    /// The stand-ins of the channels that the flake pins, by the names of its inputs.
    channels: Vec<(String, PathBuf)>,
    nix: Nix,
}

impl Flake {
    /// Copies the tree and puts into the store what its build downloads.
    pub fn new(sh: &Shell, bed: &TestBed, channel: &str) -> Result<Self> {
        let nix = bed.nix(sh)?;
        crates::add(sh, &nix)?;
        let source = bed.directory.join("source");
        copy_tree(sh, &source)?;
        let mut channels = Vec::new();
        for pin in Pins::read(&source)?.channels {
            let release = pin.nearest(&bed.channels).context("there is a channel")?;
            channels.push((pin.input(), bed.nixpkgs(&release.name)));
        }
        Ok(Self { source, nixpkgs: bed.nixpkgs(channel), channels, nix })
    }

    /// `nix WORDS… .#attribute`, with the stand-in.
    pub fn command<'a>(&self, sh: &'a Shell, words: &str, attribute: &str) -> Cmd<'a> {
        self.command_in(sh, words, &format!("path:{}#{attribute}", self.source.display()))
    }

    /// The same for any flake whose input nixpkgs is to be overridden.
    pub fn command_in<'a>(&self, sh: &'a Shell, words: &str, flake: &str) -> Cmd<'a> {
        let words = words.split(' ');
        let nixpkgs = format!("path:{}", self.nixpkgs.display());
        self.nix.command(cmd!(sh, "nix {words...} {flake} --override-input nixpkgs {nixpkgs} --no-write-lock-file"))
    }

    /// `nix flake init --template .#template`, in the shell's directory.
    pub fn init<'a>(&self, sh: &'a Shell, template: &str) -> Cmd<'a> {
        let template = format!("path:{}#{template}", self.source.display());
        self.nix.command(cmd!(sh, "nix flake init --template {template}"))
    }

    /// Adds the stand-ins for all channels that the flake pins. `path` leads to its inputs: empty, or `replit-env/`.
    pub fn with_channels<'a>(&self, command: Cmd<'a>, path: &str) -> Cmd<'a> {
        self.channels.iter().fold(command, |command, (input, nixpkgs)| {
            let nixpkgs = format!("path:{}", nixpkgs.display());
            command.args(["--override-input", &format!("{path}{input}"), &nixpkgs])
        })
    }

    /// What `nix` says when it does not succeed.
    pub fn failure(&self, command: Cmd) -> Result<String> {
        let output = command.quiet().ignore_status().output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "nix succeeds: {error}");
        Ok(error)
    }

    /// The commit that flake.lock pins a channel to.
    pub fn locked_commit(&self, sh: &Shell, channel: &str) -> Result<String> {
        let lock: serde_json::Value = serde_json::from_str(&sh.read_file(self.source.join("flake.lock"))?)?;
        let commit = lock["nodes"][format!("nixpkgs-{channel}")]["locked"]["rev"].as_str();
        commit.map(str::to_owned).with_context(|| format!("flake.lock has no {channel}"))
    }

    /// `nix-build -A ATTRIBUTE`: no flake.
    pub fn nix_build<'a>(&self, sh: &'a Shell, attribute: &str) -> Cmd<'a> {
        let (source, pkgs) = (&self.source, format!("import {} {{ }}", self.nixpkgs.display()));
        self.nix.command(cmd!(sh, "nix-build {source} --attr {attribute} --arg pkgs {pkgs} --no-out-link"))
    }

    /// Builds an attribute. Its build log is what shows how far it is.
    pub fn build(&self, sh: &Shell, attribute: &str) -> Result<PathBuf> {
        let link = self.source.with_file_name(attribute);
        let build = self.command(sh, "build --print-build-logs", attribute).arg("--out-link").arg(&link);
        step::run(&format!("nix build .#{attribute}"), build)?;
        link.read_link().with_context(|| link.display().to_string())
    }
}

/// Copies the tree, but for what .gitignore names, to `source`, which then has no other files.
fn copy_tree(sh: &Shell, source: &Path) -> Result<()> {
    sh.remove_path(source)?;
    let root = sh.current_dir();
    for file in tree::files(&root) {
        let file = file?;
        let target = source.join(file.strip_prefix(&root)?);
        sh.create_dir(target.parent().context("a file is in a directory")?)?;
        sh.copy_file(&file, &target)?;
    }
    Ok(())
}

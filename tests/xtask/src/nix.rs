//! Nix with settings of our own: no daemon, no /etc/nix, no network, and a sandbox that shows the machine's tools.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use crate::lock::Toolchain;
use crate::machine::{MACHINES, Machine};
use crate::step;

/// A Nix that is ready to use.
pub struct Nix {
    config: String,
    state: PathBuf,
    /// The system that is built for.
    system: &'static str,
}

impl Nix {
    /// `state` is a directory for caches. The sandbox shows `toolchain`, since a home directory is not to be seen in it.
    pub fn new(sh: &Shell, state: &Path, toolchain: &Toolchain, machine: &Machine) -> Result<Self> {
        sh.create_dir(state)?;
        let mut paths = vec!["/usr".to_owned()];
        // /bin is listed whole: a /bin/sh beside it would make an empty file of the machine's own.
        for name in ["bin", "lib", "lib64"].into_iter().filter(|name| Path::new("/usr").join(name).exists()) {
            paths.push(format!("/{name}=/usr/{name}"));
        }
        // Compilers are links to /etc/alternatives.
        paths.push("/etc/alternatives".to_owned());
        if !Path::new(&toolchain.path).starts_with("/usr") {
            paths.push(toolchain.path.clone());
        }
        let config = format!(
            "build-users-group =\nsandbox = true\nsandbox-fallback = false\nsandbox-paths = {}\nmax-jobs = auto\n\
             experimental-features = nix-command flakes\nsubstituters =\nflake-registry =\nwarn-dirty = false\n\
             extra-platforms = {}\n",
            paths.join(" "),
            // The tools that build are this machine's, whatever the packages are for.
            MACHINES.each_ref().map(|machine| machine.system).join(" ")
        );
        let nix = Self { config, state: state.to_owned(), system: machine.system };
        nix.command(cmd!(sh, "nix-store --init")).run()?;
        Ok(nix)
    }

    /// Makes `command` use this Nix.
    pub fn command<'a>(&self, command: Cmd<'a>) -> Cmd<'a> {
        command
            .quiet()
            .env("NIX_CONFIG", &self.config)
            .env("NIX_CONF_DIR", &self.state)
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_REMOTE", "local")
            .env("XDG_CACHE_HOME", &self.state)
    }

    /// Builds `attribute` of the expression in `directory`, and links to it from `link`, which keeps it from being
    /// collected.
    pub fn build(&self, sh: &Shell, title: &str, directory: &Path, attribute: &str, link: &Path) -> Result<()> {
        let system = self.system;
        let build = cmd!(sh, "nix-build {directory} --argstr system {system} --attr {attribute} --out-link {link}");
        step::run(title, self.command(build)).map(drop)
    }

    /// Puts files into the store, under the paths that follow from their names and contents.
    pub fn add(&self, sh: &Shell, title: &str, files: &[PathBuf]) -> Result<()> {
        step::run(title, self.command(cmd!(sh, "nix-store --add-fixed sha256 {files...}"))).map(drop)
    }
}

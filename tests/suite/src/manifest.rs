//! The manifest of channels: what there is to test on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// What there is to test, and on what.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// The audit library.
    pub auditor: PathBuf,
    /// The helper program that generates environments.
    pub replit_env_cli: PathBuf,
    /// Whether an emulator runs the channels' programs: it is seen in the place of their system calls, and of the kernel's
    /// say over them.
    #[serde(default)]
    pub emulated: bool,
    /// Programs of the machine, by name. What the machine lacks is not named.
    #[serde(default)]
    pub tools: BTreeMap<String, PathBuf>,
    /// The views that processes are to be seen in.
    pub views: Vec<View>,
    /// The channels, one glibc each.
    pub channels: Vec<Channel>,
    /// The 32-bit machine whose programs run beside this one's, if there is one.
    #[serde(default)]
    pub sibling: Option<Sibling>,
    /// Where built objects are kept from one run to the next.
    #[serde(skip)]
    pub objects: PathBuf,
}

/// A machine of another class, whose programs are children of ours.
#[derive(Clone, Debug, Deserialize)]
pub struct Sibling {
    /// The audit library for them.
    pub auditor: PathBuf,
    /// Its channels.
    pub channels: Vec<Channel>,
}

/// One channel: a glibc, a compiler for it, and libraries that were built for it.
#[derive(Clone, Debug, Deserialize)]
pub struct Channel {
    /// Its name, as in `bookworm`.
    pub name: String,
    /// The version of its glibc, as in `2.36`.
    pub glibc: String,
    /// Its machine, as Nix names it: `x86_64-linux`.
    pub system: String,
    /// What `PT_INTERP` of its programs says.
    pub interpreter: PathBuf,
    /// The directory of its `libc.so.6`.
    pub glibc_lib: PathBuf,
    /// A C compiler whose programs use this glibc and this interpreter.
    pub cc: PathBuf,
    /// How the names of the environment variables end that are for this compiler: nixpkgs' `stdenv.cc.suffixSalt`.
    pub suffix_salt: String,
    /// A python3 that was built for this glibc.
    pub python: PathBuf,
    /// Library outputs by name; what one declares of them is their `lib`.
    #[serde(default)]
    pub libraries: BTreeMap<String, PathBuf>,
    /// Outputs with programs that were built for this glibc, by name; the programs are in their `bin`.
    #[serde(default)]
    pub programs: BTreeMap<String, PathBuf>,
    /// A directory of fonts, for libraries that draw text.
    #[serde(default)]
    pub fonts: Option<PathBuf>,
    /// Python packages from elsewhere, as a venv of its python3 has them in its site-packages.
    #[serde(default)]
    pub wheels: Option<PathBuf>,
    /// Node.js packages from elsewhere: a `node_modules`.
    #[serde(default)]
    pub node_modules: Option<PathBuf>,
    /// Gems for its ruby, as GEM_HOME has them.
    #[serde(default)]
    pub gems: Option<PathBuf>,
    /// The default directories of its ld.so, in order.
    pub default_directories: Vec<PathBuf>,
    /// The path of the cache that its ld.so reads.
    pub cache: PathBuf,
}

/// What of the machine a process sees.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// Only the store, and the channel's glibc where its ld.so looks by default: what a Nix process sees.
    Nix,
    /// The whole machine with its own libraries.
    Distribution,
    /// The sandbox that a Nix build runs in, as it is.
    Direct,
}

impl View {
    /// The view's name in the manifest and in the names of trials.
    pub fn name(self) -> &'static str {
        match self {
            View::Nix => "nix",
            View::Distribution => "distribution",
            View::Direct => "direct",
        }
    }
}

impl Manifest {
    /// Reads the manifest at `path`. Objects that get built are kept in `objects`.
    pub fn load(path: &Path, objects: PathBuf) -> Result<Manifest> {
        let text = fs::read(path).with_context(|| format!("cannot read the manifest {}", path.display()))?;
        let manifest = serde_json::from_slice(&text).with_context(|| format!("in the manifest {}", path.display()))?;
        Ok(Manifest { objects, ..manifest })
    }

    /// A tool of the machine.
    pub fn tool(&self, name: &str) -> Result<&Path> {
        self.tools.get(name).map(PathBuf::as_path).with_context(|| format!("the manifest names no {name}"))
    }
}

impl Channel {
    /// Whether this machine's own programs are of the same kind as its.
    pub fn is_of_this_machine(&self) -> bool {
        self.system == format!("{}-linux", std::env::consts::ARCH)
    }

    /// The class of its objects (`e_ident[EI_CLASS]`): 1 for 32 bits, 2 for 64.
    pub fn class(&self) -> u8 {
        if self.system.starts_with("i686-") { 1 } else { 2 }
    }

    /// The class of others.
    pub fn other_class(&self) -> u8 {
        3 - self.class()
    }

    /// The version of its glibc, to be compared.
    pub fn version(&self) -> (u32, u32) {
        let mut parts = self.glibc.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

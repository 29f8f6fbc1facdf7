//! What tests/channels/channels.toml says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::machine::Machine;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Newest first.
    pub releases: Vec<Release>,
    /// What Debian's ld.so believes in.
    pub ld_so: LdSo,
    /// nixpkgs' name of a package, and what it is in Debian; names may end in `*` here and in `merged`.
    pub attributes: BTreeMap<String, Attribute>,
    /// Packages that share the store path of the one that they are listed under.
    pub merged: BTreeMap<String, Vec<String>>,
    /// What the bench and the sweep have besides.
    pub bench: Bench,
    /// Links to add to a package.
    pub links: BTreeMap<String, BTreeMap<String, String>>,
    /// Dependencies that are taken for installed.
    pub left_out: LeftOut,
}

/// A Debian release.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its code name, which is the channel's name too.
    pub name: String,
    /// The version of its glibc.
    pub glibc: String,
    /// The machines that it has no channel for, as Debian names them.
    #[serde(default)]
    pub without: Vec<String>,
}

impl Release {
    /// Whether it makes a channel for this machine.
    pub fn is_for(&self, machine: &Machine) -> bool {
        !self.without.iter().any(|name| name == machine.debian)
    }

    /// The second number of its glibc's version.
    pub fn minor(&self) -> u32 {
        minor(&self.glibc)
    }
}

/// The second number of a glibc's version. The first one is 2 in all of them.
pub fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// What Debian builds into an ld.so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdSo {
    /// The cache's path.
    pub cache: String,
    /// In the order of search, with `{triplet}` for the machine's.
    pub default_directories: Vec<String>,
}

/// The Debian packages of an attribute.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// The only output.
    Package(String),
    /// Sets of one output and its package each, the default output first.
    Outputs(Vec<BTreeMap<String, String>>),
}

impl Attribute {
    /// Output and package, in order.
    pub fn outputs(&self) -> Vec<(String, String)> {
        match self {
            Self::Package(package) => vec![("out".to_owned(), package.clone())],
            Self::Outputs(outputs) => outputs.iter().flatten().map(|(o, p)| (o.clone(), p.clone())).collect(),
        }
    }
}

/// Packages for the bench and the sweep alone.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bench {
    /// As those of [`Data`].
    pub attributes: BTreeMap<String, Attribute>,
    /// As those of [`Data`].
    pub merged: BTreeMap<String, Vec<String>>,
}

/// Dependencies that are taken for installed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Their names.
    pub packages: Vec<String>,
}

impl Data {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The same with those packages among the others.
    pub fn with_bench(mut self) -> Self {
        self.attributes.extend(self.bench.attributes.clone());
        self.merged.extend(self.bench.merged.clone());
        self
    }

    /// Whether this package is there for the bench and the sweep alone.
    pub fn is_for_bench(&self, attribute: &str) -> bool {
        self.bench.attributes.contains_key(attribute)
    }

    /// The packages to ask apt for. Names with a `*` only say where to put what comes along anyway.
    pub fn wanted(&self) -> Vec<String> {
        let packages = self.attributes.values().flat_map(|attribute| attribute.outputs()).map(|(_, package)| package);
        let merged = self.merged.values().flatten().cloned();
        packages.chain(merged).filter(|name| !name.ends_with('*')).collect()
    }

    /// The package whose store path has the content of `package`.
    pub fn path_of<'a>(&'a self, package: &'a str) -> &'a str {
        let holds = |pattern: &String| is_meant(pattern, package);
        let found = self.merged.iter().find(|(_, members)| members.iter().any(holds));
        found.map_or(package, |(name, _)| name)
    }
}

/// Whether a name of the file means this package.
pub fn is_meant(pattern: &str, package: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => package.starts_with(prefix),
        None => package == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        Data::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../channels/channels.toml")).unwrap()
    }

    #[test]
    fn numbered_packages_join_the_one_that_they_belong_to() {
        let data = data();
        assert_eq!(data.path_of("libpython3.13-stdlib"), "python3");
        assert_eq!(data.path_of("python3-minimal"), "python3");
        assert_eq!(data.path_of("python3"), "python3");
        assert_eq!(data.path_of("zlib1g"), "zlib1g");
    }

    #[test]
    fn apt_is_asked_for_names_alone() {
        let wanted = data().wanted();
        assert!(wanted.contains(&"libcairo2".to_owned()));
        assert!(wanted.contains(&"libgomp1".to_owned()));
        assert!(wanted.iter().all(|name| !name.contains('*')));
    }

    #[test]
    fn the_benchs_packages_are_there_only_for_it() {
        let has = |data: &Data| data.wanted().contains(&"libvips-tools".to_owned());
        assert!(!has(&data()));
        let data = data().with_bench();
        assert!(has(&data));
        assert!(data.is_for_bench("vips") && !data.is_for_bench("cairo"));
        assert_eq!(data.path_of("imagemagick-7.q16"), "imagemagick");
    }

    #[test]
    fn the_default_output_comes_first() {
        let outputs = data().attributes["bzip2"].outputs();
        assert_eq!(outputs[0], ("bin".to_owned(), "bzip2".to_owned()));
        assert_eq!(outputs[1], ("out".to_owned(), "libbz2-1.0".to_owned()));
    }
}

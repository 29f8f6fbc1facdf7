//! The channels of nixpkgs that the flake pins, as nix/channels.toml lists them.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::data::{Release, minor};

/// The file, as far as chores and tests need it.
#[derive(Deserialize)]
pub struct Pins {
    /// Oldest first.
    pub channels: Vec<Pin>,
}

/// A channel.
#[derive(Deserialize)]
pub struct Pin {
    /// As the flake's attributes have it.
    pub name: String,
    /// The version of its glibc.
    pub glibc: String,
    /// nixpkgs' branch.
    #[cfg(test)]
    branch: String,
    /// What it is offered for, if not for all.
    #[cfg(test)]
    systems: Option<Vec<String>>,
}

impl Pins {
    /// Reads nix/channels.toml in the tree at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("nix/channels.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

impl Pin {
    /// The name of the flake's input.
    pub fn input(&self) -> String {
        format!("nixpkgs-{}", self.name)
    }

    /// The release whose glibc is nearest; of two, the first.
    pub fn nearest<'a>(&self, releases: &'a [Release]) -> Option<&'a Release> {
        releases.iter().min_by_key(|release| release.minor().abs_diff(minor(&self.glibc)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::data::Data;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
    }

    fn text(file: &str) -> String {
        std::fs::read_to_string(root().join(file)).unwrap()
    }

    fn pins() -> Vec<Pin> {
        Pins::read(root()).unwrap().channels
    }

    #[test]
    fn the_nearest_glibc_stands_in() {
        let releases = Data::read(&root().join("tests/channels/channels.toml")).unwrap().releases;
        let nearest = |glibc: &str| {
            let pin = Pin { name: String::new(), glibc: glibc.to_owned(), branch: String::new(), systems: None };
            pin.nearest(&releases).unwrap().name.clone()
        };
        assert_eq!(nearest("2.42"), "trixie");
        assert_eq!(nearest("2.39"), "trixie");
        assert_eq!(nearest("2.38"), "bookworm");
        assert_eq!(nearest("2.34"), "bookworm");
    }

    #[test]
    fn the_flake_has_the_channels_and_no_others() {
        let flake = text("flake.nix");
        let inputs: Vec<_> = flake.lines().filter_map(|line| line.trim().strip_prefix("nixpkgs-")).collect();
        let of = |pin: &Pin| format!("{}.url = \"github:NixOS/nixpkgs/{}\";", pin.name, pin.branch);
        assert_eq!(inputs, pins().iter().map(of).collect::<Vec<_>>());
    }

    #[test]
    fn the_lock_pins_each_channel_to_a_commit_of_its_branch() {
        let lock: Value = serde_json::from_str(&text("flake.lock")).unwrap();
        let nodes = lock["nodes"].as_object().unwrap();
        for pin in pins() {
            let node = &nodes[&pin.input()];
            let original = json!({ "type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": pin.branch });
            assert_eq!(node["original"], original);
            assert_eq!(node["locked"]["rev"].as_str().unwrap().len(), 40);
            assert!(node["locked"]["narHash"].as_str().unwrap().starts_with("sha256-"));
            assert_eq!(nodes["root"]["inputs"][&pin.input()], json!(pin.input()));
        }
        assert_eq!(nodes.len(), pins().len() + 1);
    }

    #[test]
    fn no_channel_is_for_a_machine_where_the_auditor_declines() {
        for pin in pins().iter().filter(|pin| minor(&pin.glibc) < 35) {
            assert_eq!(pin.systems.as_deref(), Some(["x86_64-linux".to_owned()].as_slice()), "{}", pin.name);
        }
    }

    #[test]
    fn the_readme_has_a_row_for_each_channel() {
        let readme = text("README.md");
        let rows: Vec<_> = readme.lines().filter(|line| line.contains("| `nixos-")).collect();
        let of = |pin: &Pin| format!("| `{}` | `{}` | {} |", pin.name, pin.branch, pin.glibc);
        assert_eq!(rows, pins().iter().map(of).collect::<Vec<_>>());
    }
}

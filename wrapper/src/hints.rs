//! Which package brings a library that nobody declares: data/sonames.toml, as far as it holds for a release of nixpkgs.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Error, Result};
use serde::Deserialize;

/// The data. nix/checks/hints.nix holds it to nixpkgs.
const DATA: &str = include_str!("../data/sonames.toml");

/// The attribute of nixpkgs for each soname.
pub type Hints<'h> = BTreeMap<&'h str, &'h str>;

/// A release of nixpkgs, such as 24.05.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub struct Release {
    year: u8,
    month: u8,
}

/// All that is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    sonames: BTreeMap<String, Package>,
}

/// What brings a library: attributes, the newest name first, and the releases in which each does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    attributes: Vec<String>,
    #[serde(default)]
    since: BTreeMap<String, Release>,
    #[serde(default)]
    until: BTreeMap<String, Release>,
}

impl Table {
    /// Reads the data.
    pub fn read() -> Self {
        toml::from_str(DATA).expect("a test reads the same data")
    }

    /// What holds in all of these releases; without any, in the newest.
    pub fn hints(&self, releases: &[Release]) -> Hints<'_> {
        let packages = self.sonames.iter();
        packages.filter_map(|(soname, package)| Some((soname.as_str(), package.attribute(releases)?))).collect()
    }
}

impl Package {
    fn attribute(&self, releases: &[Release]) -> Option<&str> {
        let holds_in = |attribute: &String, release: &Release| {
            self.since.get(attribute).is_none_or(|since| since <= release)
                && self.until.get(attribute).is_none_or(|until| release <= until)
        };
        let holds = |attribute: &&String| match releases {
            [] => !self.until.contains_key(*attribute),
            releases => releases.iter().all(|release| holds_in(attribute, release)),
        };
        self.attributes.iter().find(holds).map(String::as_str)
    }
}

impl FromStr for Release {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| -> Option<u8> {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok())?
        };
        let release = text.split_once('.').and_then(|(year, month)| {
            let month = number(month).filter(|month| (1..=12).contains(month))?;
            Some(Self { year: number(year)?, month })
        });
        release.ok_or_else(|| Error::msg("a release of nixpkgs is a year and a month, such as 24.05"))
    }
}

impl TryFrom<String> for Release {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rtld_loader::family;
    use rtld_loader::hint;
    use rtld_loader::path::PathBuf;

    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    /// The attribute for a soname in each of some releases.
    fn attribute<'t>(table: &'t Table, soname: &str, releases: &[&str]) -> Option<&'t str> {
        let releases: Vec<_> = releases.iter().map(|text| release(text)).collect();
        table.hints(&releases).get(soname).copied()
    }

    #[test]
    fn a_release_is_a_year_and_a_month() {
        assert_eq!(release("24.05"), Release { year: 24, month: 5 });
        assert!(release("23.11") < release("24.05") && release("24.05") < release("24.11"));
        for text in
            ["", "24", "24.", ".05", "24.5", "24.005", "24.00", "24.13", "+4.05", "24.05pre", "unstable", "2４.05"]
        {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_attribute_is_one_that_the_release_has() {
        let table: Table = toml::from_str(
            r#"[sonames]
            "liba.so" = { attributes = ["a"] }
            "libb.so" = { attributes = ["b", "old.b"], since = { b = "26.05" } }
            "libc.so" = { attributes = ["c", "c_2"], since = { c_2 = "22.11" }, until = { c = "22.05", c_2 = "24.05" } }"#,
        )
        .unwrap();
        for (releases, expected) in [
            (["22.05"].as_slice(), [Some("a"), Some("old.b"), Some("c")]),
            (&["23.11"], [Some("a"), Some("old.b"), Some("c_2")]),
            (&["24.11"], [Some("a"), Some("old.b"), None]),
            (&["26.05"], [Some("a"), Some("b"), None]),
            (&["30.11"], [Some("a"), Some("b"), None]),
            (&[], [Some("a"), Some("b"), None]),
            (&["23.11", "26.05"], [Some("a"), Some("old.b"), None]),
            (&["26.05", "26.11"], [Some("a"), Some("b"), None]),
            (&["22.05", "22.11"], [Some("a"), Some("old.b"), None]),
        ] {
            let found = ["liba.so", "libb.so", "libc.so"].map(|soname| attribute(&table, soname, releases));
            assert_eq!(found, expected, "{releases:?}");
        }
    }

    #[test]
    fn the_data_is_whole() {
        let table = Table::read();
        assert!(table.sonames.len() >= 300, "{} sonames", table.sonames.len());
        let data: toml::Value = toml::from_str(include_str!("../../nix/channels.toml")).unwrap();
        let channels = data["channels"].as_array().unwrap().iter().map(|channel| channel["name"].as_str().unwrap());
        let known: BTreeSet<_> = channels
            .filter_map(|name| name.strip_prefix("stable-"))
            .map(|name| release(&name.replace('_', ".")))
            .collect();
        assert!(known.len() >= 9, "{known:?}");
        for (soname, package) in &table.sonames {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+_.".contains(&byte);
            assert!(soname.bytes().all(is_plain) && soname.starts_with("lib") && soname.contains(".so"), "{soname}");
            // A declared one would never be handed out.
            assert!(!family::contains(soname.as_bytes()), "{soname}");
            assert!(!package.attributes.is_empty(), "{soname}");
            for attribute in &package.attributes {
                // What Nix takes for a path of attributes without quotes.
                let is_name = |name: &str| {
                    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_'".contains(&byte))
                };
                assert!(attribute.split('.').all(is_name), "{soname}: {attribute}");
            }
            for (attribute, release) in package.since.iter().chain(&package.until) {
                assert!(package.attributes.contains(attribute), "{soname}: {attribute}");
                assert!(known.contains(release), "{soname}: {release:?}");
            }
            for (attribute, since) in &package.since {
                assert!(package.until.get(attribute).is_none_or(|until| since <= until), "{soname}: {attribute}");
            }
        }
    }

    #[test]
    fn the_data_is_sorted_and_said_once() {
        let lines = DATA.lines().filter_map(|line| line.strip_prefix('"'));
        let sonames: Vec<_> = lines.filter_map(|line| Some(line.split_once('"')?.0)).collect();
        assert_eq!(sonames.len(), Table::read().sonames.len());
        assert!(sonames.windows(2).all(|two| two[0] < two[1]), "byte order");
    }

    #[test]
    fn each_text_is_short_enough_for_ld_so() {
        let table = Table::read();
        for (soname, package) in &table.sonames {
            for attribute in &package.attributes {
                let mut text = PathBuf::new();
                hint::write(&mut text, soname.as_bytes(), attribute.as_bytes()).unwrap();
                let attribute = format!("add pkgs.{attribute} to replit.nix)");
                assert!(text.as_bytes().ends_with(attribute.as_bytes()), "{soname}");
            }
        }
    }
}

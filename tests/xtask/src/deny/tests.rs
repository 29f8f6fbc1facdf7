//! Holds Cargo.lock to deny.toml by what cargo itself says of the crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};

/// deny.toml, as far as it is held here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    multiple_versions: String,
    #[serde(default)]
    skip: Vec<Skip>,
}

/// A version beside which there may be another, and why.
#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    of: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
    allow_registry: Vec<String>,
    allow_git: Vec<String>,
}

/// A crate, as far as rules go.
struct Crate {
    name: String,
    version: String,
    licence: Option<String>,
    /// Nothing for what is in the tree.
    source: Option<String>,
}

impl Rules {
    /// What is against them.
    fn broken_by(&self, crates: &[Crate]) -> Vec<String> {
        let mut found = Vec::new();
        let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
        for it in crates {
            if !self.licenses.allows(it) {
                found.push(format!("{}: licence {:?}", it.name, it.licence));
            }
            if it.source.as_ref().is_some_and(|source| !self.sources.allows(source)) {
                found.push(format!("{}: from {:?}", it.name, it.source));
            }
            if !self.bans.skips(it) {
                versions.entry(&it.name).or_default().insert(&it.version);
            }
        }
        let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
        found.extend(several.map(|(name, versions)| format!("{name}: {versions:?}")));
        found
    }
}

impl Bans {
    /// A crate is named as `name@VERSION`, of which the major number alone may be given.
    fn skips(&self, it: &Crate) -> bool {
        let is_of =
            |skip: &Skip| skip.of.split_once('@').is_some_and(|(name, version)| name == it.name && it.is(version));
        self.skip.iter().any(is_of)
    }
}

impl Crate {
    fn is(&self, version: &str) -> bool {
        self.version.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Licenses {
    fn allows(&self, it: &Crate) -> bool {
        let Some(licence) = it.licence.as_ref().and_then(|text| Expression::parse_mode(text, ParseMode::LAX).ok())
        else {
            return false;
        };
        let exceptions = self.exceptions.iter().filter(|exception| exception.name == it.name);
        let allowed: Vec<&String> =
            self.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow)).collect();
        licence.evaluate(|required: &LicenseReq| allowed.iter().any(|licence| required.to_string() == **licence))
    }
}

impl Sources {
    fn allows(&self, source: &str) -> bool {
        source.strip_prefix("registry+").is_some_and(|url| self.allow_registry.iter().any(|allowed| allowed == url))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn rules() -> Rules {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

/// What cargo makes of the tree, with what only some feature brings. It fails if Cargo.lock lacks anything.
fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    let command = command.current_dir(root()).features(CargoOpt::AllFeatures);
    command.other_options(["--locked".to_owned()]).exec().unwrap()
}

fn crates() -> Vec<Crate> {
    let of = |package: cargo_metadata::Package| Crate {
        name: package.name.to_string(),
        version: package.version.to_string(),
        licence: package.license,
        source: package.source.map(|source| source.repr),
    };
    metadata().packages.into_iter().map(of).collect()
}

#[test]
fn every_crate_is_let_in() {
    let crates = crates();
    assert!(crates.len() > 100);
    assert_eq!(rules().broken_by(&crates), [""; 0]);
}

#[test]
fn what_is_excepted_is_there() {
    let (crates, rules) = (crates(), rules());
    for Exception { name, .. } in &rules.licenses.exceptions {
        assert!(crates.iter().any(|it| it.name == *name), "{name}");
    }
    for Skip { of, reason } in &rules.bans.skip {
        let (name, version) = of.split_once('@').unwrap();
        let versions: Vec<&Crate> = crates.iter().filter(|it| it.name == name).collect();
        assert!(versions.len() > 1 && versions.iter().any(|it| it.is(version)), "{of}");
        assert!(!reason.is_empty(), "{of}");
    }
}

#[test]
fn the_rules_are_strict() {
    let Rules { bans, sources, .. } = rules();
    assert_eq!(bans.multiple_versions, "deny");
    assert_eq!((sources.unknown_registry.as_str(), sources.unknown_git.as_str()), ("deny", "deny"));
    assert!(sources.allow_git.is_empty());
}

#[test]
fn what_is_not_let_in_is_told() {
    let registry = || Some("registry+https://github.com/rust-lang/crates.io-index".to_owned());
    let of = |name: &str, version: &str, licence: Option<&str>, source: Option<String>| Crate {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: licence.map(str::to_owned),
        source,
    };
    let broken = |crates: &[Crate]| rules().broken_by(crates).len();
    let good = || of("good", "1.0.0", Some("MIT/Apache-2.0"), registry());
    assert_eq!(broken(&[good()]), 0);
    // One of them will do; of two that both count, it will not.
    assert_eq!(broken(&[of("a", "1.0.0", Some("GPL-3.0-only OR MIT"), registry())]), 0);
    assert_eq!(broken(&[of("a", "1.0.0", Some("GPL-3.0-only AND MIT"), registry())]), 1);
    assert_eq!(broken(&[of("a", "1.0.0", Some("GPL-3.0-only"), registry())]), 1);
    assert_eq!(broken(&[of("a", "1.0.0", None, registry())]), 1);
    // An exception is for its crate alone.
    assert_eq!(broken(&[of("nixfmt_rs", "1.0.0", Some("MPL-2.0"), registry())]), 0);
    assert_eq!(broken(&[of("a", "1.0.0", Some("MPL-2.0"), registry())]), 1);
    assert_eq!(broken(&[of("a", "1.0.0", Some("MIT"), Some("git+https://example.org/a".to_owned()))]), 1);
    assert_eq!(broken(&[of("a", "1.0.0", Some("MIT"), Some("registry+https://example.org/a".to_owned()))]), 1);
    assert_eq!(broken(&[good(), of("good", "2.0.0", Some("MIT"), registry())]), 1);
    // syn 2 may stand beside another, which may not stand beside a third.
    let syn = |version: &str| of("syn", version, Some("MIT"), registry());
    assert_eq!(broken(&[syn("2.0.1"), syn("3.0.0")]), 0);
    assert_eq!(broken(&[syn("2.0.1"), syn("3.0.0"), syn("20.0.0")]), 1);
}

#[test]
fn every_downloaded_crate_has_a_checksum() {
    let lock = crate::crates::CargoLock::read(root()).unwrap();
    let locked: BTreeMap<_, _> = lock.package.iter().map(|it| ((&*it.name, &*it.version), &it.checksum)).collect();
    for it in crates() {
        let checksum = locked.get(&(&*it.name, &*it.version)).unwrap_or_else(|| panic!("{} is not locked", it.name));
        assert_eq!(checksum.is_some(), it.source.is_some(), "{}", it.name);
        assert!(checksum.as_ref().is_none_or(|sum| sum.len() == 64), "{}", it.name);
    }
}

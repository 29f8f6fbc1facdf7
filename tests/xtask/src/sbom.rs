//! `cargo xtask sbom`: what is linked into the auditor and the helper, as CycloneDX.
//!
//! `cargo tree` knows what each of the two is made of, `cargo metadata` the licences, Cargo.lock the checksums. There
//! is no date and no random number in the file: the same source gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::crates::CargoLock;
use crate::step;

/// What is released, with the kind of component that each is.
const PRODUCTS: [(&str, &str); 2] = [("rtld_loader", "library"), ("replit-env-cli", "application")];

/// Of what, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    /// The machine that it is built for.
    #[arg(long, default_value_t = format!("{}-unknown-linux-gnu", std::env::consts::ARCH))]
    target: String,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Writes the file.
pub fn run(sh: &Shell, called_from: &Path, arguments: &Arguments) -> Result<()> {
    let out = called_from.join(&arguments.out);
    let text = serde_json::to_string_pretty(&make(sh, &arguments.target)?)?;
    sh.write_file(&out, text + "\n")?;
    step::say(&format!("Written: {}", out.display()));
    Ok(())
}

/// A crate's name and version.
type Id = (String, String);

/// The document, for one kind of machine.
fn make(sh: &Shell, target: &str) -> Result<Value> {
    let root = sh.current_dir();
    let metadata = MetadataCommand::new().current_dir(&root).other_options(["--locked".to_owned()]).exec()?;
    let packages: BTreeMap<Id, &Package> =
        metadata.packages.iter().map(|it| ((it.name.to_string(), it.version.to_string()), it)).collect();
    let lock = CargoLock::read(&root)?.package;
    let checksums: BTreeMap<Id, String> =
        lock.into_iter().filter_map(|it| Some(((it.name, it.version), it.checksum?))).collect();

    let mut linked = BTreeMap::new();
    for (product, _) in PRODUCTS {
        let words = "--locked --edges normal,no-proc-macro --prefix depth --format";
        let words = words.split(' ');
        let tree = cmd!(sh, "cargo tree --package {product} --target {target}").args(words).arg(" {p}");
        for (id, needs) in dependencies(&tree.quiet().read()?)? {
            linked.entry(id).or_insert_with(BTreeSet::new).extend(needs);
        }
    }

    let standard = standard_library(sh)?;
    let mut components = vec![standard.clone()];
    for id in linked.keys() {
        let package = packages.get(id).with_context(|| format!("cargo metadata lacks {id:?}"))?;
        components.push(component(package, checksums.get(id)));
    }
    let products = || linked.keys().filter(|(name, _)| PRODUCTS.iter().any(|(product, _)| product == name));
    let mut dependencies =
        vec![json!({ "ref": "replit-env", "dependsOn": products().map(reference).collect::<Vec<_>>() })];
    for (id, needs) in &linked {
        let mut needs: Vec<Value> = needs.iter().map(|id| reference(id).into()).collect();
        if PRODUCTS.iter().any(|(product, _)| *product == id.0) {
            needs.push(standard["bom-ref"].clone());
        }
        dependencies.push(json!({ "ref": reference(id), "dependsOn": needs }));
    }
    let (_, version) = products().next().context("cargo tree has neither product")?;
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": { "type": "application", "bom-ref": "replit-env", "name": "replit-env", "version": version },
            "properties": [{ "name": "replit-env:target", "value": target }],
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// A crate, as CycloneDX has it.
fn component(package: &Package, checksum: Option<&String>) -> Value {
    let (name, version) = (package.name.to_string(), package.version.to_string());
    let it = reference(&(name.clone(), version.clone()));
    let kind = PRODUCTS.iter().find(|(product, _)| *product == name).map_or("library", |(_, kind)| kind);
    let mut component = json!({ "type": kind, "bom-ref": it, "name": name, "version": version });
    if let Some(description) = &package.description {
        // A description is one line there.
        component["description"] = description.split_whitespace().collect::<Vec<_>>().join(" ").into();
    }
    if let Some(licence) = &package.license {
        // The slash is how crates wrote it before there were expressions.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    // What is in the tree is in no registry.
    if let Some(checksum) = checksum {
        component["purl"] = format!("pkg:cargo/{name}@{version}").into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// What comes with the compiler: `core` in the auditor, `std` in the helper.
fn standard_library(sh: &Shell) -> Result<Value> {
    let says = cmd!(sh, "rustc --version").quiet().read()?;
    let version = says.split(' ').nth(1).context("rustc --version prints a version")?;
    Ok(json!({
        "type": "library",
        "bom-ref": format!("std@{version}"),
        "name": "std",
        "version": version,
        "description": format!("The Rust standard library of {says}"),
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        "purl": format!("pkg:generic/rust@{version}"),
    }))
}

/// How other components name a crate.
fn reference((name, version): &Id) -> String {
    format!("{name}@{version}")
}

/// Which crates a tree has, and what each of them needs itself. A line has its depth, name, version and remarks.
fn dependencies(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut found = BTreeMap::<Id, BTreeSet<Id>>::new();
    let mut above = Vec::<Id>::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split(' ');
        let mut field = || fields.next().with_context(|| format!("cargo tree printed {line}"));
        let depth: usize = field()?.parse()?;
        let (name, version) = (field()?.to_owned(), field()?);
        let id = (name, version.strip_prefix('v').unwrap_or(version).to_owned());
        above.truncate(depth);
        if let Some(parent) = above.last().and_then(|parent| found.get_mut(parent)) {
            parent.insert(id.clone());
        }
        found.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use cargo_metadata::DependencyKind;
    use cyclonedx_bom::prelude::{Bom, SpecVersion, Validate};

    use super::*;
    use crate::machine::MACHINES;

    fn shell() -> Shell {
        let sh = Shell::new().unwrap();
        sh.change_dir(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap());
        sh
    }

    /// The names of a document's components.
    fn names(document: &Value) -> BTreeSet<&str> {
        document["components"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_tree_tells_what_needs_what() {
        let tree = "0 a v1.0.0 (/a)\n1 b v2.0.0\n2 c v3.0.0\n1 c v3.0.0 (*)\n";
        let id = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let (a, b, c) = (id("a", "1.0.0"), id("b", "2.0.0"), id("c", "3.0.0"));
        let expected = BTreeMap::from([
            (a, BTreeSet::from([b.clone(), c.clone()])),
            (b, BTreeSet::from([c.clone()])),
            (c, BTreeSet::new()),
        ]);
        assert_eq!(dependencies(tree).unwrap(), expected);
        assert!(dependencies("a v1.0.0").is_err());
    }

    #[test]
    fn another_reader_takes_it_and_finds_every_crate_as_it_is_locked() {
        let sh = shell();
        let lock = CargoLock::read(&sh.current_dir()).unwrap();
        for target in MACHINES.iter().map(|machine| machine.target) {
            let text = make(&sh, target).unwrap().to_string();
            let bom = Bom::parse_from_json(text.as_bytes()).unwrap();
            let validated = bom.validate_version(SpecVersion::V1_5);
            assert!(validated.passed(), "{validated:?}");
            let components = bom.components.unwrap().0;
            assert!(components.len() > 30);
            for it in components.iter().filter(|it| it.name.to_string() != "std") {
                let (name, version) = (it.name.to_string(), it.version.as_ref().unwrap().to_string());
                let locked = lock.package.iter().find(|it| it.name == name && it.version == version);
                let checksum = &locked.unwrap_or_else(|| panic!("{name} {version} is not locked")).checksum;
                let hashes =
                    it.hashes.as_ref().map(|hashes| hashes.0.iter().map(|hash| hash.content.0.clone()).collect());
                assert_eq!(hashes, checksum.clone().map(|checksum| vec![checksum]));
                let purl = checksum.as_ref().map(|_| format!("pkg:cargo/{name}@{version}"));
                assert_eq!(it.purl.as_ref().map(ToString::to_string), purl);
                assert!(it.licenses.as_ref().is_some_and(|licences| licences.0.len() == 1), "{name}");
            }
        }
    }

    /// By another way: from the manifests of what is in it, where what must be linked is neither optional nor for some
    /// machines alone.
    #[test]
    fn what_a_crate_cannot_do_without_is_in_it() {
        let sh = shell();
        let metadata = MetadataCommand::new().current_dir(sh.current_dir()).exec().unwrap();
        let is_macro = |name: &str| {
            let package = metadata.packages.iter().find(|it| *it.name == *name).unwrap();
            package.targets.iter().any(cargo_metadata::Target::is_proc_macro)
        };
        for machine in &MACHINES {
            let document = make(&sh, machine.target).unwrap();
            let names = names(&document);
            let mut looked_at = 0;
            for package in metadata.packages.iter().filter(|it| names.contains(it.name.as_str())) {
                let needed = package.dependencies.iter().filter(|it| it.kind == DependencyKind::Normal && !it.optional);
                for it in needed.filter(|it| it.target.is_none() && !is_macro(&it.name)) {
                    assert!(names.contains(it.name.as_str()), "{} needs {}", package.name, it.name);
                    looked_at += 1;
                }
            }
            assert!(looked_at > 20);
            assert!(names.contains("rtld_loader") && names.contains("replit-env-cli") && names.contains("std"));
        }
    }

    #[test]
    fn what_chores_and_tests_use_is_not_in_it() {
        let document = make(&shell(), MACHINES[0].target).unwrap();
        let names = names(&document);
        for chore in [
            "xtask",
            "suite",
            "fuzz",
            "libfuzzer-sys",
            "arbitrary",
            "goblin",
            "plotters",
            "nixfmt_rs",
            "insta",
            "libtest-mimic",
            "serde_derive",
            "syn",
        ] {
            assert!(!names.contains(chore), "{chore}");
        }
    }

    #[test]
    fn it_is_the_same_each_time() {
        let sh = shell();
        assert_eq!(make(&sh, MACHINES[0].target).unwrap(), make(&sh, MACHINES[0].target).unwrap());
    }
}

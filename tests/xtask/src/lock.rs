//! The lock of a channel: everything that the Nix files in tests/channels/nixpkgs need to know of a Debian release.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::data::{Data, Release, is_meant};
use crate::deb::Deb;
use crate::machine::Machine;
use crate::pip::Wheel;

/// The content of lock.json.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    channel: String,
    glibc: String,
    triplet: &'static str,
    interpreter: &'static str,
    /// The machine's compiler for it, below /usr/bin.
    compiler: String,
    cache: String,
    default_directories: Vec<String>,
    toolchain: Toolchain,
    /// Node.js comes for this machine alone.
    nodejs: Option<Nodejs>,
    /// By attribute: outputs, the default one first.
    attributes: BTreeMap<String, Vec<BTreeMap<String, String>>>,
    /// Those of the attributes that are for the bench and the sweep.
    bench: Vec<String>,
    /// Store paths by name: those that the attributes lead to.
    packages: BTreeMap<String, Package>,
}

/// The machine's Rust.
#[derive(Clone, Serialize)]
pub struct Toolchain {
    /// Where it is.
    pub path: String,
    /// What `rustc --version` says.
    pub version: String,
}

/// The wheel of Node.js.
#[derive(Serialize)]
struct Nodejs {
    version: String,
    #[serde(flatten)]
    download: Download,
}

#[derive(Serialize)]
struct Package {
    version: String,
    debs: Vec<Download>,
    needs: BTreeSet<String>,
    links: Vec<String>,
}

#[derive(Serialize)]
struct Download {
    file: String,
    sha256: String,
}

impl Lock {
    /// Makes the lock of `release` from its packages.
    pub fn new(
        data: &Data,
        release: &Release,
        machine: &Machine,
        toolchain: &Toolchain,
        nodejs: Option<&Wheel>,
        debs: &[Deb],
    ) -> Result<Self> {
        let mut attributes = BTreeMap::new();
        let mut reached = Vec::new();
        for (attribute, packages) in &data.attributes {
            let mut outputs = Vec::new();
            for (output, package) in packages.outputs() {
                let provided = |deb: &&Deb| deb.provides.contains(&package);
                let named = |deb: &&Deb| is_meant(&package, &deb.name);
                let deb = debs.iter().find(named).or_else(|| debs.iter().find(provided));
                let deb = deb.with_context(|| format!("{}: no package {package}", release.name))?;
                let path = data.path_of(&deb.name).to_owned();
                reached.push(path.clone());
                outputs.push(BTreeMap::from([(output, path)]));
            }
            attributes.insert(attribute.clone(), outputs);
        }

        let owners = owners(data, debs);
        let mut packages = BTreeMap::new();
        while let Some(name) = reached.pop() {
            if packages.contains_key(&name) {
                continue;
            }
            let package = Package::new(data, &name, debs, &owners)
                .with_context(|| format!("{}: package {name}", release.name))?;
            reached.extend(package.needs.iter().cloned());
            packages.insert(name, package);
        }

        if let Some(libc) = packages.get("libc6") {
            let is_stated = libc.version.starts_with(&format!("{}-", release.glibc));
            ensure!(is_stated, "{} has glibc {}, not {}", release.name, libc.version, release.glibc);
        }
        let bench = attributes.keys().filter(|attribute| data.is_for_bench(attribute)).cloned().collect();
        let directory = |pattern: &String| pattern.replace("{triplet}", machine.triplet);
        Ok(Self {
            channel: release.name.clone(),
            glibc: release.glibc.clone(),
            triplet: machine.triplet,
            interpreter: machine.interpreter,
            compiler: machine.compiler(),
            cache: data.ld_so.cache.clone(),
            default_directories: data.ld_so.default_directories.iter().map(directory).collect(),
            toolchain: toolchain.clone(),
            nodejs: nodejs.map(Nodejs::new),
            attributes,
            bench,
            packages,
        })
    }
}

impl Nodejs {
    fn new(wheel: &Wheel) -> Self {
        let file = wheel.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { version: wheel.version.clone(), download: Download { file, sha256: wheel.sha256.clone() } }
    }
}

/// Which store path has a library.
fn owners<'a>(data: &'a Data, debs: &'a [Deb]) -> BTreeMap<&'a str, &'a str> {
    let libraries = |deb: &'a Deb| deb.libraries.iter().map(|library| (library.as_str(), data.path_of(&deb.name)));
    debs.iter().flat_map(libraries).collect()
}

impl Package {
    fn new(data: &Data, name: &str, debs: &[Deb], owners: &BTreeMap<&str, &str>) -> Result<Self> {
        let mut members: Vec<&Deb> = debs.iter().filter(|deb| data.path_of(&deb.name) == name).collect();
        // apt's order is another one with every package that is added, and a store path stands for all that made it.
        members.sort_by_key(|deb| &deb.name);
        // The package that the others are listed under gives the version.
        let main = members.iter().find(|deb| deb.name == name).context("is not there")?;
        let mut needs = BTreeSet::new();
        for deb in &members {
            for library in &deb.needs {
                let owner = owners.get(library.as_str());
                let owner = owner.with_context(|| format!("{} needs {library}, which no package has", deb.name))?;
                needs.insert((*owner).to_owned());
            }
        }
        // What is in one store path finds its own files.
        needs.remove(name);
        let links = data.links.get(name).into_iter().flatten();
        Ok(Self {
            version: main.version.clone(),
            debs: members.iter().map(|deb| Download { file: deb.store_name(), sha256: deb.sha256.clone() }).collect(),
            needs,
            links: links.map(|(link, target)| format!("{link}={target}")).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb(name: &str, libraries: &[&str], needs: &[&str]) -> Deb {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Deb {
            name: name.to_owned(),
            version: "1".to_owned(),
            provides: vec![format!("old-{name}")],
            file: format!("{name}_1_amd64.deb").into(),
            sha256: String::new(),
            libraries: set(libraries),
            needs: set(needs),
        }
    }

    /// The lock of one attribute, `a`, for `package`.
    fn lock(package: &str, debs: &[Deb]) -> Result<Lock> {
        lock_of(debs, data(package)?)
    }

    fn data(package: &str) -> Result<Data> {
        let data = toml::from_str(&format!(
            r#"
            releases = []
            ld_so = {{ cache = "/cache", default_directories = ["/lib/{{triplet}}"] }}
            attributes.a = "{package}"
            merged.b = ["b-part"]
            bench = {{ attributes.bench = "b", merged = {{}} }}
            links.b = {{ "bin/b" = "b1" }}
            left_out.packages = []
            "#
        ))?;
        Ok(data)
    }

    fn lock_of(debs: &[Deb], data: Data) -> Result<Lock> {
        let release = Release { name: "release".to_owned(), glibc: "2.0".to_owned(), without: Vec::new() };
        let toolchain = Toolchain { path: String::new(), version: String::new() };
        let nodejs = Wheel { file: "nodejs-1-any.whl".into(), version: "1".to_owned(), sha256: String::new() };
        Lock::new(&data, &release, Machine::named("i686-linux")?, &toolchain, Some(&nodejs), debs)
    }

    #[test]
    fn what_is_for_the_bench_is_named() {
        let debs = [deb("a", &[], &[]), deb("b", &[], &[])];
        assert!(lock("a", &debs).unwrap().bench.is_empty());
        let lock = lock_of(&debs, data("a").unwrap().with_bench()).unwrap();
        assert_eq!(lock.bench, ["bench"]);
        assert!(lock.packages.contains_key("b"));
    }

    #[test]
    fn store_paths_follow_what_files_need_and_nothing_else() {
        let debs = [
            deb("a", &["liba.so"], &["libb.so"]),
            deb("b", &["libb.so"], &["libpart.so"]),
            deb("b-part", &["libpart.so"], &["libb.so", "libc.so"]),
            deb("c", &["libc.so"], &[]),
            deb("unneeded", &["libd.so"], &[]),
        ];
        let lock = lock("a", &debs).unwrap();
        assert_eq!(lock.packages.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(lock.packages["b"].debs.len(), 2);
        assert!(lock.packages["b"].needs.iter().eq(["c"]));
        assert_eq!(lock.packages["b"].links, ["bin/b=b1"]);
        assert_eq!(lock.default_directories, ["/lib/i386-linux-gnu"]);
    }

    #[test]
    fn the_order_of_the_packages_changes_nothing() {
        let debs = || [deb("b", &[], &[]), deb("b-part", &[], &[])];
        let mut reversed = debs();
        reversed.reverse();
        let [one, other] = [lock("b", &debs()), lock("b", &reversed)].map(|lock| lock.unwrap());
        assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&other).unwrap());
    }

    #[test]
    fn a_renamed_package_is_found_by_its_old_name() {
        let lock = lock("old-a", &[deb("a", &[], &[])]).unwrap();
        assert_eq!(lock.attributes["a"][0]["out"], "a");
    }

    #[test]
    fn a_numbered_package_is_found_by_the_beginning_of_its_name() {
        let lock = lock("liba*", &[deb("b", &[], &[]), deb("liba1.1", &[], &[])]).unwrap();
        assert_eq!(lock.attributes["a"][0]["out"], "liba1.1");
    }

    #[test]
    fn a_library_that_no_package_has_is_an_error() {
        let error = lock("a", &[deb("a", &[], &["libnone.so"])]).err().unwrap();
        assert!(format!("{error:#}").contains("a needs libnone.so"));
    }
}

//! `cargo xtask reproduce`: two builds of the same source are the same bytes.
//!
//! What a build could take in by accident differs between the two: the directory of the source and of what is compiled,
//! the home directory, where the crates are, the time, its zone, and the language.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::machine::{MACHINES, Machine};
use crate::{build, crates, docs, step, tree};

/// What is built.
const FILES: [&str; 2] = ["rtld_loader.so", "replit-env-cli"];

/// What to build, and what to do with the result.
#[derive(clap::Args)]
pub struct Arguments {
    /// Machines to build for, as Rust names them; or `all`. By default it is this one.
    #[arg(long, value_delimiter = ',', value_name = "TARGETS")]
    target: Vec<String>,
    /// Also write the hashes into docs/reliability.md.
    #[arg(long)]
    docs: bool,
}

/// A place to build in.
struct Place {
    /// Below the temporary directory.
    directory: &'static str,
    zone: &'static str,
    language: &'static str,
    /// For tools that write down a date. Were none given, they would take the present one, which differs as well.
    date: &'static str,
}

const PLACES: [Place; 2] = [
    Place { directory: "a", zone: "UTC", language: "C", date: "0" },
    Place {
        directory: "second/place with a longer name",
        zone: "Pacific/Kiritimati",
        language: "C.UTF-8",
        date: "1700000000",
    },
];

/// Builds twice, compares, and prints the hashes.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    let temporary = sh.create_temp_dir()?;
    step::run("crates", cmd!(sh, "cargo fetch --locked").quiet())?;
    // Both before the first is built, or what is edited meanwhile would be in one of them.
    for place in &PLACES {
        copy(&sh.current_dir(), &place.source(temporary.path()))?;
    }
    let mut rows = String::new();
    for machine in machines(&arguments.target)? {
        machine.prepare(sh)?;
        let build = |place: &Place| place.build(sh, machine, temporary.path());
        let built = PLACES.iter().map(build).collect::<Result<Vec<_>>>()?;
        for name in FILES {
            let hash = same(&built.iter().map(|directory| directory.join(name)).collect::<Vec<_>>())?;
            println!("{hash}  {name} for {}", machine.target);
            rows += &format!("| {} | `{name}` | `{hash}` |\n", machine.system);
        }
    }
    if arguments.docs {
        let date = cmd!(sh, "date --utc +%F").quiet().read()?;
        let header = "| for | file | SHA-256 |\n|---|---|---|\n";
        let text = format!("\nBuilt on {date} on {}.\n\n{header}{rows}", toolchain(sh)?);
        docs::hashes(sh, &text)?;
    }
    Ok(())
}

/// Those that are asked for.
fn machines(names: &[String]) -> Result<Vec<&'static Machine>> {
    match names {
        [] => Ok(vec![Machine::host()?]),
        [all] if all == "all" => Ok(MACHINES.iter().collect()),
        names => names.iter().map(|name| Machine::named(name)).collect(),
    }
}

impl Place {
    /// Where the tree is copied to.
    fn source(&self, temporary: &Path) -> PathBuf {
        temporary.join(self.directory).join("source")
    }

    /// Builds that copy, and returns where the files are.
    fn build(&self, sh: &Shell, machine: &Machine, temporary: &Path) -> Result<PathBuf> {
        let place = temporary.join(self.directory);
        let (home, out) = (place.join("home"), place.join("out").join(machine.target));
        std::fs::create_dir_all(&home)?;
        // Another path to the crates, which are as cargo has downloaded and checked them.
        let crates = place.join("crates");
        if !crates.exists() {
            std::os::unix::fs::symlink(crates::home(sh)?, &crates)?;
        }
        let _source = sh.push_dir(self.source(temporary));
        // rustup has its toolchains in the home directory, unless it is told where.
        let _toolchains = sh.push_env("RUSTUP_HOME", toolchains(sh)?);
        let _home = sh.push_env("HOME", &home);
        let _crates = sh.push_env("CARGO_HOME", &crates);
        let _zone = sh.push_env("TZ", self.zone);
        let _language = sh.push_env("LC_ALL", self.language);
        let _date = sh.push_env("SOURCE_DATE_EPOCH", self.date);
        build::in_place(sh, machine, &place.join("compiled"), &out)?;
        Ok(out)
    }
}

/// Where rustup has its toolchains, if there is a rustup.
fn toolchains(sh: &Shell) -> Result<PathBuf> {
    let home = sh.var_os("RUSTUP_HOME").map(PathBuf::from);
    home.or_else(|| Some(Path::new(&sh.var_os("HOME")?).join(".rustup"))).context("there is no home directory")
}

/// Copies the files of the tree.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in tree::files(from) {
        let file = file?;
        let copy = to.join(file.strip_prefix(from)?);
        std::fs::create_dir_all(copy.parent().context("a file is in a directory")?)?;
        std::fs::copy(&file, &copy).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// The SHA-256 of files that have to be the same.
fn same(files: &[PathBuf]) -> Result<String> {
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
    let contents = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let first = contents.first().context("nothing was built")?;
    for (file, content) in files.iter().zip(&contents) {
        if let Some(place) = difference(first, content) {
            bail!("{} differs from {} at byte {place}", file.display(), files[0].display());
        }
    }
    let sh = Shell::new()?;
    let sum = cmd!(sh, "sha256sum --binary").quiet().stdin(first).read()?;
    Ok(sum.split(' ').next().context("sha256sum prints the sum first")?.to_owned())
}

/// Where two files begin to differ.
fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let place = one.iter().zip(other).position(|(one, other)| one != other);
    place.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

/// What compiled and linked, and where: other versions make other bytes.
fn toolchain(sh: &Shell) -> Result<String> {
    let rustc = cmd!(sh, "rustc --version").quiet().read()?;
    let linker = cmd!(sh, "ld.bfd --version").quiet().read()?;
    let linker = linker.lines().next().context("ld --version prints a line")?.to_owned();
    Ok(format!("{}-linux by {rustc}, linked by {linker}", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_asked_for_by_name() {
        let targets = |names: &[&str]| -> Vec<&str> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            machines(&names).unwrap().iter().map(|machine| machine.target).collect()
        };
        assert_eq!(targets(&[]), [Machine::host().unwrap().target]);
        assert_eq!(targets(&["i686-unknown-linux-gnu"]), ["i686-unknown-linux-gnu"]);
        assert_eq!(targets(&["all"]).len(), MACHINES.len());
        assert!(machines(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn files_that_differ_are_told_apart() {
        let sh = Shell::new().unwrap();
        let directory = sh.create_temp_dir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (abc, again, other, longer) = (file("1", "abc"), file("2", "abc"), file("3", "abd"), file("4", "abcd"));
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(same(&[abc.clone(), again]).unwrap(), sum);
        assert!(same(&[abc.clone(), other]).unwrap_err().to_string().ends_with("at byte 2"));
        assert!(same(&[abc, longer]).unwrap_err().to_string().ends_with("at byte 3"));
    }
}

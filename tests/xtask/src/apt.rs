//! Downloads a Debian release's packages with apt, whose state here is its own: the system's stays as it is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::{data::Release, step};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Settings of the system's apt that say how to reach a mirror.
const REACH: [&str; 4] = ["Acquire::http", "Acquire::https", "Acquire::ftp", "Acquire::Retries"];

/// The mirror of Debian's archive that this machine uses, from its own apt configuration.
pub fn mirror(sh: &Shell) -> Result<String> {
    let release = sh.read_file("/etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    // apt reads its sources itself, whatever form they have, and expands what is to be expanded.
    let targets = cmd!(sh, "apt-get indextargets --no-release-info --format")
        .args(["$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"])
        .read()?;
    let uris: Vec<&str> =
        targets.lines().filter_map(|line| line.strip_prefix(codename)?.strip_prefix(" main ")).collect();
    // Others offer a `bookworm main` too. Should one be taken here, its signature will not be Debian's.
    let debian = uris.iter().find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    let uri = debian.or(uris.first()).with_context(|| {
        format!("apt on this machine has no source of Debian's `{codename} main`; see /etc/apt/sources.list")
    })?;
    Ok(uri.to_string())
}

/// A file that apt downloaded and verified.
pub struct Download {
    /// Where it is.
    pub file: PathBuf,
    /// Its SHA-256 in hexadecimal, as the archive's signed index has it.
    pub sha256: String,
}

/// What to download from.
pub struct Source<'a> {
    /// The mirror's address.
    pub mirror: &'a str,
    /// The release.
    pub release: &'a Release,
    /// As Debian names it.
    pub architecture: &'a str,
}

/// Downloads `packages` and what they depend on, but for `left_out`.
pub fn download(
    sh: &Shell,
    state: &Path,
    source: &Source,
    packages: &[String],
    left_out: &[String],
) -> Result<Vec<Download>> {
    let name = &source.release.name;
    configure(sh, state, source, left_out)?;
    let _config = sh.push_env("APT_CONFIG", state.join("apt.conf"));
    step::run(&format!("{name}: package index"), cmd!(sh, "apt-get --quiet --error-on=any update"))?;

    let install = ["--quiet", "--no-install-recommends", "--assume-yes", "install"];
    // Files that are there already are not listed; in an empty cache nothing is there.
    let empty = format!("Dir::Cache::archives={}", state.join("empty").display());
    let options = ["--option", &empty, "--option", "Acquire::ForceHash=SHA256", "--print-uris"];
    let listing = cmd!(sh, "apt-get {install...} {options...} {packages...}").quiet().read()?;
    // What apt has to say, then lines of 'URI' FILE SIZE HASH.
    let mut downloads = Vec::new();
    for line in listing.lines().filter(|line| line.starts_with('\'')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, file, _, hash] = words[..] else { bail!("apt-get --print-uris says {line}") };
        let sha256 = hash.strip_prefix("SHA256:").with_context(|| format!("apt knows no SHA-256 of {file}"))?;
        downloads.push(Download { file: state.join("cache/archives").join(file), sha256: sha256.to_owned() });
    }
    let download = cmd!(sh, "apt-get {install...} --download-only {packages...}").quiet();
    step::run(&format!("{name}: {} packages", downloads.len()), download)?;
    for Download { file, .. } in &downloads {
        ensure!(file.exists(), "apt did not leave {}", file.display());
    }
    Ok(downloads)
}

/// Writes a configuration for apt that shares nothing with the system's but the way to the mirror.
fn configure(sh: &Shell, state: &Path, source: &Source, left_out: &[String]) -> Result<()> {
    let Source { mirror, release: Release { name: release, .. }, architecture } = source;
    for directory in ["lists/partial", "cache/archives/partial", "empty/partial"] {
        sh.create_dir(state.join(directory))?;
    }
    sh.write_file(state.join("sources.list"), format!("deb [signed-by={KEYRING}] {mirror} {release} main\n"))?;

    let mut installed = String::new();
    for package in left_out {
        writeln!(
            installed,
            "Package: {package}\nStatus: install ok installed\nArchitecture: all\nVersion: 9999\n\
             Maintainer: none\nDescription: left out of the channel\n"
        )?;
    }
    sh.write_file(state.join("status"), installed)?;

    let state = state.display();
    let mut config = format!(
        r#"Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{state}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
"#
    );
    let system = cmd!(sh, "apt-config dump").quiet().read()?;
    for line in system.lines().filter(|line| REACH.iter().any(|name| line.starts_with(name))) {
        writeln!(config, "{line}")?;
    }
    sh.write_file(format!("{state}/apt.conf"), config)?;
    Ok(())
}

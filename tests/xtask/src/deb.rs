//! What a .deb holds, as far as it decides which store paths it needs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use tar::EntryType;

use crate::apt::Download;

/// A Debian package.
pub struct Deb {
    /// Its name.
    pub name: String,
    /// Its version, in letters that a store path may have.
    pub version: String,
    /// Names that it stands in for.
    pub provides: Vec<String>,
    /// The downloaded file.
    pub file: PathBuf,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// The names of the files in the directories that ld.so searches.
    pub libraries: BTreeSet<String>,
    /// Names that its own files need from such directories: DT_NEEDED, and where links lead to.
    pub needs: BTreeSet<String>,
}

impl Deb {
    /// Reads a package. `triplet` is the architecture's.
    pub fn read(download: Download, triplet: &str) -> Result<Self> {
        let Download { file, sha256 } = download;
        let field = |name: &str| -> Result<String> {
            let output = Command::new("dpkg-deb").arg("--field").arg(&file).arg(name).output()?;
            ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        let provides = field("Provides")?;
        let mut deb = Self {
            name: field("Package")?,
            version: store_name(&field("Version")?),
            provides: provides.split(',').filter_map(|one| one.split_whitespace().next()).map(str::to_owned).collect(),
            sha256,
            libraries: BTreeSet::new(),
            needs: BTreeSet::new(),
            file,
        };
        deb.read_content(triplet).with_context(|| deb.file.display().to_string())?;
        Ok(deb)
    }

    /// The name of the file in the store.
    pub fn store_name(&self) -> String {
        store_name(&self.file.file_name().unwrap_or_default().to_string_lossy())
    }

    fn read_content(&mut self, triplet: &str) -> Result<()> {
        let mut unpack =
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&self.file).stdout(Stdio::piped()).spawn()?;
        let mut archive = tar::Archive::new(unpack.stdout.take().expect("piped above"));
        let mut own = BTreeSet::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let searched = is_searched(&path, triplet);
            let kind = entry.header().entry_type();
            if searched && matches!(kind, EntryType::Regular | EntryType::Link | EntryType::Symlink) {
                self.libraries.insert(name.clone());
            }
            own.insert(name);
            if searched && kind == EntryType::Symlink {
                let target = entry.link_name()?.context("a link without a target")?;
                self.needs.extend(target.file_name().map(|name| name.to_string_lossy().into_owned()));
            } else if kind == EntryType::Regular {
                self.needs.extend(needed(&mut entry)?);
            }
        }
        ensure!(unpack.wait()?.success(), "dpkg-deb failed");
        self.needs = &self.needs - &own;
        Ok(())
    }
}

/// Whether ld.so would look into the file's directory.
fn is_searched(path: &Path, triplet: &str) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_prefix("usr").unwrap_or(path);
    let directory = path.parent().unwrap_or(path);
    directory == Path::new("lib") || directory == Path::new("lib64") || directory == Path::new("lib").join(triplet)
}

/// The DT_NEEDED of a file; nothing if it is not an ELF file with a dynamic section.
fn needed(file: &mut impl Read) -> Result<Vec<String>> {
    let mut bytes = Vec::new();
    file.take(4).read_to_end(&mut bytes)?;
    if bytes != goblin::elf::header::ELFMAG[..] {
        return Ok(Vec::new());
    }
    file.read_to_end(&mut bytes)?;
    let elf = Elf::parse(&bytes)?;
    Ok(elf.libraries.into_iter().map(str::to_owned).collect())
}

/// Replaces what the name of a store path may not have.
fn store_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
    name.replace("%3a", "_").chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_store_paths_have_no_other_letters() {
        assert_eq!(store_name("libattr1_1%3a2.5.1-4_amd64.deb"), "libattr1_1_2.5.1-4_amd64.deb");
        assert_eq!(store_name("1:1.2.13+dfsg~rc1-1"), "1_1.2.13+dfsg_rc1-1");
    }

    #[test]
    fn searched_directories_are_those_of_ld_so() {
        let searched = |path: &str| is_searched(Path::new(path), "x86_64-linux-gnu");
        assert!(searched("./usr/lib/x86_64-linux-gnu/libz.so.1"));
        assert!(searched("./lib/x86_64-linux-gnu/libz.so.1"));
        assert!(searched("./lib64/ld-linux-x86-64.so.2"));
        assert!(!searched("./usr/lib/x86_64-linux-gnu/gconv/UTF-7.so"));
        assert!(!searched("./usr/lib/aarch64-linux-gnu/libz.so.1"));
        assert!(!searched("./usr/share/lib"));
    }
}

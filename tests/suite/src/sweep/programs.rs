//! Which programs there are: dynamic ELF files of this machine, in directories of programs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use goblin::elf::Elf;
use goblin::elf::header::{EM_AARCH64, EM_X86_64};
use goblin::elf::program_header::{PT_INTERP, ProgramHeader};

/// Where the machine has its programs.
pub const MACHINE: [&str; 6] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];
/// Where an output has its programs.
pub const OUTPUT: [&str; 3] = ["bin", "sbin", "libexec"];

/// A program to be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The channel that it is of, or `machine`.
    pub origin: String,
}

/// Programs, each file once, however many names it has.
#[derive(Default)]
pub struct Programs {
    known: BTreeSet<PathBuf>,
    /// In the order of the directories, and of their names.
    pub list: Vec<Program>,
}

impl Programs {
    /// Adds those of a directory, if there is one. Returns whether it has any.
    pub fn add(&mut self, directory: &Path, origin: &str) -> bool {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort_unstable();
        let before = self.list.len();
        for path in paths {
            let Ok(real) = fs::canonicalize(&path) else { continue };
            if is_executable(&real) && self.known.insert(real.clone()) && is_dynamic(&real) {
                self.list.push(Program { path, origin: origin.into() });
            }
        }
        self.list.len() > before
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether ld.so of this machine's kind starts it. One of another kind would load another auditor.
fn is_dynamic(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| has_interpreter(&bytes) == Some(true))
}

fn has_interpreter(bytes: &[u8]) -> Option<bool> {
    let header = Elf::parse_header(bytes).ok()?;
    let machine = if cfg!(target_arch = "x86_64") { EM_X86_64 } else { EM_AARCH64 };
    let container = header.container().ok()?;
    if !container.is_big() || header.e_machine != machine {
        return None;
    }
    let context = goblin::container::Ctx::new(container, header.endianness().ok()?);
    let offset = usize::try_from(header.e_phoff).ok()?;
    let headers = ProgramHeader::parse(bytes, offset, header.e_phnum.into(), context).ok()?;
    Some(headers.iter().any(|header| header.p_type == PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dynamic_programs_count_and_each_once() {
        let place = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        std::os::unix::fs::symlink(&own, place.path().join("a")).unwrap();
        std::os::unix::fs::symlink(&own, place.path().join("b")).unwrap();
        fs::write(place.path().join("script"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(place.path().join("script"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut programs = Programs::default();
        assert!(programs.add(place.path(), "machine"));
        assert!(!programs.add(place.path(), "again"));
        assert!(!programs.add(&place.path().join("nothing"), "machine"));
        assert_eq!(programs.list, [Program { path: place.path().join("a"), origin: "machine".into() }]);
    }

    #[test]
    fn what_is_cut_short_or_32_bit_is_no_program() {
        let mut own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(has_interpreter(&own), Some(true));
        assert_eq!(has_interpreter(&own[..40]), None);
        own[4] = 1;
        assert_eq!(has_interpreter(&own), None);
    }
}

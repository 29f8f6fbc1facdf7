//! Auditors of two classes in one environment: where LD_AUDIT has `$PLATFORM`, each ld.so puts its own name of the processor.
//!
//! That is AT_PLATFORM, what the kernel says, unless ld.so knows better (glibc, sysdeps/x86/cpu-features.c): that of x86_64 has
//! names for Intel's processors with AVX2 and for Xeon Phi, of whatever version it is, and that of i386 one for those without
//! CMOV. Where the kernel says nothing, and ld.so knows nothing better, it finds no auditor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use elf::abi::{EI_NIDENT, EM_386, ET_DYN};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use rtld_loader::path::PathBuf as LoaderPath;
use rtld_loader::tokens::{self, Token};

use crate::script::AUDITOR;

/// A class of objects, and what `$PLATFORM` is for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// What the kernel says.
    pub name: &'static str,
    /// What ld.so may say in its place.
    pub others: &'static [&'static str],
}

/// The 64-bit objects of x86_64.
pub const X86_64: Platform = Platform { name: "x86_64", others: &["haswell", "xeon_phi"] };

/// The 32-bit objects beside them.
pub const I386: Platform = Platform { name: "i686", others: &["i586"] };

/// Those that this program is one of.
pub const OWN: Platform = if cfg!(target_arch = "x86_64") {
    X86_64
} else if cfg!(target_arch = "x86") {
    I386
} else {
    Platform { name: std::env::consts::ARCH, others: &[] }
};

/// The 32-bit ones that there is an auditor for beside ours.
pub const OWN_32: Option<Platform> = if cfg!(target_arch = "x86_64") { Some(I386) } else { None };

impl Platform {
    /// All that `$PLATFORM` may be.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.others.iter().copied())
    }
}

/// Where LD_AUDIT leads in an environment with two auditors.
pub fn auditor_of_each() -> String {
    format!("lib/$PLATFORM/{AUDITOR}")
}

/// The path that an entry of LD_AUDIT is for the ld.so that has this name: the entry itself if it has no token. `None` if it has
/// another one, which only ld.so can replace.
pub fn path_for(entry: &Path, name: &str) -> Option<PathBuf> {
    let mut path = LoaderPath::new();
    tokens::expand(entry.as_os_str().as_bytes(), &mut path, |token, into| match token {
        Token::Platform => into.push(name.as_bytes()),
        Token::Origin | Token::Lib => None,
    })?;
    Some(OsStr::from_bytes(path.as_bytes()).into())
}

/// The auditor of ours that 32-bit processes get by one of these entries of LD_AUDIT, if it is there.
pub fn auditor_32(entries: impl Iterator<Item = PathBuf>, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let name = OWN_32?.name;
    let ours = entries.filter(|entry| entry.file_name() == Some(OsStr::new(AUDITOR)));
    // Without the token it is the one of this program's class.
    ours.filter_map(|entry| path_for(&entry, name).filter(|path| *path != entry)).find(|path| is_there(path))
}

/// The type (`e_type`) of an object of [`I386`] that begins with these bytes. `None` if it is another file.
pub fn i386_type(start: &[u8]) -> Option<u16> {
    let (ident, tail) = start.split_at_checked(EI_NIDENT)?;
    let header = FileHeader::parse_tail(parse_ident::<LittleEndian>(ident).ok()?, tail).ok()?;
    (header.class == Class::ELF32 && header.e_machine == EM_386).then_some(header.e_type)
}

/// Whether a file that begins with these bytes is a shared object of [`I386`].
pub fn is_i386(start: &[u8]) -> bool {
    i386_type(start) == Some(ET_DYN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ld_so_has_a_path_of_its_own() {
        let path = |entry: &str| path_for(Path::new(entry), "haswell").map(|path| path.display().to_string());
        assert_eq!(path("/e/lib/$PLATFORM/a.so").as_deref(), Some("/e/lib/haswell/a.so"));
        assert_eq!(path("/e/${PLATFORM}/a.so").as_deref(), Some("/e/haswell/a.so"));
        assert_eq!(path("/e/$PLATFORMS/a.so").as_deref(), Some("/e/$PLATFORMS/a.so"));
        assert_eq!(path("/e/$LIB/a.so"), None);
        assert_eq!(path("$ORIGIN/$PLATFORM/a.so"), None);
    }

    #[test]
    fn an_entry_without_the_token_is_for_no_other_class() {
        let of = |entries: &[&str]| {
            let found = auditor_32(entries.iter().map(PathBuf::from), |path| path.starts_with("/e"));
            found.map(|path| path.display().to_string())
        };
        let ours = "/e/$PLATFORM/rtld_loader.so";
        let expected = OWN_32.map(|_| "/e/i686/rtld_loader.so".to_owned());
        assert_eq!(
            of(&["/e/rtld_loader.so", "/e/$PLATFORM/other.so", "/gone/$PLATFORM/rtld_loader.so", ours]),
            expected
        );
        assert_eq!(of(&["/e/rtld_loader.so", "/e/$PLATFORM/other.so"]), None);
    }

    #[test]
    fn only_shared_objects_of_i386_are_some() {
        let mut header = vec![0; 64];
        header[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        (header[16], header[18], header[20]) = (ET_DYN as u8, EM_386 as u8, 1);
        assert!(is_i386(&header));
        for (at, byte) in [(0, 0), (4, 2), (5, 2), (16, 2), (18, 62)] {
            let mut other = header.clone();
            other[at] = byte;
            assert!(!is_i386(&other), "byte {at}");
        }
        assert!(!is_i386(&header[..40]) && !is_i386(b""));
    }
}

//! Why a candidate cannot be handed out.

use crate::name::Name;

/// Why a candidate is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is not there, or may not be read.
    Missing,
    /// It cannot be opened.
    Broken,
    /// It is a directory, a FIFO or a device.
    Irregular,
    /// It is no ELF file, or one cut short: a linker script, an empty file.
    NotElf,
    /// Of the other class or another machine.
    OtherMachine,
    /// A shared object that ld.so refuses to load: cut short, or of another operating system's kind.
    Damaged,
    /// An ELF file that is not for sharing: a program at a fixed address, an object file.
    NotShared,
    /// Its path is longer than open(2) takes.
    TooLong,
    /// Its path has a `$ORIGIN`, `$LIB` or `$PLATFORM` in it, which ld.so would replace.
    Token,
    /// Everybody can write to what declares it. (An entry of which that was seen when it was listed has no candidates.)
    Writable,
    /// Its tables of symbol versions are damaged.
    Versions,
    /// It has DT_RELR, and does not need GLIBC_ABI_DT_RELR of libc.so.6: every ld.so refuses it, or does not relocate it.
    Relr,
    /// It needs a version of a library that it does not bring itself, and that is not loaded.
    Unbrought(Name),
    /// It needs a version that the glibc of this process does not define.
    Needs(Name),
    /// It needs what only the glibc has that it was built with: GLIBC_PRIVATE.
    Private,
    /// It needs a version of a library that is loaded already, in a build that does not define it.
    Conflicts {
        /// The version.
        version: Name,
        /// The library's soname.
        soname: Name,
    },
    /// It brings along a library that cannot be loaded.
    Brings {
        /// That library's soname.
        soname: Name,
        /// The version that it needs and the glibc of this process does not define, if it is for that.
        version: Option<Name>,
    },
    /// It does not define a version that the requester needs of it.
    Lacks(Name),
}

impl Skip {
    /// For people, in pieces.
    pub fn text(&self) -> [&[u8]; 5] {
        let text: &[u8] = match self {
            Self::Missing => b"there is no readable file",
            Self::Broken => b"it cannot be opened",
            Self::Irregular => b"it is not a regular file",
            Self::NotElf => b"it is not an ELF file of this byte order",
            Self::OtherMachine => b"it is for another kind of machine",
            Self::Damaged => b"it is cut short, or of another ABI",
            Self::NotShared => b"it is not a shared object",
            Self::TooLong => b"its path is too long",
            Self::Token => b"its path has a dynamic string token",
            Self::Writable => b"everybody can write to it, or to its directory",
            Self::Versions => b"its symbol versions are damaged",
            Self::Relr => b"it has DT_RELR without GLIBC_ABI_DT_RELR",
            Self::Unbrought(soname) => {
                return [b"it needs a version of ", soname.as_bytes(), b", which it does not bring itself", b"", b""];
            }
            Self::Needs(version) => {
                return [b"it needs ", version.as_bytes(), b", which this glibc does not define", b"", b""];
            }
            Self::Conflicts { version, soname } => {
                let loaded = b" that is loaded does not define";
                return [b"it needs ", version.as_bytes(), b", which the ", soname.as_bytes(), loaded];
            }
            Self::Private => b"it needs GLIBC_PRIVATE of another glibc",
            Self::Brings { soname, version: Some(version) } => {
                return [b"it brings ", soname.as_bytes(), b", which needs ", version.as_bytes(), b""];
            }
            Self::Brings { soname, version: None } => {
                return [b"it brings ", soname.as_bytes(), b", which cannot be loaded", b"", b""];
            }
            Self::Lacks(version) => {
                return [b"it does not define ", version.as_bytes(), b", which is needed of it", b"", b""];
            }
        };
        [text, b"", b"", b"", b""]
    }
}

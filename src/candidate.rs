//! Whether a file can be loaded into this process, as far as its first bytes tell.

use elf::abi::{
    EI_CLASS, EI_NIDENT, EI_PAD, ELFCLASS32, ELFCLASS64, ELFMAGIC, ELFOSABI_GNU, EM_386, EM_AARCH64, EM_NONE,
    EM_X86_64, ET_DYN, EV_CURRENT,
};
use elf::endian::NativeEndian;
use elf::file::{Class, ELF32_EHDR_TAILSIZE, ELF64_EHDR_TAILSIZE, FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::ProgramHeader;

use crate::skip::Skip;
use crate::views::{FileStart, Look};

/// The class of objects that this process is made of, and the bytes of their header behind `e_ident`.
pub(crate) const CLASS: Class = if cfg!(target_pointer_width = "64") { Class::ELF64 } else { Class::ELF32 };
pub(crate) const HEADER_TAIL: usize =
    if cfg!(target_pointer_width = "64") { ELF64_EHDR_TAILSIZE } else { ELF32_EHDR_TAILSIZE };
/// The bytes of an entry of a dynamic section.
pub(crate) const DYN: usize = 2 * size_of::<usize>();
/// The same class, as `e_ident` has it.
const CLASS_BYTE: u8 = if cfg!(target_pointer_width = "64") { ELFCLASS64 } else { ELFCLASS32 };
/// The least ABI version that some glibc refuses for ELFOSABI_GNU (`LIBC_ABI_MAX` of the oldest one).
const REFUSED_ABI_VERSION: u8 = 3;
/// The machine of this process.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    EM_X86_64
} else if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else if cfg!(target_arch = "x86") {
    EM_386
} else {
    EM_NONE
};

/// What an index is for: the machine and the class, as one number.
pub const TARGET: u32 = MACHINE as u32 | (CLASS_BYTE as u32) << 16;

/// What the header of a regular file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A shared object for this process.
    Shared,
    /// ELF for another class or machine: ld.so goes on to the next directory.
    OtherMachine,
    /// ELF for this machine, but not a shared object.
    NotShared,
    /// Anything else: ld.so stops with an error.
    NotElf,
}

/// Judges the first bytes of a file as `open_verify` of elf/dl-load.c does.
pub fn kind(bytes: &[u8]) -> Kind {
    let Some((ident, rest)) = bytes.split_first_chunk::<EI_NIDENT>() else {
        return Kind::NotElf;
    };
    let Some(tail) = rest.get(..HEADER_TAIL) else {
        return Kind::NotElf;
    };
    // The class is looked at before the byte order is.
    if ident.starts_with(&ELFMAGIC) && ident[EI_CLASS] != CLASS_BYTE {
        return Kind::OtherMachine;
    }
    let header = parse_ident::<NativeEndian>(ident).and_then(|ident| FileHeader::parse_tail(ident, tail));
    match header {
        Ok(header) if header.e_machine != MACHINE => Kind::OtherMachine,
        Ok(header) if header.e_type != ET_DYN => Kind::NotShared,
        Ok(_) => Kind::Shared,
        Err(_) => Kind::NotElf,
    }
}

/// Whether ld.so would go on to load a shared object: the rest of `open_verify`, each part of which ends in an error
/// there. `None` if it would not.
fn loadable(file: &FileStart) -> Option<()> {
    let (ident, rest) = file.as_bytes().split_first_chunk::<EI_NIDENT>()?;
    let tail = rest.get(..HEADER_TAIL)?;
    let header = FileHeader::parse_tail(parse_ident::<NativeEndian>(ident).ok()?, tail).ok()?;
    let abi = match (header.osabi, header.abiversion) {
        (0, 0) => true,
        (ELFOSABI_GNU, version) => version < REFUSED_ABI_VERSION,
        _ => false,
    };
    let padding = ident.get(EI_PAD..)?.iter().all(|&byte| byte == 0);
    let size = ProgramHeader::size_for(CLASS);
    let headers = u64::from(header.e_phnum).checked_mul(size as u64)?.checked_add(header.e_phoff)?;
    let fits = usize::from(header.e_phentsize) == size && header.e_phnum > 0 && headers <= file.size;
    (abi && padding && header.version == u32::from(EV_CURRENT) && fits).then_some(())
}

/// Whether what was seen can be handed to ld.so. `None` when nothing could be seen for want of descriptors.
pub fn check(look: &Look) -> Option<Result<(), Skip>> {
    Some(match look {
        Look::Exhausted => return None,
        Look::Missing | Look::Denied => Err(Skip::Missing),
        Look::NotBelow | Look::Broken => Err(Skip::Broken),
        Look::Irregular => Err(Skip::Irregular),
        Look::File(file) => match kind(file.as_bytes()) {
            Kind::Shared => loadable(file).ok_or(Skip::Damaged),
            Kind::OtherMachine => Err(Skip::OtherMachine),
            Kind::NotShared => Err(Skip::NotShared),
            Kind::NotElf => Err(Skip::NotElf),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::HEADER;
    use elf::abi::{ET_EXEC, ET_REL};

    /// The header of this very test program, which is a position-independent one.
    fn own_header() -> [u8; HEADER] {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        program[..HEADER].try_into().unwrap()
    }

    /// What `check` says of a file that starts with these bytes.
    fn checked(bytes: [u8; HEADER], len: usize, size: u64) -> Option<Result<(), Skip>> {
        check(&Look::File(FileStart { bytes, len, size }))
    }

    #[test]
    fn of_this_machine_and_shared() {
        assert_eq!(kind(&own_header()), Kind::Shared);
        for (at, value, expected) in [
            (0, b'!', Kind::NotElf),
            (4, 3 - own_header()[4], Kind::OtherMachine),
            (5, 3 - own_header()[5], Kind::NotElf),
            (6, 2, Kind::NotElf),
            (7, 9, Kind::Shared),
            (16, ET_EXEC as u8, Kind::NotShared),
            (16, ET_REL as u8, Kind::NotShared),
            (18, 0xf3, Kind::OtherMachine),
        ] {
            let mut header = own_header();
            header[at] = value;
            assert_eq!(kind(&header), expected, "byte {at}");
        }
    }

    #[test]
    fn the_class_counts_before_the_byte_order() {
        let mut header = own_header();
        (header[4], header[5]) = (3 - header[4], 3 - header[5]);
        assert_eq!(kind(&header), Kind::OtherMachine);
    }

    #[test]
    fn what_ld_so_refuses_is_skipped() {
        assert_eq!(checked(own_header(), HEADER, 1 << 20), Some(Ok(())));
        // OSABI, ABI version, padding, e_version, e_phentsize.
        for (at, value) in [(7, 9), (8, 1), (9, 1), (20, 2), (54, 1)] {
            let mut header = own_header();
            header[at] = value;
            assert_eq!(checked(header, HEADER, 1 << 20), Some(Err(Skip::Damaged)), "byte {at}");
        }
        assert_eq!(checked(own_header(), HEADER, 70), Some(Err(Skip::Damaged)));
        let mut gnu = own_header();
        (gnu[7], gnu[8]) = (ELFOSABI_GNU, 1);
        assert_eq!(checked(gnu, HEADER, 1 << 20), Some(Ok(())));
    }

    #[test]
    fn what_is_cut_short_is_no_elf_file() {
        let header = own_header();
        for len in 0..EI_NIDENT + HEADER_TAIL {
            assert_eq!(checked(header, len, 1 << 20), Some(Err(Skip::NotElf)), "{len}");
        }
        assert_eq!(checked(header, usize::MAX, 1 << 20), Some(Err(Skip::NotElf)));
        assert_eq!(check(&Look::Irregular), Some(Err(Skip::Irregular)));
        assert_eq!(check(&Look::Exhausted), None);
    }
}

//! A file as it will be in memory: its bytes by the addresses that they get.
//!
//! What the auditor reads of loaded objects (symbol versions, what ld.so has compiled in) is read here by the same code.

use std::fs;
use std::path::Path;

use elf::abi::{EI_NIDENT, PF_R, PF_X, PT_LOAD};
use elf::endian::NativeEndian;
use elf::file::{FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
use rtld_loader::loader_image::{LoaderImage, libc_minor};
use rtld_loader::versions::{Image, each_definition, each_need};

use crate::object_file::VersionTables;

/// The longest string that is read.
const STRING: usize = 4096;

/// A file's bytes and its segments.
pub struct FileImage {
    bytes: Vec<u8>,
    segments: Vec<ProgramHeader>,
}

/// A version that an object needs of another.
#[derive(Clone, Debug)]
pub struct Need {
    /// The soname of the one that has to define it.
    pub soname: Vec<u8>,
    /// The version.
    pub version: Vec<u8>,
    /// ld.so does without.
    pub is_weak: bool,
}

impl FileImage {
    /// Reads a file. `None` if it is no ELF file, or cannot be read.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let (ident, tail) = bytes.split_at_checked(EI_NIDENT)?;
        let ident = parse_ident::<NativeEndian>(ident).ok()?;
        let (_, class, ..) = ident;
        let header = FileHeader::parse_tail(ident, tail).ok()?;
        let start = usize::try_from(header.e_phoff).ok()?;
        let len = usize::from(header.e_phnum) * usize::from(header.e_phentsize);
        let table = bytes.get(start..start.checked_add(len)?)?;
        let segments = SegmentTable::new(NativeEndian, class, table).iter().collect();
        Some(Self { bytes, segments })
    }

    /// Whether a string is compiled into it.
    pub fn has_string(&self, string: &[u8]) -> bool {
        let string = [b"\0", string, b"\0"].concat();
        self.segments(PF_R).any(|bytes| bytes.windows(string.len()).any(|window| window == string))
    }

    /// What is compiled into it, if it is an ld.so.
    pub fn loader(&self) -> Option<LoaderImage<'_>> {
        [PF_R, PF_R | PF_X].into_iter().find_map(|flags| LoaderImage::read(|| self.segments(flags)))
    }

    /// The N of glibc 2.N, if it is the libc.so.6 of one.
    pub fn minor(&self) -> Option<u32> {
        [PF_R, PF_R | PF_X].into_iter().find_map(|flags| libc_minor(self.segments(flags)))
    }

    /// The versions that it needs.
    pub fn needs(&self, tables: VersionTables) -> Vec<Need> {
        let mut needs = Vec::new();
        let (Some(table), Some(strings)) = (tables.needs, tables.strings) else { return needs };
        // A table that is damaged is ld.so's to complain of.
        let _ = each_need(self, table as usize, |need| {
            let soname = self.string(strings as usize, need.file);
            if let Some((soname, version)) = soname.zip(self.string(strings as usize, need.version)) {
                needs.push(Need { soname, version, is_weak: need.weak });
            }
            true
        });
        needs
    }

    /// The versions that it defines.
    pub fn definitions(&self, tables: VersionTables) -> Vec<Vec<u8>> {
        let mut definitions = Vec::new();
        let (Some(table), Some(strings)) = (tables.definitions, tables.strings) else { return definitions };
        let _ = each_definition(self, table as usize, |definition| {
            definitions.extend(self.string(strings as usize, definition.version));
            true
        });
        definitions
    }

    fn string(&self, strings: usize, offset: usize) -> Option<Vec<u8>> {
        let rest = self.rest(strings.checked_add(offset)?)?;
        let rest = &rest[..rest.len().min(STRING)];
        Some(rest[..rest.iter().position(|&byte| byte == 0)?].to_vec())
    }

    /// What the file has from an address on, as far as its segment goes.
    fn rest(&self, address: usize) -> Option<&[u8]> {
        let address = u64::try_from(address).ok()?;
        self.loaded().find_map(|segment| {
            let inside = address.checked_sub(segment.p_vaddr).filter(|inside| *inside < segment.p_filesz)?;
            self.part(segment.p_offset.checked_add(inside)?, segment.p_filesz - inside)
        })
    }

    /// The bytes of the segments with these permissions.
    fn segments(&self, flags: u32) -> impl Iterator<Item = &[u8]> {
        let wanted = self.loaded().filter(move |segment| segment.p_flags == flags);
        wanted.filter_map(|segment| self.part(segment.p_offset, segment.p_filesz))
    }

    fn loaded(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(|segment| segment.p_type == PT_LOAD)
    }

    fn part(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }
}

impl Image for FileImage {
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
        self.rest(address)?.get(..len)
    }
}

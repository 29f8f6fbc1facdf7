//! What the auditor reads of loaded objects, read from their files by the same code: symbol versions, and what ld.so and libc
//! have compiled in.
//!
//! A library may be of gigabytes: its file is read in pieces. Of ld.so and libc all is searched, as in memory.

use std::fs::File;
use std::path::Path;

use elf::abi::{PF_R, PF_X, PT_LOAD};
use elf::segment::ProgramHeader;
use rtld_loader::loader_image::{LoaderImage, libc_minor};
use rtld_loader::versions::{self, each_definition, each_need};

use crate::object_file::{VersionTables, program_headers, read_some, read_string};

/// The most bytes that are read of a table of versions: more than any has entries for.
const TABLE: u64 = 1 << 20;
/// The most bytes that are searched of a segment of ld.so's or libc's, which have two million.
const SEGMENT: u64 = 64 << 20;

/// A file, and its segments.
pub struct FileImage {
    file: File,
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
    /// Opens a file. `None` if it is no object for this machine, or cannot be read.
    pub fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let segments = program_headers(&file)?;
        Some(Self { file, segments })
    }

    /// The versions that it needs.
    pub fn needs(&self, tables: VersionTables) -> Vec<Need> {
        let mut needs = Vec::new();
        let (Some(table), Some(strings)) = (tables.needs, tables.strings) else { return needs };
        let Some(piece) = self.piece(table) else { return needs };
        // A table that is damaged is ld.so's to complain of.
        let _ = each_need(&piece, piece.address, |need| {
            let soname = self.string(strings, need.file);
            if let Some((soname, version)) = soname.zip(self.string(strings, need.version)) {
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
        let Some(piece) = self.piece(table) else { return definitions };
        let _ = each_definition(&piece, piece.address, |definition| {
            definitions.extend(self.string(strings, definition.version));
            true
        });
        definitions
    }

    /// What is compiled into it.
    pub fn constants(&self) -> Constants {
        let segments = |flags: u32| {
            let wanted = self.loaded().filter(move |segment| segment.p_flags == flags);
            wanted.filter_map(|segment| self.read(segment.p_offset, segment.p_filesz.min(SEGMENT))).collect()
        };
        Constants { segments: [segments(PF_R), segments(PF_R | PF_X)] }
    }

    fn string(&self, strings: u64, offset: usize) -> Option<Vec<u8>> {
        let (at, _) = self.place(strings.checked_add(u64::try_from(offset).ok()?)?)?;
        read_string(&self.file, at)
    }

    /// What lies at an address and behind it.
    fn piece(&self, address: u64) -> Option<Piece> {
        let (at, len) = self.place(address)?;
        Some(Piece { address: usize::try_from(address).ok()?, bytes: self.read(at, len.min(TABLE))? })
    }

    /// Where an address is in the file, and how much of its segment follows.
    fn place(&self, address: u64) -> Option<(u64, u64)> {
        self.loaded().find_map(|segment| {
            let inside = address.checked_sub(segment.p_vaddr).filter(|inside| *inside < segment.p_filesz)?;
            Some((segment.p_offset.checked_add(inside)?, segment.p_filesz - inside))
        })
    }

    fn loaded(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(|segment| segment.p_type == PT_LOAD)
    }

    /// Reads so much, or what there is: the file may be cut short.
    fn read(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        let size = self.file.metadata().ok()?.len();
        let mut bytes = vec![0; usize::try_from(len.min(size)).ok()?];
        let len = read_some(&self.file, at, &mut bytes)?;
        bytes.truncate(len);
        Some(bytes)
    }
}

/// Bytes, and the address of the first.
struct Piece {
    address: usize,
    bytes: Vec<u8>,
}

impl versions::Image for Piece {
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
        self.bytes.get(address.checked_sub(self.address)?..)?.get(..len)
    }
}

/// The segments of a file that cannot be written to: those to be read, and those to be executed, too.
pub struct Constants {
    segments: [Vec<Vec<u8>>; 2],
}

impl Constants {
    /// Whether a string is compiled into it.
    pub fn has_string(&self, string: &[u8]) -> bool {
        let string = [b"\0", string, b"\0"].concat();
        self.segments.iter().flatten().any(|bytes| bytes.windows(string.len()).any(|window| window == string))
    }

    /// What else is, if it is an ld.so.
    pub fn loader(&self) -> Option<LoaderImage<'_>> {
        self.segments.iter().find_map(|segments| LoaderImage::read(|| segments.iter().map(Vec::as_slice)))
    }

    /// The N of glibc 2.N, if it is the libc.so.6 of one.
    pub fn minor(&self) -> Option<u32> {
        self.segments.iter().find_map(|segments| libc_minor(segments.iter().map(Vec::as_slice)))
    }
}

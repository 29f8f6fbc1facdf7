//! What an ELF file says of the libraries that it needs, and of its thread-local storage.
//!
//! It is read in pieces, since a closure may be of gigabytes: the headers, the dynamic section, and the strings that
//! the dynamic section names. The file may be anybody's. Each piece has a limit, and what is cut short or contradicts
//! itself is no object.

use std::fs::File;
use std::os::unix::fs::FileExt;

use elf::abi::{
    DF_1_NODEFLIB, DF_1_PIE, DF_STATIC_TLS, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME,
    DT_STRTAB, DT_VERDEF, DT_VERNEED, DT_VERSYM, EI_NIDENT, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS,
};
use elf::dynamic::DynamicTable;
use elf::endian::NativeEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};
use rtld_loader::candidate::{Kind, kind};

/// The longest ELF header.
const HEADER: usize = 64;
/// The most bytes of program headers: the kernel starts no program with more.
const PROGRAM_HEADERS: usize = 64 << 10;
/// The most bytes of a dynamic section: four thousand entries.
const DYNAMIC: u64 = 64 << 10;
/// The longest string: the kernel's limit for one of the environment.
const STRING: usize = 128 << 10;

/// The parts of an object that decide what else is loaded with it, and where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ObjectFile {
    /// It can be loaded as a library. Otherwise it is a program at a fixed address.
    pub shared: bool,
    /// PT_INTERP, if there is one: the ld.so that starts it.
    pub interpreter: Option<Vec<u8>>,
    /// It says that it is a program (DF_1_PIE): ld.so does not load it as a library.
    pub is_program: bool,
    /// It has a dynamic section. A static program has none.
    pub is_dynamic: bool,
    /// DT_SONAME, if there is one.
    pub soname: Option<Vec<u8>>,
    /// The sonames of DT_NEEDED.
    pub needed: Vec<Vec<u8>>,
    /// DT_RPATH, if there is one.
    pub rpath: Option<Vec<u8>>,
    /// DT_RUNPATH, if there is one.
    pub runpath: Option<Vec<u8>>,
    /// DF_1_NODEFLIB: nothing from the default directories.
    pub no_default_libraries: bool,
    /// Where the tables of symbol versions are.
    pub versions: VersionTables,
    /// The size in bytes of the segment of thread-local storage, 0 if there is none.
    pub tls_size: u64,
    /// The alignment of that segment, a power of two.
    pub tls_align: u64,
    /// DF_STATIC_TLS: it reaches variables, its own or those of what it needs, at a fixed distance from the thread
    /// pointer.
    pub static_tls: bool,
}

/// Addresses in an object: each is there if the object says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionTables {
    /// DT_STRTAB.
    pub strings: Option<u64>,
    /// DT_VERNEED.
    pub needs: Option<u64>,
    /// DT_VERDEF.
    pub definitions: Option<u64>,
    /// DT_VERSYM.
    pub symbols: Option<u64>,
}

impl ObjectFile {
    /// Reads a file. `None` if it is no object for this machine.
    pub fn read(file: &File) -> Option<Self> {
        let (header, shared) = read_header(file)?;
        let segments = read_segments(file, &header)?;
        let segments = SegmentTable::new(NativeEndian, header.class, &segments);

        let mut object = Self { shared, tls_align: 1, ..Self::default() };
        if let Some(tls) = segments.iter().find(|segment| segment.p_type == PT_TLS) {
            object.tls_size = tls.p_memsz;
            object.tls_align = tls.p_align.max(1);
            if !object.tls_align.is_power_of_two() {
                return None;
            }
        }
        if let Some(interpreter) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            object.interpreter = Some(read_string(file, interpreter.p_offset)?);
        }
        if let Some(dynamic) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) {
            object.is_dynamic = true;
            object.read_dynamic(file, header.class, &segments, dynamic)?;
        }
        Some(object)
    }

    fn read_dynamic(
        &mut self,
        file: &File,
        class: Class,
        segments: &SegmentTable<'_, NativeEndian>,
        dynamic: ProgramHeader,
    ) -> Option<()> {
        let entries = read(file, dynamic.p_offset, dynamic.p_filesz.min(DYNAMIC) as usize, DYNAMIC as usize)?;
        let entries = DynamicTable::new(NativeEndian, class, &entries);
        let entries: Vec<_> = entries.iter().take_while(|entry| entry.d_tag != DT_NULL).collect();
        let strings = entries.iter().find(|entry| entry.d_tag == DT_STRTAB).map(|entry| entry.d_ptr());
        let string = |offset: u64| {
            let address = strings?.checked_add(offset)?;
            let place = segments.iter().filter(|segment| segment.p_type == PT_LOAD).find_map(|segment| {
                let inside = address.checked_sub(segment.p_vaddr).filter(|&inside| inside < segment.p_filesz)?;
                segment.p_offset.checked_add(inside)
            });
            read_string(file, place?)
        };
        self.versions.strings = strings;
        for entry in &entries {
            match entry.d_tag {
                DT_NEEDED => self.needed.push(string(entry.d_val())?),
                DT_SONAME => self.soname = Some(string(entry.d_val())?),
                DT_RPATH => self.rpath = Some(string(entry.d_val())?),
                DT_RUNPATH => self.runpath = Some(string(entry.d_val())?),
                DT_FLAGS_1 => {
                    self.no_default_libraries = entry.d_val() & DF_1_NODEFLIB as u64 != 0;
                    self.is_program = entry.d_val() & DF_1_PIE as u64 != 0;
                }
                DT_VERNEED => self.versions.needs = Some(entry.d_ptr()),
                DT_VERDEF => self.versions.definitions = Some(entry.d_ptr()),
                DT_VERSYM => self.versions.symbols = Some(entry.d_ptr()),
                DT_FLAGS => self.static_tls = entry.d_val() & DF_STATIC_TLS as u64 != 0,
                _ => {}
            }
        }
        Some(())
    }
}

/// The program headers of a file. `None` if it is no object for this machine.
pub fn program_headers(file: &File) -> Option<Vec<ProgramHeader>> {
    let (header, _) = read_header(file)?;
    let segments = read_segments(file, &header)?;
    Some(SegmentTable::new(NativeEndian, header.class, &segments).iter().collect())
}

/// The header of an object for this machine, and whether it can be loaded as a library.
fn read_header(file: &File) -> Option<(FileHeader<NativeEndian>, bool)> {
    let mut start = [0; HEADER];
    let len = read_some(file, 0, &mut start)?;
    let start = &start[..len];
    let is_shared = match kind(start) {
        Kind::Shared => true,
        Kind::NotShared => false,
        Kind::OtherMachine | Kind::NotElf => return None,
    };
    let (ident, tail) = start.split_at_checked(EI_NIDENT)?;
    let header = FileHeader::parse_tail(parse_ident::<NativeEndian>(ident).ok()?, tail).ok()?;
    Some((header, is_shared))
}

fn read_segments(file: &File, header: &FileHeader<NativeEndian>) -> Option<Vec<u8>> {
    let len = usize::from(header.e_phnum) * ProgramHeader::size_for(header.class);
    read(file, header.e_phoff, len, PROGRAM_HEADERS)
}

/// Reads exactly `len` bytes, if they are no more than `most`.
fn read(file: &File, offset: u64, len: usize, most: usize) -> Option<Vec<u8>> {
    if len > most {
        return None;
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

/// Reads what there is: how many bytes.
pub fn read_some(file: &File, offset: u64, into: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], offset.checked_add(len as u64)?).ok()? {
            0 => break,
            more => len += more,
        }
    }
    Some(len)
}

/// Reads a string up to its NUL. Most are short, and a long RUNPATH takes a second attempt.
pub fn read_string(file: &File, offset: u64) -> Option<Vec<u8>> {
    for room in [256, STRING] {
        let mut bytes = vec![0; room];
        let len = read_some(file, offset, &mut bytes)?;
        bytes.truncate(len);
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            bytes.truncate(end);
            return Some(bytes);
        }
    }
    None
}

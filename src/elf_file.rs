//! Reading what is needed to know of a library from its file.
//!
//! The file is read into memory of our own: one that is mapped, and that somebody shortens meanwhile, would kill the
//! process. It may be anybody's and may change between two reads; then the bytes are damaged, and nothing worse.
//!
//! Four or five reads do: the headers, the dynamic section, the tables of needed and of defined versions (one, where they
//! stand side by side, as linkers put them), and that part of the string table which they use.

use elf::abi::{
    DF_1_PIE, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_STRSZ, DT_STRTAB, DT_VERDEF, DT_VERNEED, DT_VERSYM, EI_NIDENT,
    PT_DYNAMIC, PT_LOAD,
};
use elf::dynamic::Dyn;
use elf::endian::NativeEndian;
use elf::file::{FileHeader, parse_ident};
use elf::hash::sysv_hash;
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};

use crate::candidate::{CLASS, DYN, HEADER_TAIL, Skip, check};
use crate::family;
use crate::library::{Versioning, Writer};
use crate::versions::{Image, each_definition, each_need};
use crate::views::{FileStart, HEADER, Look};

/// A file, open for reading.
pub trait ReadAt {
    /// Reads at an offset: how many bytes there were. `None` for an error.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize>;
}

/// The room for each part of a file, in bytes. The string table's is the whole of those of very large libraries; only
/// what is used of it exists.
const HEADERS: usize = 4096;
const DYNAMIC: usize = 16 << 10;
const TABLES: usize = 128 << 10;
const STRINGS: usize = 2 << 20;
/// The longest string at the end of the part that is read.
const LAST_STRING: usize = 256;

/// Room to read into.
pub struct Room<'m> {
    headers: &'m mut [u8],
    dynamic: &'m mut [u8],
    needs: &'m mut [u8],
    definitions: &'m mut [u8],
    strings: &'m mut [u8],
}

impl<'m> Room<'m> {
    /// The bytes that a room takes.
    pub const SIZE: usize = HEADERS + DYNAMIC + 2 * TABLES + STRINGS;

    /// Divides memory. `None` if there are less than [`Self::SIZE`] bytes.
    pub fn new(memory: &'m mut [u8]) -> Option<Self> {
        let (headers, rest) = memory.split_at_mut_checked(HEADERS)?;
        let (dynamic, rest) = rest.split_at_mut_checked(DYNAMIC)?;
        let (needs, rest) = rest.split_at_mut_checked(TABLES)?;
        let (definitions, strings) = rest.split_at_mut_checked(TABLES)?;
        (strings.len() >= STRINGS).then_some(Self { headers, dynamic, needs, definitions, strings })
    }

    /// Reads a file of this size, judges it, and puts what is to be known of it into `record`: how many bytes of it
    /// that takes. Or why ld.so would not load it, whatever it may need.
    pub fn read(&mut self, file: &mut impl ReadAt, size: u64, record: &mut [u8]) -> Result<usize, Skip> {
        let len = file.read_at(0, self.headers).ok_or(Skip::Irregular)?;
        let start = self.headers.get(..len.min(HEADER)).unwrap_or_default();
        check(&Look::File(FileStart::new(start, size))).unwrap_or(Err(Skip::Damaged))?;
        let headers = program_headers(file, self.headers, len).ok_or(Skip::Damaged)?;
        let segments = SegmentTable::new(NativeEndian, CLASS, headers);
        let dynamic = dynamic(file, &segments, self.dynamic).ok_or(Skip::Damaged)?;
        // ld.so opens a program for execution only.
        if dynamic.position_independent_program {
            return Err(Skip::NotShared);
        }
        let parts = [&mut *self.needs, &mut *self.definitions];
        let tables = Tables::read(file, &segments, &dynamic, parts).ok_or(Skip::Versions)?;
        let strings = tables.strings(file, &segments, &dynamic, self.strings).ok_or(Skip::Versions)?;
        tables.write(&dynamic, &strings, record).ok_or(Skip::Versions)
    }
}

/// The program headers, which stand behind the ELF header as a rule.
fn program_headers<'r>(file: &mut impl ReadAt, headers: &'r mut [u8], len: usize) -> Option<&'r [u8]> {
    let (ident, rest) = headers.split_first_chunk::<EI_NIDENT>()?;
    let header = FileHeader::parse_tail(parse_ident::<NativeEndian>(ident).ok()?, rest.get(..HEADER_TAIL)?).ok()?;
    let wanted = usize::from(header.e_phnum).checked_mul(ProgramHeader::size_for(CLASS))?;
    if let Ok(at) = usize::try_from(header.e_phoff)
        && let Some(end) = at.checked_add(wanted)
        && end <= len
    {
        return headers.get(at..end);
    }
    fill(file, header.e_phoff, headers.get_mut(..wanted)?)
}

/// Fills the room, which must be there whole.
fn fill<'r>(file: &mut impl ReadAt, offset: u64, room: &'r mut [u8]) -> Option<&'r [u8]> {
    let len = file.read_at(offset, room)?;
    (len == room.len()).then_some(&*room)
}

/// Fills as much of the room as the file has.
fn fill_some<'r>(file: &mut impl ReadAt, offset: u64, room: &'r mut [u8]) -> Option<&'r [u8]> {
    let len = file.read_at(offset, room)?;
    room.get(..len)
}

/// What the dynamic section says.
#[derive(Default)]
struct Dynamic<'r> {
    entries: &'r [u8],
    strings: Option<usize>,
    strings_len: usize,
    needs: Option<usize>,
    definitions: Option<usize>,
    has_versym: bool,
    position_independent_program: bool,
}

fn dynamic<'r>(
    file: &mut impl ReadAt,
    segments: &SegmentTable<'_, NativeEndian>,
    room: &'r mut [u8],
) -> Option<Dynamic<'r>> {
    segments.iter().find(|segment| segment.p_type == PT_LOAD)?;
    let segment = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
    let len = usize::try_from(segment.p_filesz).ok()?;
    let entries = fill(file, segment.p_offset, room.get_mut(..len)?)?;
    let mut dynamic = Dynamic { entries, ..Dynamic::default() };
    for entry in dynamic.iter() {
        let value = usize::try_from(entry.d_val()).ok()?;
        match entry.d_tag {
            DT_STRTAB => dynamic.strings = Some(value),
            DT_STRSZ => dynamic.strings_len = value,
            DT_VERNEED => dynamic.needs = Some(value),
            DT_VERDEF => dynamic.definitions = Some(value),
            DT_VERSYM => dynamic.has_versym = true,
            DT_FLAGS_1 => dynamic.position_independent_program = entry.d_val() & DF_1_PIE as u64 != 0,
            _ => {}
        }
    }
    Some(dynamic)
}

impl<'r> Dynamic<'r> {
    fn iter(&self) -> impl Iterator<Item = Dyn> + use<'r> {
        let entry = |bytes| Dyn::parse_at(NativeEndian, CLASS, &mut 0, bytes).ok();
        self.entries.chunks_exact(DYN).map_while(entry).take_while(|entry| entry.d_tag != DT_NULL)
    }

    /// The offsets of the sonames that it needs.
    fn needed(&self) -> impl Iterator<Item = usize> + use<'r> {
        self.iter().filter(|entry| entry.d_tag == DT_NEEDED).filter_map(|entry| usize::try_from(entry.d_val()).ok())
    }
}

/// Where the bytes at an address are in the file, and how many follow there.
fn place(segments: &SegmentTable<'_, NativeEndian>, address: usize) -> Option<(u64, usize)> {
    let address = u64::try_from(address).ok()?;
    segments.iter().filter(|segment| segment.p_type == PT_LOAD).find_map(|segment| {
        let inside = address.checked_sub(segment.p_vaddr)?;
        let left = segment.p_filesz.checked_sub(inside).filter(|left| *left > 0)?;
        Some((segment.p_offset.checked_add(inside)?, usize::try_from(left).ok()?))
    })
}

/// Bytes of the file with the address of the first.
#[derive(Clone, Copy, Default)]
struct Part<'r> {
    start: usize,
    bytes: &'r [u8],
}

impl<'r> Part<'r> {
    fn get(&self, address: usize, len: usize) -> Option<&'r [u8]> {
        let at = address.checked_sub(self.start)?;
        self.bytes.get(at..at.checked_add(len)?)
    }

    /// The string at an address, up to its NUL.
    fn string(&self, address: usize) -> Option<&'r [u8]> {
        let rest = self.bytes.get(address.checked_sub(self.start)?..)?;
        rest.get(..rest.iter().position(|&byte| byte == 0)?)
    }
}

/// The tables of versions.
struct Tables<'r>([Part<'r>; 2]);

impl Image for Tables<'_> {
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
        self.0.iter().find_map(|part| part.get(address, len))
    }
}

impl<'r> Tables<'r> {
    fn read(
        file: &mut impl ReadAt,
        segments: &SegmentTable<'_, NativeEndian>,
        dynamic: &Dynamic<'_>,
        rooms: [&'r mut [u8]; 2],
    ) -> Option<Self> {
        let mut tables = Self([Part::default(); 2]);
        let addresses = [dynamic.needs, dynamic.definitions];
        // The one that comes first has the other behind it, or at least its beginning.
        let first = addresses.into_iter().flatten().min();
        let parts = addresses.into_iter().zip(rooms);
        let mut read = |address: usize, room: &'r mut [u8]| {
            let (offset, left) = place(segments, address)?;
            let len = left.min(room.len());
            Some(Part { start: address, bytes: fill_some(file, offset, room.get_mut(..len)?)? })
        };
        let mut later = None;
        for (address, room) in parts {
            match address {
                Some(address) if Some(address) == first => tables.0[0] = read(address, room)?,
                Some(address) => later = Some((address, room)),
                None => {}
            }
        }
        if let Some((address, room)) = later {
            let (_, left) = place(segments, address)?;
            if tables.0[0].get(address, left.min(room.len() / 4)).is_none() {
                tables.0[1] = read(address, room)?;
            }
        }
        Some(tables)
    }

    /// Calls `visit` with the offset of each string that counts.
    fn each_string(&self, dynamic: &Dynamic<'_>, mut visit: impl FnMut(usize)) -> Option<()> {
        dynamic.needed().for_each(&mut visit);
        if let Some(table) = dynamic.needs {
            each_need(self, table, |need| {
                visit(need.file);
                visit(need.version);
                true
            })?;
        }
        if let Some(table) = dynamic.definitions {
            each_definition(self, table, |definition| {
                visit(definition.version);
                true
            })?;
        }
        Some(())
    }

    /// Reads the part of the string table that is used.
    fn strings<'s>(
        &self,
        file: &mut impl ReadAt,
        segments: &SegmentTable<'_, NativeEndian>,
        dynamic: &Dynamic<'_>,
        room: &'s mut [u8],
    ) -> Option<Part<'s>> {
        let (mut first, mut last) = (usize::MAX, 0);
        self.each_string(dynamic, |offset| {
            first = first.min(offset);
            last = last.max(offset);
        })?;
        if first > last {
            return Some(Part::default());
        }
        let end = last.checked_add(LAST_STRING)?.min(dynamic.strings_len);
        let (offset, left) = place(segments, dynamic.strings?.checked_add(first)?)?;
        let len = end.checked_sub(first)?.min(left);
        Some(Part { start: first, bytes: fill(file, offset, room.get_mut(..len)?)? })
    }

    /// Writes the record.
    fn write(&self, dynamic: &Dynamic<'_>, strings: &Part<'_>, record: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(record)?;
        let is_needed = |soname: &[u8]| dynamic.needed().any(|offset| strings.string(offset) == Some(soname));
        let mut sound = true;
        if let Some(table) = dynamic.needs {
            each_need(self, table, |need| {
                let mut add = || {
                    let (file, version) = (strings.string(need.file)?, strings.string(need.version)?);
                    // ld.so compares hashes first. And it aborts the process over a library that is not there.
                    if sysv_hash(version) != need.hash || !(family::is_always_loaded(file) || is_needed(file)) {
                        return None;
                    }
                    if need.weak { Some(()) } else { writer.need(file, version) }
                };
                sound = add().is_some();
                sound
            })?;
        }
        if let Some(table) = dynamic.definitions.filter(|_| sound) {
            each_definition(self, table, |definition| {
                let mut add = || {
                    let version = strings.string(definition.version)?;
                    if sysv_hash(version) == definition.hash { writer.definition(version) } else { None }
                };
                sound = add().is_some();
                sound
            })?;
        }
        if sound { writer.finish(Versioning::new(dynamic.has_versym, dynamic.definitions.is_some())) } else { None }
    }
}

#[cfg(test)]
mod tests;

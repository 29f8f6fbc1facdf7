//! Reading what is needed to know of a library from its file.
//!
//! The file is read into memory of our own: one that is mapped, and that somebody shortens meanwhile, would kill the
//! process. It may be anybody's and may change between two reads; then the bytes are damaged, and nothing worse.
//!
//! Four reads do: the headers, the dynamic section, the tables of needed and of defined versions (side by side, as
//! linkers put them), and that part of the string table which they use. In large libraries the strings lie in two places.

use elf::abi::{
    DF_1_PIE, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, DT_VERDEF, DT_VERNEED,
    DT_VERSYM, EI_NIDENT, PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_LOAD,
};
use elf::dynamic::Dyn;
use elf::endian::NativeEndian;
use elf::file::{FileHeader, parse_ident};
use elf::hash::sysv_hash;
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};

use crate::candidate::{CLASS, DYN, HEADER_TAIL, check};
use crate::library::{Need, Versioning, Writer};
use crate::own_glibc;
use crate::skip::Skip;
use crate::versions::{self, Image, each_definition, each_need};
use crate::views::{FileStart, HEADER, Look};

/// Compact relative relocations (the ELF specification's "Relative Relocation Table").
const DT_RELR: i64 = 36;

/// A file, open for reading.
pub trait ReadAt {
    /// Reads at an offset: how many bytes there were. `None` for an error.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize>;
}

/// The room for each part of a file, in bytes: for more than any library has. Only what is used of it exists.
const HEADERS: usize = 64 << 10;
const DYNAMIC: usize = 64 << 10;
const TABLES: usize = 128 << 10;
/// How many parts of the string table are read, and the room for each. Linkers put the sonames of DT_NEEDED side by side,
/// and versions side by side, but may have all names of symbols between the two.
const STRINGS: usize = 4;
const PART: usize = 256 << 10;

/// The bytes of a file that are read first: the program headers are among them as a rule.
const FIRST: usize = 4096;
/// The longest string at the end of a part: a search path may be.
const LAST_STRING: usize = 16 << 10;

/// How much is looked at to tell what a file needs: bytes of names, and comparisons of two. The largest libraries take some ten
/// thousand. Damaged tables can lead to long names again and again, and ld.so waits meanwhile.
const MOST_LOOKED_AT: usize = 1 << 20;

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
    pub const SIZE: usize = HEADERS + DYNAMIC + 2 * TABLES + STRINGS * PART;

    /// Divides memory. `None` if there are less than [`Self::SIZE`] bytes.
    pub fn new(memory: &'m mut [u8]) -> Option<Self> {
        let (headers, rest) = memory.split_at_mut_checked(HEADERS)?;
        let (dynamic, rest) = rest.split_at_mut_checked(DYNAMIC)?;
        let (needs, rest) = rest.split_at_mut_checked(TABLES)?;
        let (definitions, strings) = rest.split_at_mut_checked(TABLES)?;
        (strings.len() >= STRINGS * PART).then_some(Self { headers, dynamic, needs, definitions, strings })
    }

    /// Reads the file of this size at a path, judges it, and puts what is to be known of it into `record`: how many bytes
    /// of it that takes, `None` if it has no room. Or why ld.so would not load it, whatever it may need.
    pub fn read(
        &mut self,
        file: &mut impl ReadAt,
        size: u64,
        path: &[u8],
        record: &mut [u8],
    ) -> Result<Option<usize>, Skip> {
        let first = self.headers.get_mut(..FIRST).ok_or(Skip::Damaged)?;
        let len = file.read_at(0, first).ok_or(Skip::Irregular)?;
        let start = first.get(..len.min(HEADER)).unwrap_or_default();
        check(&Look::File(FileStart::new(start, size))).unwrap_or(Err(Skip::Damaged))?;
        let headers = program_headers(file, self.headers, len).ok_or(Skip::Damaged)?;
        let segments = SegmentTable::new(NativeEndian, CLASS, headers);
        if !are_whole(&segments, size) {
            return Err(Skip::Damaged);
        }
        let dynamic = dynamic(file, &segments, self.dynamic).ok_or(Skip::Damaged)?;
        // ld.so opens a program for execution only.
        if dynamic.position_independent_program {
            return Err(Skip::NotShared);
        }
        // Where one of these is, ld.so reads the indices of versions unasked.
        if !dynamic.has_versym && (dynamic.needs.is_some() || dynamic.definitions.is_some()) {
            return Err(Skip::Versions);
        }
        let parts = [&mut *self.needs, &mut *self.definitions];
        let tables = Tables::read(file, &segments, &dynamic, parts).ok_or(Skip::Versions)?;
        let strings = tables.strings(file, &segments, &dynamic, self.strings).ok_or(Skip::Versions)?;
        let Some(mut writer) = Writer::new(record) else { return Ok(None) };
        if tables.write(&dynamic, &strings, &mut writer)?.and_then(|()| dynamic.write(&strings, &mut writer)).is_none()
        {
            return Ok(None);
        }
        let versioning = Versioning::new(dynamic.has_versym, dynamic.definitions.is_some());
        Ok(writer.finish(path, versioning, wants_executable_stack(&segments)))
    }
}

/// Whether a file of this size has all that is to be mapped of it. What lies beyond its end would kill the process when
/// it is touched.
fn are_whole(segments: &SegmentTable<'_, NativeEndian>, size: u64) -> bool {
    let mut loaded = segments.iter().filter(|segment| segment.p_type == PT_LOAD).peekable();
    let is_whole = |end: Option<u64>| end.is_some_and(|end| end <= size);
    loaded.peek().is_some() && loaded.all(|segment| is_whole(segment.p_offset.checked_add(segment.p_filesz)))
}

/// Whether it asks for an executable stack. One that says nothing of it is taken at its worst
/// (`DEFAULT_STACK_PERMS` of stackinfo.h).
fn wants_executable_stack(segments: &SegmentTable<'_, NativeEndian>) -> bool {
    let stack = segments.iter().find(|segment| segment.p_type == PT_GNU_STACK);
    stack.map_or(!cfg!(target_arch = "aarch64"), |stack| stack.p_flags & PF_X != 0)
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
    rpath: Option<usize>,
    runpath: Option<usize>,
    has_versym: bool,
    has_relr: bool,
    position_independent_program: bool,
}

fn dynamic<'r>(
    file: &mut impl ReadAt,
    segments: &SegmentTable<'_, NativeEndian>,
    room: &'r mut [u8],
) -> Option<Dynamic<'r>> {
    // The last one counts, and its address.
    let segment = segments.iter().filter(|segment| segment.p_type == PT_DYNAMIC && segment.p_filesz > 0).last()?;
    let len = usize::try_from(segment.p_filesz).ok()?;
    let (offset, left) = place(segments, usize::try_from(segment.p_vaddr).ok()?)?;
    let entries = fill(file, offset, room.get_mut(..len.min(left))?)?;
    let mut dynamic = Dynamic { entries, ..Dynamic::default() };
    for entry in dynamic.iter() {
        let value = usize::try_from(entry.d_val()).ok()?;
        match entry.d_tag {
            DT_STRTAB => dynamic.strings = Some(value),
            DT_STRSZ => dynamic.strings_len = value,
            DT_VERNEED => dynamic.needs = Some(value),
            DT_VERDEF => dynamic.definitions = Some(value),
            DT_RPATH => dynamic.rpath = Some(value),
            DT_RUNPATH => dynamic.runpath = Some(value),
            DT_VERSYM => dynamic.has_versym = true,
            DT_RELR => dynamic.has_relr = true,
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

    /// The offset of the search path that counts for what it needs.
    fn search(&self) -> Option<usize> {
        self.runpath.or(self.rpath)
    }

    /// Writes what it needs and where it looks. `None` when there is no room. A string that is not there is left out: ld.so
    /// would read what follows the table.
    fn write(&self, strings: &Strings<'_>, writer: &mut Writer<'_>) -> Option<()> {
        self.needed().filter_map(|offset| strings.get(offset)).try_for_each(|soname| writer.needed(soname))?;
        self.search().and_then(|offset| strings.get(offset)).map_or(Some(()), |list| writer.search(list))
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

    /// Without what follows the last NUL: strings without an end are none, and need not be looked at to find that out.
    fn of_strings(self) -> Self {
        let end = self.bytes.iter().rposition(|&byte| byte == 0).map_or(0, |last| last.saturating_add(1));
        Self { bytes: self.bytes.get(..end).unwrap_or_default(), ..self }
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
        dynamic.needed().chain(dynamic.search()).for_each(&mut visit);
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

    /// Reads the parts of the string table that are used.
    fn strings<'s>(
        &self,
        file: &mut impl ReadAt,
        segments: &SegmentTable<'_, NativeEndian>,
        dynamic: &Dynamic<'_>,
        room: &'s mut [u8],
    ) -> Option<Strings<'s>> {
        let mut strings = Strings::default();
        let mut from = 0;
        for (part, room) in strings.0.iter_mut().zip(room.chunks_exact_mut(PART)) {
            // The first string that is not there yet, and the last one that fits in with it.
            let mut first = None;
            self.each_string(dynamic, |offset| {
                if offset >= from && first.is_none_or(|first| offset < first) {
                    first = Some(offset);
                }
            })?;
            let Some(first) = first else { break };
            let (mut last, limit) = (first, first.checked_add(room.len().checked_sub(LAST_STRING)?)?);
            self.each_string(dynamic, |offset| {
                if offset < limit {
                    last = last.max(offset);
                }
            })?;
            let end = last.checked_add(LAST_STRING)?.min(dynamic.strings_len);
            let (offset, left) = place(segments, dynamic.strings?.checked_add(first)?)?;
            let len = end.checked_sub(first)?.min(left);
            *part = Part { start: first, bytes: fill(file, offset, room.get_mut(..len)?)? }.of_strings();
            from = limit;
        }
        Some(strings)
    }

    /// Writes what is needed and what is defined. `Ok(None)` when there is no room.
    fn write(&self, dynamic: &Dynamic<'_>, strings: &Strings<'_>, writer: &mut Writer<'_>) -> Result<Option<()>, Skip> {
        // A ld.so that does not know these relocations leaves them out, and says so only where a linker saw to it.
        let packed = Need { soname: own_glibc::LIBC, version: RELR, is_weak: false, is_brought: true };
        let mut says_relr = !dynamic.has_relr || dynamic.needs.is_none();
        let mut outcome = Ok(if dynamic.has_relr { writer.need(packed) } else { Some(()) });
        let mut left = MOST_LOOKED_AT;
        let needs = dynamic.needs.map_or(Some(()), |table| {
            each_need(self, table, |need| {
                says_relr |= strings.get(need.version) == Some(RELR);
                outcome = match need_of(need, dynamic, strings, &mut left) {
                    // Of a weak one it matters only that the library is there.
                    Some(named) if named.is_weak && named.is_brought => Ok(Some(())),
                    Some(named) => Ok(writer.need(named)),
                    None => Err(Skip::Versions),
                };
                outcome == Ok(Some(()))
            })
        });
        let definitions = dynamic.definitions.filter(|_| outcome == Ok(Some(()))).map_or(Some(()), |table| {
            each_definition(self, table, |definition| {
                let version = strings.get(definition.version).filter(|version| sysv_hash(version) == definition.hash);
                outcome = version.map(|version| writer.definition(version)).ok_or(Skip::Versions);
                outcome == Ok(Some(()))
            })
        });
        if needs.and(definitions).is_none() {
            return Err(Skip::Versions);
        }
        let is_refused = !says_relr && dynamic.needed().any(|offset| strings.is(offset, own_glibc::LIBC));
        if is_refused && outcome == Ok(Some(())) { Err(Skip::Relr) } else { outcome }
    }
}

/// What a library with DT_RELR needs of libc.so.6. Before glibc 2.36 there is no such version, nor do such relocations count; from then on
/// ld.so loads no library which has them, and other versions of libc.so.6, without it (`_dl_check_map_versions` of elf/dl-version.c).
const RELR: &[u8] = b"GLIBC_ABI_DT_RELR";

/// A need by its names. `None` if the names are not there or not those of the hash, by which ld.so compares first; or if no more of
/// the file is looked at.
fn need_of<'s>(
    need: versions::Need,
    dynamic: &Dynamic<'_>,
    strings: &Strings<'s>,
    left: &mut usize,
) -> Option<Need<'s>> {
    let (soname, version) = (strings.get(need.file)?, strings.get(need.version)?);
    *left = left.checked_sub(soname.len())?.checked_sub(version.len())?;
    // So many bytes are compared in the time that the rest of it takes.
    let cost = soname.len().div_ceil(64).max(1);
    let mut compared = dynamic.needed().map(|offset| {
        *left = left.checked_sub(cost)?;
        Some(strings.is(offset, soname))
    });
    let is_brought = compared.find(|is| *is != Some(false)).unwrap_or(Some(false))?;
    (sysv_hash(version) == need.hash).then_some(Need { soname, version, is_weak: need.weak, is_brought })
}

/// The parts of the string table that were read, by their offsets in it.
#[derive(Default)]
struct Strings<'s>([Part<'s>; STRINGS]);

impl<'s> Strings<'s> {
    /// The string at an offset.
    fn get(&self, offset: usize) -> Option<&'s [u8]> {
        self.0.iter().find_map(|part| part.string(offset))
    }

    /// Whether the string at an offset is this one. How long that string is does not matter.
    fn is(&self, offset: usize, string: &[u8]) -> bool {
        let same = |bytes: &[u8]| bytes.split_last().is_some_and(|(last, name)| *last == 0 && name == string);
        let len = string.len().saturating_add(1);
        self.0.iter().any(|part| part.get(offset, len).is_some_and(same))
    }
}

#[cfg(test)]
mod tests;

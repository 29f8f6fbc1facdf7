//! A naive reader of libraries: byte by byte, in the memory that ld.so would make of the file.
//!
//! The auditor's reader sees the file in few pieces. Where a piece of memory that belongs together lies in several
//! segments, or where segments overlap, it may see less: that is unclear, and no linker makes it. So is what leads to names so
//! often that the auditor looks no further.

use std::cell::Cell;

use elf::abi::{EM_386, EM_AARCH64, EM_X86_64};
use rtld_loader::library::Versioning;
use rtld_loader::skip::Skip;

use crate::versions::{naive_definitions, naive_needs};

/// The bytes of an address.
const WORD: usize = size_of::<usize>();
/// The machine of this process.
pub const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    EM_X86_64
} else if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else {
    EM_386
};

/// The longest program headers, and the longest dynamic section.
const LONGEST: usize = 64 << 10;
/// How much of the tables is read in any case.
const TABLES: usize = 32 << 10;
/// Strings that are no farther from each other are read together, up to so many times.
const TOGETHER: usize = 240 << 10;
const PARTS: usize = 4;
/// How much of names and comparisons is looked at in any case.
const LOOKED_AT: usize = 1 << 20;

/// What a library says.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// Each with its soname, its version, whether it is weak, and whether the soname is in DT_NEEDED.
    pub needs: Vec<(Vec<u8>, Vec<u8>, bool, bool)>,
    pub definitions: Vec<Vec<u8>>,
    pub needed: Vec<Vec<u8>>,
    /// The elements of its search path.
    pub search: Vec<Vec<u8>>,
    pub versioning: Versioning,
    pub executable_stack: bool,
}

impl Contents {
    /// About as many bytes as a record of it has.
    pub fn size(&self) -> usize {
        let needs = self.needs.iter().map(|(soname, version, ..)| soname.len() + version.len() + 3);
        needs.chain(self.definitions.iter().chain(&self.needed).map(|string| string.len() + 1)).sum()
    }
}

/// What comes of a file.
#[derive(Debug)]
pub enum Verdict {
    /// It can be loaded, and says this.
    Library(Contents),
    /// It cannot.
    Refused(Skip),
    /// See above.
    Unclear,
}

/// A segment: PT_LOAD or another.
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    len: usize,
}

/// Reads a file.
pub fn read(file: &[u8]) -> Verdict {
    match contents(file) {
        Ok(Some(contents)) => Verdict::Library(contents),
        Ok(None) => Verdict::Unclear,
        Err(skip) => Verdict::Refused(skip),
    }
}

fn contents(file: &[u8]) -> Result<Option<Contents>, Skip> {
    let segments = segments(file)?;
    let loaded: Vec<Segment> = segments.iter().copied().filter(|segment| segment.kind == 1).collect();
    let end = |start: usize, segment: &Segment| start as u128 + segment.len as u128;
    if loaded.is_empty() || loaded.iter().any(|segment| end(segment.offset, segment) > file.len() as u128) {
        return Err(Skip::Damaged);
    }
    for (nth, one) in loaded.iter().enumerate() {
        let meets = |other: &Segment| {
            end(one.address, one) > other.address as u128 && end(other.address, other) > one.address as u128
        };
        if loaded[nth + 1..].iter().any(meets) {
            return Ok(None);
        }
    }
    let memory = Memory { file, loaded: &loaded };

    let dynamic = segments.iter().rfind(|segment| segment.kind == 2 && segment.len > 0).ok_or(Skip::Damaged)?;
    let home = memory.segment(dynamic.address).ok_or(Skip::Damaged)?;
    let inside = dynamic.address - home.address;
    let len = dynamic.len.min(home.len - inside);
    if len > LONGEST {
        return Err(Skip::Damaged);
    }
    let bytes = &file[home.offset + inside..][..len];
    let entries = bytes.chunks_exact(2 * WORD).map(|entry| (word(entry, 0), word(entry, WORD)));
    let entries: Vec<(usize, usize)> = entries.take_while(|(tag, _)| *tag != 0).collect();
    let last = |tag: usize| entries.iter().rfind(|(known, _)| *known == tag).map(|(_, value)| *value);
    // DT_FLAGS_1, DF_1_PIE.
    if last(0x6fff_fffb).is_some_and(|flags| flags & 0x0800_0000 != 0) {
        return Err(Skip::NotShared);
    }
    // DT_VERNEED, DT_VERDEF, DT_VERSYM.
    let [need_table, definition_table, symbols] = [0x6fff_fffe, 0x6fff_fffc, 0x6fff_fff0].map(last);
    if symbols.is_none() && (need_table.is_some() || definition_table.is_some()) {
        return Err(Skip::Versions);
    }

    // Both tables belong together.
    let tables = need_table.into_iter().chain(definition_table);
    let homes: Option<Vec<Segment>> = tables.map(|table| memory.segment(table)).collect();
    let homes = homes.ok_or(Skip::Versions)?;
    let first_table = need_table.into_iter().chain(definition_table).min().unwrap_or(0);
    let strays = Cell::new(homes.windows(2).any(|two| two[0].address != two[1].address));
    let byte = |address: usize| {
        let (home, byte) = (memory.segment(address)?, memory.byte(address));
        let is_beyond = home.address != homes[0].address || address - first_table >= TABLES;
        strays.set(strays.get() || is_beyond);
        byte
    };
    let needs = need_table.map_or((Vec::new(), true), |table| naive_needs(&byte, table));
    let definitions = definition_table.map_or((Vec::new(), true), |table| naive_definitions(&byte, table));
    if strays.get() {
        return Ok(None);
    }
    if !needs.1 || !definitions.1 {
        return Err(Skip::Versions);
    }

    // DT_STRTAB, DT_STRSZ; DT_NEEDED, DT_RUNPATH, DT_RPATH.
    let (strings, strings_len) = (last(5), last(10).unwrap_or(0));
    let needed = entries.iter().filter(|(tag, _)| *tag == 1).map(|(_, value)| *value);
    let search = last(29).or_else(|| last(15));
    let mut offsets: Vec<usize> = needed.clone().chain(search).collect();
    offsets.extend(needs.0.iter().flat_map(|need| [need.file, need.version]));
    offsets.extend(definitions.0.iter().map(|definition| definition.version));
    offsets.sort_unstable();
    let mut home = None;
    let mut rest = &*offsets;
    for _ in 0..PARTS {
        let Some(first) = rest.first() else { break };
        let segment = strings.and_then(|strings| memory.segment(strings.checked_add(*first)?));
        let segment = segment.filter(|_| *first <= strings_len).ok_or(Skip::Versions)?;
        // All of them belong together.
        if home.is_some_and(|home| home != segment.address) {
            return Ok(None);
        }
        home = Some(segment.address);
        rest = &rest[rest.iter().take_while(|offset| **offset - first < TOGETHER).count()..];
    }
    let end = rest.first().copied().unwrap_or(usize::MAX);
    let is_elsewhere = |offset: &usize| {
        let segment = strings.and_then(|strings| memory.segment(strings.checked_add(*offset)?));
        segment.is_some_and(|segment| Some(segment.address) != home)
    };
    if offsets.iter().any(is_elsewhere) {
        return Ok(None);
    }
    let string = |offset: usize| {
        let mut string = Vec::new();
        for at in offset..strings_len {
            let address = strings?.checked_add(at)?;
            // What lies in the next segment, or so far behind the others, is not read.
            if Some(memory.segment(address)?.address) != home || offset >= end {
                return None;
            }
            match memory.byte(address)? {
                0 => return Some(string),
                byte => string.push(byte),
            }
        }
        None
    };
    let named = |offset: usize, hash: u32| string(offset).filter(|name| sysv_hash(name) == hash).ok_or(Skip::Versions);

    let comparisons = needed.clone().count();
    let needed: Vec<Vec<u8>> = needed.filter_map(string).collect();
    let (mut all, mut looked_at) = (Vec::new(), 0);
    // DT_RELR: a version that no table need have.
    let has_relr = last(36).is_some();
    let mut says_relr = false;
    if has_relr {
        all.push((b"libc.so.6".to_vec(), b"GLIBC_ABI_DT_RELR".to_vec(), false, true));
    }
    for need in needs.0 {
        let (soname, version) = (string(need.file).ok_or(Skip::Versions)?, named(need.version, need.hash)?);
        looked_at += soname.len() + version.len() + comparisons * soname.len().div_ceil(64).max(1);
        if looked_at > LOOKED_AT {
            return Ok(None);
        }
        says_relr |= version == b"GLIBC_ABI_DT_RELR";
        let is_brought = needed.contains(&soname);
        // Nothing can come of it.
        if !(need.weak && is_brought) {
            all.push((soname, version, need.weak, is_brought));
        }
    }
    let definitions = definitions.0.iter().map(|definition| named(definition.version, definition.hash));
    let definitions = definitions.collect::<Result<_, _>>()?;
    if has_relr && need_table.is_some() && !says_relr && needed.contains(&b"libc.so.6".to_vec()) {
        return Err(Skip::Relr);
    }
    let search = search.and_then(string).unwrap_or_default();
    let elements = search.split(|byte| *byte == b':').filter(|element| !element.is_empty());
    // PT_GNU_STACK, PF_X.
    let stack = segments.iter().find(|segment| segment.kind == 0x6474_e551).map(|segment| segment.flags & 1 != 0);
    Ok(Some(Contents {
        needs: all,
        definitions,
        needed,
        search: elements.map(<[u8]>::to_vec).collect(),
        versioning: match (definition_table, symbols) {
            (Some(_), _) => Versioning::Defined,
            (None, Some(_)) => Versioning::Unversioned,
            (None, None) => Versioning::Nothing,
        },
        executable_stack: stack.unwrap_or(cfg!(not(target_arch = "aarch64"))),
    }))
}

/// What is mapped.
struct Memory<'m> {
    file: &'m [u8],
    loaded: &'m [Segment],
}

impl Memory<'_> {
    fn segment(&self, address: usize) -> Option<Segment> {
        let has = |segment: &Segment| address >= segment.address && address - segment.address < segment.len;
        self.loaded.iter().copied().find(has)
    }

    fn byte(&self, address: usize) -> Option<u8> {
        let segment = self.segment(address)?;
        self.file.get(segment.offset + (address - segment.address)).copied()
    }
}

/// The headers, if they are those of a shared object for this machine.
fn segments(file: &[u8]) -> Result<Vec<Segment>, Skip> {
    // Elf64_Ehdr and Elf64_Phdr, Elf32_Ehdr and Elf32_Phdr.
    let [header, phoff, phentsize, phnum, size] = if WORD == 8 { [64, 32, 54, 56, 56] } else { [52, 28, 42, 44, 32] };
    let half = |at: usize| u16::from_ne_bytes([file[at], file[at + 1]]);
    if file.len() < header || &file[..4] != b"\x7fELF" {
        return Err(Skip::NotElf);
    }
    let (class, order) = (if WORD == 8 { 2 } else { 1 }, if cfg!(target_endian = "little") { 1 } else { 2 });
    if file[4] != class {
        return Err(Skip::OtherMachine);
    }
    if file[5] != order || file[6] != 1 {
        return Err(Skip::NotElf);
    }
    if half(18) != MACHINE {
        return Err(Skip::OtherMachine);
    }
    if half(16) != 3 {
        return Err(Skip::NotShared);
    }
    // Of System V, or of GNU.
    let is_known = matches!((file[7], file[8]), (0, 0) | (3, 0..=2));
    let count = usize::from(half(phnum));
    let start = word(file, phoff);
    let is_there = count > 0 && start as u128 + (count * size) as u128 <= file.len() as u128;
    let is_right = file[9..16] == [0; 7] && long(file, 20) == 1 && usize::from(half(phentsize)) == size;
    if !is_known || !is_there || !is_right || count * size > LONGEST {
        return Err(Skip::Damaged);
    }
    let [flags, offset, address, len] = if WORD == 8 { [4, 8, 16, 32] } else { [24, 4, 8, 16] };
    let segment = |bytes: &[u8]| Segment {
        kind: long(bytes, 0),
        flags: long(bytes, flags),
        offset: word(bytes, offset),
        address: word(bytes, address),
        len: word(bytes, len),
    };
    Ok(file[start..start + count * size].chunks_exact(size).map(segment).collect())
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("there are four"))
}

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from_ne_bytes(bytes[at..at + WORD].try_into().expect("there are as many"))
}

/// The hash of a symbol's version (the ELF specification's `elf_hash`).
pub fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

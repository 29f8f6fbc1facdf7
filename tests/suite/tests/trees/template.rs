//! Objects without a compiler: one library and one program are compiled for a channel, with room in them, and every other is a
//! copy with another dynamic section.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_1_NODEFLIB, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME};
use goblin::elf::program_header::PT_DYNAMIC;
use suite::bed::Bed;
use suite::object;

use super::Object;

/// How many bytes of strings, and how many entries, a copy may have more.
const STRINGS: usize = 4000;
const ENTRIES: usize = 40;

/// Which byte of an ELF header says the class.
const CLASS: usize = 4;
/// Which says the machine.
const MACHINE: usize = 18;

/// An object to be copied.
pub struct Template {
    bytes: Vec<u8>,
    /// The offsets in the file of its dynamic section, of the end of that, and of its string table.
    dynamic: usize,
    end: usize,
    strings: usize,
    /// Where the room is in the string table.
    room: usize,
    /// Its entries, but for those that a copy has of its own.
    entries: Vec<(u64, u64)>,
    flags: u64,
    is_64: bool,
    /// What it needs itself.
    pub needs: Vec<String>,
}

impl Template {
    /// The template of the libraries.
    pub fn library(bed: &Bed) -> Result<Self> {
        let library = bed.library("templates/library").soname(None).flag("-O1");
        Self::make(library.source(include_str!("../../fixtures/tree_library.c")))
    }

    /// The template of the programs.
    pub fn program(bed: &Bed) -> Result<Self> {
        let program = bed.program("templates/program").flag("-rdynamic");
        Self::make(program.source(include_str!("../../fixtures/tree.c")))
    }

    fn make(object: object::Object) -> Result<Self> {
        let object = object.runpath(&"X".repeat(STRINGS)).flag(format!("-Wl,--spare-dynamic-tags={ENTRIES}"));
        Self::read(&object.build()?)
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)?;
        let elf = Elf::parse(&bytes)?;
        let segment = elf.program_headers.iter().find(|header| header.p_type == PT_DYNAMIC);
        let segment = segment.context("there is no dynamic segment")?;
        let dynamic = elf.dynamic.as_ref().context("there is no dynamic section")?;
        let value = |tag| dynamic.dyns.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val);
        let own = [DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_FLAGS_1];
        let rest = dynamic.dyns.iter().filter(|entry| !own.contains(&entry.d_tag));
        Ok(Self {
            dynamic: segment.p_offset as usize,
            end: (segment.p_offset + segment.p_filesz) as usize,
            strings: dynamic.info.strtab,
            room: value(DT_RUNPATH).context("there is no room")? as usize,
            entries: rest.map(|entry| (entry.d_tag, entry.d_val)).collect(),
            flags: value(DT_FLAGS_1).unwrap_or(0),
            is_64: elf.is_64,
            needs: elf.libraries.iter().map(|name| (*name).to_owned()).collect(),
            bytes,
        })
    }

    /// The bytes of a copy.
    pub fn copy(&self, object: &Object) -> Result<Vec<u8>> {
        let mut bytes = self.bytes.clone();
        let mut entries = Vec::new();
        let mut at = self.room;
        let needs = object.needs.iter().map(|name| (DT_NEEDED, name));
        let paths = [(DT_SONAME, &object.soname), (DT_RPATH, &object.rpath), (DT_RUNPATH, &object.runpath)];
        for (tag, string) in needs.chain(paths.iter().filter_map(|(tag, string)| Some((*tag, string.as_ref()?)))) {
            let end = at + string.len();
            ensure!(end < self.room + STRINGS, "there is no room for {string}");
            bytes[self.strings..][at..end].copy_from_slice(string.as_bytes());
            bytes[self.strings + end] = 0;
            entries.push((tag, at as u64));
            at = end + 1;
        }
        let flags = self.flags | if object.no_default_libraries { DF_1_NODEFLIB } else { 0 };
        entries.push((DT_FLAGS_1, flags));
        let all = entries.iter().chain(&self.entries).chain([&(DT_NULL, 0)]);
        let words: Vec<u64> = all.flat_map(|(tag, value)| [*tag, *value]).collect();
        let section: Vec<u8> = match self.is_64 {
            true => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            false => words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect(),
        };
        ensure!(section.len() <= self.end - self.dynamic, "there is no room for {} entries", entries.len());
        bytes[self.dynamic..][..section.len()].copy_from_slice(&section);
        Ok(bytes)
    }

    /// A copy that says it is of the other class.
    pub fn of_other_class(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[CLASS] = 3 - bytes[CLASS];
        bytes
    }

    /// A copy that says it is for a machine which nobody has.
    pub fn of_other_machine(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[MACHINE] ^= 0x55;
        bytes
    }

    /// Its first bytes.
    pub fn start(&self, len: usize) -> &[u8] {
        &self.bytes[..len.min(self.bytes.len())]
    }
}

//! Libraries with something wrong in them: bytes of an ELF file, changed where its headers say that they are.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_DEBUG, DT_NEEDED};
use goblin::elf::program_header::{PT_DYNAMIC, PT_GNU_STACK, PT_LOAD};

/// What the program header of a segment that does not count says.
const PT_NULL: u32 = 0;

/// What depends on the class of a file.
struct Layout {
    /// The size of a word: of an offset, of a tag, of a value.
    word: usize,
    /// The size of a program header.
    program_header: usize,
    /// Where the ELF header says where they are.
    e_phoff: usize,
    /// The number of section headers; behind it is the index of that of their names.
    e_shnum: usize,
}

const CLASS32: Layout = Layout { word: 4, program_header: 32, e_phoff: 28, e_shnum: 48 };
const CLASS64: Layout = Layout { word: 8, program_header: 56, e_phoff: 32, e_shnum: 60 };

/// Where the fields of the version tables are (elf.h), in bytes from the start of their entry.
pub mod field {
    /// `vn_version`.
    pub const VN_VERSION: usize = 0;
    /// `vn_file`.
    pub const VN_FILE: usize = 4;
    /// `vn_aux`.
    pub const VN_AUX: usize = 8;
    /// `vn_next`.
    pub const VN_NEXT: usize = 12;
    /// `vna_hash`.
    pub const VNA_HASH: usize = 0;
    /// `vna_flags`.
    pub const VNA_FLAGS: usize = 4;
    /// `vna_name`.
    pub const VNA_NAME: usize = 8;
    /// `vna_next`.
    pub const VNA_NEXT: usize = 12;
    /// `vd_version`.
    pub const VD_VERSION: usize = 0;
    /// `vd_hash`.
    pub const VD_HASH: usize = 8;
    /// `vd_aux`.
    pub const VD_AUX: usize = 12;
    /// `vd_next`.
    pub const VD_NEXT: usize = 16;
    /// `vda_name`.
    pub const VDA_NAME: usize = 0;
}

/// A library that is being damaged. Offsets are in the file.
pub struct Damage {
    bytes: Vec<u8>,
    layout: &'static Layout,
    /// The first entry of the needed versions (DT_VERNEED).
    pub needs: usize,
    /// The first entry of the defined versions (DT_VERDEF).
    pub definitions: usize,
    /// The string table.
    pub strings: usize,
}

impl Damage {
    /// Reads a library that has both tables of versions.
    pub fn read(library: &Path) -> Result<Damage> {
        let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
        let elf = Elf::parse(&bytes)?;
        let info = &elf.dynamic.as_ref().context("there is no dynamic section")?.info;
        let (needs, definitions, strings) = (info.verneed as usize, info.verdef as usize, info.strtab);
        ensure!(needs > 0 && definitions > 0, "{} has not both tables of versions", library.display());
        let layout = if elf.is_64 { &CLASS64 } else { &CLASS32 };
        Ok(Damage { needs, definitions, strings, layout, bytes })
    }

    /// The first version that is needed of the first library.
    pub fn first_need(&self) -> usize {
        self.needs + self.number(self.needs + field::VN_AUX) as usize
    }

    /// The first name of the first version that is defined.
    pub fn first_name(&self) -> usize {
        self.definitions + self.number(self.definitions + field::VD_AUX) as usize
    }

    /// The 32 bits at an offset.
    pub fn number(&self, offset: usize) -> u32 {
        let bytes = self.bytes[offset..offset + 4].try_into().unwrap_or_default();
        u32::from_le_bytes(bytes)
    }

    /// Sets the 32 bits at an offset to something else.
    pub fn set(&mut self, offset: usize, value: u32) {
        assert_ne!(self.number(offset), value, "nothing would be wrong with it");
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets the 16 bits at an offset to something else.
    pub fn set_half(&mut self, offset: usize, value: u16) {
        assert_ne!(self.bytes[offset..offset + 2], value.to_le_bytes(), "nothing would be wrong with it");
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Gives a version another name of the same length, everywhere.
    pub fn rename(&mut self, from: &str, to: &[u8]) -> Result<()> {
        ensure!(from.len() == to.len(), "names of two lengths");
        let name = [b"\0", from.as_bytes(), b"\0"].concat();
        let start = self.strings;
        let at = self.bytes[start..].windows(name.len()).position(|bytes| bytes == name).context("no such name")?;
        self.bytes[start + at + 1..][..to.len()].copy_from_slice(to);
        let (old, new) = (hash(from.as_bytes()).to_le_bytes(), hash(to).to_le_bytes());
        for number in self.bytes.chunks_exact_mut(4).filter(|number| *number == old) {
            number.copy_from_slice(&new);
        }
        Ok(())
    }

    /// Shortens the file.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Where the value of the first entry of the dynamic section with this tag is.
    pub fn entry(&self, tag: u64) -> Result<usize> {
        let elf = Elf::parse(&self.bytes)?;
        let segment = elf.program_headers.iter().find(|header| header.p_type == PT_DYNAMIC);
        let entries = &elf.dynamic.as_ref().context("there is no dynamic section")?.dyns;
        let at = entries.iter().position(|entry| entry.d_tag == tag).context("there is no such entry")?;
        Ok(segment.context("there is no dynamic segment")?.p_offset as usize + (2 * at + 1) * self.layout.word)
    }

    /// Names the first library that is needed, and of which versions are needed first, in another place of the string
    /// table: over a name that starts so, and that nobody asks for.
    pub fn move_first_needed(&mut self, over: &str) -> Result<()> {
        let entry = self.entry(DT_NEEDED)?;
        let old = self.number(entry);
        ensure!(self.number(self.needs + field::VN_FILE) == old, "these are two libraries");
        let string = &self.bytes[self.strings + old as usize..];
        let end = string.iter().position(|&byte| byte == 0).context("the name has no end")?;
        let name = string[..=end].to_vec();
        let table = &self.bytes[self.strings..];
        let new = table.windows(over.len()).position(|bytes| bytes == over.as_bytes()).context("no such name")?;
        ensure!(name.len() <= over.len(), "there is no room for the name");
        self.bytes[self.strings + new..][..name.len()].copy_from_slice(&name);
        for offset in [entry, self.needs + field::VN_FILE] {
            self.set(offset, u32::try_from(new)?);
        }
        Ok(())
    }

    /// Lets the second library that is needed be the first once more.
    pub fn needs_first_twice(&mut self) -> Result<()> {
        let first = self.entry(DT_NEEDED)?;
        let word = self.layout.word;
        ensure!(self.number(first + word) == DT_NEEDED as u32, "the second one does not follow");
        let name = self.number(first);
        self.set(first + 2 * word, name);
        Ok(())
    }

    /// Lets the first entry of the dynamic section with this tag not count.
    pub fn without_entry(&mut self, tag: u64) -> Result<()> {
        let word = self.layout.word;
        let at = self.entry(tag)? - word;
        self.bytes[at..at + word].copy_from_slice(&DT_DEBUG.to_le_bytes()[..word]);
        Ok(())
    }

    /// Lets the first library that is needed not be needed (patchelf does that, and leaves the versions).
    pub fn without_first_needed(&mut self) -> Result<()> {
        self.without_entry(DT_NEEDED)
    }

    /// The address of a symbol that it defines.
    pub fn symbol(&self, name: &str) -> Result<u32> {
        let elf = Elf::parse(&self.bytes)?;
        let symbol = elf.dynsyms.iter().find(|symbol| elf.dynstrtab.get_at(symbol.st_name) == Some(name));
        Ok(u32::try_from(symbol.context("there is no such symbol")?.st_value)?)
    }

    /// Lets all segments of a kind not count.
    fn without(&mut self, kind: u32) -> Result<()> {
        let elf = Elf::parse(&self.bytes)?;
        let (start, kinds) = (elf.header.e_phoff as usize, elf.program_headers);
        for (at, header) in kinds.iter().enumerate().filter(|(_, header)| header.p_type == kind) {
            let at = start + at * self.layout.program_header;
            assert_eq!(self.number(at), header.p_type);
            self.set(at, PT_NULL);
        }
        Ok(())
    }

    /// Takes the dynamic section away.
    pub fn without_dynamic_section(&mut self) -> Result<()> {
        self.without(PT_DYNAMIC)
    }

    /// Takes away what it says of the stack.
    pub fn without_stack(&mut self) -> Result<()> {
        self.without(PT_GNU_STACK)
    }

    /// Takes away all that would be loaded.
    pub fn without_loaded_segments(&mut self) -> Result<()> {
        self.without(PT_LOAD)
    }

    /// Where the last byte that is loaded ends.
    pub fn loaded_end(&self) -> Result<usize> {
        let headers = Elf::parse(&self.bytes)?.program_headers;
        let ends = headers.iter().filter(|header| header.p_type == PT_LOAD);
        Ok(ends.map(|header| (header.p_offset + header.p_filesz) as usize).max().unwrap_or(0))
    }

    /// Cuts off the section headers, which stand at the end.
    pub fn without_section_headers(&mut self) -> Result<()> {
        let header = Elf::parse(&self.bytes)?.header;
        self.bytes.truncate(header.e_shoff as usize);
        let at = self.layout.e_shnum;
        self.bytes[at..at + 4].fill(0);
        Ok(())
    }

    /// Moves the program headers to the end of the file. There is nothing wrong with that.
    pub fn program_headers_last(&mut self) -> Result<()> {
        let header = Elf::parse(&self.bytes)?.header;
        let (start, len) = (header.e_phoff as usize, usize::from(header.e_phnum) * self.layout.program_header);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let end = self.bytes.len();
        self.bytes.extend_from_within(start..start + len);
        self.bytes[start..start + len].fill(0xff);
        self.set(self.layout.e_phoff, u32::try_from(end)?);
        Ok(())
    }

    /// Writes it to a path, with its directory.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        fs::write(path, &self.bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The hash of a version's name, as the ELF specification has it.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

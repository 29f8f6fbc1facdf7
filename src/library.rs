//! What is known of a library file: what it needs and where it looks for that, and the symbol versions that it defines.
//!
//! It is kept as a record of bytes. First come little-endian `u32`s: the lengths of the sections in bytes, and the number of
//! a [`Versioning`] with a bit for an executable stack. Then the sections, in the order of [`Section`]: strings, each closed
//! by a NUL.

use crate::path::copy;

/// The sections of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// Versions that it needs: a soname and a version each, with a byte before them: 1 if the soname is in DT_NEEDED, and 2
    /// if the version is weak.
    Needs,
    /// Versions that it defines.
    Definitions,
    /// The sonames in DT_NEEDED.
    Needed,
    /// The directories that it brings along, a colon list.
    Search,
    /// The path of the file; empty in an index, where the file's node has it.
    Path,
}

/// How many sections there are.
const SECTIONS: usize = 5;
/// The bytes of the lengths and the number.
const LENGTHS: usize = 4 * (SECTIONS + 1);

/// A version that a library needs of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need<'r> {
    /// The soname of the library that has to define it.
    pub soname: &'r [u8],
    /// The version.
    pub version: &'r [u8],
    /// ld.so does without the version (VER_FLG_WEAK), but not without the library.
    pub is_weak: bool,
    /// DT_NEEDED brings that library. ld.so ends the process over one that is not there at all.
    pub is_brought: bool,
}

/// The bit beside the number of a versioning.
const EXECUTABLE_STACK: u32 = 1 << 8;

/// What a library says of its own symbols' versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// Nothing: it has no DT_VERSYM. ld.so loads it whatever versions are needed of it; but before 2.41 it ends the process
    /// when it then looks up such a symbol there (`check_match` of elf/dl-lookup.c).
    #[default]
    Nothing,
    /// That they have none: it only needs versions of others. ld.so loads it whatever is needed of it.
    Unversioned,
    /// The versions that it defines (DT_VERDEF).
    Defined,
}

impl Versioning {
    const ALL: [Self; 3] = [Self::Nothing, Self::Unversioned, Self::Defined];

    /// Of an object with or without DT_VERSYM and DT_VERDEF.
    pub fn new(has_versym: bool, has_verdef: bool) -> Self {
        match (has_versym, has_verdef) {
            (_, true) => Self::Defined,
            (true, false) => Self::Unversioned,
            (false, false) => Self::Nothing,
        }
    }
}

/// A record, read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Library<'r> {
    sections: [&'r [u8]; SECTIONS],
    /// What it says of its own symbols.
    pub versioning: Versioning,
    /// It asks for an executable stack, or does not say that it can do without (PT_GNU_STACK).
    pub executable_stack: bool,
    /// The path of the file, where the record does not have it.
    path: Option<&'r [u8]>,
}

impl<'r> Library<'r> {
    /// Reads the record that the bytes begin with. `None` if it is damaged.
    pub fn read(record: &'r [u8]) -> Option<Self> {
        let (lengths, mut rest) = record.split_first_chunk::<LENGTHS>()?;
        let mut numbers = lengths.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let mut sections: [&[u8]; SECTIONS] = [b""; SECTIONS];
        for section in &mut sections {
            (*section, rest) = rest.split_at_checked(numbers.next()? as usize)?;
        }
        let number = numbers.next()?;
        let versioning = *Versioning::ALL.get((number & !EXECUTABLE_STACK) as usize)?;
        Some(Self { sections, versioning, executable_stack: number & EXECUTABLE_STACK != 0, path: None })
    }

    /// Says where the file is: one record stands for all links to it.
    pub fn at(self, path: &'r [u8]) -> Self {
        Self { path: Some(path), ..self }
    }

    /// A need, where `at` is 0 or what came with the one before, and where the next one is.
    pub fn need(&self, at: usize) -> Option<(Need<'r>, usize)> {
        let (flags, rest) = self.section(Section::Needs).get(at..)?.split_first()?;
        let mut strings = rest.split(|&byte| byte == 0);
        let (soname, version) = (strings.next()?, strings.next()?);
        // Behind the last string there is an empty one.
        strings.next()?;
        let len = soname.len().checked_add(version.len())?.checked_add(3)?;
        let (is_brought, is_weak) = (flags & 1 != 0, flags & 2 != 0);
        Some((Need { soname, version, is_weak, is_brought }, at.checked_add(len)?))
    }

    /// The versions that it defines.
    pub fn definitions(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        strings(self.section(Section::Definitions))
    }

    /// Whether it defines a version.
    pub fn defines(&self, version: &[u8]) -> bool {
        self.definitions().any(|defined| defined == version)
    }

    /// The sonames in its DT_NEEDED.
    pub fn needed(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        strings(self.section(Section::Needed))
    }

    /// A soname in its DT_NEEDED, where `at` is 0 or what came with the one before, and where the next one is.
    pub fn needed_at(&self, at: usize) -> Option<(&'r [u8], usize)> {
        let rest = self.section(Section::Needed).strip_suffix(b"\0")?.get(at..)?;
        let soname = rest.split(|&byte| byte == 0).next()?;
        Some((soname, at.checked_add(soname.len())?.checked_add(1)?))
    }

    /// The elements of its RUNPATH, or of its RPATH if it has no RUNPATH.
    pub fn search(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let (library, mut at) = (*self, 0);
        core::iter::from_fn(move || {
            let (element, next) = library.search_at(at)?;
            at = next;
            Some(element)
        })
    }

    /// An element of its search path, as [`Self::needed_at`] gives a soname.
    pub fn search_at(&self, at: usize) -> Option<(&'r [u8], usize)> {
        let is_end = |byte: &u8| matches!(byte, b':' | 0);
        let rest = self.section(Section::Search).strip_suffix(b"\0")?.get(at..)?;
        let start = rest.iter().position(|byte| !is_end(byte))?;
        let element = rest.get(start..)?.split(is_end).next()?;
        Some((element, at.checked_add(start)?.checked_add(element.len())?))
    }

    /// The path that it was read from.
    pub fn path(&self) -> &'r [u8] {
        self.path.or_else(|| strings(self.section(Section::Path)).next()).unwrap_or_default()
    }

    fn section(&self, section: Section) -> &'r [u8] {
        self.sections.get(section as usize).copied().unwrap_or_default()
    }
}

/// The strings of a section.
fn strings(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.strip_suffix(b"\0").into_iter().flat_map(|strings| strings.split(|&byte| byte == 0))
}

/// A record that is being written: section by section.
pub struct Writer<'b> {
    bytes: &'b mut [u8],
    used: usize,
    lengths: [u32; SECTIONS],
}

impl<'b> Writer<'b> {
    /// An empty one. `None` if there is no room for it.
    pub fn new(bytes: &'b mut [u8]) -> Option<Self> {
        (bytes.len() >= LENGTHS).then_some(Self { bytes, used: LENGTHS, lengths: [0; SECTIONS] })
    }

    /// Adds a need. The needs come first. `None` when the room is full, as for all that follows.
    pub fn need(&mut self, need: Need<'_>) -> Option<()> {
        self.add(Section::Needs, &[u8::from(need.is_brought) | u8::from(need.is_weak) << 1])?;
        self.string(Section::Needs, need.soname)?;
        self.string(Section::Needs, need.version)
    }

    /// Adds a definition.
    pub fn definition(&mut self, version: &[u8]) -> Option<()> {
        self.string(Section::Definitions, version)
    }

    /// Adds a soname of DT_NEEDED.
    pub fn needed(&mut self, soname: &[u8]) -> Option<()> {
        self.string(Section::Needed, soname)
    }

    /// Adds the RUNPATH, or the RPATH if there is no RUNPATH.
    pub fn search(&mut self, list: &[u8]) -> Option<()> {
        self.string(Section::Search, list)
    }

    /// Adds the path of the file, and closes the record: its length in bytes.
    pub fn finish(mut self, path: &[u8], versioning: Versioning, executable_stack: bool) -> Option<usize> {
        self.string(Section::Path, path)?;
        let number = versioning as u32 | if executable_stack { EXECUTABLE_STACK } else { 0 };
        let numbers = self.lengths.iter().chain([&number]).flat_map(|number| number.to_le_bytes());
        self.bytes.iter_mut().zip(numbers).for_each(|(place, byte)| *place = byte);
        Some(self.used)
    }

    fn string(&mut self, section: Section, string: &[u8]) -> Option<()> {
        self.add(section, string)?;
        self.add(section, b"\0")
    }

    fn add(&mut self, section: Section, bytes: &[u8]) -> Option<()> {
        let end = self.used.checked_add(bytes.len())?;
        let place = self.bytes.get_mut(self.used..end)?;
        copy(place, bytes)?;
        self.used = end;
        let length = self.lengths.get_mut(section as usize)?;
        *length = length.checked_add(u32::try_from(bytes.len()).ok()?)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn need<'r>(soname: &'r str, version: &'r str) -> Need<'r> {
        let (is_weak, is_brought) = (version.contains('9'), soname.contains('m'));
        Need { soname: soname.as_bytes(), version: version.as_bytes(), is_weak, is_brought }
    }

    /// A record with these needs and definitions, at /d/libx.so.
    fn written(needs: &[(&str, &str)], definitions: &[&str], search: &str, versioning: Versioning) -> Vec<u8> {
        let mut bytes = std::vec![0xff; 1000];
        let mut writer = Writer::new(&mut bytes).unwrap();
        for (soname, version) in needs {
            writer.need(need(soname, version)).unwrap();
        }
        for version in definitions {
            writer.definition(version.as_bytes()).unwrap();
        }
        for (soname, _) in needs {
            writer.needed(soname.as_bytes()).unwrap();
        }
        writer.search(search.as_bytes()).unwrap();
        let len = writer.finish(b"/d/libx.so", versioning, needs.is_empty()).unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let needs = [("libc.so.6", "GLIBC_2.38"), ("libm.so.6", "GLIBC_2.29")];
        let record = written(&needs, &["libx.so", "X_1"], "/a::$ORIGIN/b", Versioning::Defined);
        let library = Library::read(&record).unwrap();
        let mut at = 0;
        for (soname, version) in needs {
            let (read, next) = library.need(at).unwrap();
            assert_eq!(read, need(soname, version));
            at = next;
        }
        assert_eq!(library.need(at), None);
        assert!(library.definitions().eq([b"libx.so".as_slice(), b"X_1"]));
        assert!(library.defines(b"X_1") && !library.defines(b"X_") && !library.defines(b""));
        assert!(library.needed().eq([b"libc.so.6".as_slice(), b"libm.so.6"]));
        assert!(library.search().eq([b"/a".as_slice(), b"$ORIGIN/b"]));
        assert_eq!(library.needed_at(0), Some((b"libc.so.6".as_slice(), 10)));
        assert_eq!((library.needed_at(10), library.needed_at(20)), (Some((b"libm.so.6".as_slice(), 20)), None));
        assert_eq!(library.path(), b"/d/libx.so");
        assert_eq!(library.at(b"/e/libx.so.1").path(), b"/e/libx.so.1");
        assert_eq!((library.versioning, library.executable_stack), (Versioning::Defined, false));
    }

    #[test]
    fn nothing_is_something_too() {
        for versioning in Versioning::ALL {
            let record = written(&[], &[], "", versioning);
            let library = Library::read(&record).unwrap();
            assert_eq!((library.need(0), library.definitions().count(), library.needed().count()), (None, 0, 0));
            assert_eq!((library.versioning, library.executable_stack), (versioning, true));
            assert_eq!(library.search().count(), 0);
            assert!(!library.defines(b""));
        }
    }

    #[test]
    fn damage_and_want_of_room_are_said() {
        let record = written(&[("libc.so.6", "GLIBC_2.38")], &["X_1"], "/a", Versioning::Defined);
        for len in 0..record.len() {
            assert_eq!(Library::read(&record[..len]), None, "{len}");
        }
        assert!(Writer::new(&mut [0; LENGTHS - 1]).is_none());
        let mut room = [0; LENGTHS + 12];
        let mut writer = Writer::new(&mut room).unwrap();
        assert_eq!(writer.need(need("libc.so.6", "GLIBC_2.38")), None);
    }
}

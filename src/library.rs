//! What is known of a library file: the symbol versions that it needs of others, and those that it defines.
//!
//! It is kept as a record of bytes: needs as a soname and a version each, then definitions, each string closed by a NUL;
//! a soname has a byte before it that says whether it is in DT_NEEDED. Before them stand three little-endian `u32`s: the
//! two lengths in bytes, and the number of a [`Versioning`] with a bit for an executable stack.

/// The bytes of the lengths and the number.
const LENGTHS: usize = 12;

/// A version that a library needs of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need<'r> {
    /// The soname of the library that has to define it.
    pub soname: &'r [u8],
    /// The version; empty if ld.so does without it.
    pub version: &'r [u8],
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
    needs: &'r [u8],
    definitions: &'r [u8],
    /// What it says of its own symbols.
    pub versioning: Versioning,
    /// It asks for an executable stack, or does not say that it can do without (PT_GNU_STACK).
    pub executable_stack: bool,
}

impl<'r> Library<'r> {
    /// Reads a record. `None` if it is damaged.
    pub fn read(record: &'r [u8]) -> Option<Self> {
        let (lengths, rest) = record.split_first_chunk::<LENGTHS>()?;
        let number = |at: usize| Some(u32::from_le_bytes(*lengths.get(at..)?.first_chunk()?));
        let (needs, rest) = rest.split_at_checked(number(0)? as usize)?;
        let definitions = rest.get(..number(4)? as usize)?;
        let number = number(8)?;
        let versioning = *Versioning::ALL.get((number & !EXECUTABLE_STACK) as usize)?;
        Some(Self { needs, definitions, versioning, executable_stack: number & EXECUTABLE_STACK != 0 })
    }

    /// A need, where `at` is 0 or what came with the one before, and where the next one is.
    pub fn need(&self, at: usize) -> Option<(Need<'r>, usize)> {
        let (is_brought, rest) = self.needs.get(at..)?.split_first()?;
        let mut strings = rest.split(|&byte| byte == 0);
        let (soname, version) = (strings.next()?, strings.next()?);
        // Behind the last string there is an empty one.
        strings.next()?;
        let len = soname.len().checked_add(version.len())?.checked_add(3)?;
        Some((Need { soname, version, is_brought: *is_brought != 0 }, at.checked_add(len)?))
    }

    /// The versions that it defines.
    pub fn definitions(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let closed = self.definitions.strip_suffix(b"\0");
        closed.into_iter().flat_map(|names| names.split(|&byte| byte == 0))
    }

    /// Whether it defines a version.
    pub fn defines(&self, version: &[u8]) -> bool {
        self.definitions().any(|defined| defined == version)
    }
}

/// A record that is being written.
pub struct Writer<'b> {
    bytes: &'b mut [u8],
    used: usize,
    needs: usize,
}

impl<'b> Writer<'b> {
    /// An empty one. `None` if there is no room for it.
    pub fn new(bytes: &'b mut [u8]) -> Option<Self> {
        (bytes.len() >= LENGTHS).then_some(Self { bytes, used: LENGTHS, needs: LENGTHS })
    }

    /// Adds a need. All needs come before all definitions. `None` when the room is full.
    pub fn need(&mut self, need: Need<'_>) -> Option<()> {
        let at = self.used;
        self.used = at.checked_add(1)?;
        *self.bytes.get_mut(at)? = u8::from(need.is_brought);
        self.string(need.soname)?;
        self.string(need.version)?;
        self.needs = self.used;
        Some(())
    }

    /// Adds a definition. `None` when the room is full.
    pub fn definition(&mut self, version: &[u8]) -> Option<()> {
        self.string(version)
    }

    /// Closes the record: its length in bytes.
    pub fn finish(self, versioning: Versioning, executable_stack: bool) -> Option<usize> {
        let needs = u32::try_from(self.needs.checked_sub(LENGTHS)?).ok()?;
        let definitions = u32::try_from(self.used.checked_sub(self.needs)?).ok()?;
        let number = versioning as u32 | if executable_stack { EXECUTABLE_STACK } else { 0 };
        let lengths = [needs, definitions, number].map(u32::to_le_bytes);
        *self.bytes.first_chunk_mut()? = *lengths.as_flattened().first_chunk::<LENGTHS>()?;
        Some(self.used)
    }

    fn string(&mut self, string: &[u8]) -> Option<()> {
        let end = self.used.checked_add(string.len())?.checked_add(1)?;
        let place = self.bytes.get_mut(self.used..end)?;
        for (place, byte) in place.iter_mut().zip(string.iter().chain(b"\0")) {
            *place = *byte;
        }
        self.used = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn need<'r>(soname: &'r str, version: &'r str) -> Need<'r> {
        Need { soname: soname.as_bytes(), version: version.as_bytes(), is_brought: soname.contains('m') }
    }

    fn written(needs: &[(&str, &str)], definitions: &[&str], versioning: Versioning) -> Vec<u8> {
        let mut bytes = std::vec![0xff; 1000];
        let mut writer = Writer::new(&mut bytes).unwrap();
        for (soname, version) in needs {
            writer.need(need(soname, version)).unwrap();
        }
        for version in definitions {
            writer.definition(version.as_bytes()).unwrap();
        }
        let len = writer.finish(versioning, needs.is_empty()).unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let needs = [("libc.so.6", "GLIBC_2.38"), ("libm.so.6", "GLIBC_2.29")];
        let record = written(&needs, &["libx.so", "X_1"], Versioning::Defined);
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
        assert_eq!((library.versioning, library.executable_stack), (Versioning::Defined, false));
    }

    #[test]
    fn nothing_is_something_too() {
        for versioning in Versioning::ALL {
            let record = written(&[], &[], versioning);
            let library = Library::read(&record).unwrap();
            assert_eq!((library.need(0), library.definitions().count()), (None, 0));
            assert_eq!((library.versioning, library.executable_stack), (versioning, true));
            assert!(!library.defines(b""));
        }
    }

    #[test]
    fn damage_and_want_of_room_are_said() {
        let record = written(&[("libc.so.6", "GLIBC_2.38")], &["X_1"], Versioning::Defined);
        for len in 0..record.len() {
            assert_eq!(Library::read(&record[..len]), None, "{len}");
        }
        assert!(Writer::new(&mut [0; 11]).is_none());
        let mut room = [0; 24];
        let mut writer = Writer::new(&mut room).unwrap();
        assert_eq!(writer.need(need("libc.so.6", "GLIBC_2.38")), None);
    }
}

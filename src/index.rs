//! The index: what ld.so would find, for each object of a closure, worked out when the closure was made.
//!
//! It is one file that is mapped and never parsed: everything in it is reached by an offset, and every offset is checked, so
//! that a damaged file costs its answers and nothing else. Numbers are little-endian `u32`s:
//!
//! - The header: the magic with the version in it, the file's length, the machine, and where how many slots are.
//! - Slots, a power of two of them: the hash of a path and the offset of its entry, or 0. A path that collides is in the
//!   next free slot.
//! - Entries: a path, closed by a NUL, for ld.so to open, and the directories that the file there searches for what it
//!   needs.
//! - Lists of directories in the order of the search, each with the hash of its path and a slash, from which the hash of a file
//!   in it goes on.
//!
//! One implementation writes it: the generator's.

use core::ffi::CStr;

/// What an index begins with. The last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"rtldidx\x01";
/// The bytes of the header: the magic, and four numbers.
pub const HEADER: usize = 24;
/// The bytes of a slot, of an entry, and of a directory in a list.
pub const SLOT: usize = 8;
/// See [`SLOT`].
pub const ENTRY: usize = 16;
/// See [`SLOT`].
pub const DIRECTORY: usize = 16;

/// Flags of an entry: ld.so's choice depends on the processor, or it would stop there with an error.
pub const UNCERTAIN: u32 = 1;
/// Flags of an entry: what the file there needs is not answered from the index, since it inherits search paths, or has one
/// that only the running ld.so can read.
pub const UNSEARCHED: u32 = 2;
/// Flags of an entry: another path is the file's own. The program is known by that one.
pub const LINK: u32 = 4;
/// Flags of a directory: its files may change. It is to be looked into.
pub const LIVE: u32 = 1;

/// The hash of no bytes.
pub const START: u32 = 0x811c_9dc5;

/// Goes on with the hash of what precedes `bytes` (FNV-1a).
pub fn hash(before: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(before, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// An index, in borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Index<'i> {
    bytes: &'i [u8],
    slots: usize,
    mask: u32,
}

/// A file of the index.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'i> {
    bytes: &'i [u8],
    at: usize,
}

/// A directory of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory<'i> {
    /// Its path, without a closing slash.
    pub path: &'i [u8],
    /// It has to be looked into.
    pub is_live: bool,
    hash: u32,
}

/// What a search comes to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'i> {
    /// ld.so opens this file.
    File(Entry<'i>),
    /// What ld.so opens is not known when the index is made.
    Unknown,
    /// None of the directories has it.
    Nowhere,
}

impl<'i> Index<'i> {
    /// Takes a file for an index, for objects of this `machine` (`e_machine`, with `EI_CLASS` above it). `None` if it is
    /// none, is of another version or machine, or is cut short.
    pub fn read(bytes: &'i [u8], machine: u32) -> Option<Self> {
        let numbers = bytes.strip_prefix(&MAGIC)?;
        let number = |nth: usize| word(numbers, nth.checked_mul(4)?);
        let (length, slots, count) = (number(0)?, number(2)?, number(3)?);
        let is_whole = usize::try_from(length).ok()? == bytes.len() && number(1)? == machine;
        let slots = usize::try_from(slots).ok()?;
        let end = usize::try_from(count).ok()?.checked_mul(SLOT)?.checked_add(slots)?;
        let fits = count.is_power_of_two() && end <= bytes.len();
        let mask = count.checked_sub(1)?;
        (is_whole && fits).then_some(Self { bytes, slots, mask })
    }

    /// The file at a path.
    pub fn entry(&self, path: &[u8]) -> Option<Entry<'i>> {
        self.find(hash(START, path), |known| known == path)
    }

    /// The file that ld.so opens for a library that another one, `requester`, needs.
    pub fn search(&self, requester: Entry<'i>, soname: &[u8]) -> Found<'i> {
        if !requester.lacks(UNSEARCHED) {
            return Found::Unknown;
        }
        for directory in requester.directories() {
            if directory.is_live {
                return Found::Unknown;
            }
            let is_it = |path: &[u8]| {
                let rest = path.strip_prefix(directory.path).and_then(|rest| rest.strip_prefix(b"/"));
                rest == Some(soname)
            };
            if let Some(entry) = self.find(hash(directory.hash, soname), is_it) {
                return if entry.lacks(UNCERTAIN) { Found::File(entry) } else { Found::Unknown };
            }
        }
        Found::Nowhere
    }

    fn find(&self, hash: u32, is_it: impl Fn(&[u8]) -> bool) -> Option<Entry<'i>> {
        for step in 0..=self.mask {
            let slot = usize::try_from(hash.wrapping_add(step) & self.mask).ok()?;
            let at = self.slots.checked_add(slot.checked_mul(SLOT)?)?;
            let entry = match usize::try_from(word(self.bytes, at.checked_add(4)?)?).ok()? {
                0 => return None,
                at => Entry { bytes: self.bytes, at },
            };
            if word(self.bytes, at)? == hash && entry.path().is_some_and(|path| is_it(path.to_bytes())) {
                return Some(entry);
            }
        }
        None
    }
}

impl<'i> Entry<'i> {
    /// The path, for ld.so to open.
    pub fn path(&self) -> Option<&'i CStr> {
        let start = usize::try_from(self.number(0)?).ok()?;
        let end = start.checked_add(usize::try_from(self.number(1)?).ok()?)?;
        CStr::from_bytes_with_nul(self.bytes.get(start..=end)?).ok()
    }

    /// The directories that it searches, in order.
    pub fn directories(&self) -> impl Iterator<Item = Directory<'i>> + use<'i> {
        let (bytes, list) = (self.bytes, self.number(2).and_then(|list| usize::try_from(list).ok()).unwrap_or(0));
        // A program at the end of the file cannot have a list at 0, where the header is.
        let count = if list == 0 { 0 } else { word(bytes, list).unwrap_or(0) };
        (0..count).map_while(move |nth| {
            let at = usize::try_from(nth).ok()?.checked_mul(DIRECTORY)?.checked_add(list)?.checked_add(4)?;
            let (start, len) = (word(bytes, at)? as usize, word(bytes, at.checked_add(4)?)? as usize);
            Some(Directory {
                path: bytes.get(start..start.checked_add(len)?)?,
                hash: word(bytes, at.checked_add(8)?)?,
                is_live: word(bytes, at.checked_add(12)?)? & LIVE != 0,
            })
        })
    }

    /// Whether it is a file of its own, and no link to another.
    pub fn is_file(&self) -> bool {
        self.lacks(LINK)
    }

    fn lacks(&self, flag: u32) -> bool {
        self.number(3).is_some_and(|flags| flags & flag == 0)
    }

    fn number(&self, nth: usize) -> Option<u32> {
        word(self.bytes, nth.checked_mul(4)?.checked_add(self.at)?)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

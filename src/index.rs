//! The index: what ld.so would find, for each object of a closure, worked out when the closure was made; and what is to be
//! known of each library there, so that no file is opened to judge it.
//!
//! It is one file that is mapped and never parsed: everything in it is reached by an offset, and every offset is checked, so
//! that a damaged file costs its answers and nothing else. Numbers are little-endian `u32`s:
//!
//! - The header: the magic with the version in it, the file's length, the machine, where how many slots are, where how many
//!   channels, where how many slots of the catalogue; where the list of what is declared is, how long, and where in it
//!   the first entry of a channel; and where how many slots of the hints.
//! - Slots, a power of two of them: the hash of a path and the offset of its node, or 0. A path that collides is in the
//!   next free slot. A directory's path counts with a slash behind it, so that the hash of a file in it goes on from there.
//! - Nodes of files ([`FILE`] bytes each): a path, for ld.so to open; flags; the list of directories in
//!   which it searches for what it needs; the answers; and a record (see `library`). The files of a directory stand together.
//! - Nodes of directories ([`DIRECTORY`] bytes): a path; flags; the first file and how many there are; the number of a
//!   channel, from 1; the hash.
//! - Lists of directories in the order of the search: their number, and their nodes.
//! - Answers: their number, and the hash of a soname and the node of a file each.
//! - The catalogue: slots again, of the names in what is declared. A name's node is where it is, how long, and how many
//!   entries have it, each with the number that `catalogue` has for it. It is there if all that is declared never changes.
//! - Channels ([`CHANNEL`] bytes): the path of a glibc, and the N of its version 2.N.
//! - The hints: slots again, of sonames. A soname's node is where it is, how long, and the same of the attribute of nixpkgs that
//!   brings the library.
//!
//! What is not there has the offset 0. One implementation writes it: the generator's.

use crate::library::Library;

/// What an index begins with. The last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"rtldidx\x03";
/// The bytes of the header: the magic, and thirteen numbers.
pub const HEADER: usize = 60;
/// The bytes of a slot, of a file's node, of a directory's, and of a channel.
pub const SLOT: usize = 8;
/// See [`SLOT`].
pub const FILE: usize = 24;
/// See [`SLOT`].
pub const DIRECTORY: usize = 28;
/// See [`SLOT`].
pub const CHANNEL: usize = 12;

/// Flags of a file: ld.so's choice depends on the processor, or it would stop there with an error; or ld.so has to remember the
/// name, since the file has another one.
pub const UNCERTAIN: u32 = 1;
/// Flags of a file: what it needs is not answered from the index, since it inherits search paths, or has one that only the
/// running ld.so can read.
pub const UNSEARCHED: u32 = 2;
/// Flags of a file: another path is its own. The program is known by that one.
pub const LINK: u32 = 4;
/// Flags of a file: its search path has `$ORIGIN` in it, which the program has from /proc alone.
pub const ORIGIN: u32 = 8;
/// Flags of a directory: its files may change. It is to be looked into.
pub const LIVE: u32 = 1;
/// Flags of a directory: it is one.
pub const IS_DIRECTORY: u32 = 1 << 31;

/// The hash of no bytes.
pub const START: u32 = 0x811c_9dc5;

/// Goes on with the hash of what precedes `bytes` (FNV-1a).
pub fn hash(before: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(before, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Whether a library may be asked for by this name: then an index has each file of that name, whatever it is.
pub fn is_listed(name: &[u8]) -> bool {
    name.windows(3).any(|three| three == b".so")
}

/// An index, in borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Index<'i> {
    bytes: &'i [u8],
    paths: Slots,
    names: Slots,
    hints: Slots,
    channels: usize,
    channel_count: u32,
    declared: &'i [u8],
    first_of_channel: u32,
}

/// Where the slots of a table are.
#[derive(Clone, Copy, Debug)]
struct Slots {
    start: usize,
    mask: u32,
}

/// A file of the index.
#[derive(Clone, Copy, Debug)]
pub struct File<'i>(Node<'i>);

/// A directory of the index.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'i>(Node<'i>);

/// A Nix channel, of which a declared directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel<'i> {
    /// The directory of the glibc that its libraries are built with; empty if it is not known.
    pub glibc: &'i [u8],
    /// The N of that glibc's version 2.N.
    pub minor: u32,
}

/// A place in a search.
#[derive(Clone, Copy, Debug)]
pub enum Step<'i> {
    /// ld.so opens this file.
    File(File<'i>),
    /// It is to be looked into. If the library is not there, the search goes on.
    Live(Directory<'i>),
    /// What ld.so opens is not known when the index is made.
    Unknown,
}

/// What begins with a path and flags.
#[derive(Clone, Copy, Debug)]
struct Node<'i> {
    bytes: &'i [u8],
    at: usize,
}

impl<'i> Index<'i> {
    /// Takes a file for an index, for objects of this `machine` (`e_machine`, with `EI_CLASS` above it). `None` if it is
    /// none, is of another version or machine, or is cut short.
    pub fn read(bytes: &'i [u8], machine: u32) -> Option<Self> {
        let numbers = bytes.strip_prefix(&MAGIC)?;
        let number = |nth: usize| word(numbers, nth.checked_mul(4)?);
        let slots = |start: u32, count: u32| {
            let start = usize::try_from(start).ok()?;
            let end = usize::try_from(count).ok()?.checked_mul(SLOT)?.checked_add(start)?;
            let mask = count.checked_sub(1).filter(|_| count.is_power_of_two() && end <= bytes.len())?;
            Some(Slots { start, mask })
        };
        let is_whole = usize::try_from(number(0)?).ok()? == bytes.len() && number(1)? == machine;
        let declared = usize::try_from(number(8)?).ok()?;
        let index = Self {
            bytes,
            paths: slots(number(2)?, number(3)?)?,
            names: slots(number(6)?, number(7)?)?,
            hints: slots(number(11)?, number(12)?)?,
            channels: usize::try_from(number(4)?).ok()?,
            channel_count: number(5)?,
            declared: bytes.get(declared..declared.checked_add(usize::try_from(number(9)?).ok()?)?)?,
            first_of_channel: number(10)?,
        };
        is_whole.then_some(index)
    }

    /// What is declared, a colon list, if all of it never changes; else nothing.
    pub fn declared(&self) -> &'i [u8] {
        self.declared
    }

    /// Where in the list that is declared the first entry of a channel stands. Beyond its end if none is.
    pub fn first_of_channel(&self) -> usize {
        usize::try_from(self.first_of_channel).unwrap_or(usize::MAX)
    }

    /// The entries of the list that is declared which have the name, as `catalogue` numbers them.
    pub fn values(&self, name: &[u8]) -> impl Iterator<Item = u32> + use<'i> {
        let found = self.find(self.names, hash(START, name), |node| node.string(0) == Some(name));
        found.into_iter().flat_map(|node| {
            (0..node.number(2).unwrap_or(0)).map_while(move |nth| node.number(nth.saturating_add(3) as usize))
        })
    }

    /// The attribute of nixpkgs that brings a library of this soname.
    pub fn hint(&self, soname: &[u8]) -> Option<&'i [u8]> {
        self.find(self.hints, hash(START, soname), |node| node.string(0) == Some(soname))?.string(2)
    }

    /// The file at a path.
    pub fn file(&self, path: &[u8]) -> Option<File<'i>> {
        let is_it = |node: Node<'i>| !node.has(IS_DIRECTORY) && node.string(0) == Some(path);
        self.find(self.paths, hash(START, path), is_it).map(File)
    }

    /// The file whose node is at an offset that [`File::offset`] gave.
    pub fn file_at(&self, offset: u32) -> Option<File<'i>> {
        Some(File(Node { bytes: self.bytes, at: usize::try_from(offset).ok()? }))
    }

    /// The directory at a path, which has no closing slash; or what was declared there, whatever it is.
    pub fn directory(&self, path: &[u8]) -> Option<Directory<'i>> {
        let is_it = |node: Node<'i>| node.has(IS_DIRECTORY) && node.string(0) == Some(path);
        self.find(self.paths, hash(hash(START, path), b"/"), is_it).map(Directory)
    }

    /// The channel of a declared directory.
    pub fn channel(&self, directory: Directory<'i>) -> Option<Channel<'i>> {
        let nth = directory.0.number(5)?.checked_sub(1).filter(|nth| *nth < self.channel_count)?;
        let at = usize::try_from(nth).ok()?.checked_mul(CHANNEL)?.checked_add(self.channels)?;
        let channel = Node { bytes: self.bytes, at };
        Some(Channel { glibc: channel.string(0)?, minor: channel.number(2)? })
    }

    /// The places where ld.so searches for a library that `requester` needs, as far as they matter: the last one is a file or
    /// unknown, and if neither comes, none of them has it.
    pub fn search<'s>(&self, requester: File<'i>, soname: &'s [u8]) -> impl Iterator<Item = Step<'i>> + use<'i, 's> {
        let index = *self;
        let hashed = hash(START, soname);
        let answer = requester.answers().find(|(known, file)| *known == hashed && file.is_named(soname));
        let answer = answer.map(|(_, file)| Step::File(file));
        // Of other names not every file is there.
        let is_unknown = requester.0.has(UNSEARCHED) || !is_listed(soname);
        let unknown = is_unknown.then_some(Step::Unknown);
        let known = unknown.or(answer);
        // Directories that may change matter only where a later one has the library. Where none has, they are ld.so's.
        let mut before = 0;
        let last = known.or_else(|| {
            let mut live = None;
            for directory in requester.directories() {
                if directory.is_live() {
                    live = Some(Step::Unknown);
                } else if let Some(file) = index.file_in(directory, soname) {
                    return Some(if file.0.has(UNCERTAIN) { Step::Unknown } else { Step::File(file) });
                }
                before += 1;
            }
            before = 0;
            live
        });
        let live = requester.directories().take(before).filter(Directory::is_live).map(Step::Live);
        live.chain(last)
    }

    /// The file of this name in a directory.
    fn file_in(&self, directory: Directory<'i>, name: &[u8]) -> Option<File<'i>> {
        let path = directory.path();
        let is_it = |node: Node<'i>| {
            let rest = node.string(0).and_then(|known| known.strip_prefix(path)?.strip_prefix(b"/"));
            rest == Some(name) && !node.has(IS_DIRECTORY)
        };
        self.find(self.paths, hash(directory.0.number(6)?, name), is_it).map(File)
    }

    fn find(&self, slots: Slots, hash: u32, is_it: impl Fn(Node<'i>) -> bool) -> Option<Node<'i>> {
        for step in 0..=slots.mask {
            let slot = usize::try_from(hash.wrapping_add(step) & slots.mask).ok()?;
            let at = slots.start.checked_add(slot.checked_mul(SLOT)?)?;
            let node = match usize::try_from(word(self.bytes, at.checked_add(4)?)?).ok()? {
                0 => return None,
                at => Node { bytes: self.bytes, at },
            };
            if word(self.bytes, at)? == hash && is_it(node) {
                return Some(node);
            }
        }
        None
    }
}

impl<'i> File<'i> {
    /// The path, for ld.so to open.
    pub fn path(&self) -> &'i [u8] {
        self.0.string(0).unwrap_or_default()
    }

    /// The path without its directory.
    pub fn name(&self) -> &'i [u8] {
        self.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// The directories that it searches, in order.
    pub fn directories(&self) -> impl Iterator<Item = Directory<'i>> + use<'i> {
        let bytes = self.0.bytes;
        self.numbers(3, 1).map(move |at| Directory(Node { bytes, at: at as usize }))
    }

    /// What is known of the library; `None` if it has to be read.
    pub fn library(&self) -> Option<Library<'i>> {
        let at = usize::try_from(self.0.number(5)?).ok().filter(|at| *at != 0)?;
        Some(Library::read(self.0.bytes.get(at..)?)?.at(self.0.string(0)?))
    }

    /// Whether it is a file of its own, and no link to another.
    pub fn is_own(&self) -> bool {
        !self.0.has(LINK)
    }

    /// Whether its search path is one of a program that knows where it is.
    pub fn has_origin(&self) -> bool {
        self.0.has(ORIGIN)
    }

    /// What tells it from other files of the same index.
    pub fn offset(&self) -> Option<u32> {
        u32::try_from(self.0.at).ok()
    }

    /// The hashes of the sonames that it needs, with what ld.so finds for them.
    fn answers(&self) -> impl Iterator<Item = (u32, File<'i>)> + use<'i> {
        let bytes = self.0.bytes;
        let mut numbers = self.numbers(4, 2);
        core::iter::from_fn(move || Some((numbers.next()?, File(Node { bytes, at: numbers.next()? as usize }))))
    }

    fn is_named(&self, name: &[u8]) -> bool {
        self.0.string(0).and_then(|path| path.strip_suffix(name)).is_some_and(|directory| directory.ends_with(b"/"))
    }

    /// The numbers of the list whose offset is a number of the node. Each of its elements has `each`.
    fn numbers(&self, nth: usize, each: u32) -> impl Iterator<Item = u32> + use<'i> {
        let (bytes, list) = (self.0.bytes, self.0.number(nth).and_then(|list| usize::try_from(list).ok()).unwrap_or(0));
        // At 0 there is the header.
        let count = if list == 0 { 0 } else { word(bytes, list).unwrap_or(0) };
        (1..=count.saturating_mul(each))
            .map_while(move |nth| word(bytes, usize::try_from(nth).ok()?.checked_mul(4)?.checked_add(list)?))
    }
}

impl<'i> Directory<'i> {
    /// Its path, without a closing slash.
    pub fn path(&self) -> &'i [u8] {
        self.0.string(0).unwrap_or_default()
    }

    /// Its files may change: they are not listed here.
    pub fn is_live(&self) -> bool {
        self.0.has(LIVE)
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = File<'i>> + use<'i> {
        let (bytes, first, count) = (self.0.bytes, self.0.number(3).unwrap_or(0), self.0.number(4).unwrap_or(0));
        (0..count).map_while(move |nth| {
            let at = usize::try_from(nth).ok()?.checked_mul(FILE)?.checked_add(usize::try_from(first).ok()?)?;
            // What lies beyond the end is no file.
            bytes.get(at..)?.first_chunk::<FILE>()?;
            Some(File(Node { bytes, at }))
        })
    }
}

impl<'i> Node<'i> {
    /// The string whose offset and length are numbers of the node.
    fn string(&self, nth: usize) -> Option<&'i [u8]> {
        let start = usize::try_from(self.number(nth)?).ok()?;
        let len = usize::try_from(self.number(nth.checked_add(1)?)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// A flag; a node that is not there has them all.
    fn has(&self, flag: u32) -> bool {
        self.number(2).is_none_or(|flags| flags & flag != 0)
    }

    fn number(&self, nth: usize) -> Option<u32> {
        word(self.bytes, nth.checked_mul(4)?.checked_add(self.at)?)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

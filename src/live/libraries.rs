//! What was read of library files, remembered for as long as the process lives.

use core::ffi::CStr;

use rustix::fs::{CWD, FileType, Mode, fstat, openat, stat};
use rustix::io::{Errno, pread, retry_on_intr};

use super::memory;
use super::open::{Identity, OPEN, identity};
use super::published::Published;
use crate::elf_file::{ReadAt, Room};
use crate::library::Library;
use crate::outcome::Unsure;
use crate::skip::Skip;
use crate::table::Table;

/// The bytes for paths and for what is known of each: some thousands of libraries. Only what is used of it exists.
const TABLE: usize = 1 << 19;
const RECORDS: usize = 1 << 20;
/// What has to be left of either when a lookup begins: room for a hundred candidates and more.
const RESERVE: usize = 1 << 16;

/// The bytes before a record: what tells the file, and the verdict.
const IDENTITY: usize = size_of::<Identity>();
const FIXED: usize = IDENTITY + 4;

/// Verdicts that a file is remembered with. A library's is the number behind the last.
const SKIPS: [Skip; 7] =
    [Skip::Irregular, Skip::NotElf, Skip::OtherMachine, Skip::Damaged, Skip::NotShared, Skip::Versions, Skip::Relr];

/// The libraries that were read.
pub struct Libraries {
    memory: Published<Memory>,
}

/// A library that was read: where its record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u32);

struct Memory {
    /// Offsets of entries, by path.
    table: Table<'static>,
    entries: &'static mut [u8],
    used: usize,
    room: Room<'static>,
}

impl Libraries {
    /// None yet.
    pub const fn new() -> Self {
        Self { memory: Published::new() }
    }

    /// Starts over if there is little room left, as in a process that loads libraries which keep changing. Between lookups
    /// alone: what was read in one counts until its end.
    pub fn make_room(&mut self) {
        if let Some(memory) = self.memory.get_mut()
            && memory.table.left().min(RECORDS.saturating_sub(memory.used)) < RESERVE
        {
            memory.table.clear();
            memory.used = 0;
        }
    }

    /// What was read of a library.
    pub fn get(&self, known: Known) -> Option<Library<'_>> {
        Library::read(self.memory.get()?.entries.get(known.0 as usize..)?)
    }

    /// Reads a file, or recalls what was read of it. One look at the file's time is made all the same: it may have been
    /// replaced, or be gone.
    pub fn examine(&mut self, path: &CStr) -> Result<Result<Known, Skip>, Unsure> {
        let memory = self.memory().ok_or(Unsure::Exhausted)?;
        if let Some(entry) = memory.recall(path) {
            match stat(path) {
                Ok(status) if memory.is_same(entry, &identity(&status)) => return memory.verdict(entry),
                Ok(_) => {}
                Err(_) => return Ok(Err(Skip::Missing)),
            }
        }
        let file = match retry_on_intr(|| openat(CWD, path, OPEN, Mode::empty())) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::ACCESS) => return Ok(Err(Skip::Missing)),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => return Err(Unsure::Exhausted),
            Err(_) => return Ok(Err(Skip::Broken)),
        };
        let status = match fstat(&file) {
            Ok(status) if FileType::from_raw_mode(status.st_mode).is_file() => status,
            _ => return Ok(Err(Skip::Irregular)),
        };
        memory.read(path, &mut Descriptor(file), &identity(&status))
    }

    /// The memory, which is mapped on the first need.
    fn memory(&mut self) -> Option<&mut Memory> {
        if self.memory.get().is_none() {
            let memory = memory::map::<u8>(TABLE + RECORDS + Room::SIZE)?;
            let (table, rest) = memory.split_at_mut_checked(TABLE)?;
            let (entries, room) = rest.split_at_mut_checked(RECORDS)?;
            let (table, room) = (Table::new(table)?, Room::new(room)?);
            self.memory.set(Memory { table, entries, used: 0, room });
        }
        self.memory.get_mut()
    }
}

impl Memory {
    /// The entry of a path: the last one, if the file was replaced.
    fn recall(&self, path: &CStr) -> Option<usize> {
        self.table.values(path.to_bytes()).last().map(|offset| offset as usize)
    }

    fn is_same(&self, entry: usize, identity: &Identity) -> bool {
        let kept = self.entries.get(entry..).and_then(|rest| rest.first_chunk::<IDENTITY>());
        kept.is_some_and(|kept| kept.iter().copied().eq(bytes(identity)))
    }

    fn verdict(&self, entry: usize) -> Result<Result<Known, Skip>, Unsure> {
        let read = || {
            let at = entry.checked_add(IDENTITY)?;
            let number = |at: usize| Some(u32::from_le_bytes(*self.entries.get(at..)?.first_chunk()?));
            let known = Known(u32::try_from(entry.checked_add(FIXED)?).ok()?);
            Some(SKIPS.get(number(at)? as usize).map_or(Ok(known), |skip| Err(*skip)))
        };
        read().ok_or(Unsure::Exhausted)
    }

    fn read(&mut self, path: &CStr, file: &mut Descriptor, identity: &Identity) -> Result<Result<Known, Skip>, Unsure> {
        let entry = self.used;
        let record = entry.saturating_add(FIXED);
        let size = u64::try_from(identity[2]).unwrap_or_default();
        let read =
            self.room.read(file, size, path.to_bytes(), self.entries.get_mut(record..).ok_or(Unsure::Exhausted)?);
        let (code, len) = match read {
            Ok(Some(len)) => (SKIPS.len(), len),
            Ok(None) => return Err(Unsure::Exhausted),
            Err(skip) => (SKIPS.iter().position(|known| *known == skip).unwrap_or_default(), 0),
        };
        let mut write = || {
            let fixed = bytes(identity).chain(u32::try_from(code).ok()?.to_le_bytes());
            for (place, byte) in self.entries.get_mut(entry..record)?.iter_mut().zip(fixed) {
                *place = byte;
            }
            self.used = record.checked_add(len)?;
            // The table's entry is what makes it be there: it comes last. Without room for it, the file is read again.
            let _ = self.table.insert(path.to_bytes(), u32::try_from(entry).ok()?);
            Some(())
        };
        write().ok_or(Unsure::Exhausted)?;
        self.verdict(entry)
    }
}

fn bytes(identity: &Identity) -> impl Iterator<Item = u8> {
    identity.iter().flat_map(|number| number.to_ne_bytes())
}

/// An open file.
struct Descriptor(rustix::fd::OwnedFd);

impl ReadAt for Descriptor {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize> {
        retry_on_intr(|| pread(&self.0, &mut *into, offset)).ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    /// A directory of a test's own, which goes with it.
    pub struct Scratch(pub std::path::PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Self {
            let name = std::format!("rtld-loader-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // A test that fails has said why.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A library that every machine with a glibc has: this test's own.
    fn libc() -> std::path::PathBuf {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .find_map(|line| line.split(' ').next_back().filter(|path| path.ends_with("/libc.so.6")))
            .unwrap()
            .into()
    }

    #[test]
    fn a_file_that_is_replaced_is_read_again() {
        let scratch = Scratch::new("libraries");
        let file = scratch.0.join("libx.so");
        let path = CString::new(file.as_os_str().as_bytes()).unwrap();
        let mut libraries = Libraries::new();
        assert_eq!(libraries.examine(&path), Ok(Err(Skip::Missing)));
        std::fs::copy(libc(), &file).unwrap();
        let known = libraries.examine(&path).unwrap().unwrap();
        assert_eq!(libraries.examine(&path), Ok(Ok(known)), "it is recalled");
        let library = libraries.get(known).unwrap();
        assert!(library.defines(b"GLIBC_2.17") && !library.defines(b"GLIBC_2"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(libraries.examine(&path), Ok(Err(Skip::Missing)));
        std::fs::write(&file, "GROUP ( libx.so.1 )").unwrap();
        for _ in 0..2 {
            assert_eq!(libraries.examine(&path), Ok(Err(Skip::NotElf)));
        }
    }

    #[test]
    fn a_memory_that_is_full_is_said_and_made_room_in() {
        let path = CString::new(libc().as_os_str().as_bytes()).unwrap();
        let mut libraries = Libraries::new();
        for (left, name) in [(FIXED - 1, "/."), (FIXED + 7, "/./."), (FIXED + 100, "/././.")] {
            libraries.examine(&path).unwrap().unwrap();
            libraries.memory().unwrap().used = RECORDS - left;
            assert!(libraries.examine(&path).unwrap().is_ok(), "what is known stays known");
            let other = CString::new(std::format!("{name}{}", path.to_str().unwrap())).unwrap();
            assert_eq!(libraries.examine(&other), Err(Unsure::Exhausted));
            libraries.make_room();
            assert!(libraries.examine(&other).unwrap().is_ok());
        }
        let used = libraries.memory().unwrap().used;
        libraries.make_room();
        assert_eq!(libraries.memory().unwrap().used, used, "there was room enough");
    }
}

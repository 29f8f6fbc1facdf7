//! Index files, mapped.
//!
//! # Safety
//!
//! An index is mapped as it is, so it must be of the kind that nobody changes: one in a store, or one that was written whole
//! and put in its place by renaming, as the generator does. Who can write to it could end the process or have it load whatever
//! they like, so one that everybody can write to is none. (Whom its owner lets write could write the libraries, too.)

#![allow(unsafe_code)]

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, fstat, openat};
use rustix::io::retry_on_intr;

use super::memory;
use super::open::OPEN;
use crate::candidate::TARGET;
use crate::declared::{WRITABLE, entries};
use crate::environment::split_directory;
use crate::index::{Channel, Directory, File, Index, is_listed};
use crate::path::PathBuf;

/// The most index files that are used: as many as environments are nested.
const FILES: usize = 8;

/// The index files of this process.
pub struct Indices {
    files: [Option<Index<'static>>; FILES],
    /// The program, where an index has it.
    main: Option<(Index<'static>, File<'static>)>,
}

/// Why an index file is not used, beside its path.
const MISSING: &[u8] = b"it cannot be opened";
const DAMAGED: &[u8] = b"it is damaged, or for another version or machine";

impl Indices {
    /// Maps the files of a colon list; `complain` hears of those that are not used, and why. `program` is the program's path.
    pub fn open(list: &[u8], path: &mut PathBuf, program: &[u8], mut complain: impl FnMut(&[u8], &[u8])) -> Self {
        let mut indices = Self { files: [None; FILES], main: None };
        for (entry, fit) in entries(list) {
            if let Err(problem) = fit {
                complain(entry.path, problem.text());
            }
        }
        let fit = entries(list).filter(|(_, fit)| fit.is_ok());
        let mut places = indices.files.iter_mut();
        for (entry, _) in fit.take(FILES) {
            match path.set(&[entry.path]).ok_or(MISSING).and_then(|()| open(path.as_c_str())) {
                Ok(index) => places.next().into_iter().for_each(|place| *place = Some(index)),
                Err(reason) => complain(entry.path, reason),
            }
        }
        indices.set_main(program);
        indices
    }

    /// Takes a path for the program's.
    pub fn set_main(&mut self, program: &[u8]) {
        self.main = self.find(program).filter(|(_, file)| file.is_own());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(Option::is_none)
    }

    /// Whether the program is known, by whichever path.
    pub fn has_main(&self) -> bool {
        self.main.is_some_and(|(_, file)| !file.has_origin())
    }

    /// The program, and the index that has it.
    pub fn main(&self) -> Option<(Index<'static>, File<'static>)> {
        self.main
    }

    /// The file at a path, and the index that has it.
    pub fn find(&self, path: &[u8]) -> Option<(Index<'static>, File<'static>)> {
        self.first(|index| index.file(path))
    }

    /// The file at a path, and in which of the indices it is.
    pub fn file(&self, path: &[u8]) -> Option<(usize, File<'static>)> {
        let files = self.files.iter().flatten().enumerate();
        files.filter_map(|(nth, index)| Some((nth, index.file(path)?))).next()
    }

    /// The file whose node is at an offset.
    pub fn file_at(&self, index: usize, offset: u32) -> Option<File<'static>> {
        self.files.get(index)?.as_ref()?.file_at(offset)
    }

    /// The index that has all of what a list begins with.
    pub fn declared(&self, list: &[u8]) -> Option<Index<'static>> {
        let begins = |index: &Index<'static>| {
            let declared = index.declared();
            let rest = list.strip_prefix(declared).filter(|_| !declared.is_empty())?;
            matches!(rest.first(), None | Some(b':')).then_some(())
        };
        self.first(begins).map(|(index, ())| index)
    }

    /// A directory that never changes.
    pub fn directory(&self, path: &[u8]) -> Option<Directory<'static>> {
        let (_, directory) = self.first(|index| index.directory(path).filter(|directory| !directory.is_live()))?;
        Some(directory)
    }

    /// Whether there is no file at a path whose directory has no other that may be asked for.
    pub fn lacks(&self, path: &[u8]) -> bool {
        split_directory(path).is_some_and(|(directory, name)| is_listed(name) && self.directory(directory).is_some())
            && self.file(path).is_none()
    }

    /// The attribute of nixpkgs that brings a library of this soname.
    pub fn hint(&self, soname: &[u8]) -> Option<&'static [u8]> {
        self.first(|index| index.hint(soname)).map(|(_, attribute)| attribute)
    }

    /// The channel of a declared entry, however many slashes close it.
    pub fn channel(&self, entry: &[u8]) -> Option<Channel<'static>> {
        let closing = entry.iter().rev().take_while(|&&byte| byte == b'/').count();
        let entry = entry.get(..entry.len().checked_sub(closing)?)?;
        let (_, channel) = self.first(|index| index.channel(index.directory(entry)?))?;
        Some(channel)
    }

    fn first<T>(&self, find: impl Fn(&Index<'static>) -> Option<T>) -> Option<(Index<'static>, T)> {
        self.files.iter().flatten().find_map(|index| Some((*index, find(index)?)))
    }
}

fn open(path: &CStr) -> Result<Index<'static>, &'static [u8]> {
    let file = retry_on_intr(|| openat(CWD, path, OPEN, Mode::empty())).map_err(|_| MISSING)?;
    let status = fstat(&file).map_err(|_| MISSING)?;
    let size = usize::try_from(status.st_size).unwrap_or_default();
    if !FileType::from_raw_mode(status.st_mode).is_file() || size == 0 {
        return Err(DAMAGED);
    }
    if Mode::from_raw_mode(status.st_mode).contains(Mode::WOTH) {
        return Err(WRITABLE);
    }
    // SAFETY: see the top.
    let bytes = unsafe { memory::map_file(file.as_fd(), size) }.ok_or(MISSING)?;
    Index::read(bytes, TARGET).ok_or(DAMAGED)
}

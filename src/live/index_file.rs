//! Index files, mapped.
//!
//! # Safety
//!
//! An index is mapped as it is, so it must be of the kind that nobody changes: one in a store, or one that was written whole
//! and put in its place by renaming, as the generator does. (Who can write it could write the libraries, too.)

#![allow(unsafe_code)]

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, fstat, openat};
use rustix::io::retry_on_intr;

use super::memory;
use super::open::OPEN;
use crate::candidate::TARGET;
use crate::environment::split_directory;
use crate::index::{Entry, Found, Index};
use crate::path::PathBuf;

/// The most index files that are used: as many as environments are nested.
const FILES: usize = 8;

/// The index files of this process.
pub struct Indices {
    files: [Option<Index<'static>>; FILES],
    /// The program, where an index has it.
    main: Option<(usize, Entry<'static>)>,
}

/// Why an index file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It cannot be opened.
    Missing,
    /// It is no index of this version, for this machine, and whole.
    Damaged,
}

impl Indices {
    /// Maps the files of a colon list; `complain` hears of those that are not used. `program` is the program's path.
    pub fn open(list: &[u8], path: &mut PathBuf, program: &[u8], mut complain: impl FnMut(&[u8], Problem)) -> Self {
        let mut indices = Self { files: [None; FILES], main: None };
        let names = list.split(|&byte| byte == b':').filter(|name| name.starts_with(b"/"));
        for (place, name) in indices.files.iter_mut().zip(names) {
            match path.set(&[name]).ok_or(Problem::Missing).and_then(|()| open(path.as_c_str())) {
                Ok(index) => *place = Some(index),
                Err(problem) => complain(name, problem),
            }
        }
        indices.set_main(program);
        indices
    }

    /// Takes a path for the program's.
    pub fn set_main(&mut self, program: &[u8]) {
        self.main = self.find(program).filter(|(_, entry)| entry.is_file());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(Option::is_none)
    }

    /// Whether the program is known.
    pub fn has_main(&self) -> bool {
        self.main.is_some()
    }

    /// What ld.so finds for an object, by the path that it was loaded from; `None` is the program.
    pub fn search(&self, requester: Option<&[u8]>, soname: &[u8]) -> Option<&'static CStr> {
        let (nth, entry) = match requester {
            None => self.main?,
            Some(path) => self.find(path)?,
        };
        match self.files.get(nth)?.as_ref()?.search(entry, soname) {
            Found::File(file) => file.path(),
            Found::Unknown | Found::Nowhere => None,
        }
    }

    fn find(&self, path: &[u8]) -> Option<(usize, Entry<'static>)> {
        split_directory(path)?;
        let files = self.files.iter().enumerate().filter_map(|(nth, index)| Some((nth, index.as_ref()?)));
        files.filter_map(|(nth, index)| Some((nth, index.entry(path)?))).next()
    }
}

fn open(path: &CStr) -> Result<Index<'static>, Problem> {
    let file = retry_on_intr(|| openat(CWD, path, OPEN, Mode::empty())).map_err(|_| Problem::Missing)?;
    let status = fstat(&file).map_err(|_| Problem::Missing)?;
    let size = usize::try_from(status.st_size).unwrap_or_default();
    if !FileType::from_raw_mode(status.st_mode).is_file() || size == 0 {
        return Err(Problem::Damaged);
    }
    // SAFETY: see the top.
    let bytes = unsafe { memory::map_file(file.as_fd(), size) }.ok_or(Problem::Missing)?;
    Index::read(bytes, TARGET).ok_or(Problem::Damaged)
}

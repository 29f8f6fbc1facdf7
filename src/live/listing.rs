//! Reading the declared directories, once.

use core::mem::MaybeUninit;

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, stat};
use rustix::io::{Errno, retry_on_intr};

use super::files::is_guarded;
use super::index_file::Indices;
use super::memory;
use super::open::OPEN;
use crate::catalogue::{ANY, Builder, Catalogue, Form};
use crate::declared::{DIRECTORY_WRITABLE, Entry, UNKNOWN, WRITABLE, entries_from};
use crate::environment::split_directory;
use crate::index::{Directory, File};
use crate::log;
use crate::path::PathBuf;

/// The memory that a catalogue starts with, and the most it may take, in bytes. The kernel gives only what is used.
const MEMORY: usize = 1 << 18;
const MOST_MEMORY: usize = 1 << 26;

/// Room for what getdents64(2) gives at once, in bytes: more than a thousand names.
const ROOM: usize = 1 << 16;

/// Reads the names in all declared directories, those that never change from the index. What cannot be listed stays a
/// candidate for every name; what does not exist is none.
pub fn list(
    declared: &'static [u8],
    indices: Option<&Indices>,
    path: &mut PathBuf,
    sink: &mut impl log::Sink,
) -> Catalogue<'static> {
    let index = indices.and_then(|indices| indices.declared(declared));
    let start = index.map_or(0, |index| index.declared().len().saturating_add(1));
    let memory = if start < declared.len() { memory::map_with_room(MEMORY, ROOM) } else { None };
    let Some((mut builder, room)) = memory.and_then(|(memory, room)| Some((Builder::new(memory)?, room))) else {
        return Catalogue::unlisted(declared, index);
    };
    for (entry, fit) in entries_from(declared, start) {
        builder.listed_before(entry.at);
        if let Err(problem) = fit {
            log::ignored(sink, entry.path, problem.text());
            continue;
        }
        if path.set(&[entry.path]).is_none() {
            continue;
        }
        if indices.is_some_and(|indices| indices.channel(entry.path).is_some()) {
            builder.of_channel(entry.at);
        }
        let known = indices.and_then(|indices| Indexed::find(indices, entry.path));
        let added = match known {
            Some(indexed) => add_indexed(builder, entry, indexed),
            None => add(builder, entry, path, room, sink),
        };
        builder = match added {
            Ok(builder) => builder,
            Err(full) => return full.finish(declared, index),
        };
    }
    builder.listed_before(declared.len().saturating_add(1));
    builder.finish(declared, index)
}

/// What an index has at the path of an entry.
enum Indexed {
    Directory(Directory<'static>),
    File(File<'static>),
}

impl Indexed {
    fn find(indices: &Indices, path: &[u8]) -> Option<Self> {
        let closing = path.iter().rev().take_while(|&&byte| byte == b'/').count();
        let path = path.get(..path.len().checked_sub(closing)?)?;
        indices.directory(path).map(Self::Directory).or_else(|| indices.file(path).map(|(_, file)| Self::File(file)))
    }
}

/// Adds an entry of an index. `Err` with the builder as it is when the memory is full.
fn add_indexed(
    mut builder: Builder<'static>,
    entry: Entry<'_>,
    indexed: Indexed,
) -> Result<Builder<'static>, Builder<'static>> {
    match indexed {
        Indexed::File(file) => insert(builder, entry, file.name(), Form::File),
        Indexed::Directory(directory) => {
            for file in directory.files() {
                builder = insert(builder, entry, file.name(), Form::InDirectory)?;
            }
            Ok(builder)
        }
    }
}

/// Adds an entry. `Err` with the builder as it is when the memory is full.
fn add(
    mut builder: Builder<'static>,
    entry: Entry<'_>,
    path: &mut PathBuf,
    room: &mut [MaybeUninit<u8>],
    sink: &mut impl log::Sink,
) -> Result<Builder<'static>, Builder<'static>> {
    let flags = OPEN.union(OFlags::DIRECTORY);
    let mut is_ignored = |status: Result<Stat, Errno>, reason| {
        let guarded = status.map(|status| is_guarded(&status));
        if guarded != Ok(true) {
            log::ignored(sink, entry.path, if guarded.is_ok() { reason } else { UNKNOWN });
        }
        guarded != Ok(true)
    };
    let directory = match retry_on_intr(|| openat(CWD, path.as_c_str(), flags, Mode::empty())) {
        Ok(directory) if is_ignored(fstat(&directory), WRITABLE) => return Ok(builder),
        Ok(directory) => directory,
        Err(Errno::NOTDIR) => {
            let Some((parent, name @ [_, ..])) = split_directory(entry.path) else { return Ok(builder) };
            let is_ignored = is_ignored(stat(path.as_c_str()), WRITABLE)
                || path.set(&[parent, b"/"]).is_none()
                || is_ignored(stat(path.as_c_str()), DIRECTORY_WRITABLE);
            return if is_ignored { Ok(builder) } else { insert(builder, entry, name, Form::File) };
        }
        // Others may put libraries where nobody can list them.
        Err(Errno::ACCESS | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            let is_ignored = is_ignored(stat(path.as_c_str()), WRITABLE);
            return if is_ignored { Ok(builder) } else { insert(builder, entry, ANY, Form::InDirectory) };
        }
        Err(_) => return Ok(builder),
    };
    let mut names = RawDir::new(&directory, room);
    while let Some(next) = names.next() {
        let Ok(found) = next else {
            return insert(builder, entry, ANY, Form::InDirectory);
        };
        let name = found.file_name().to_bytes();
        // A symbolic link may lead to anything; looking at the file tells.
        let may_be_file = matches!(found.file_type(), FileType::RegularFile | FileType::Symlink | FileType::Unknown);
        if may_be_file && name != b"." && name != b".." {
            builder = insert(builder, entry, name, Form::InDirectory)?;
        }
    }
    Ok(builder)
}

/// Adds a name, in more memory if need be. `Err` with the builder as it was when there is no more.
fn insert(
    mut builder: Builder<'static>,
    entry: Entry<'_>,
    name: &[u8],
    form: Form,
) -> Result<Builder<'static>, Builder<'static>> {
    if builder.add(entry.at, name, form).is_some() {
        return Ok(builder);
    }
    builder = builder.grow(|memory| {
        let bytes = memory.len().saturating_mul(2).min(MOST_MEMORY);
        memory::grow(memory, bytes)
    });
    match builder.add(entry.at, name, form) {
        Some(()) => Ok(builder),
        None => Err(builder),
    }
}

//! The log, in a file or on stderr.
//!
//! A file is created with O_EXCL and never through a symbolic link, one for each process (a child that was forked is
//! another one). It is open only while ld.so waits for us: between two callbacks the program may close, reuse or count
//! its descriptors as it likes. When it is opened again it must be the same file.

use core::num::NonZeroI32;

use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, readlinkat_raw, statat};
use rustix::io::{Errno, IoSlice, fcntl_dupfd_cloexec, retry_on_intr, writev};
use rustix::process::getpid;

use super::standard_error::standard_error;
use crate::decimal::Decimal;
use crate::environment::Level;
use crate::log::Sink;
use crate::path::PathBuf;

/// How the file is opened, each time.
const OPEN: OFlags =
    OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
/// A log has command lines in it: it is the user's own.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The value of REPLIT_RTLD_LOG_FILE that is no path.
const STANDARD_ERROR: &[u8] = b"stderr";
/// The numbers that are tried for the name of a log.
const MOST_LOGS: u32 = 100_000;
/// The first descriptor that is no standard stream.
const FIRST_ORDINARY: i32 = 3;

/// The device and inode of a file.
type Identity = (u64, u64);
/// A log: the file, and its owner. Who takes it away may get the same inode for a file of their own.
type Owned = (Identity, u32);

/// The log of this process.
pub struct LogFile {
    level: Level,
    /// REPLIT_RTLD_LOG_FILE.
    wanted: Option<&'static [u8]>,
    /// The path of the file once it is created. `None` as long as nobody wants a log.
    path: Option<&'static mut PathBuf>,
    /// The process that created it, and the file.
    created: Option<(NonZeroI32, Owned)>,
    /// What descriptor 2 was when the process started.
    standard_error: Option<Identity>,
    /// The file, during a callback.
    open: Option<OwnedFd>,
    failed: bool,
}

impl LogFile {
    /// No log.
    pub const fn new() -> Self {
        Self {
            level: Level::Off,
            wanted: None,
            path: None,
            created: None,
            standard_error: None,
            open: None,
            failed: false,
        }
    }

    /// What the user asked for.
    pub fn configure(&mut self, level: Level, wanted: &'static [u8], path: &'static mut PathBuf) {
        self.path = Some(path);
        self.level = level;
        self.rename(wanted);
        if level > Level::Off {
            self.standard_error = identity(standard_error()).ok();
        }
    }

    /// Takes a name that lasts in the place of the same one in what the program may overwrite.
    pub fn rename(&mut self, wanted: &'static [u8]) {
        self.wanted = (!wanted.is_empty()).then_some(wanted);
    }

    /// Closes the file until the next callback.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// At the start of a callback: a file that is open now was left by the process that forked us in the middle of one.
    /// Its number may be the program's own by now, so it is not closed.
    pub fn forget_open(&mut self) {
        if let Some(file) = self.open.take() {
            let _ = file.into_raw_fd();
        }
    }

    fn open(&mut self) -> Result<OwnedFd, Errno> {
        let path = self.path.as_deref_mut().ok_or(Errno::INVAL)?;
        let process = getpid().as_raw_nonzero();
        match self.created {
            Some((creator, created)) if creator == process => {
                let file = above_standard_streams(openat(CWD, path.as_c_str(), OPEN, Mode::empty())?)?;
                // Somebody may have put another file in its place.
                if owned(file.as_fd())? == created { Ok(file) } else { Err(Errno::STALE) }
            }
            _ => {
                let file = above_standard_streams(create(path, self.wanted, process)?)?;
                self.created = Some((process, owned(file.as_fd())?));
                Ok(file)
            }
        }
    }

    /// Writes to stderr, unless the program has closed it: another file may be there by now.
    fn tell(&self, pieces: &[&[u8]]) {
        if self.standard_error.is_some() && self.standard_error == identity(standard_error()).ok() {
            write_all(standard_error(), pieces);
        }
    }

    /// Says once, on stderr, that there will be no log.
    fn report(&mut self, errno: Errno) {
        self.failed = true;
        let number = Decimal::new(errno.raw_os_error().unsigned_abs());
        let path = self.path.as_deref().map(PathBuf::as_bytes).unwrap_or_default();
        let before = b"rtld_loader: cannot write the log ";
        self.tell(&[before, path, b" (errno ", number.as_bytes(), b"); see REPLIT_RTLD_LOG_FILE\n"]);
    }
}

impl Sink for LogFile {
    fn level(&self) -> Level {
        self.level
    }

    fn write(&mut self, pieces: &[&[u8]]) {
        if self.wanted == Some(STANDARD_ERROR) {
            return self.tell(pieces);
        }
        if self.open.is_none() && !self.failed {
            match self.open() {
                Ok(file) => self.open = Some(file),
                Err(errno) => self.report(errno),
            }
        }
        if let Some(file) = &self.open {
            write_all(file.as_fd(), pieces);
        }
    }
}

/// Creates the first file of the wanted name, or of that name with a number, that is not there yet.
fn create(path: &mut PathBuf, wanted: Option<&[u8]>, process: NonZeroI32) -> Result<OwnedFd, Errno> {
    set_base(path, wanted.unwrap_or(b"rtld_loader.log"), process).ok_or(Errno::NAMETOOLONG)?;
    let base = path.len();
    for number in u32::from(wanted.is_none())..MOST_LOGS {
        path.truncate(base);
        if number > 0 {
            let digits = Decimal::new(number);
            path.push(b".").and_then(|()| path.push(digits.as_bytes())).ok_or(Errno::NAMETOOLONG)?;
        }
        let flags = OPEN.union(OFlags::CREATE).union(OFlags::EXCL);
        match retry_on_intr(|| openat(CWD, path.as_c_str(), flags, MODE)) {
            // A device, say, is no name to put numbers behind.
            Err(Errno::EXIST) if number > 0 || is_file_or_link(path) => {}
            other => return other,
        }
    }
    Err(Errno::EXIST)
}

fn is_file_or_link(path: &mut PathBuf) -> bool {
    statat(CWD, path.as_c_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
        matches!(FileType::from_raw_mode(status.st_mode), FileType::RegularFile | FileType::Symlink)
    })
}

/// Puts the absolute path without a number in place. Without /proc it stays relative.
fn set_base(path: &mut PathBuf, wanted: &[u8], process: NonZeroI32) -> Option<()> {
    path.clear();
    if !wanted.starts_with(b"/") {
        let readlink = |room: &mut [u8]| {
            let len = readlinkat_raw(CWD, c"/proc/self/cwd", &mut *room).ok()?;
            (len < room.len()).then_some(len)
        };
        match path.push_with(readlink) {
            Some(()) => path.push(b"/")?,
            None => path.clear(),
        }
    }
    let mut rest = wanted;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"%p") {
        let (before, after) = rest.split_at_checked(at)?;
        path.push(before)?;
        path.push(Decimal::new(process.get().unsigned_abs()).as_bytes())?;
        rest = after.get(2..)?;
    }
    path.push(rest)
}

/// Moves a file away from the descriptors of the standard streams: where the program runs with one of them closed,
/// another thread must not find our file in its place.
fn above_standard_streams(file: OwnedFd) -> Result<OwnedFd, Errno> {
    fcntl_dupfd_cloexec(&file, FIRST_ORDINARY)
}

fn identity(file: BorrowedFd<'_>) -> Result<Identity, Errno> {
    owned(file).map(|(identity, _)| identity)
}

fn owned(file: BorrowedFd<'_>) -> Result<Owned, Errno> {
    let status = fstat(file)?;
    Ok(((status.st_dev, status.st_ino), status.st_uid))
}

/// Writes pieces as one, so that lines of several threads and processes don't mix. There is nobody to tell of an
/// error.
fn write_all(file: BorrowedFd<'_>, pieces: &[&[u8]]) {
    let mut slices = [IoSlice::new(b""); 8];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    let _ = retry_on_intr(|| writev(file, &slices));
}

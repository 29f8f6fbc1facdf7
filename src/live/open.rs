//! How files are opened, and what tells them apart.

use rustix::fs::{OFlags, Stat};

/// How files are opened: never blocking on a FIFO, never taking a terminal, never inherited.
pub const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// What changes when a file does: device, inode, size, and the times of modification and of change. Their types differ by
/// architecture.
pub type Identity = [i128; 7];

/// What tells this state of a file from others.
pub fn identity(status: &Stat) -> Identity {
    [
        status.st_dev.into(),
        status.st_ino.into(),
        status.st_size.into(),
        status.st_mtime.into(),
        status.st_mtime_nsec.into(),
        status.st_ctime.into(),
        status.st_ctime_nsec.into(),
    ]
}

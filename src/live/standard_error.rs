//! The standard error stream of this process.
//!
//! # Safety
//!
//! Descriptor 2 may be closed, or be something else by now: a write to it may fail, and is made only where the user
//! has asked for messages there.

#![allow(unsafe_code)]

use rustix::fd::BorrowedFd;

/// Descriptor 2.
pub fn standard_error() -> BorrowedFd<'static> {
    // SAFETY: the descriptor is only written to. Should it be closed, the kernel says EBADF.
    unsafe { BorrowedFd::borrow_raw(2) }
}

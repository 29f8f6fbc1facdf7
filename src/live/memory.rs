//! Anonymous memory from the kernel.
//!
//! # Safety
//!
//! The mappings made here are private and writable. Each is handed out once, and stays until it is given back whole, so
//! it is `'static`.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::{ptr, slice};

use rustix::fd::BorrowedFd;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap, mmap_anonymous, mremap, munmap};

use super::link_map::ObjectCell;

/// A type of which zeroed memory is a value.
///
/// # Safety
///
/// It must be so, and the type's alignment must be less than a page's.
pub unsafe trait Plain {}

// SAFETY: 0 is a u8.
unsafe impl Plain for u8 {}
// SAFETY: it is an address, of which zero means that there is none.
unsafe impl Plain for ObjectCell {}
// SAFETY: an array is its elements, one after the other.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Zeroed memory for `count` values. `None` when the kernel has none.
pub fn map<T: Plain>(count: usize) -> Option<&'static mut [T]> {
    let bytes = count.checked_mul(size_of::<T>())?;
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let memory = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, flags) }.ok()?;
    // SAFETY: the mapping has room for `count` values, is aligned to a page, zeroed, writable, and nobody else
    // knows of it.
    Some(unsafe { slice::from_raw_parts_mut(memory.cast(), count) })
}

/// Zeroed memory and, behind it in the same mapping, room for the kernel to write to. `bytes` is a whole number of pages.
/// `None` when the kernel has none.
pub fn map_with_room(bytes: usize, room: usize) -> Option<(&'static mut [u8], &'static mut [MaybeUninit<u8>])> {
    let (memory, room) = map::<u8>(bytes.checked_add(room)?)?.split_at_mut_checked(bytes)?;
    // SAFETY: what may be uninitialised has the same layout, and nobody takes these for bytes again without knowing them.
    let room = unsafe { slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()) };
    Some((memory, room))
}

/// The bytes of a file, for good. `None` when the kernel refuses.
///
/// # Safety
///
/// Nobody changes or shortens the file.
pub unsafe fn map_file(file: BorrowedFd<'_>, bytes: usize) -> Option<&'static [u8]> {
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let start = unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }.ok()?;
    // SAFETY: the mapping has that many bytes, and they stay as they are, as promised.
    Some(unsafe { slice::from_raw_parts(start.cast(), bytes) })
}

/// The same memory with room for `bytes`, perhaps elsewhere; as it was if the kernel has no more. It must be a whole
/// mapping that [`map`] made, or the memory that [`map_with_room`] did, and not be known to anyone else: not even to a child that is forked meanwhile.
pub fn grow(memory: &'static mut [u8], bytes: usize) -> &'static mut [u8] {
    let (old, len) = (memory.as_mut_ptr(), memory.len());
    // SAFETY: `memory` is the only reference to the mapping, and ends here.
    match unsafe { mremap(old.cast(), len, bytes, MremapFlags::MAYMOVE) } {
        // SAFETY: the mapping has that many bytes now, zeroed where it grew.
        Ok(new) => unsafe { slice::from_raw_parts_mut(new.cast(), bytes) },
        // SAFETY: the mapping is as it was.
        Err(_) => unsafe { slice::from_raw_parts_mut(old, len) },
    }
}

/// Gives memory back. It must be a whole mapping that [`map`] or [`grow`] made.
pub fn unmap(memory: &'static mut [u8]) {
    // SAFETY: `memory` is the only reference to the mapping, and ends here. Should the kernel refuse, it stays unused.
    let _ = unsafe { munmap(memory.as_mut_ptr().cast(), memory.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grown_memory_keeps_its_bytes() {
        let memory = map::<u8>(4096).unwrap();
        memory.fill(7);
        let memory = grow(memory, 1 << 22);
        assert!(memory[..4096].iter().all(|&byte| byte == 7) && memory[4096..].iter().all(|&byte| byte == 0));
        // More than any machine has.
        assert!(map::<u8>(usize::MAX / 2).is_none());
        assert_eq!(grow(memory, usize::MAX / 2).len(), 1 << 22);
        // What lies behind the memory stays where it is.
        let (memory, room) = map_with_room(4096, 4096).unwrap();
        memory.fill(7);
        room.fill(MaybeUninit::new(8));
        assert!(grow(memory, 1 << 22)[..4096].iter().all(|&byte| byte == 7));
        // SAFETY: it has just been filled.
        assert!(room.iter().all(|byte| unsafe { byte.assume_init() } == 8));
    }
}

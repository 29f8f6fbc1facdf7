//! Memory that is made on the first need, and that any thread may look at.

#![allow(unsafe_code)]

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// An array that is there for good once it is there.
pub struct Shared<T: 'static, const N: usize>(AtomicPtr<[T; N]>);

impl<T: Sync, const N: usize> Shared<T, N> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The array, if it is there.
    pub fn get(&self) -> Option<&'static [T; N]> {
        // SAFETY: it is null, or was a reference for good to what threads may share.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Makes the array be there.
    pub fn set(&self, array: &'static [T; N]) {
        self.0.store(ptr::from_ref(array).cast_mut(), Ordering::Release);
    }
}

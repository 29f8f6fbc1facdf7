//! A value that is there whole or not at all.

use core::sync::atomic::{AtomicBool, Ordering, fence};

/// A value that is made on the first need. A process that is forked while another thread stores it has it or lacks it,
/// and makes it again then.
pub struct Published<T> {
    value: Option<T>,
    whole: AtomicBool,
}

impl<T> Published<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { value: None, whole: AtomicBool::new(false) }
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        if self.whole.load(Ordering::Acquire) { self.value.as_ref() } else { None }
    }

    /// The value, to be changed in ways that leave it whole at any moment.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if self.whole.load(Ordering::Acquire) { self.value.as_mut() } else { None }
    }

    /// Makes the value be gone.
    pub fn take(&mut self) -> Option<T> {
        if !self.whole.load(Ordering::Acquire) {
            return None;
        }
        // An exchange would say the same in one. But on aarch64 it is a call into compiler_builtins, which has a constructor
        // that needs libc. Nobody else stores: ld.so's lock is held.
        self.whole.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
        self.value.take()
    }

    /// Makes the value be there.
    pub fn set(&mut self, value: T) {
        self.value = Some(value);
        self.whole.store(true, Ordering::Release);
    }
}

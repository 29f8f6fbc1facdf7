//! What the kernel put on the stack of a new process: arguments, environment, auxiliary vector.
//!
//! ld.so hands the constructors of an audit library the same three that main gets, before anything else is loaded, so
//! nothing here needs /proc (glibc's elf/dl-init.c; execve(2), getauxval(3)).
//!
//! # Safety
//!
//! [`Start::new`] takes the pointers that a constructor gets from a ld.so that starts a process. The strings stay mapped
//! as long as the process lives, but programs overwrite them to change their title: whoever needs one later copies it.

#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use super::link_map::LoaderBase;
use super::memory;
use crate::environment::Environment;
use crate::heritage::of_child;
use crate::path::copy;

/// Entries of the auxiliary vector (linux/auxvec.h).
const AT_BASE: usize = 7;
const AT_PLATFORM: usize = 15;
const AT_SECURE: usize = 23;
const AT_EXECFN: usize = 31;

/// What a constructor is given.
pub struct Given {
    /// argv.
    pub arguments: *const *const c_char,
    /// envp.
    pub environment: *const *const c_char,
}

impl Given {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self { arguments: core::ptr::null(), environment: core::ptr::null() }
    }
}

/// The block of a new process.
#[derive(Clone, Copy)]
pub struct Start {
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// Where the kernel mapped ld.so; `None` when ld.so itself is the program.
    pub loader: Option<LoaderBase>,
    /// The program has more rights than its caller.
    pub secure: bool,
    platform: *const c_char,
    program: *const c_char,
}

impl Start {
    /// Reads the block of a constructor's arguments.
    ///
    /// # Safety
    ///
    /// The pointers are those that ld.so gave to a constructor when it started the process, and nothing of the program has run
    /// since: libc may have another environment later, which has nothing behind it.
    pub unsafe fn new(given: &Given) -> Self {
        let Given { arguments, environment } = *given;
        let mut start = Self {
            arguments,
            environment,
            loader: None,
            secure: false,
            platform: core::ptr::null(),
            program: core::ptr::null(),
        };
        let mut next = environment.cast::<usize>();
        let mut word = || {
            // SAFETY: the environment ends with a null pointer and the auxiliary vector with AT_NULL; no word behind
            // that is read.
            let word = unsafe { next.read() };
            next = next.wrapping_add(1);
            word
        };
        while word() != 0 {}
        // In secure mode ld.so takes variables out, and leaves several null pointers behind the environment.
        let mut kind = word();
        while kind == 0 {
            kind = word();
        }
        while kind != 0 {
            let value = word();
            match kind {
                // SAFETY: it is AT_BASE.
                AT_BASE => start.loader = unsafe { LoaderBase::new(value) },
                AT_PLATFORM => start.platform = value as *const c_char,
                AT_EXECFN => start.program = value as *const c_char,
                AT_SECURE => start.secure = value != 0,
                _ => {}
            }
            kind = word();
        }
        start
    }

    /// The arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &'static [u8]> {
        // SAFETY: it is a null-terminated array of strings.
        unsafe { strings(self.arguments) }
    }

    /// AT_PLATFORM, empty if there is none.
    pub fn platform(&self) -> &'static [u8] {
        if self.platform.is_null() {
            return b"";
        }
        // SAFETY: the kernel put the string there; ld.so too keeps the pointer.
        unsafe { CStr::from_ptr(self.platform) }.to_bytes()
    }

    /// AT_EXECFN: the path that was given to execve(2). Empty if the kernel does not say.
    pub fn program(&self) -> &'static [u8] {
        if self.program.is_null() {
            return b"";
        }
        // SAFETY: the kernel put the string there.
        unsafe { CStr::from_ptr(self.program) }.to_bytes()
    }

    /// The environment, as it is now.
    pub fn environment(&self) -> Environment<'static> {
        // SAFETY: it is a null-terminated array of strings.
        Environment::read(unsafe { strings(self.environment) })
    }

    /// Takes out of the environment what the program's children are not to have, and gives them back what was there before
    /// it. libc's `environ` is this same array, and libc has not been started yet. What has been read of it stays: only
    /// pointers are changed, and in secure mode ld.so itself takes variables out in this way (elf/rtld.c, `process_envvars`).
    pub fn keep_from_children(&self) {
        let mut next = self.environment.cast_mut();
        let mut end = next;
        loop {
            // SAFETY: the terminator has not been passed, and what lies before `end` is all that has been written.
            let string = unsafe { next.read() };
            if string.is_null() {
                break;
            }
            next = next.wrapping_add(1);
            // SAFETY: it is a string of the array.
            let entry = unsafe { CStr::from_ptr(string) }.to_bytes();
            if let Some(entry) = of_child(entry) {
                // SAFETY: `end` is before `next`, in the array, which a program may write to. A part of an entry ends
                // where the entry does, with its NUL.
                unsafe { end.write(entry.as_ptr().cast()) };
                end = end.wrapping_add(1);
            }
        }
        while end != next {
            // SAFETY: it lies in the array, before its terminator.
            unsafe { end.write(core::ptr::null()) };
            end = end.wrapping_add(1);
        }
    }
}

/// Room for what is kept, which most environments fit into.
pub type Room = [u8; 1 << 13];

/// The environment with its values copied, but for those that are read at the start alone, into the room or, if they are longer,
/// into memory of their own: so that a program that overwrites the block changes nothing. Without memory for that, as it is.
pub fn keep(environment: Environment<'static>, room: &'static mut Room) -> Environment<'static> {
    let Environment { declared, library_path, log_file, .. } = environment;
    let values = [declared, library_path, log_file];
    let len = values.iter().fold(0usize, |len, value| len.saturating_add(value.len()));
    let memory = if len <= room.len() { Some(&mut room[..]) } else { memory::map::<u8>(len) };
    let Some(mut rest) = memory else { return environment };
    let mut copy = |value: &'static [u8]| -> &'static [u8] {
        match core::mem::take(&mut rest).split_at_mut_checked(value.len()) {
            Some((place, after)) => {
                rest = after;
                copy(place, value).map_or(value, |()| place)
            }
            None => value,
        }
    };
    Environment {
        declared: copy(environment.declared),
        library_path: copy(environment.library_path),
        log_file: copy(environment.log_file),
        index: b"",
        ..environment
    }
}

/// The strings of a null-terminated array.
///
/// # Safety
///
/// `next` points into such an array, whose strings live as long as the process.
unsafe fn strings(mut next: *const *const c_char) -> impl Iterator<Item = &'static [u8]> {
    core::iter::from_fn(move || {
        // SAFETY: the terminator has not been passed.
        let string = unsafe { next.read() };
        if string.is_null() {
            return None;
        }
        next = next.wrapping_add(1);
        // SAFETY: it is a string of the array.
        Some(unsafe { CStr::from_ptr(string) }.to_bytes())
    })
}

//! The memory functions that compilers put calls to into any code: memcpy and its kin, which are libc's elsewhere.
//!
//! They must not be exported, or the program would use them, and Rust exports what it does not mangle. So each name is
//! a hidden symbol of a jump to a function here. And the loops must not be recognised by the compiler as what they
//! are, or it would put a call to the function into the function: each has an empty piece of assembly in it.
//!
//! # Safety
//!
//! Their callers, all compiled code, keep to what C asks of them (C17 7.24).

#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::ffi::c_int;

/// A word, which is copied at a time where there are that many bytes left.
type Word = usize;
const WORD: usize = size_of::<Word>();

/// What is compared or searched at a time: on x86_64 all processors can do so with sixteen bytes.
#[cfg(target_arch = "x86_64")]
mod block {
    use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_setzero_si128};

    pub type Block = __m128i;

    /// Whether two are the same.
    pub fn is_same(one: Block, other: Block) -> bool {
        // SAFETY: there is no x86_64 without SSE2.
        unsafe { same_bytes(one, other) == 0xffff }
    }

    /// Whether a byte of it is zero.
    pub fn has_zero(block: Block) -> bool {
        // SAFETY: as above.
        unsafe { zero_bytes(block) != 0 }
    }

    #[target_feature(enable = "sse2")]
    fn same_bytes(one: Block, other: Block) -> i32 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(one, other))
    }

    #[target_feature(enable = "sse2")]
    fn zero_bytes(block: Block) -> i32 {
        same_bytes(block, _mm_setzero_si128())
    }
}
#[cfg(not(target_arch = "x86_64"))]
mod block {
    pub type Block = super::Word;

    /// Whether two are the same.
    pub fn is_same(one: Block, other: Block) -> bool {
        one == other
    }

    /// Whether a byte of it is zero: else none borrows when each is made one less.
    pub fn has_zero(block: Block) -> bool {
        const ONES: Block = Block::MAX / 0xff;
        block.wrapping_sub(ONES) & !block & (ONES << 7) != 0
    }
}
use block::{Block, has_zero, is_same};
const BLOCK: usize = size_of::<Block>();

/// Keeps the compiler from seeing a loop as a whole.
#[inline(always)]
fn opaque() {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}

unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    let mut at = 0;
    while len - at >= WORD {
        opaque();
        // SAFETY: both have a word at this place.
        let word = unsafe { from.wrapping_add(at).cast::<Word>().read_unaligned() };
        // SAFETY: as above.
        unsafe { to.wrapping_add(at).cast::<Word>().write_unaligned(word) };
        at += WORD;
    }
    while at < len {
        opaque();
        // SAFETY: both have a byte at this place.
        let byte = unsafe { from.wrapping_add(at).read() };
        // SAFETY: as above.
        unsafe { to.wrapping_add(at).write(byte) };
        at += 1;
    }
    to
}

unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: going upwards, each place is read before it is written, by words too: `to` is not within `len`
        // above `from`, and if it is below, a word is read whole before it is written.
        return unsafe { memcpy(to, from, len) };
    }
    let mut at = len;
    while at > 0 {
        opaque();
        at -= 1;
        // SAFETY: both have a byte at this place; going downwards, it is read before it is written.
        let byte = unsafe { from.wrapping_add(at).read() };
        // SAFETY: as above.
        unsafe { to.wrapping_add(at).write(byte) };
    }
    to
}

unsafe extern "C" fn memset(to: *mut u8, byte: c_int, len: usize) -> *mut u8 {
    let mut at = 0;
    let byte = byte as u8;
    let word = Word::from_ne_bytes([byte; WORD]);
    while len - at >= WORD {
        opaque();
        // SAFETY: there is a word at this place.
        unsafe { to.wrapping_add(at).cast::<Word>().write_unaligned(word) };
        at += WORD;
    }
    while at < len {
        opaque();
        // SAFETY: there is a byte at this place.
        unsafe { to.wrapping_add(at).write(byte) };
        at += 1;
    }
    to
}

unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> c_int {
    let mut at = 0;
    while len - at >= BLOCK {
        opaque();
        // SAFETY: both have a block at this place.
        let one = unsafe { one.wrapping_add(at).cast::<Block>().read_unaligned() };
        // SAFETY: as above.
        let other = unsafe { other.wrapping_add(at).cast::<Block>().read_unaligned() };
        if !is_same(one, other) {
            break;
        }
        at += BLOCK;
    }
    while at < len {
        opaque();
        // SAFETY: both have a byte at this place.
        let one = unsafe { one.wrapping_add(at).read() };
        // SAFETY: as above.
        let other = unsafe { other.wrapping_add(at).read() };
        if one != other {
            return c_int::from(one) - c_int::from(other);
        }
        at += 1;
    }
    0
}

unsafe extern "C" fn strlen(string: *const u8) -> usize {
    let mut at = string;
    while !at.addr().is_multiple_of(BLOCK) {
        opaque();
        // SAFETY: the closing NUL has not been passed.
        if unsafe { at.read() } == 0 {
            return at.addr() - string.addr();
        }
        at = at.wrapping_add(1);
    }
    // SAFETY: an aligned block is in one page with its first byte, and that one is not beyond the NUL.
    while !has_zero(unsafe { at.cast::<Block>().read_volatile() }) {
        at = at.wrapping_add(BLOCK);
    }
    // SAFETY: it is in this block.
    while unsafe { at.read() } != 0 {
        opaque();
        at = at.wrapping_add(1);
    }
    at.addr() - string.addr()
}

macro_rules! hidden {
    ($($name:literal => $function:path),* $(,)?) => {$(
        global_asm!(
            concat!(".hidden ", $name),
            concat!(".globl ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            "jmp {function}",
            #[cfg(target_arch = "aarch64")]
            "b {function}",
            function = sym $function,
        );
    )*};
}

hidden! {
    "memcpy" => memcpy,
    "memmove" => memmove,
    "memset" => memset,
    "memcmp" => memcmp,
    "bcmp" => memcmp,
    "strlen" => strlen,
}

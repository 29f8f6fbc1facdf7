//! ld.so.cache: the paths that it gives for a soname (elf/dl-cache.c, sysdeps/generic/dl-cache.h; ld.so.cache(5)).
//!
//! As ld.so does, we search the entries by halving: they are sorted, the largest name first. Among those of the name it
//! weighs hardware capabilities; we only ask whether there is any for this kind of object.

use core::cmp::Ordering;
use core::ffi::{CStr, c_char};

/// The new format: its first bytes, and the bytes of its header and of an entry.
const MAGIC_NEW: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_NEW: usize = 48;
const ENTRY_NEW: usize = 24;

/// The old format, likewise. Behind its entries it may hold a cache of the new one.
const MAGIC_OLD: &[u8] = b"ld.so-1.7.0";
const HEADER_OLD: usize = 16;
const ENTRY_OLD: usize = 12;

/// The flags of a library that this architecture may load (`_dl_cache_check_flags`): FLAG_ELF_LIBC6 and the ABI's, or where
/// no ABI has a flag also FLAG_ELF alone, which is that of a library without need of a libc.
const FLAGS: &[u32] = if cfg!(target_arch = "x86_64") {
    &[0x303]
} else if cfg!(target_arch = "aarch64") {
    &[0xa03]
} else {
    &[0x003, 0x001]
};

/// Where an entry of the new format says what its library asks of the processor. An entry of a subdirectory of glibc-hwcaps is an
/// extension, and has this there, with the level in the lowest bits of the upper half; one of an older subdirectory has other bits.
const HWCAP: usize = 16;
const EXTENSION: u32 = 1 << 30;
const LEVEL: u32 = 0x3ff;

/// What a cache has for a soname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached<'c> {
    /// The library's path.
    pub path: &'c CStr,
    /// The kind of subdirectory for processors that it is in.
    pub subdirectory: Subdirectory,
}

/// A kind of subdirectory for processors. An ld.so that does not know a kind leaves its entries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subdirectory {
    /// None.
    None,
    /// One of glibc-hwcaps.
    GlibcHwcaps,
    /// An older one.
    Legacy,
}

/// The paths of a soname, in the cache's order. Damage ends the list.
pub fn paths<'c>(cache: &'c [u8], soname: &'c [u8]) -> impl Iterator<Item = &'c CStr> {
    entries(cache, soname).map(|cached| cached.path)
}

/// What there is for a soname, in the cache's order. Damage ends the list.
pub fn entries<'c>(cache: &'c [u8], soname: &'c [u8]) -> impl Iterator<Item = Cached<'c>> {
    let Cache { entries, size, strings } = Cache::new(cache).unwrap_or(Cache { entries: b"", size: 1, strings: b"" });
    // Both formats begin an entry with flags, key and value.
    let string = move |entry, at| strings.get(number(entry, at)? as usize..);
    let entry = move |nth: usize| entries.get(nth.checked_mul(size)?..)?.get(..size);
    let order = move |nth| Some(order(soname, string(entry(nth)?, 4)?));
    let (mut first, mut end) = (0usize, entries.len().checked_div(size).unwrap_or(0));
    while first < end {
        let middle = first.midpoint(end);
        match order(middle) {
            Some(Ordering::Less) => first = middle.saturating_add(1),
            Some(Ordering::Equal | Ordering::Greater) => end = middle,
            None => first = end,
        }
    }
    let named = (first..).take_while(move |nth| order(*nth) == Some(Ordering::Equal)).filter_map(entry);
    named.filter_map(move |entry| {
        if !FLAGS.contains(&number(entry, 0)?) {
            return None;
        }
        let path = CStr::from_bytes_until_nul(string(entry, 8)?).ok()?;
        Some(Cached { path, subdirectory: subdirectory(entry) })
    })
}

/// The kind of subdirectory that an entry is of. The old format has no room for that.
fn subdirectory(entry: &[u8]) -> Subdirectory {
    let [low, high] = [number(entry, HWCAP), number(entry, HWCAP.saturating_add(4))];
    let [low, high] = if cfg!(target_endian = "little") { [low, high] } else { [high, low] };
    match [low.unwrap_or(0), high.unwrap_or(0)] {
        [0, 0] => Subdirectory::None,
        [_, high] if high & !LEVEL == EXTENSION => Subdirectory::GlibcHwcaps,
        _ => Subdirectory::Legacy,
    }
}

/// How a name compares with a key, which ends with a NUL. Digits are compared as numbers, and come behind all else:
/// libz.so.01 is libz.so.1 (`_dl_cache_libcmp`).
fn order(mut name: &[u8], mut key: &[u8]) -> Ordering {
    loop {
        let (one, other) = (name.first().copied().unwrap_or(0), key.first().copied().unwrap_or(0));
        let order = match (one.is_ascii_digit(), other.is_ascii_digit()) {
            (true, true) => take_number(&mut name).wrapping_sub(take_number(&mut key)).cmp(&0),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if one == 0 || one != other => return (one as c_char).cmp(&(other as c_char)),
            (false, false) => {
                (name, key) = (name.get(1..).unwrap_or_default(), key.get(1..).unwrap_or_default());
                Ordering::Equal
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The number at the start, which is cut off. It wraps as ld.so's does.
fn take_number(bytes: &mut &[u8]) -> i32 {
    let mut number = 0i32;
    while let Some((digit @ b'0'..=b'9', rest)) = bytes.split_first() {
        number = number.wrapping_mul(10).wrapping_add(i32::from(digit & 15));
        *bytes = rest;
    }
    number
}

/// The parts of a cache that matter.
struct Cache<'c> {
    /// The entries, and the bytes of one.
    entries: &'c [u8],
    size: usize,
    /// What the offsets in an entry count from.
    strings: &'c [u8],
}

impl<'c> Cache<'c> {
    fn new(cache: &'c [u8]) -> Option<Self> {
        if cache.starts_with(MAGIC_NEW) {
            return Self::with(cache, HEADER_NEW, ENTRY_NEW, number(cache, 20)?, 0);
        }
        if !cache.starts_with(MAGIC_OLD) {
            return None;
        }
        let count = number(cache, 12)?;
        let end = (count as usize).checked_mul(ENTRY_OLD)?.checked_add(HEADER_OLD)?;
        // ALIGN_CACHE: the new header has the alignment of the u64 in its entries.
        let behind = end.checked_next_multiple_of(align_of::<u64>()).and_then(|at| cache.get(at..));
        match behind {
            Some(new) if new.starts_with(MAGIC_NEW) => Self::new(new),
            _ => Self::with(cache, HEADER_OLD, ENTRY_OLD, count, end),
        }
    }

    fn with(cache: &'c [u8], header: usize, size: usize, count: u32, strings: usize) -> Option<Self> {
        let end = (count as usize).checked_mul(size)?.checked_add(header)?;
        let entries = cache.get(header..)?;
        let entries = cache.get(header..end).unwrap_or(entries);
        Some(Self { entries, size, strings: cache.get(strings..)? })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec::Vec;

    /// The flags of a library for this kind of process.
    const OWN: u32 = FLAGS[0];

    /// A cache with a header and entries of this many bytes, whose offsets count from its start or from its strings.
    fn cache(magic: &[u8], [header, size]: [usize; 2], from_strings: bool, entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        bytes.resize(magic.len().next_multiple_of(4), 0);
        bytes.extend(u32::to_ne_bytes(entries.len() as u32));
        bytes.resize(header, 0);
        let start = if from_strings { 0 } else { header + entries.len() * size };
        let mut strings = Vec::new();
        for (flags, key, value) in entries {
            let base = start + strings.len();
            bytes.extend(flags.to_ne_bytes());
            bytes.extend((base as u32).to_ne_bytes());
            bytes.extend(((base + key.len() + 1) as u32).to_ne_bytes());
            bytes.resize(bytes.len() + size - ENTRY_OLD, 0);
            strings.extend([key.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        bytes.extend(strings);
        bytes
    }

    /// A cache for this kind of object, whose names are sorted: the largest comes first.
    pub(crate) fn of(entries: &[(&str, &str)]) -> Vec<u8> {
        let entries: Vec<_> = entries.iter().map(|(name, path)| (OWN, *name, *path)).collect();
        new(&entries)
    }

    /// The same, with what the libraries ask of the processor.
    pub(crate) fn with_hwcaps(entries: &[(&str, &str, u64)]) -> Vec<u8> {
        let plain: Vec<_> = entries.iter().map(|(name, path, _)| (*name, *path)).collect();
        let mut cache = of(&plain);
        for (entry, (.., hwcap)) in cache[HEADER_NEW..].chunks_exact_mut(ENTRY_NEW).zip(entries) {
            entry[HWCAP..].copy_from_slice(&hwcap.to_ne_bytes());
        }
        cache
    }

    fn new(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        cache(MAGIC_NEW, [HEADER_NEW, ENTRY_NEW], false, entries)
    }

    fn old(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        cache(MAGIC_OLD, [HEADER_OLD, ENTRY_OLD], true, entries)
    }

    fn found(cache: &[u8], name: &str) -> Vec<std::string::String> {
        paths(cache, name.as_bytes()).map(|path| path.to_str().unwrap().into()).collect()
    }

    #[test]
    fn by_name_and_kind_in_each_format() {
        let entries = [
            (OWN, "libzz.so.1", "/lib/libzz.so.1"),
            (OWN, "libz.so.10", "/lib/libz.so.10"),
            (OWN, "libz.so.1", "/lib/v3/libz.so.1"),
            (0x803, "libz.so.1", "/lib32/libz.so.1"),
            (OWN, "libz.so.1", "/lib/libz.so.1"),
            (OWN, "liba.so.1", "/lib/liba.so.1"),
        ];
        let mut both = old(&[]);
        both.resize(both.len().next_multiple_of(8), 0);
        both.extend(new(&entries));
        for cache in [new(&entries), old(&entries), both] {
            assert_eq!(found(&cache, "libz.so.1"), ["/lib/v3/libz.so.1", "/lib/libz.so.1"]);
            assert_eq!(found(&cache, "libz.so"), [""; 0]);
            assert_eq!(found(&cache, "libz.so.010"), ["/lib/libz.so.10"]);
            assert_eq!(found(&cache, "libz.so.x"), [""; 0]);
            for (name, path) in [("liba.so.1", "/lib/liba.so.1"), ("libzz.so.1", "/lib/libzz.so.1")] {
                assert_eq!(found(&cache, name), [path]);
            }
        }
    }

    #[test]
    fn entries_tell_their_kind_of_subdirectory() {
        let kinds = |cache: &[u8]| entries(cache, b"liba.so").map(|cached| cached.subdirectory).collect::<Vec<_>>();
        // Nothing, x86-64-v3 in glibc-hwcaps, tls, and haswell.
        let all = [0, 1 << 62 | 3 << 32 | 7, 1 << 63, 1 << 50].map(|hwcap| ("liba.so", "/liba.so", hwcap));
        let [none, levels, legacy] = [Subdirectory::None, Subdirectory::GlibcHwcaps, Subdirectory::Legacy];
        assert_eq!(kinds(&with_hwcaps(&all)), [none, levels, legacy, legacy]);
        let entry = (OWN, "liba.so", "/liba.so");
        assert_eq!(kinds(&old(&[entry, entry])), [none; 2]);
    }

    #[test]
    fn names_are_ordered_as_ld_so_does() {
        let sorted = ["", "lib", "lib.so", "lib.so.", "lib.so.x", "lib.so.2", "lib.so.10", "lib2.so", "lib10.so"];
        for (one, name) in sorted.iter().enumerate() {
            for (other, key) in sorted.iter().enumerate() {
                let key = [key.as_bytes(), b"\0/lib"].concat();
                assert_eq!(order(name.as_bytes(), &key), one.cmp(&other), "{name} and {key:?}");
            }
        }
        assert_eq!(order(b"lib.so.010", b"lib.so.10\0"), Ordering::Equal);
    }

    #[test]
    fn damage_is_the_end_of_the_list() {
        for whole in [new, old].map(|make| make(&[(OWN, "libb.so", "/libb.so"), (OWN, "liba.so", "/liba.so")])) {
            for len in 0..whole.len() {
                assert!(found(&whole[..len], "liba.so").is_empty(), "{len}");
            }
            let mut wild = whole;
            for byte in &mut wild[12..] {
                *byte = 0xff;
            }
            assert_eq!(found(&wild, "liba.so"), [""; 0]);
        }
    }
}

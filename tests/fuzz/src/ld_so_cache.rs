//! ld.so.cache: a name, closed by a NUL, and the bytes of a cache; or behind an empty name what a whole cache is made
//! of.

use std::cmp::Ordering;

use arbitrary::{Result, Unstructured};
use rtld_loader::ld_so_cache::paths;

use crate::bytes::{cut, lies_in};

const NEW: &[u8] = b"glibc-ld.so.cache1.1";
const OLD: &[u8] = b"ld.so-1.7.0";

/// The flags of what this machine loads (`FLAG_X8664_LIB64` and its like of sysdeps/generic/ldconfig.h, with
/// `FLAG_ELF_LIBC6`).
const FLAGS: u32 = if cfg!(target_arch = "x86_64") {
    0x0303
} else if cfg!(target_arch = "aarch64") {
    0x0a03
} else {
    3
};

/// At a multiple of so many bytes a new cache begins behind an old one (`ALIGN_CACHE`).
const ALIGNMENT: usize = if cfg!(target_arch = "x86") { 4 } else { 8 };

/// Looks a name up.
///
/// # Panics
///
/// If something else is found than a naive reader finds, who looks at each entry.
pub fn run(bytes: &[u8]) {
    let (name, cache) = cut(bytes, 0);
    if name.is_empty() {
        // Too few bytes are read as zeros: there is always a cache.
        let Ok((cache, names)) = whole(&mut Unstructured::new(cache)) else { return };
        names.iter().for_each(|name| look_up(&cache, name, true));
    } else {
        look_up(cache, name, false);
    }
}

/// Caches to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let entries: [(u32, &[u8], &[u8]); 6] = [
        (FLAGS, b"libzz.so.1", b"/lib/libzz.so.1"),
        (FLAGS, b"libz.so.10", b"/lib/libz.so.10"),
        (FLAGS, b"libz.so.1", b"/lib/glibc-hwcaps/x86-64-v3/libz.so.1"),
        (1, b"libz.so.1", b"/lib32/libz.so.1"),
        (FLAGS, b"libz.so.1", b"/lib/libz.so.1"),
        (FLAGS, b"liba.so.1", b"/lib/liba.so.1"),
    ];
    let both = [old(&[]), new(&entries)].concat();
    let caches = [new(&entries), old(&entries), both, new(&[])];
    let behind = |name: &[u8]| [name, b"\0"].concat();
    let mut seeds: Vec<_> = caches.iter().map(|cache| [behind(b"libz.so.1"), cache.clone()].concat()).collect();
    seeds.push([b"\0".as_slice(), &[7; 120]].concat());
    seeds.push((0..=255).collect());
    seeds
}

/// A cache of one library.
pub(crate) fn of(name: &[u8], path: &[u8]) -> Vec<u8> {
    new(&[(FLAGS, name, path)])
}

/// A cache as ldconfig writes it, of one of the three kinds, and names that are in it or not.
fn whole(u: &mut Unstructured<'_>) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let kind = u.int_in_range(0..=2)?;
    let mut entries = Vec::new();
    for _ in 0..u.int_in_range(0..=12)? {
        let flags = *u.choose(&[FLAGS, FLAGS, FLAGS, 1, FLAGS | 1 << 16])?;
        entries.push((flags, name(u)?, text(u, b"/ab.", 8)?));
    }
    entries.sort_by(|(_, one, _), (_, other, _)| compare(other, one));
    let mut names: Vec<Vec<u8>> = entries.iter().map(|(_, name, _)| name.clone()).collect();
    names.push(name(u)?);
    let entries: Vec<_> = entries.iter().map(|(flags, key, value)| (*flags, &key[..], &value[..])).collect();
    let cache = match kind {
        0 => new(&entries),
        1 => old(&entries),
        _ => {
            let old = old(&entries[..entries.len() / 2]);
            // The new one replaces it.
            let header = 16 + 12 * (entries.len() / 2);
            let mut both = old[..header].to_vec();
            both.resize(header.next_multiple_of(ALIGNMENT), 0);
            both.extend(new(&entries));
            both
        }
    };
    Ok((cache, names))
}

/// A name of digits and letters, with zeros before numbers.
fn name(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    text(u, b"01290.ab\xe4", 8)
}

fn text(u: &mut Unstructured<'_>, alphabet: &[u8], longest: usize) -> Result<Vec<u8>> {
    (0..u.int_in_range(0..=longest)?).map(|_| u.choose(alphabet).copied()).collect()
}

type Entry<'e> = (u32, &'e [u8], &'e [u8]);

fn new(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut header = NEW.to_vec();
    header.extend((entries.len() as u32).to_ne_bytes());
    header.resize(48, 0);
    written(header, 24, 48 + 24 * entries.len(), entries)
}

/// Its offsets count from behind the entries.
fn old(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut header = OLD.to_vec();
    header.push(0);
    header.extend((entries.len() as u32).to_ne_bytes());
    written(header, 12, 0, entries)
}

fn written(mut cache: Vec<u8>, size: usize, first: usize, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut strings = Vec::new();
    for (flags, key, value) in entries {
        let key_at = first + strings.len();
        strings.extend([key, b"\0".as_slice()].concat());
        let value_at = first + strings.len();
        strings.extend([value, b"\0".as_slice()].concat());
        let numbers = [*flags, key_at as u32, value_at as u32];
        cache.extend(numbers.map(u32::to_ne_bytes).as_flattened());
        cache.extend(vec![0; size - 12]);
    }
    cache.extend(strings);
    cache
}

/// `is_whole`: the cache is one that ldconfig could have written.
fn look_up(cache: &[u8], name: &[u8], is_whole: bool) {
    let found: Vec<&[u8]> = paths(cache, name).map(|path| path.to_bytes()).collect();
    assert!(found.iter().all(|path| lies_in(path, cache)));
    let Some(entries) = entries(cache) else {
        assert!(found.is_empty() && !is_whole);
        return;
    };
    let is_named = |key: &[u8]| compare(name, key) == Ordering::Equal;
    let all: Vec<_> = entries.iter().map(|entry| entry.key.filter(|key| is_named(key)).and(entry.path())).collect();
    let all: Vec<&[u8]> = all.into_iter().flatten().collect();
    // Those that are found are among all, in their order.
    let mut rest = all.iter();
    assert!(found.iter().all(|path| rest.any(|other| other == path)), "{found:?} of {all:?}");
    let keys: Option<Vec<&[u8]>> = entries.iter().map(|entry| entry.key).collect();
    // Where keys are in order, halving misses none. (Numbers that wrap have no order.)
    let is_small = |key: &[u8]| !key.windows(9).any(|window| window.iter().all(u8::is_ascii_digit));
    let is_sorted = |keys: &[&[u8]]| keys.is_sorted_by(|one, other| compare(one, other).is_ge());
    let is_in_order = keys.is_some_and(|keys| is_sorted(&keys) && keys.iter().all(|key| is_small(key)));
    assert!(is_in_order || !is_whole);
    if is_in_order && is_small(name) {
        assert_eq!(found, all);
    }
}

/// An entry, naively read.
struct Seen<'c> {
    flags: u32,
    key: Option<&'c [u8]>,
    value: Option<&'c [u8]>,
}

impl<'c> Seen<'c> {
    fn path(&self) -> Option<&'c [u8]> {
        // Where no ABI has a flag, FLAG_ELF alone will do.
        let is_taken = self.flags == FLAGS || (FLAGS == 3 && self.flags == 1);
        self.value.filter(|_| is_taken)
    }
}

/// The entries that are there, of the new cache if there is one.
fn entries(cache: &[u8]) -> Option<Vec<Seen<'_>>> {
    let count = |at: usize| Some(number(cache.get(at..at + 4)?) as usize);
    if cache.starts_with(NEW) {
        return Some(read(&cache[48.min(cache.len())..], 24, count(20)?, cache)).filter(|_| cache.len() >= 48);
    }
    if !cache.starts_with(OLD) {
        return None;
    }
    let count = count(12)?;
    let end = count.checked_mul(12)?.checked_add(16)?;
    if let Some(behind) = cache.get(end.checked_next_multiple_of(ALIGNMENT)?..).filter(|behind| behind.starts_with(NEW))
    {
        return entries(behind);
    }
    Some(read(&cache[16..], 12, count, cache.get(end..)?))
}

fn read<'c>(mut table: &[u8], size: usize, count: usize, strings: &'c [u8]) -> Vec<Seen<'c>> {
    let mut entries = Vec::new();
    while entries.len() < count && table.len() >= size {
        let numbers: Vec<u32> = table[..12].chunks(4).map(number).collect();
        // What compares a key with a name reads to the end of the strings where no NUL closes it.
        let key = strings.get(numbers[1] as usize..).map(|rest| cut(rest, 0).0);
        let value = strings.get(numbers[2] as usize..).filter(|rest| rest.contains(&0)).map(|rest| cut(rest, 0).0);
        entries.push(Seen { flags: numbers[0], key, value });
        table = &table[size..];
    }
    entries
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes.try_into().expect("there are four"))
}

/// The parts of a name: numbers, and other bytes singly.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    End,
    /// Signed, as `char` is on x86. Where it is not the bytes of names are ASCII.
    Byte(std::ffi::c_char),
    /// Behind all else, even the bytes.
    Number(i32),
}

fn parts(mut name: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((first, rest)) = name.split_first() {
        if first.is_ascii_digit() {
            let len = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digits = &name[..len];
            let value = digits
                .iter()
                .fold(0i32, |number, digit| number.wrapping_mul(10).wrapping_add(i32::from(*digit) - i32::from(b'0')));
            parts.push(Part::Number(value));
            name = &name[len..];
        } else {
            parts.push(Part::Byte(*first as std::ffi::c_char));
            name = rest;
        }
    }
    parts.push(Part::End);
    parts
}

/// How ldconfig sorts names (ld.so.cache has the largest first).
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    for (one, other) in one.iter().zip(&other) {
        let order = match (one, other) {
            (Part::Number(one), Part::Number(other)) => one.wrapping_sub(*other).cmp(&0),
            (Part::Byte(_) | Part::End, Part::Byte(_) | Part::End) => as_char(one).cmp(&as_char(other)),
            _ => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// The end is a NUL, before which a signed `char` may be.
fn as_char(part: &Part) -> std::ffi::c_char {
    if let Part::Byte(byte) = part { *byte } else { 0 }
}

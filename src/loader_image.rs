//! What the running ld.so has compiled in: its default directories, the path of its cache, `$LIB`.
//!
//! The link_map says none of it, and a store prefix can only suggest it: Nix programs run on distributions, and a
//! distribution's ld.so may lie in a store. But ld.so needs the strings itself, so they stand in its read-only
//! segments: the default directories as `system_dirs` of elf/dl-load.c, one after the other, each ending in a slash
//! and a NUL; the cache as `LD_SO_CACHE` of elf/dl-cache.c.

use core::ffi::CStr;

use memchr::{memchr_iter, memchr2_iter};

/// What the path of the cache ends in.
const CACHE: &[u8] = b"/ld.so.cache\0";
/// What precedes the N of glibc 2.N.
const VERSION: &[u8] = b"version 2.";

/// Compilers align arrays of characters to at least this many bytes (x86-64 psABI: 16, others: a word). What precedes
/// one need not be a NUL, so alignment is what tells where an array begins.
const ALIGNMENT: usize = 4;

/// The strings of one ld.so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderImage<'i> {
    /// The default directories, each closed by a slash and a NUL.
    directories: &'i [u8],
    /// The path of ld.so.cache.
    pub cache: &'i CStr,
    /// What `$LIB` stands for.
    pub lib: &'i [u8],
    /// The N of glibc 2.N; `None` before 2.33, which did not say.
    pub minor: Option<u32>,
}

impl<'i> LoaderImage<'i> {
    /// Reads the image's read-only segments, each of which starts at a page; they are asked for more than once. `None`
    /// if the strings are not there or contradict each other.
    pub fn read<S: Iterator<Item = &'i [u8]>>(segments: impl Fn() -> S) -> Option<Self> {
        let mut directories: &[u8] = b"";
        let mut cache = None;
        let mut minor = None;
        for segment in segments() {
            // Where the last run ended.
            let mut end = 0;
            // Rare bytes, so that the others are passed over many at a time: a slash is in both paths, a v in the version.
            for at in memchr2_iter(b'/', b'v', segment) {
                let (before, rest) = segment.split_at_checked(at)?;
                if rest.starts_with(b"/") && at >= end && at.is_multiple_of(ALIGNMENT) {
                    let run = run_of_directories(rest);
                    // Where two files of glibc include the array it stands there twice.
                    if is_tail(run, directories) {
                        directories = run;
                    } else if !is_tail(directories, run) {
                        return None;
                    }
                    end = at.checked_add(run.len())?;
                }
                if rest.starts_with(CACHE) {
                    cache = path_at_the_end(segment.get(..at.checked_add(CACHE.len())?)?).or(cache);
                }
                if rest.starts_with(VERSION) {
                    minor = release(before, rest, b"ld.so ").or(minor);
                }
            }
        }
        let lib = lib_of(directories)?;
        segments().any(|segment| has_string(segment, lib)).then_some(Self { directories, cache: cache?, lib, minor })
    }

    /// The default directories in order, with their closing slash.
    pub fn directories(&self) -> impl Iterator<Item = &'i [u8]> + Clone + use<'i> {
        self.directories.split(|&byte| byte == 0).filter(|directory| !directory.is_empty())
    }

    /// Whether it searches the subdirectories of glibc-hwcaps (elf/dl-hwcaps.c, from 2.33 on).
    pub fn has_glibc_hwcaps(&self) -> bool {
        self.minor.is_some()
    }

    /// Whether it searches the older subdirectories, named after features of the processor (until 2.36).
    pub fn has_legacy_hwcaps(&self) -> bool {
        self.minor.is_none_or(|minor| minor < 37)
    }
}

/// The strings at the start that are absolute directories with a closing slash.
fn run_of_directories(bytes: &[u8]) -> &[u8] {
    let mut len = 0usize;
    while let Some(rest) = bytes.get(len..)
        && let Some(end) = rest.iter().position(|byte| !byte.is_ascii_graphic())
        && let Some([b'/', .., b'/', 0]) = rest.get(..=end)
    {
        len = len.saturating_add(end).saturating_add(1);
    }
    bytes.get(..len).unwrap_or_default()
}

/// Whether the last directories of a run are those of another. Anything ends with none.
fn is_tail(run: &[u8], tail: &[u8]) -> bool {
    match run.strip_suffix(tail) {
        Some(before) => tail.is_empty() || matches!(before.last(), None | Some(0)),
        None => false,
    }
}

/// The path that closes a string, whatever precedes the string in memory.
fn path_at_the_end(string: &[u8]) -> Option<&CStr> {
    let mut at = string.len().checked_sub(1)?;
    while let Some(before) = at.checked_sub(1)
        && string.get(before).is_some_and(u8::is_ascii_graphic)
    {
        at = before;
    }
    let slash = string.get(at..)?.iter().position(|&byte| byte == b'/')?;
    CStr::from_bytes_with_nul(string.get(at.checked_add(slash)?..)?).ok()
}

/// The N of glibc 2.N in the text that its libc.so.6 prints as a program, in one of these segments.
pub fn libc_minor<'i>(mut segments: impl Iterator<Item = &'i [u8]>) -> Option<u32> {
    segments.find_map(|segment| {
        memchr_iter(b'v', segment).find_map(|at| {
            let (before, rest) = segment.split_at_checked(at)?;
            release(before, rest, b"GNU C Library ")
        })
    })
}

/// The N of glibc 2.N in a string `START… release version 2.N.`, parted before `version`.
fn release(before: &[u8], rest: &[u8], start: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(VERSION)?;
    let before = before.strip_suffix(b" release ")?;
    let string = before.rsplit(|&byte| byte == 0).next()?;
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let minor = digits.fold(0u32, |minor, digit| minor.saturating_mul(10).saturating_add(u32::from(digit & 15)));
    string.starts_with(start).then_some(minor)
}

/// Whether a string stands in a segment: `$LIB`, which has a b.
fn has_string(segment: &[u8], string: &[u8]) -> bool {
    let Some(place) = string.iter().position(|&byte| byte == b'b') else { return false };
    memchr_iter(b'b', segment).any(|at| {
        let parts = at.checked_sub(place).and_then(|start| segment.split_at_checked(start));
        parts.is_some_and(|(before, rest)| {
            matches!(before.last(), None | Some(0))
                && rest.strip_prefix(string).is_some_and(|rest| matches!(rest.first(), None | Some(0)))
        })
    })
}

/// `$LIB` is the library directory without the prefix that glibc was installed under: what follows in the first
/// default directory from the component on that is called `lib` or alike ("lib", "lib64", "lib/x86_64-linux-gnu").
fn lib_of(directories: &[u8]) -> Option<&[u8]> {
    let first = directories.split(|&byte| byte == 0).next()?;
    let mut rest = first.strip_suffix(b"/")?;
    loop {
        rest = rest.get(1..)?;
        let component = rest.split(|&byte| byte == b'/').next()?;
        if matches!(component, b"lib" | b"lib32" | b"lib64" | b"libx32") {
            return Some(rest);
        }
        rest = rest.get(component.len()..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A segment with `before` in front of the array, as another object file may leave it there.
    fn segment(before: &[u8], directories: &[u8]) -> Vec<u8> {
        let mut bytes = before.to_vec();
        bytes.extend(directories);
        bytes.extend(b"\0x\0lib\0/usr/lib/locale\0");
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        bytes
    }

    const REST: &[u8] = b"abc/nix/store/h-glibc/etc/ld.so.cache\0ld.so (GNU libc) stable release version 2.40.\nmore\0";

    fn read<'i>(segments: &'i [&'i [u8]]) -> Option<LoaderImage<'i>> {
        LoaderImage::read(|| segments.iter().copied())
    }

    #[test]
    fn a_store_glibc() {
        let rodata = segment(b"\0\0\0\0", b"/nix/store/h-glibc/lib/\0/nix/store/h-libgcc/lib/\0");
        let segments = [rodata.as_slice(), REST];
        let image = read(&segments).unwrap();
        let directories: Vec<_> = image.directories().collect();
        assert_eq!(directories, [b"/nix/store/h-glibc/lib/".as_slice(), b"/nix/store/h-libgcc/lib/"]);
        assert_eq!((image.cache, image.lib), (c"/nix/store/h-glibc/etc/ld.so.cache", b"lib".as_slice()));
        assert_eq!((image.minor, image.has_glibc_hwcaps(), image.has_legacy_hwcaps()), (Some(40), true, false));
    }

    #[test]
    fn the_array_begins_where_it_is_aligned_whatever_precedes_it() {
        let directories = b"/lib64/\0/usr/lib64/\0";
        let with_junk = segment(b"\x17\x00\x01/", directories);
        let lib64: &[u8] = b"lib64\0";
        let segments = [with_junk.as_slice(), REST, lib64];
        assert_eq!(read(&segments).unwrap().directories().count(), 2);
    }

    #[test]
    fn copies_may_stand_twice_but_not_differ() {
        let one = segment(b"", b"/lib/\0/usr/lib/\0");
        let same = [one.as_slice(), REST, one.as_slice()];
        assert_eq!(read(&same).unwrap().directories().count(), 2);
        let other = segment(b"", b"/opt/lib/\0/usr/lib/\0");
        let differing = [one.as_slice(), REST, other.as_slice()];
        assert_eq!(read(&differing), None);
    }

    #[test]
    fn libc_says_its_version() {
        let banner = b"x\0GNU C Library (Debian GLIBC 2.31-13+deb11u11) stable release version 2.31.\nCopyright\0y";
        assert_eq!(libc_minor([b"abc".as_slice(), banner].into_iter()), Some(31));
        assert_eq!(libc_minor([REST].into_iter()), None);
    }

    #[test]
    fn strings_count_whole() {
        let rodata = segment(b"", b"/usr/lib64/\0");
        assert_eq!(read(&[&rodata, REST]), None, "lib64 is in the array alone");
        for lib64 in [b"xlib64\0".as_slice(), b"lib64x\0", b"lib\x0064\0"] {
            assert_eq!(read(&[&rodata, REST, lib64]), None);
        }
        for lib64 in [b"lib64".as_slice(), b"b\0lib64\0"] {
            assert_eq!(read(&[&rodata, REST, lib64]).unwrap().lib, b"lib64");
        }
        for version in [b"\0xld.so (GNU libc) release version 2.41.".as_slice(), b"\0ld.so \0x release version 2.41.\0"]
        {
            assert_eq!(read(&[&rodata, REST, b"lib64\0", version]).unwrap().minor, Some(40));
        }
    }

    #[test]
    fn what_lacks_a_string_is_not_read() {
        let rodata = segment(b"", b"/lib/\0");
        assert_eq!(read(&[rodata.as_slice()]), None);
        assert_eq!(read(&[REST]), None);
        assert_eq!(read(&[]), None);
    }
}

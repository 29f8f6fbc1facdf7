//! The symbol version tables of an object: what it needs of others (DT_VERNEED) and what it defines (DT_VERDEF).
//!
//! Read as `_dl_check_map_versions` of elf/dl-version.c does: the links from one entry to the next count, not the
//! numbers of entries that are stated beside them. The bytes may be anybody's, so what a link leads to is checked, and
//! the entries are counted: links can only lead forwards, but tables can overlap in ways that multiply.

use elf::abi::{VER_DEF_CURRENT, VER_FLG_WEAK, VER_NEED_CURRENT};
use elf::endian::{EndianParse, NativeEndian};

/// The most entries that a table may have. glibc's own have some forty, the longest that are known a few hundred.
const MOST_ENTRIES: usize = 4096;

/// The sizes in bytes of `Elf64_Verneed`, `Elf64_Vernaux`, `Elf64_Verdef` and `Elf64_Verdaux` (elf.h), and of their
/// 32-bit counterparts, which are the same.
const VERNEED: usize = 16;
const VERNAUX: usize = 16;
const VERDEF: usize = 20;
const VERDAUX: usize = 8;

/// The bytes of an object, by their addresses in it.
pub trait Image {
    /// The bytes at an address. `None` if they are not there.
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]>;
}

/// A version that an object needs, by offsets into its string table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The soname of the library that has to define it (`vn_file`).
    pub file: usize,
    /// The version (`vna_name`).
    pub version: usize,
    /// Its hash (`vna_hash`), by which ld.so compares first.
    pub hash: u32,
    /// ld.so does without it (VER_FLG_WEAK).
    pub weak: bool,
}

/// Visits the needed versions, until `visit` says `false`. `None` if the table is damaged.
pub fn each_need(image: &impl Image, table: usize, mut visit: impl FnMut(Need) -> bool) -> Option<()> {
    let mut left = MOST_ENTRIES;
    let mut entry = table;
    loop {
        let bytes = image.bytes(entry, VERNEED)?;
        if half(bytes, 0)? != VER_NEED_CURRENT {
            return None;
        }
        let (file, aux, next) = (word(bytes, 4)?, word(bytes, 8)?, word(bytes, 12)?);
        let mut version = entry.checked_add(aux)?;
        loop {
            left = left.checked_sub(1)?;
            let bytes = image.bytes(version, VERNAUX)?;
            let weak = half(bytes, 4)? & VER_FLG_WEAK != 0;
            if !visit(Need { file, version: word(bytes, 8)?, hash: number(bytes, 0)?, weak }) {
                return Some(());
            }
            match word(bytes, 12)? {
                0 => break,
                next => version = version.checked_add(next)?,
            }
        }
        match next {
            0 => return Some(()),
            next => entry = entry.checked_add(next)?,
        }
    }
}

/// A version that an object defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The version (`vda_name` of the first name), as an offset into the string table.
    pub version: usize,
    /// Its hash (`vd_hash`), by which ld.so compares first.
    pub hash: u32,
}

/// Visits the defined versions, until `visit` says `false`. `None` if the table is damaged. The first is the library's
/// own soname, as a rule: ld.so compares it like any other.
pub fn each_definition(image: &impl Image, table: usize, mut visit: impl FnMut(Definition) -> bool) -> Option<()> {
    let mut entry = table;
    for _ in 0..MOST_ENTRIES {
        let bytes = image.bytes(entry, VERDEF)?;
        if half(bytes, 0)? != VER_DEF_CURRENT {
            return None;
        }
        let (hash, aux, next) = (number(bytes, 8)?, word(bytes, 12)?, word(bytes, 16)?);
        // The names behind the first are of the versions that this one follows.
        let version = word(image.bytes(entry.checked_add(aux)?, VERDAUX)?, 0)?;
        if !visit(Definition { version, hash }) || next == 0 {
            return Some(());
        }
        entry = entry.checked_add(next)?;
    }
    None
}

fn half(bytes: &[u8], mut at: usize) -> Option<u16> {
    NativeEndian.parse_u16_at(&mut at, bytes).ok()
}

fn number(bytes: &[u8], mut at: usize) -> Option<u32> {
    NativeEndian.parse_u32_at(&mut at, bytes).ok()
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    number(bytes, at).and_then(|number| usize::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// An image of one table at address 100.
    struct Table(Vec<u8>);

    impl Image for Table {
        fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
            let at = address.checked_sub(100)?;
            self.0.get(at..at.checked_add(len)?)
        }
    }

    fn table(entries: &[(&[u16], &[u32])]) -> Table {
        let mut bytes = Vec::new();
        for (halves, words) in entries {
            bytes.extend(halves.iter().flat_map(|half| half.to_ne_bytes()));
            bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        }
        Table(bytes)
    }

    /// Two libraries, the first with two versions.
    fn needs() -> Table {
        table(&[
            (&[1, 2], &[10, 16, 48]),
            (&[], &[7]),
            (&[0, 2], &[11, 16]),
            (&[], &[8]),
            (&[VER_FLG_WEAK, 3], &[12, 0]),
            (&[1, 1], &[20, 16, 0]),
            (&[], &[9]),
            (&[0, 4], &[21, 0]),
        ])
    }

    fn seen(table: &Table) -> (Vec<Need>, Option<()>) {
        let mut seen = Vec::new();
        let end = each_need(table, 100, |need| {
            seen.push(need);
            true
        });
        (seen, end)
    }

    #[test]
    fn needs_of_each_library() {
        let need = |file, version, hash, weak| Need { file, version, hash, weak };
        let all = [need(10, 11, 7, false), need(10, 12, 8, true), need(20, 21, 9, false)];
        assert_eq!(seen(&needs()), (all.to_vec(), Some(())));
        let mut first = 0;
        each_need(&needs(), 100, |need| {
            first = need.version;
            false
        });
        assert_eq!(first, 11);
    }

    #[test]
    fn definitions_by_their_first_name() {
        let table = table(&[
            (&[1, 1, 1, 1], &[5, 20, 28]),
            (&[], &[10, 0]),
            (&[1, 0, 2, 2], &[6, 20, 0]),
            (&[], &[11, 8, 10, 0]),
        ]);
        let mut seen = Vec::new();
        let end = each_definition(&table, 100, |definition| {
            seen.push((definition.version, definition.hash));
            true
        });
        assert_eq!((seen, end), (std::vec![(10, 5), (11, 6)], Some(())));
    }

    #[test]
    fn damage_is_said_wherever_it_is() {
        let whole = needs();
        for len in 0..whole.0.len() {
            assert_eq!(seen(&Table(whole.0[..len].to_vec())).1, None, "cut to {len}");
        }
        // vn_version, vn_aux, vn_next, vna_next.
        for at in [0, 8, 12, 28] {
            let mut damaged = needs();
            damaged.0[at..at + 4].fill(0xff);
            assert_eq!(seen(&damaged).1, None, "byte {at}");
        }
        assert_eq!(each_definition(&needs(), usize::MAX, |_| true), None);
    }

    #[test]
    fn tables_that_multiply_end() {
        // Each byte is a link to the next: entries overlap, and each has all that follow as its versions.
        let bytes = 1u32.to_ne_bytes().repeat(100_000);
        let mut visits = 0usize;
        let table = Table(bytes);
        // A first entry of the right version, whose chain goes on by four bytes at a time.
        let mut linked = table.0.clone();
        for at in (0..linked.len() - 4).step_by(4) {
            linked[at..at + 4].copy_from_slice(&(if at % 16 == 0 { 1u32 } else { 4 }).to_ne_bytes());
        }
        each_need(&Table(linked), 100, |_| {
            visits += 1;
            true
        });
        assert!(visits > 0 && visits <= MOST_ENTRIES, "{visits}");
    }
}

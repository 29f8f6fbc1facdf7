//! The tables of symbol versions: an address, and the bytes from address [`START`] on.

use rtld_loader::versions::{Definition, Image, Need, each_definition, each_need};

/// The address of the first byte behind the table's own address.
const START: usize = 100;
/// How many entries are read of a table at the most.
const MOST: usize = 4096;

/// An object's bytes, which counts how often it is asked.
struct Bytes<'b> {
    bytes: &'b [u8],
    asked: std::cell::Cell<usize>,
}

impl Image for Bytes<'_> {
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
        self.asked.set(self.asked.get() + 1);
        self.bytes.get(address.checked_sub(START)?..)?.get(..len)
    }
}

/// Reads both tables from an address.
///
/// # Panics
///
/// If they are not read as naively, or if that takes longer than it may.
pub fn run(bytes: &[u8]) {
    let Some((table, bytes)) = bytes.split_first() else { return };
    // Tables before and behind the bytes, too.
    let table = usize::from(*table) + START - 4;
    let image = Bytes { bytes, asked: 0.into() };
    let byte = |address: usize| bytes.get(address.checked_sub(START)?).copied();

    let mut needs = Vec::new();
    let end = each_need(&image, table, |need| {
        needs.push(need);
        true
    });
    assert_eq!((needs.clone(), end.is_some()), naive_needs(&byte, table));
    // An entry of a library comes before each of versions, and at the most as often.
    assert!(needs.len() <= MOST && image.asked.take() <= 2 * MOST + 2);
    // Who has seen enough is asked no more.
    for enough in 1..=needs.len().min(4) {
        let mut seen = 0;
        let end = each_need(&image, table, |_| {
            seen += 1;
            seen < enough
        });
        assert_eq!((seen, end), (enough, Some(())));
    }

    image.asked.take();
    let mut definitions = Vec::new();
    let end = each_definition(&image, table, |definition| {
        definitions.push(definition);
        true
    });
    assert_eq!((definitions.clone(), end.is_some()), naive_definitions(&byte, table));
    assert!(definitions.len() <= MOST && image.asked.take() <= 2 * MOST);
}

/// Tables to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let halves = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    // Two libraries, the first with two versions, one of them weak.
    let needs = [
        [halves(1, 2), 10, 16, 48],
        [7, halves(0, 2), 11, 16],
        [8, halves(2, 3), 12, 0],
        [halves(1, 1), 20, 16, 0],
        [9, halves(0, 4), 21, 0],
    ];
    let definitions = [halves(1, 1), halves(1, 1), 5, 20, 28, 10, 0, halves(1, 0), halves(2, 1), 6, 20, 0, 11, 0];
    let seed = |words: &[u32]| {
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
        std::iter::once(4).chain(bytes).collect::<Vec<u8>>()
    };
    // Each word leads on to the next: entries that overlap.
    vec![seed(needs.as_flattened()), seed(&definitions), seed(&[1, 4, 4, 4].repeat(40)), seed(&[1; 100])]
}

/// The byte at an address.
type ByteAt<'b> = dyn Fn(usize) -> Option<u8> + 'b;

fn number(byte: &ByteAt<'_>, address: usize, offset: usize) -> Option<usize> {
    let mut number = [0; 4];
    for (nth, place) in number.iter_mut().enumerate() {
        *place = byte(address.checked_add(offset + nth)?)?;
    }
    Some(u32::from_ne_bytes(number) as usize)
}

fn half(byte: &ByteAt<'_>, address: usize, offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes([byte(address.checked_add(offset)?)?, byte(address.checked_add(offset + 1)?)?]))
}

/// `Elf64_Verneed`, `Elf64_Vernaux`: what precedes the damage, and whether there is none.
pub(crate) fn naive_needs(byte: &ByteAt<'_>, table: usize) -> (Vec<Need>, bool) {
    let mut needs = Vec::new();
    let mut read = || {
        let mut entry = table;
        loop {
            // All of an entry is there.
            let next_entry = number(byte, entry, 12)?;
            if half(byte, entry, 0)? != 1 {
                return None;
            }
            let mut version = entry.checked_add(number(byte, entry, 8)?)?;
            loop {
                let next = number(byte, version, 12)?;
                if needs.len() == MOST {
                    return None;
                }
                needs.push(Need {
                    file: number(byte, entry, 4)?,
                    version: number(byte, version, 8)?,
                    hash: number(byte, version, 0)? as u32,
                    weak: half(byte, version, 4)? & 2 != 0,
                });
                if next == 0 {
                    break;
                }
                version = version.checked_add(next)?;
            }
            if next_entry == 0 {
                return Some(());
            }
            entry = entry.checked_add(next_entry)?;
        }
    };
    let end = read().is_some();
    (needs, end)
}

/// `Elf64_Verdef`, `Elf64_Verdaux`.
pub(crate) fn naive_definitions(byte: &ByteAt<'_>, table: usize) -> (Vec<Definition>, bool) {
    let mut definitions = Vec::new();
    let mut read = || {
        let mut entry = table;
        loop {
            let next = number(byte, entry, 16)?;
            if half(byte, entry, 0)? != 1 || definitions.len() == MOST {
                return None;
            }
            let name = entry.checked_add(number(byte, entry, 12)?)?;
            // All of it is there: also where the name of the version before this one would be.
            number(byte, name, 4)?;
            definitions.push(Definition { version: number(byte, name, 0)?, hash: number(byte, entry, 8)? as u32 });
            if next == 0 {
                return Some(());
            }
            entry = entry.checked_add(next)?;
        }
    };
    let end = read().is_some();
    (definitions, end)
}

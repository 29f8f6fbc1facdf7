//! Libraries for this machine, as a linker makes them, but for what nobody reads here.

use super::model::{MACHINE, sysv_hash};

/// The bytes of an address.
const WORD: usize = size_of::<usize>();
const STRINGS: &[u8] =
    b"\0libc.so.6\0libm.so.6\0GLIBC_2.38\0GLIBC_2.2.5\0libother.so\0OTHER_1\0libx.so\0X_1\0GLIBC_9.99\0\
    $ORIGIN/../lib::/b\0";

/// What a library is made with.
struct Made {
    needs: bool,
    definitions: bool,
    /// All of it in one segment, or the dynamic section in one of its own, at another address than its offset.
    segments: usize,
    /// More of the dynamic section: tags and values.
    dynamic: &'static [(usize, usize)],
    stack: Option<u32>,
}

/// One of each kind.
pub fn libraries() -> Vec<Vec<u8>> {
    let runpath = string("$ORIGIN/../lib::/b") as usize;
    let made = [
        Made { needs: true, definitions: true, segments: 1, dynamic: &[(29, usize::MAX)], stack: Some(6) },
        Made { needs: true, definitions: false, segments: 2, dynamic: &[(15, usize::MAX), (36, 8)], stack: Some(7) },
        Made { needs: false, definitions: true, segments: 2, dynamic: &[(0x6fff_fffb, 1)], stack: None },
        Made { needs: false, definitions: false, segments: 1, dynamic: &[], stack: None },
    ];
    made.iter().map(|made| made.library(runpath)).collect()
}

impl Made {
    fn library(&self, runpath: usize) -> Vec<u8> {
        let (header, size) = if WORD == 8 { (64, 56) } else { (52, 32) };
        let count = self.segments + 1 + usize::from(self.stack.is_some());
        let needs_at = header + count * size;
        let needs = if self.needs { needs() } else { Vec::new() };
        let definitions_at = needs_at + needs.len();
        let definitions = if self.definitions { definitions() } else { Vec::new() };
        let strings_at = definitions_at + definitions.len();
        let dynamic_at = (strings_at + STRINGS.len()).next_multiple_of(WORD);
        let beyond = if self.segments == 2 { 0x1000 } else { 0 };

        let mut entries = vec![(1, string("libc.so.6") as usize), (1, string("libother.so") as usize)];
        entries.extend([(5, strings_at), (10, STRINGS.len())]);
        let tables = [(self.needs, 0x6fff_fffe, needs_at), (self.definitions, 0x6fff_fffc, definitions_at)];
        entries.extend(tables.iter().filter(|(is_there, ..)| *is_there).map(|(_, tag, at)| (*tag, *at)));
        if self.needs || self.definitions {
            entries.push((0x6fff_fff0, needs_at));
        }
        let more = self.dynamic.iter().map(|(tag, value)| (*tag, if *value == usize::MAX { runpath } else { *value }));
        entries.extend(more);
        entries.push((0, 0));
        let dynamic: Vec<u8> =
            entries.iter().flat_map(|(tag, value)| [tag.to_ne_bytes(), value.to_ne_bytes()].concat()).collect();

        let end = dynamic_at + dynamic.len();
        let mut segments = match self.segments {
            1 => segment(1, 5, 0, 0, end),
            _ => [segment(1, 5, 0, 0, dynamic_at), segment(1, 6, dynamic_at, dynamic_at + beyond, dynamic.len())]
                .concat(),
        };
        segments.extend(segment(2, 6, dynamic_at, dynamic_at + beyond, dynamic.len()));
        segments.extend(self.stack.into_iter().flat_map(|flags| segment(0x6474_e551, flags, 0, 0, 0)));
        let mut file = [file_header(header, size, count), segments, needs, definitions, STRINGS.to_vec()].concat();
        file.resize(dynamic_at, 0);
        file.extend(dynamic);
        file
    }
}

fn file_header(len: usize, size: usize, count: usize) -> Vec<u8> {
    let (class, order) = (if WORD == 8 { 2 } else { 1 }, if cfg!(target_endian = "little") { 1 } else { 2 });
    let mut header = vec![0x7f, b'E', b'L', b'F', class, order, 1, 0];
    header.resize(16, 0);
    header.extend([3, MACHINE].map(u16::to_ne_bytes).as_flattened());
    header.extend(1u32.to_ne_bytes());
    header.extend([0, len, 0].map(usize::to_ne_bytes).as_flattened());
    header.extend(0u32.to_ne_bytes());
    header.extend([len as u16, size as u16, count as u16, 0, 0, 0].map(u16::to_ne_bytes).as_flattened());
    header
}

fn segment(kind: u32, flags: u32, offset: usize, address: usize, len: usize) -> Vec<u8> {
    let mut segment = kind.to_ne_bytes().to_vec();
    let words = [offset, address, address, len, len].map(usize::to_ne_bytes).as_flattened().to_vec();
    match WORD {
        8 => segment.extend([flags.to_ne_bytes().to_vec(), words].concat()),
        _ => segment.extend([words, flags.to_ne_bytes().to_vec()].concat()),
    }
    segment.extend(0x1000usize.to_ne_bytes());
    segment
}

/// Where a string is in the table.
fn string(text: &str) -> u32 {
    let text = [b"\0", text.as_bytes(), b"\0"].concat();
    STRINGS.windows(text.len()).position(|window| window == text).expect("it is there") as u32 + 1
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Two halves, as a word.
fn halves(low: u16, high: u16) -> u32 {
    let [a, b] = low.to_ne_bytes();
    let [c, d] = high.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

fn needs() -> Vec<u8> {
    let version =
        |text: &str, flags: u16, next: u32| words(&[sysv_hash(text.as_bytes()), halves(flags, 2), string(text), next]);
    let parts = [
        words(&[halves(1, 3), string("libc.so.6"), 16, 64]),
        version("GLIBC_2.38", 0, 16),
        // Weak.
        version("GLIBC_9.99", 2, 16),
        version("GLIBC_2.2.5", 0, 0),
        words(&[halves(1, 1), string("libm.so.6"), 16, 32]),
        version("GLIBC_2.2.5", 2, 0),
        words(&[halves(1, 1), string("libother.so"), 16, 0]),
        version("OTHER_1", 0, 0),
    ];
    parts.concat()
}

fn definitions() -> Vec<u8> {
    let definition = |text: &str, next: u32| {
        words(&[halves(1, 0), halves(1, 1), sysv_hash(text.as_bytes()), 20, next, string(text), 0])
    };
    [definition("libx.so", 28), definition("X_1", 0)].concat()
}

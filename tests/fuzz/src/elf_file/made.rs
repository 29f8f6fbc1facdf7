//! Libraries for this machine, as a linker makes them, but for what nobody reads here.

use super::model::{MACHINE, sysv_hash};
use super::{GAP, without_gap};

/// The bytes of an address.
const WORD: usize = size_of::<usize>();
/// The strings of the dynamic section, and those of versions, between which large libraries have others.
const STRINGS: [&[u8]; 2] = [
    b"\0libc.so.6\0libm.so.6\0libother.so\0$ORIGIN/../lib::/b\0libx.so\0",
    b"\0GLIBC_2.38\0GLIBC_2.2.5\0OTHER_1\0X_1\0GLIBC_ABI_DT_RELR\0",
];

/// What a library is made with.
struct Made {
    needs: bool,
    definitions: bool,
    /// All of it in one segment, or the dynamic section in one of its own, at another address than its offset.
    segments: usize,
    /// More of the dynamic section: tags and values.
    dynamic: &'static [(usize, usize)],
    stack: Option<u32>,
    /// How many zeros are between the strings.
    gap: usize,
}

/// One of each kind, as inputs.
pub fn libraries() -> Vec<Vec<u8>> {
    let made = |needs, definitions, segments, dynamic, stack, gap| {
        Made { needs, definitions, segments, dynamic, stack, gap }.input()
    };
    vec![
        made(true, true, 1, &[(29, usize::MAX)], Some(6), 0),
        made(true, false, 2, &[(15, usize::MAX), (36, 8)], Some(7), 0),
        made(false, true, 2, &[(0x6fff_fffb, 1)], None, 0),
        made(false, false, 1, &[], None, 0),
        made(true, true, 1, &[], Some(6), GAP),
    ]
}

impl Made {
    fn input(&self) -> Vec<u8> {
        let (header, size) = if WORD == 8 { (64, 56) } else { (52, 32) };
        let count = self.segments + 1 + usize::from(self.stack.is_some());
        let needs_at = header + count * size;
        let needs = if self.needs { needs(self.gap) } else { Vec::new() };
        let definitions_at = needs_at + needs.len();
        let definitions = if self.definitions { definitions(self.gap) } else { Vec::new() };
        let strings_at = definitions_at + definitions.len();
        let strings = [STRINGS[0], &vec![0; self.gap], STRINGS[1]].concat();
        let dynamic_at = (strings_at + strings.len()).next_multiple_of(WORD);
        let beyond = if self.segments == 2 { 0x1000 } else { 0 };

        let string = |text| string(text, self.gap) as usize;
        let mut entries = vec![(1, string("libc.so.6")), (1, string("libother.so"))];
        entries.extend([(5, strings_at), (10, strings.len())]);
        let tables = [(self.needs, 0x6fff_fffe, needs_at), (self.definitions, 0x6fff_fffc, definitions_at)];
        entries.extend(tables.iter().filter(|(is_there, ..)| *is_there).map(|(_, tag, at)| (*tag, *at)));
        if self.needs || self.definitions {
            entries.push((0x6fff_fff0, needs_at));
        }
        let runpath = string("$ORIGIN/../lib::/b");
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
        let mut file = [file_header(header, size, count), segments, needs, definitions, strings].concat();
        file.resize(dynamic_at, 0);
        file.extend(dynamic);
        if self.gap > 0 { without_gap(&file, strings_at + STRINGS[0].len()) } else { file }
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
fn string(text: &str, gap: usize) -> u32 {
    let text = [b"\0", text.as_bytes(), b"\0"].concat();
    let find = |strings: &[u8]| strings.windows(text.len()).position(|window| window == text);
    let behind = STRINGS[0].len() + gap;
    let at = find(STRINGS[0]).or_else(|| find(STRINGS[1]).map(|at| at + behind));
    at.expect("it is there") as u32 + 1
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

fn needs(gap: usize) -> Vec<u8> {
    let version = |text: &str, flags: u16, next: u32| {
        words(&[sysv_hash(text.as_bytes()), halves(flags, 2), string(text, gap), next])
    };
    let parts = [
        words(&[halves(1, 3), string("libc.so.6", gap), 16, 64]),
        version("GLIBC_2.38", 0, 16),
        // Weak.
        version("GLIBC_ABI_DT_RELR", 2, 16),
        version("GLIBC_2.2.5", 0, 0),
        words(&[halves(1, 1), string("libm.so.6", gap), 16, 32]),
        version("GLIBC_2.2.5", 2, 0),
        words(&[halves(1, 1), string("libother.so", gap), 16, 0]),
        version("OTHER_1", 0, 0),
    ];
    parts.concat()
}

fn definitions(gap: usize) -> Vec<u8> {
    let definition = |text: &str, next: u32| {
        words(&[halves(1, 0), halves(1, 1), sysv_hash(text.as_bytes()), 20, next, string(text, gap), 0])
    };
    [definition("libx.so", 28), definition("X_1", 0)].concat()
}

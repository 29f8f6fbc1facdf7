//! Made-up files, whole and damaged. The suite has real ones.

use super::*;
use crate::library::Library;
use crate::made_up::library;
use std::vec::Vec;

/// A file in memory that counts its reads.
struct File {
    bytes: Vec<u8>,
    reads: usize,
}

impl ReadAt for File {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize> {
        self.reads += 1;
        let rest = usize::try_from(offset).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Some(len)
    }
}

/// Where the parts of the made-up file are.
const PROGRAM_HEADERS: usize = 64;
const DYNAMIC_AT: usize = 256;
const NEEDS_AT: usize = 512;
const DEFINITIONS_AT: usize = 640;
const STRINGS_AT: usize = 768;
const STRINGS_TEXT: &[u8] =
    b"\0libc.so.6\0libm.so.6\0GLIBC_2.38\0GLIBC_2.2.5\0libother.so\0OTHER_1\0libx.so\0X_1\0GLIBC_9.99\0and nothing more";

fn string(text: &str) -> u32 {
    let text = [b"\0", text.as_bytes(), b"\0"].concat();
    STRINGS_TEXT.windows(text.len()).position(|window| window == text).unwrap() as u32 + 1
}

/// A shared object for this machine which needs `libc.so.6` and `libother.so`, and defines two versions.
fn whole() -> Vec<u8> {
    let Look::File(header) = library() else { unreachable!() };
    let mut bytes = header.bytes.to_vec();
    bytes.resize(STRINGS_AT, 0);
    bytes.extend(STRINGS_TEXT);
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(32, &(PROGRAM_HEADERS as u64).to_ne_bytes());
    put(56, &2u16.to_ne_bytes());
    let len = (STRINGS_AT + STRINGS_TEXT.len()) as u64;
    let header = |kind: u32, at: u64, len: u64| {
        let words = [at, at, at, len, len, 4096].map(u64::to_ne_bytes);
        [kind.to_ne_bytes().as_slice(), &4u32.to_ne_bytes(), words.as_flattened()].concat()
    };
    let dynamic: Vec<u8> = [
        (DT_NEEDED, u64::from(string("libc.so.6"))),
        (DT_NEEDED, u64::from(string("libother.so"))),
        (DT_STRTAB, STRINGS_AT as u64),
        (DT_STRSZ, STRINGS_TEXT.len() as u64),
        (DT_VERNEED, NEEDS_AT as u64),
        (DT_VERDEF, DEFINITIONS_AT as u64),
        (DT_VERSYM, DEFINITIONS_AT as u64),
        (DT_NULL, 0),
    ]
    .iter()
    .flat_map(|(tag, value)| [tag.to_ne_bytes(), value.to_ne_bytes()].concat())
    .collect();
    put(PROGRAM_HEADERS, &header(PT_LOAD, 0, len));
    put(PROGRAM_HEADERS + 56, &header(PT_DYNAMIC, DYNAMIC_AT as u64, dynamic.len() as u64));
    put(DYNAMIC_AT, &dynamic);

    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let halves = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    let version = |text: &str, weak: bool, next: u32| {
        let flags = if weak { elf::abi::VER_FLG_WEAK } else { 0 };
        words(&[sysv_hash(text.as_bytes()), halves(flags, 2), string(text), next])
    };
    let needs = [
        words(&[halves(1, 3), string("libc.so.6"), 16, 64]),
        version("GLIBC_2.38", false, 16),
        version("GLIBC_9.99", true, 16),
        version("GLIBC_2.2.5", false, 0),
        words(&[halves(1, 1), string("libother.so"), 16, 0]),
        version("OTHER_1", false, 0),
    ];
    put(NEEDS_AT, &needs.concat());
    let definition = |text: &str, next: u32| {
        words(&[halves(1, 0), halves(1, 1), sysv_hash(text.as_bytes()), 20, next, string(text), 0])
    };
    put(DEFINITIONS_AT, &[definition("libx.so", 28), definition("X_1", 0)].concat());
    bytes
}

/// What is read of a file, as needs, definitions, and the number of reads.
type Read = (Vec<Vec<u8>>, Vec<Vec<u8>>, usize);

fn read(bytes: Vec<u8>) -> Result<Read, Skip> {
    // Statics of a process, so that thousands of tests need not clear them.
    std::thread_local! {
        static MEMORY: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(std::vec![0xaa; Room::SIZE]);
    }
    MEMORY.with_borrow_mut(|memory| {
        let mut record = [0; 512];
        let size = bytes.len() as u64;
        let mut file = File { bytes, reads: 0 };
        let len = Room::new(memory).unwrap().read(&mut file, size, b"/libx.so", &mut record)?.unwrap();
        let library = Library::read(&record[..len]).unwrap();
        let (mut needs, mut at) = (Vec::new(), 0);
        while let Some((need, next)) = library.need(at) {
            needs.push([need.soname, if need.is_brought { b" " } else { b"!" }, need.version].concat());
            at = next;
        }
        Ok((needs, library.definitions().map(<[u8]>::to_vec).collect(), file.reads))
    })
}

fn put(at: usize, part: &[u8]) -> Vec<u8> {
    let mut bytes = whole();
    bytes[at..at + part.len()].copy_from_slice(part);
    bytes
}

#[test]
#[cfg(target_pointer_width = "64")]
fn needs_and_definitions_in_four_reads() {
    let (needs, definitions, reads) = read(whole()).unwrap();
    assert_eq!(needs, [b"libc.so.6 GLIBC_2.38".as_slice(), b"libc.so.6 GLIBC_2.2.5", b"libother.so OTHER_1"]);
    assert_eq!(definitions, [b"libx.so".as_slice(), b"X_1"]);
    // Headers, dynamic section, both tables, strings.
    assert_eq!(reads, 4);
}

#[test]
fn a_library_of_this_machine() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut libraries = maps.lines().filter_map(|line| line.split(' ').next_back());
    let libc = libraries.find(|path| path.ends_with("/libc.so.6")).unwrap();
    let (needs, definitions, reads) = read_large(std::fs::read(libc).unwrap());
    assert!(needs.iter().any(|need| need.ends_with(b" GLIBC_PRIVATE")), "{needs:?}");
    assert!(definitions.iter().any(|version| version == b"GLIBC_2.17"), "{definitions:?}");
    assert!(reads <= 5, "{reads}");
}

fn read_large(bytes: Vec<u8>) -> Read {
    let (mut memory, mut record) = (std::vec![0; Room::SIZE], std::vec![0; 1 << 16]);
    let size = bytes.len() as u64;
    let mut file = File { bytes, reads: 0 };
    let len = Room::new(&mut memory).unwrap().read(&mut file, size, b"/libx.so", &mut record).unwrap().unwrap();
    let library = Library::read(&record[..len]).unwrap();
    let (mut needs, mut at) = (Vec::new(), 0);
    while let Some((need, next)) = library.need(at) {
        needs.push([need.soname, b" ", need.version].concat());
        at = next;
    }
    (needs, library.definitions().map(<[u8]>::to_vec).collect(), file.reads)
}

#[test]
#[cfg(target_pointer_width = "64")]
fn damage_is_told_apart() {
    for (at, part, skip) in [
        // No PT_LOAD; no PT_DYNAMIC; a dynamic section that is nowhere.
        (PROGRAM_HEADERS, [9, 0, 0, 0].as_slice(), Skip::Damaged),
        (PROGRAM_HEADERS + 56, &[9, 0, 0, 0], Skip::Damaged),
        (PROGRAM_HEADERS + 56 + 16, &[0xff; 8], Skip::Damaged),
        // A position-independent program, said in place of DT_STRSZ.
        (DYNAMIC_AT + 48, &[DT_FLAGS_1.to_ne_bytes(), (DF_1_PIE as u64).to_ne_bytes()].concat(), Skip::NotShared),
        // Less of a file than is to be mapped.
        (PROGRAM_HEADERS + 32, &10_000u64.to_ne_bytes(), Skip::Damaged),
        (PROGRAM_HEADERS + 8, &[0xff; 8], Skip::Damaged),
        // No DT_VERSYM.
        (DYNAMIC_AT + 96, &[0x11; 8], Skip::Versions),
        // Tables and strings at an address that no segment has.
        (DYNAMIC_AT + 72, &[0xff; 8], Skip::Versions),
        (DYNAMIC_AT + 88, &[0xff; 8], Skip::Versions),
        (DYNAMIC_AT + 40, &[0xff; 8], Skip::Versions),
        // A string table that ends too soon.
        (DYNAMIC_AT + 56, &12u64.to_ne_bytes(), Skip::Versions),
        // A soname far beyond it, also at the last offset that there is.
        (DYNAMIC_AT + 24, &(u64::MAX - 1).to_ne_bytes(), Skip::Versions),
        (DYNAMIC_AT + 24, &[0xff; 8], Skip::Versions),
        // vn_version, vn_file, vn_aux, vn_next; vna_hash, vna_name, vna_next.
        (NEEDS_AT, &[2, 0], Skip::Versions),
        (NEEDS_AT + 4, &[0xff, 0xff, 0, 0], Skip::Versions),
        (NEEDS_AT + 8, &[0xff; 4], Skip::Versions),
        (NEEDS_AT + 12, &[0xff; 4], Skip::Versions),
        (NEEDS_AT + 16, &[0xff; 4], Skip::Versions),
        (NEEDS_AT + 24, &[0xff; 4], Skip::Versions),
        (NEEDS_AT + 28, &[0xff; 4], Skip::Versions),
        // vd_version, vd_hash, vd_aux, vd_next; vda_name.
        (DEFINITIONS_AT, &[0, 0], Skip::Versions),
        (DEFINITIONS_AT + 8, &[0xff; 4], Skip::Versions),
        (DEFINITIONS_AT + 12, &[0xff; 4], Skip::Versions),
        (DEFINITIONS_AT + 16, &[0xff; 4], Skip::Versions),
        (DEFINITIONS_AT + 20, &[0xff; 4], Skip::Versions),
    ] {
        assert_eq!(read(put(at, part)), Err(skip), "at {at}");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn what_nothing_brings_is_told_apart() {
    let (needs, ..) = read(put(NEEDS_AT + 68, &string("libm.so.6").to_ne_bytes())).unwrap();
    assert_eq!(needs[2], b"libm.so.6!OTHER_1");
    // Of weak needs, too.
    let weak =
        [put(NEEDS_AT + 4, &string("libx.so").to_ne_bytes()), put(NEEDS_AT + 4, &string("libother.so").to_ne_bytes())];
    let [absent, brought] = weak.map(|bytes| read(bytes).unwrap().0);
    assert_eq!((absent.len(), brought.len()), (4, 3));
    assert_eq!(absent[1], b"libx.so!GLIBC_9.99");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn packed_relocations_are_a_need() {
    let (needs, ..) = read(put(DYNAMIC_AT, &DT_RELR.to_ne_bytes())).unwrap();
    assert_eq!(needs[0], b"libc.so.6 GLIBC_ABI_DT_RELR");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn strings_that_lie_far_apart_are_read_in_parts() {
    // The same string table once more, far behind: sonames here, versions there.
    for far in [PART / 2, PART, 3 * PART] {
        let mut bytes = whole();
        let len = (STRINGS_AT + far + STRINGS_TEXT.len()) as u64;
        bytes.resize(STRINGS_AT + far, 0);
        bytes.extend(STRINGS_TEXT);
        bytes[PROGRAM_HEADERS + 32..][..8].copy_from_slice(&len.to_ne_bytes());
        bytes[DYNAMIC_AT + 56..][..8].copy_from_slice(&len.to_ne_bytes());
        for name in [NEEDS_AT + 16 + 8, NEEDS_AT + 48 + 8, DEFINITIONS_AT + 20] {
            let offset = u32::from_ne_bytes(bytes[name..][..4].try_into().unwrap()) + far as u32;
            bytes[name..][..4].copy_from_slice(&offset.to_ne_bytes());
        }
        let (needs, definitions, reads) = read(bytes).unwrap();
        assert_eq!(needs, [b"libc.so.6 GLIBC_2.38".as_slice(), b"libc.so.6 GLIBC_2.2.5", b"libother.so OTHER_1"]);
        assert_eq!(definitions, [b"libx.so".as_slice(), b"X_1"]);
        assert_eq!(reads, if far < PART { 4 } else { 5 });
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn program_headers_at_the_end_are_read_there() {
    let mut bytes = whole();
    bytes.resize(10_000, 0);
    let headers = bytes[PROGRAM_HEADERS..PROGRAM_HEADERS + 112].to_vec();
    bytes[PROGRAM_HEADERS..PROGRAM_HEADERS + 112].fill(0);
    bytes[32..40].copy_from_slice(&10_000u64.to_ne_bytes());
    bytes.extend(headers);
    assert_eq!(read(bytes.clone()).unwrap().0.len(), 3);
    bytes.pop();
    assert_eq!(read(bytes), Err(Skip::Damaged));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_definition_alone_and_none_at_all() {
    let without_needs = put(DYNAMIC_AT + 64, &[0x11; 8]);
    let (needs, definitions, _) = read(without_needs.clone()).unwrap();
    assert_eq!((needs.len(), definitions.len()), (0, 2));
    let mut without_both = without_needs;
    without_both[DYNAMIC_AT + 80..DYNAMIC_AT + 88].fill(0x11);
    without_both[DYNAMIC_AT + 96..DYNAMIC_AT + 104].fill(0x11);
    let (needs, definitions, _) = read(without_both).unwrap();
    assert_eq!((needs.len(), definitions.len()), (0, 0));
}

/// Whatever a byte says and wherever the file ends, the end is a verdict.
#[test]
fn no_byte_does_harm() {
    for len in 0..whole().len() {
        let _ = read(whole()[..len].to_vec());
    }
    for at in 0..whole().len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let _ = read(put(at, &[value]));
        }
        if at + 8 <= whole().len() {
            for value in [0, 1 << 12, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                let _ = read(put(at, &value.to_ne_bytes()));
            }
        }
    }
}

/// A shared object whose tables are as long as they may be, with these DT_NEEDED, tables and strings.
#[cfg(target_pointer_width = "64")]
fn crafted(needed: &[u64], needs: &[u8], strings: &[u8]) -> Vec<u8> {
    const ROOM: usize = 64 << 10;
    let dynamic_at = 4096;
    let needs_at = dynamic_at + ROOM;
    let strings_at = needs_at + 2 * ROOM;
    let mut bytes = whole();
    bytes.resize(strings_at, 0);
    bytes.extend(strings);
    let len = bytes.len() as u64;
    let entries = needed.iter().map(|offset| (DT_NEEDED, *offset)).chain([
        (DT_STRTAB, strings_at as u64),
        (DT_STRSZ, strings.len() as u64),
        (DT_VERNEED, needs_at as u64),
        (DT_VERSYM, needs_at as u64),
        (DT_NULL, 0),
    ]);
    let dynamic: Vec<u8> = entries.flat_map(|(tag, value)| [tag.to_ne_bytes(), value.to_ne_bytes()].concat()).collect();
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(dynamic_at, &dynamic);
    put(needs_at, needs);
    put(PROGRAM_HEADERS + 32, &len.to_ne_bytes());
    let [at, size] = [dynamic_at as u64, ROOM as u64].map(u64::to_ne_bytes);
    put(PROGRAM_HEADERS + 56 + 8, &[at, at, at, size].concat());
    bytes
}

/// A table of so many needs, all of one library's version: by the offset of its name, that of the version's and its hash.
#[cfg(target_pointer_width = "64")]
fn same_needs(count: usize, flags: u16, file: u32, version: u32, hash: u32) -> Vec<u8> {
    let need = |next| [1 | 1 << 16, file, 16, next, hash, u32::from(flags), version, 0];
    let needs = (1..=count).flat_map(|nth| need(if nth < count { 32 } else { 0 }));
    needs.flat_map(u32::to_ne_bytes).collect()
}

/// Makes a file of so many needs.
#[cfg(target_pointer_width = "64")]
type Make<'m> = &'m dyn Fn(usize) -> Vec<u8>;

/// The worst that a file can have is read in no time, though names be read again and again. (Compiled for tests, all takes
/// ten times as long.)
#[cfg(target_pointer_width = "64")]
#[test]
fn no_file_holds_up() {
    const MANY: usize = 4088;
    const NEEDS: usize = 4096;
    const ALIKE: usize = 250;
    let weak = elf::abi::VER_FLG_WEAK;
    let hash = sysv_hash(b"c");
    // At 1 and 3 there are short names, at 5 there is a long one.
    let long = std::vec![b'a'; 235 << 10];
    let [endless, with_long] = [b"".as_slice(), b"\0"].map(|end| [b"\0b\0c\0", &*long, end].concat());
    // From 5 on names that are alike but for the last byte. What is looked for stands behind all others.
    let alike = |last: u8| [&[b'a'; ALIKE - 2], [last, 0].as_slice()].concat();
    let all_alike = [b"\0b\0c\0".to_vec(), alike(1), alike(2)].concat();
    let behind = [std::vec![5; MANY - 1], std::vec![5 + ALIKE as u64]].concat();
    // As far as names are used, the table is read.
    let whole = |first: &[u64]| [first, &[4 + long.len() as u64]].concat();
    // With one need a file of each kind is whole, whether there is room to remember it or not. With as many as there may be, it is
    // given up after a while.
    let gives_up = Err(Skip::Versions);
    let kinds: [(&str, Make<'_>, Result<(), Skip>); 5] = [
        ("long sonames", &|needs| crafted(&whole(&[5; MANY]), &same_needs(needs, 0, 1, 3, hash), &with_long), gives_up),
        (
            "long versions",
            &|needs| crafted(&whole(&[1]), &same_needs(needs, weak, 1, 5, sysv_hash(&long)), &with_long),
            gives_up,
        ),
        (
            "long sonames and versions",
            &|needs| crafted(&whole(&[5]), &same_needs(needs, weak, 5, 5, sysv_hash(&long)), &with_long),
            gives_up,
        ),
        ("sonames without an end", &|_| crafted(&whole(&[5; MANY]), &same_needs(1, 0, 1, 3, hash), &endless), Ok(())),
        (
            "sonames alike",
            &|needs| crafted(&behind, &same_needs(needs, weak, 5 + ALIKE as u32, 3, hash), &all_alike),
            gives_up,
        ),
    ];
    let (mut memory, mut record) = (std::vec![0; Room::SIZE], std::vec![0; 1 << 20]);
    for (what, file, expected) in kinds {
        for (needs, expected) in [(1, Ok(())), (NEEDS, expected)] {
            let bytes = file(needs);
            let size = bytes.len() as u64;
            let before = std::time::Instant::now();
            let read =
                Room::new(&mut memory).unwrap().read(&mut File { bytes, reads: 0 }, size, b"/libx.so", &mut record);
            let taken = before.elapsed();
            assert!(taken.as_secs() < 5, "{what}: {taken:?}, {read:?}");
            assert_eq!(read.map(|_| ()), expected, "{what}, {needs} needs");
        }
    }
}

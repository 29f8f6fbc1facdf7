//! A library's file. What is read of it is what a naive reader reads in the memory that ld.so would make of it: see
//! `model`.
//!
//! The input is the file. `e_flags`, which nobody reads, say where many zeros are put in: a string table in large libraries
//! is longer than what is read of it at once.

use std::borrow::Cow;

use rtld_loader::elf_file::{ReadAt, Room};
use rtld_loader::library::Library;
use rtld_loader::skip::Skip;

mod made;
mod model;

use model::{Contents, Verdict};

/// Larger ones are passed over: the room for each part of a file is bounded, and this is below all bounds.
const LARGEST: usize = 6 << 10;
/// How many zeros are put in: more than is read at once.
const GAP: usize = 260 << 10;
/// How many reads are made at the most: the headers, those of the program elsewhere, the dynamic section, two tables,
/// and four parts of strings.
const READS: usize = 9;
/// More than is ever written of so small a file.
const RECORD: usize = 1 << 20;

/// A file in memory that counts its reads.
struct File<'f> {
    bytes: &'f [u8],
    reads: usize,
}

impl ReadAt for File<'_> {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize> {
        self.reads += 1;
        let rest = usize::try_from(offset).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Some(len)
    }
}

thread_local! {
    /// A process has it once, and what was read before is still in it.
    static MEMORY: std::cell::RefCell<(Vec<u8>, Vec<u8>)> = (vec![0xaa; Room::SIZE], vec![0xaa; RECORD]).into();
}

/// Reads a file.
///
/// # Panics
///
/// If something else is read than naively, or if that takes too many reads.
pub fn run(bytes: &[u8]) {
    if bytes.len() > LARGEST {
        return;
    }
    let bytes = &*with_gap(bytes);
    let mut file = File { bytes, reads: 0 };
    let read = MEMORY.with_borrow_mut(|(memory, record)| {
        let mut room = Room::new(memory).expect("there is as much");
        let read = room.read(&mut file, bytes.len() as u64, b"/d/libx.so", record);
        read.map(|len| len.map(|len| contents(&Library::read(&record[..len]).expect("it was just written"))))
    });
    assert!(file.reads <= READS, "{} reads", file.reads);
    match (read, model::read(bytes)) {
        (Ok(Some(contents)), Verdict::Library(naive)) => assert_eq!(contents, naive),
        (Err(skip), Verdict::Refused(naive)) => assert_eq!(skip, naive),
        // More needs than there is room for: links that lead to the same names again and again.
        (Ok(None), Verdict::Library(naive)) => assert!(naive.size() > RECORD - 2 * LARGEST),
        (Ok(None), Verdict::Refused(Skip::Versions | Skip::Relr)) | (_, Verdict::Unclear) => {}
        (read, naive) => panic!("{read:?}, but naively {naive:?}"),
    }
}

/// Files to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    made::libraries()
}

/// Where `e_flags` are.
const FLAGS: usize = if size_of::<usize>() == 8 { 48 } else { 36 };

/// The file that an input stands for.
fn with_gap(input: &[u8]) -> Cow<'_, [u8]> {
    let flags = input.get(FLAGS..).and_then(|rest| rest.first_chunk()).map_or(0, |flags| u32::from_ne_bytes(*flags));
    match input.split_at_checked(flags as usize) {
        Some((before, behind)) if flags > 0 => [before, &[0; GAP], behind].concat().into(),
        _ => input.into(),
    }
}

/// The input that stands for a file in which the gap begins somewhere.
fn without_gap(file: &[u8], start: usize) -> Vec<u8> {
    let mut input = [&file[..start], &file[start + GAP..]].concat();
    input[FLAGS..FLAGS + 4].copy_from_slice(&(start as u32).to_ne_bytes());
    input
}

/// What a record says.
fn contents(library: &Library<'_>) -> Contents {
    let (mut needs, mut at) = (Vec::new(), 0);
    while let Some((need, next)) = library.need(at) {
        needs.push((need.soname.to_vec(), need.version.to_vec(), need.is_weak, need.is_brought));
        at = next;
    }
    let owned = |strings: &mut dyn Iterator<Item = &[u8]>| strings.map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(library.path(), b"/d/libx.so");
    Contents {
        needs,
        definitions: owned(&mut library.definitions()),
        needed: owned(&mut library.needed()),
        search: owned(&mut library.search()),
        versioning: library.versioning,
        executable_stack: library.executable_stack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_start_from_are_libraries() {
        let needs: Vec<usize> = seeds()
            .iter()
            .map(|seed| match model::read(&with_gap(seed)) {
                Verdict::Library(contents) => contents.needs.len(),
                verdict => panic!("{verdict:?}"),
            })
            .collect();
        assert_eq!(needs, [4, 5, 0, 0, 4]);
        let large = seeds().pop().map(|seed| with_gap(&seed).len());
        assert!(large.is_some_and(|len| len > GAP));
    }
}

//! A library's file. What is read of it is what a naive reader reads in the memory that ld.so would make of it: see
//! `model`.

use rtld_loader::elf_file::{ReadAt, Room};
use rtld_loader::library::Library;
use rtld_loader::skip::Skip;

mod made;
mod model;

use model::{Contents, Verdict};

/// Larger ones are passed over: the room for each part of a file is bounded, and this is below all bounds.
const LARGEST: usize = 6 << 10;
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
        (Ok(None), Verdict::Refused(Skip::Versions)) | (_, Verdict::Unclear) => {}
        (read, naive) => panic!("{read:?}, but naively {naive:?}"),
    }
}

/// Files to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    made::libraries()
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

//! The bytes of an index, whatever they are: what is answered lies in the file, and no list is longer than it.

use rtld_loader::candidate::TARGET;
use rtld_loader::catalogue::{Catalogue, Form};
use rtld_loader::index::{Directory, File, Index, Step};

use crate::bytes::lies_in;

/// Asks an index.
///
/// # Panics
///
/// If it is not harmless.
pub fn run(bytes: &[u8]) {
    is_harmless(bytes);
}

/// Files to start from, as the generator writes them.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::index::written().into()
}

/// Asks an index for all that its own bytes name.
pub fn is_harmless(bytes: &[u8]) {
    let Some(index) = Index::read(bytes, TARGET) else { return };
    let names = names(bytes);
    assert!(lies_in(index.declared(), bytes));
    for name in &names {
        assert!(index.values(name).count() <= bytes.len());
        assert!(index.hint(name).is_none_or(|attribute| lies_in(attribute, bytes)));
        let catalogue = Catalogue::unlisted(index.declared(), Some(index));
        // Each value is a number in the file, and a candidate is an entry of the list: no part of one.
        for candidate in catalogue.candidates(name) {
            let at = candidate.entry.at;
            assert!(candidate.entry.path.starts_with(b"/") && !candidate.entry.path.contains(&b':'));
            assert!(at == 0 || index.declared()[at - 1] == b':');
            assert_ne!(candidate.form, Form::Unknown, "the list is the index's");
        }
        if let Some(file) = index.file(name) {
            assert_eq!(file.path(), *name);
            harmless_file(bytes, &index, file, &names);
        }
        if let Some(directory) = index.directory(name) {
            assert_eq!(directory.path(), *name);
            harmless_directory(bytes, &index, directory);
        }
    }
    // Whatever the auditor keeps an offset of, it reads a file there.
    for offset in [0, 60, bytes.len() / 2, bytes.len()] {
        let file = index.file_at(offset as u32).expect("an offset is all that there is to it");
        harmless_file(bytes, &index, file, &names);
    }
}

fn harmless_file(bytes: &[u8], index: &Index<'_>, file: File<'_>, names: &[&[u8]]) {
    assert!(lies_in(file.path(), bytes) && file.path().ends_with(file.name()) && !file.name().contains(&b'/'));
    assert!(file.directories().count() <= bytes.len() / 4);
    if let Some(library) = file.library() {
        assert!(lies_in(library.path(), bytes));
        for part in library.definitions().chain(library.needed()).chain(library.search()) {
            assert!(lies_in(part, bytes));
        }
        let mut at = 0;
        while let Some((need, next)) = library.need(at) {
            assert!(next > at && lies_in(need.soname, bytes) && lies_in(need.version, bytes));
            at = next;
        }
    }
    for name in names.iter().rev().take(6) {
        let steps: Vec<Step<'_>> = index.search(file, name).collect();
        assert!(steps.len() <= bytes.len());
        for (nth, step) in steps.iter().enumerate() {
            let is_last = nth + 1 == steps.len();
            match step {
                // It is of that name, wherever it is.
                Step::File(file) => assert!(is_last && file.path().ends_with(name) && lies_in(file.path(), bytes)),
                Step::Unknown => assert!(is_last),
                Step::Live(directory) => assert!(!is_last && directory.is_live() && lies_in(directory.path(), bytes)),
            }
        }
    }
}

fn harmless_directory(bytes: &[u8], index: &Index<'_>, directory: Directory<'_>) {
    let files: Vec<_> = directory.files().collect();
    assert!(files.len() <= bytes.len() && files.iter().all(|file| lies_in(file.path(), bytes)));
    assert!(index.channel(directory).is_none_or(|channel| lies_in(channel.glibc, bytes)));
}

/// What may be asked for: the strings among the bytes, and their ends behind each slash.
fn names(bytes: &[u8]) -> Vec<&[u8]> {
    let is_text = |byte: &u8| byte.is_ascii_graphic();
    let strings = bytes.split(|byte| !is_text(byte)).filter(|string| !string.is_empty());
    let mut names: Vec<&[u8]> = vec![b"", b"/s/a/libx.so", b"/s/b", b"libx.so", b"liby.so"];
    for string in strings.take(64) {
        names.push(string);
        let starts = string.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        names.extend(starts.flat_map(|at| [&string[at..], &string[at + 1..]]));
    }
    names.sort_unstable();
    names.dedup();
    names.truncate(96);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_start_from_are_indexes() {
        let seeds = seeds();
        let index = Index::read(&seeds[0], TARGET).unwrap();
        assert_eq!(index.values(b"libx.so").count(), 2);
        assert!(names(&seeds[0]).contains(&b"/s/a/libx.so".as_slice()));
        assert!(seeds.iter().all(|seed| Index::read(seed, TARGET).is_some()));
    }
}

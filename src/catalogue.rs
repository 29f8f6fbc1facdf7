//! What is declared, by name: which entries of `REPLIT_LD_LIBRARY_PATH` may have a library.
//!
//! The catalogue knows the names in the directories that could be listed, from an index or by a look into them. An entry that could not be (no permission to
//! list it, no memory) counts as a candidate for every name, in its place in the order.

use crate::declared::{Entry, entries_from, entry_at};
use crate::index::Index;
use crate::table::Table;

/// The name under which entries stand that may hold any name: directories that exist and could not be listed. No file
/// has it.
pub const ANY: &[u8] = b"";

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The entry is a directory that has the name, or may have it.
    InDirectory,
    /// The entry is the file itself.
    File,
    /// Nobody looked.
    Unknown,
}

/// An entry that may have the name that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'e> {
    /// The entry.
    pub entry: Entry<'e>,
    /// What it is.
    pub form: Form,
}

/// A catalogue that is being made.
pub struct Builder<'m> {
    table: Table<'m>,
    listed: usize,
    first_of_channel: Option<usize>,
}

impl<'m> Builder<'m> {
    /// An empty one. `None` if the memory, which must be zero, is too small to be of use.
    pub fn new(memory: &'m mut [u8]) -> Option<Self> {
        Some(Self { table: Table::new(memory)?, listed: 0, first_of_channel: None })
    }

    /// Says that the entry at `at` has a file of this name.
    pub fn add(&mut self, at: usize, name: &[u8], form: Form) -> Option<()> {
        self.table.insert(name, number(at, form)?)
    }

    /// Says that all entries that start before `at` have been added.
    pub fn listed_before(&mut self, at: usize) {
        self.listed = at;
    }

    /// Says that the entry at `at` is of a channel.
    pub fn of_channel(&mut self, at: usize) {
        self.first_of_channel.get_or_insert(at);
    }

    /// Goes on in larger memory: `enlarge` gets the old one and returns it grown, or as it was.
    pub fn grow(self, enlarge: impl FnOnce(&'m mut [u8]) -> &'m mut [u8]) -> Self {
        let (memory, used) = self.table.into_parts();
        Self { table: Table::resume(enlarge(memory), used), ..self }
    }

    /// The catalogue of `declared`, the variable's value whose offsets were added. An index may have what it begins with.
    pub fn finish(self, declared: &'m [u8], index: Option<Index<'m>>) -> Catalogue<'m> {
        Catalogue {
            declared,
            index,
            listed: self.listed,
            first_of_channel: index.and_then(first_of_channel).or(self.first_of_channel),
            table: Some(self.table),
        }
    }
}

/// The offset of an entry, with what it is.
pub fn number(at: usize, form: Form) -> Option<u32> {
    Some(u32::try_from(at).ok()?.checked_mul(2)? | u32::from(form == Form::File))
}

fn first_of_channel(index: Index<'_>) -> Option<usize> {
    Some(index.first_of_channel()).filter(|first| *first < index.declared().len())
}

/// The declared entries by name.
pub struct Catalogue<'m> {
    declared: &'m [u8],
    index: Option<Index<'m>>,
    listed: usize,
    first_of_channel: Option<usize>,
    table: Option<Table<'m>>,
}

impl<'m> Catalogue<'m> {
    /// A catalogue without a table, for want of memory or need: every entry that an index does not have is a candidate for
    /// every name.
    pub fn unlisted(declared: &'m [u8], index: Option<Index<'m>>) -> Self {
        let listed = index.map_or(0, |index| index.declared().len().saturating_add(1));
        Self { declared, index, listed, first_of_channel: index.and_then(first_of_channel), table: None }
    }

    /// The offset of the first entry that is of a channel, if any is.
    pub fn first_of_channel(&self) -> Option<usize> {
        self.first_of_channel
    }

    /// The entries that have the name or may have it, in declared order.
    pub fn candidates<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = Candidate<'m>> + use<'s, 'm> {
        let values = |name| self.table.iter().flat_map(move |table| table.values(name));
        let indexed = self.index.into_iter().flat_map(|index| index.values(name));
        let (mut named, mut any) = (indexed.chain(values(name)), values(ANY));
        let (mut next_named, mut next_any) = (named.next(), any.next());
        let known = core::iter::from_fn(move || {
            // Values are in declared order; an entry that stands in both is one candidate.
            let value = match (next_named, next_any) {
                (Some(named), Some(any)) => named.min(any),
                (one, other) => one.or(other)?,
            };
            if next_named == Some(value) {
                next_named = named.next();
            }
            if next_any == Some(value) {
                next_any = any.next();
            }
            let form = if value & 1 == 0 { Form::InDirectory } else { Form::File };
            // A damaged index must not make a path of a part of one.
            let at = (value >> 1) as usize;
            let before = at.checked_sub(1).map(|before| self.declared.get(before));
            let entry = entry_at(self.declared, at)?;
            let starts = matches!(before, None | Some(Some(b':'))) && entry.path.starts_with(b"/");
            starts.then_some(Candidate { entry, form })
        });
        known.chain(self.beyond())
    }

    /// The entries that were not listed for want of memory.
    fn beyond(&self) -> impl Iterator<Item = Candidate<'m>> + use<'m> {
        entries_from(self.declared, self.listed)
            .filter(|(_, fit)| fit.is_ok())
            .map(|(entry, _)| Candidate { entry, form: Form::Unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn paths<'m>(catalogue: &Catalogue<'m>, name: &[u8]) -> Vec<(&'m [u8], Form)> {
        catalogue.candidates(name).map(|candidate| (candidate.entry.path, candidate.form)).collect()
    }

    #[test]
    fn candidates_come_in_declared_order() {
        let declared = b"/a:/b:/c/libx.so:/d";
        let mut memory = vec![0; 1 << 16];
        let mut builder = Builder::new(&mut memory).unwrap();
        builder.add(0, b"libx.so", Form::InDirectory).unwrap();
        builder.add(3, ANY, Form::InDirectory).unwrap();
        builder.add(6, b"libx.so", Form::File).unwrap();
        builder.listed_before(17);
        let catalogue = builder.finish(declared, None);
        assert_eq!(
            paths(&catalogue, b"libx.so"),
            [
                (b"/a".as_slice(), Form::InDirectory),
                (b"/b", Form::InDirectory),
                (b"/c/libx.so", Form::File),
                (b"/d", Form::Unknown)
            ]
        );
        assert_eq!(paths(&catalogue, b"liby.so"), [(b"/b".as_slice(), Form::InDirectory), (b"/d", Form::Unknown)]);
    }

    #[test]
    fn what_is_wholly_listed_costs_nothing_for_other_names() {
        let mut memory = vec![0; 1 << 16];
        let mut builder = Builder::new(&mut memory).unwrap();
        builder.add(0, b"libx.so", Form::InDirectory).unwrap();
        builder.listed_before(usize::MAX);
        assert_eq!(paths(&builder.finish(b"/a:/b", None), b"liby.so"), []);
    }

    #[test]
    fn without_memory_every_entry_counts() {
        let catalogue = Catalogue::unlisted(b"/a::b:/c", None);
        assert_eq!(paths(&catalogue, b"libx.so"), [(b"/a".as_slice(), Form::Unknown), (b"/c", Form::Unknown)]);
    }
}

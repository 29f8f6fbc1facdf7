//! A hash table in borrowed memory: names, each with values in the order in which they were added.
//!
//! Nothing is ever moved or removed singly, and a record is linked only when it is whole: a process that forks while another
//! thread inserts has, in the child, a table with or without that record, and nothing else.
//!
//! Layout, in little-endian `u32`s: [`BUCKETS`] heads, then records of `next`, `value`, `length` and the name. An
//! offset of 0 ends a chain (the heads are there, so no record starts at 0).

use core::sync::atomic::{Ordering, fence};

use crate::path::copy;

/// Chains. A power of two; 16 KiB of which only the touched pages exist.
const BUCKETS: u32 = 4096;
/// The bytes of the heads.
const HEADS: usize = BUCKETS as usize * 4;
/// The bytes of a record before its name.
const FIXED: usize = 12;

/// The table. Its memory must be zero when it is made.
pub struct Table<'m> {
    memory: &'m mut [u8],
    used: usize,
}

impl<'m> Table<'m> {
    /// The least memory that is worth having, in bytes.
    pub const MINIMUM: usize = HEADS + 4096;

    /// An empty table in zeroed memory. `None` if it is below [`Self::MINIMUM`].
    pub fn new(memory: &'m mut [u8]) -> Option<Self> {
        (memory.len() >= Self::MINIMUM).then_some(Self { memory, used: HEADS })
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.memory.len().saturating_sub(self.used)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.memory.iter_mut().take(HEADS).for_each(|byte| *byte = 0);
        fence(Ordering::SeqCst);
        self.used = HEADS;
    }

    /// Takes the table apart, to go on in larger memory that starts with the same bytes: see [`Self::resume`].
    pub fn into_parts(self) -> (&'m mut [u8], usize) {
        (self.memory, self.used)
    }

    /// Goes on with memory whose first `used` bytes are those of an earlier table.
    pub fn resume(memory: &'m mut [u8], used: usize) -> Self {
        Self { memory, used }
    }

    /// Adds a value behind the others of its name. `None`, and nothing changed, when the memory is full.
    pub fn insert(&mut self, name: &[u8], value: u32) -> Option<()> {
        let record = self.used;
        let end = record.checked_add(FIXED)?.checked_add(name.len())?;
        let offset = u32::try_from(record).ok()?;
        let length = u32::try_from(name.len()).ok()?;
        let numbers = [0, value, length].map(u32::to_le_bytes);
        let (fixed, place) = self.memory.get_mut(record..end)?.split_first_chunk_mut::<FIXED>()?;
        copy(fixed, numbers.as_flattened())?;
        copy(place, name)?;
        self.used = end;
        // The link is what makes the record be there: it comes last, also for a child that is forked here.
        fence(Ordering::SeqCst);
        let mut link = head(name);
        while let next @ 1.. = self.number(link)? {
            link = next as usize;
        }
        *self.memory.get_mut(link..)?.first_chunk_mut()? = offset.to_le_bytes();
        Some(())
    }

    /// The values of a name, in the order in which they were added.
    pub fn values<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = u32> + use<'s, 'm> {
        let mut link = head(name);
        core::iter::from_fn(move || {
            loop {
                let record = match self.number(link)? {
                    0 => return None,
                    offset => offset as usize,
                };
                link = record;
                let length = self.number(record.checked_add(8)?)? as usize;
                let start = record.checked_add(FIXED)?;
                if length == name.len() && self.memory.get(start..start.checked_add(length)?)? == name {
                    return self.number(record.checked_add(4)?);
                }
            }
        })
    }

    fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.memory.get(at..)?.first_chunk()?))
    }
}

/// The offset of the head of a name's chain. The hash is that of DT_GNU_HASH.
fn head(name: &[u8]) -> usize {
    let hash = name.iter().fold(5381u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    ((hash ^ (hash >> 16)) & (BUCKETS - 1)) as usize * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec, vec::Vec};

    #[test]
    fn values_keep_their_order_in_crowded_chains() {
        let mut memory = vec![0; 1 << 20];
        let mut table = Table::new(&mut memory).unwrap();
        for round in 0..2 {
            for n in 0..3 * BUCKETS {
                table.insert(format!("lib{n}.so").as_bytes(), n + round * 100_000).unwrap();
            }
        }
        for n in 0..3 * BUCKETS {
            let values: Vec<u32> = table.values(format!("lib{n}.so").as_bytes()).collect();
            assert_eq!(values, [n, n + 100_000]);
        }
        assert_eq!(table.values(b"lib.so").count(), 0);
    }

    #[test]
    fn full_is_said_and_changes_nothing() {
        assert!(Table::new(&mut vec![0; Table::MINIMUM - 1]).is_none());
        let mut memory = vec![0; Table::MINIMUM];
        let mut table = Table::new(&mut memory).unwrap();
        assert!(table.insert(&[b'x'; 5000], 1).is_none());
        table.insert(b"", 7).unwrap();
        assert_eq!(table.values(b"").collect::<Vec<_>>(), [7]);
        while table.insert(b"a name of some length", 2).is_some() {}
        assert_eq!(table.values(b"").collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn starts_over() {
        let mut memory = vec![0; Table::MINIMUM];
        let mut table = Table::new(&mut memory).unwrap();
        let room = table.left();
        table.insert(b"a", 1).unwrap();
        assert!(table.left() < room);
        table.clear();
        assert_eq!((table.left(), table.values(b"a").count()), (room, 0));
        table.insert(b"b", 2).unwrap();
        assert_eq!(table.values(b"b").collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn goes_on_in_larger_memory() {
        let mut small = vec![0; Table::MINIMUM];
        let mut table = Table::new(&mut small).unwrap();
        table.insert(b"a", 1).unwrap();
        let (memory, used) = table.into_parts();
        let mut large = memory.to_vec();
        large.resize(1 << 16, 0);
        let mut table = Table::resume(&mut large, used);
        table.insert(b"a", 2).unwrap();
        assert_eq!(table.values(b"a").collect::<Vec<_>>(), [1, 2]);
    }
}

//! The entries of `REPLIT_LD_LIBRARY_PATH`.

/// An entry, by the offset of its first byte in the variable's value: offsets keep the declared order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// Offset in bytes.
    pub at: usize,
    /// A directory or a single file, as declared.
    pub path: &'e [u8],
}

/// Why an entry is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nothing between two colons. For LD_LIBRARY_PATH it would mean the working directory; here it means nothing.
    Empty,
    /// It does not start with `/`: it would mean another place in every working directory.
    Relative,
}

/// Why an entry, or an index file, is ignored once it is looked at: whoever is on this machine could put a library there.
pub const WRITABLE: &[u8] = b"everybody can write to it";
/// The same of a single file. It may be safe itself from others, under a sticky bit; but the file that a refusal names beside
/// it (see [`crate::refusal`]) would be theirs.
pub const DIRECTORY_WRITABLE: &[u8] = b"everybody can write to its directory";
/// Why it is ignored where the kernel does not say.
pub const UNKNOWN: &[u8] = b"nobody knows who can write to it";

impl Problem {
    /// For the log.
    pub const fn text(self) -> &'static [u8] {
        match self {
            Self::Empty => b"it is empty",
            Self::Relative => b"it is not an absolute path",
        }
    }
}

/// The entries in order, each fit for use or with its problem. An unset or empty variable has none.
pub fn entries(value: &[u8]) -> impl Iterator<Item = (Entry<'_>, Result<(), Problem>)> {
    entries_from(value, 0)
}

/// The entries from an offset on, where one starts.
pub fn entries_from(value: &[u8], at: usize) -> impl Iterator<Item = (Entry<'_>, Result<(), Problem>)> {
    let mut next = (at < value.len()).then_some(at);
    core::iter::from_fn(move || {
        let at = next?;
        let rest = value.get(at..)?;
        let path = rest.split(|&byte| byte == b':').next()?;
        let after = at.checked_add(path.len())?;
        next = (after < value.len()).then(|| after.saturating_add(1));
        let problem = match path.first() {
            None => Err(Problem::Empty),
            Some(b'/') => Ok(()),
            Some(_) => Err(Problem::Relative),
        };
        Some((Entry { at, path }, problem))
    })
}

/// The entry that starts at an offset which [`entries`] gave.
pub fn entry_at(value: &[u8], at: usize) -> Option<Entry<'_>> {
    let path = value.get(at..)?.split(|&byte| byte == b':').next()?;
    Some(Entry { at, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn order_offsets_and_problems() {
        let value = b":/a:b//c:/a/b:";
        let all: Vec<_> = entries(value).map(|(entry, fit)| (entry.at, entry.path, fit)).collect();
        assert_eq!(
            all,
            [
                (0, b"".as_slice(), Err(Problem::Empty)),
                (1, b"/a", Ok(())),
                (4, b"b//c", Err(Problem::Relative)),
                (9, b"/a/b", Ok(())),
                (14, b"", Err(Problem::Empty)),
            ]
        );
        assert_eq!(entry_at(value, 9).unwrap().path, b"/a/b");
        assert_eq!(entries(b"").count(), 0);
        assert!(entries_from(value, 4).eq(entries(value).skip(2)));
        assert_eq!(entries_from(value, 15).count(), 0);
    }
}

//! A path that is put together piece by piece, bounded by `PATH_MAX`, always ready to be handed to the kernel.

use core::ffi::CStr;
use tinyvec::ArrayVec;

/// `PATH_MAX` of linux/limits.h, in bytes with the closing NUL: what open(2) takes at the most.
pub const PATH_MAX: usize = 4096;

/// Copies bytes to a place of just their number. `None` if it is of another. (Where the compiler sees that it is not, no
/// panic is left.)
pub fn copy(place: &mut [u8], bytes: &[u8]) -> Option<()> {
    (place.len() == bytes.len()).then(|| place.copy_from_slice(bytes))
}

/// A path under construction. It holds no NUL but the closing one.
pub struct PathBuf {
    /// The bytes with a closing NUL, or nothing at all.
    bytes: ArrayVec<[u8; PATH_MAX]>,
}

impl PathBuf {
    /// No path yet. These are 4 KiB: keep them in statics, since a thread's stack may be small.
    pub const fn new() -> Self {
        Self { bytes: ArrayVec::from_array_empty([0; PATH_MAX]) }
    }

    /// Forgets what was there.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends bytes. `None`, and nothing appended, when they don't fit or hold a NUL: give the path up then.
    pub fn push(&mut self, piece: &[u8]) -> Option<()> {
        self.push_with(|room| copy(room.get_mut(..piece.len())?, piece).map(|()| piece.len()))
    }

    /// Appends what `write` leaves in the room that is left; it returns how many bytes those are.
    pub fn push_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<()> {
        let len = self.len();
        self.bytes.set_len(PATH_MAX);
        let written = match self.bytes.get_mut(len..PATH_MAX - 2) {
            Some(room) => write(room).filter(|&written| room.get(..written).is_some_and(|bytes| !bytes.contains(&0))),
            None => None,
        };
        self.truncate(len);
        let end = len.checked_add(written?)?;
        self.bytes.set_len(end.min(PATH_MAX));
        Some(())
    }

    /// Starts again with `pieces`, one after the other.
    pub fn set(&mut self, pieces: &[&[u8]]) -> Option<()> {
        self.clear();
        pieces.iter().try_for_each(|piece| self.push(piece))
    }

    /// The length in bytes, without the NUL.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts the path back to `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The bytes, without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        let bytes = self.filled();
        bytes.strip_suffix(b"\0").unwrap_or(bytes)
    }

    /// The bytes, with the NUL if it is there. (ArrayVec's own slice would bring a bounds check that can panic.)
    fn filled(&self) -> &[u8] {
        self.bytes.as_inner().get(..self.bytes.len()).unwrap_or_default()
    }

    /// The bytes with the closing NUL.
    pub fn with_nul(&mut self) -> &[u8] {
        if self.filled().last() != Some(&0) {
            // `push` leaves room for the NUL.
            let _ = self.bytes.try_push(0);
        }
        self.filled()
    }

    /// The path for the kernel.
    pub fn as_c_str(&mut self) -> &CStr {
        CStr::from_bytes_with_nul(self.with_nul()).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_after_it_was_read() {
        let mut path = PathBuf::new();
        assert_eq!(path.as_c_str(), c"");
        path.set(&[b"/a", b"/", b"b"]).unwrap();
        assert_eq!(path.as_c_str(), c"/a/b");
        path.push(b"c").unwrap();
        assert_eq!(path.as_c_str(), c"/a/bc");
        assert_eq!(path.len(), 5);
        path.truncate(2);
        assert_eq!(path.as_bytes(), b"/a");
        assert_eq!(path.as_c_str(), c"/a");
    }

    #[test]
    fn takes_what_is_written_into_it() {
        let mut path = PathBuf::new();
        path.push(b"/a").unwrap();
        let _ = path.as_c_str();
        let write = |room: &mut [u8]| {
            room[..3].copy_from_slice(b"/b/");
            Some(2)
        };
        path.push_with(write).unwrap();
        assert_eq!(path.as_c_str(), c"/a/b");
        assert!(path.push_with(|room| Some(room.len() + 1)).is_none());
        assert!(path.push_with(|_| Some(1)).is_none(), "a NUL");
    }

    #[test]
    fn refuses_what_the_kernel_would() {
        let mut path = PathBuf::new();
        assert!(path.push(&[b'a'; PATH_MAX - 1]).is_none());
        path.push(&[b'a'; PATH_MAX - 2]).unwrap();
        assert_eq!(path.as_c_str().to_bytes().len(), PATH_MAX - 2);
        assert!(path.push(b"b").is_none());
        assert!(path.set(&[b"a\0b"]).is_none());
    }
}

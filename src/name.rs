//! A short name that is kept by value: of a symbol version or of a soname, as a foreign file spells it.

/// The longest name that is kept, in bytes. The longest versions in use are some thirty.
const LONGEST: usize = 47;

/// The bytes of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; LONGEST],
    len: u8,
}

impl Name {
    /// Keeps a name. `None` if it is too long to be one.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut kept = Self { bytes: [0; LONGEST], len: u8::try_from(name.len()).ok()? };
        for (at, byte) in name.iter().enumerate() {
            *kept.bytes.get_mut(at)? = *byte;
        }
        Some(kept)
    }

    /// The bytes, as the file spells them.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_whole_or_not_at_all() {
        for len in [0, 1, LONGEST] {
            let name = std::vec![b'x'; len];
            assert_eq!(Name::new(&name).unwrap().as_bytes(), name);
        }
        for len in [LONGEST + 1, 255, 256, 4096] {
            assert_eq!(Name::new(&std::vec![b'x'; len]), None);
        }
    }
}

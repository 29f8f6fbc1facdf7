//! What several targets do with bytes.

/// Whether a slice is one of `whole`, and no copy from elsewhere.
pub fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty()
        || (whole.as_ptr_range().start <= part.as_ptr() && part.as_ptr_range().end <= whole.as_ptr_range().end)
}

/// The bytes up to the first `separator`, and those behind it: none if there is no separator.
pub fn cut(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == separator) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

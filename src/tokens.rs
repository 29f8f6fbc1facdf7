//! Dynamic string tokens: `$ORIGIN`, `$LIB`, `$PLATFORM` in a search path (ld.so(8); elf/dl-load.c, `is_dst`).

use crate::path::PathBuf;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The directory of the object whose search path it is.
    Origin,
    /// `lib`, `lib64` or what this glibc was configured with.
    Lib,
    /// The kind of processor.
    Platform,
}

/// The token that follows a `$`, and its length in bytes with its braces.
fn after_dollar(input: &[u8]) -> Option<(Token, usize)> {
    const TOKENS: [(&[u8], Token); 3] =
        [(b"ORIGIN", Token::Origin), (b"PLATFORM", Token::Platform), (b"LIB", Token::Lib)];
    let braced = input.strip_prefix(b"{");
    TOKENS.into_iter().find_map(|(name, token)| {
        let rest = braced.unwrap_or(input).strip_prefix(name)?;
        match (braced, rest.first()) {
            (Some(_), Some(b'}')) => Some((token, name.len().saturating_add(2))),
            (Some(_), _) => None,
            (None, Some(byte)) if byte.is_ascii_alphanumeric() || *byte == b'_' => None,
            (None, _) => Some((token, name.len())),
        }
    })
}

/// Whether ld.so would expand something in this string.
pub fn has_token(string: &[u8]) -> bool {
    tokens(string).next().is_some()
}

/// Whether ld.so would expand `$PLATFORM` in this string.
pub fn has_platform(string: &[u8]) -> bool {
    tokens(string).any(|token| token == Token::Platform)
}

fn tokens(string: &[u8]) -> impl Iterator<Item = Token> {
    string.split(|&byte| byte == b'$').skip(1).filter_map(|after| after_dollar(after).map(|(token, _)| token))
}

/// Appends `string` to `into` with its tokens replaced. A `$` that begins no token stays. `None` when a token has no
/// replacement or the path gets too long: ld.so leaves such an element out.
pub fn expand(
    string: &[u8],
    into: &mut PathBuf,
    mut replace: impl FnMut(Token, &mut PathBuf) -> Option<()>,
) -> Option<()> {
    let mut rest = string;
    while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
        let (before, dollar) = rest.split_at_checked(at)?;
        let (_, after) = dollar.split_first()?;
        into.push(before)?;
        rest = match after_dollar(after) {
            Some((token, len)) => {
                replace(token, into)?;
                after.get(len..)?
            }
            None => {
                into.push(b"$")?;
                after
            }
        };
    }
    into.push(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(string: &str) -> Option<std::string::String> {
        let mut path = PathBuf::new();
        expand(string.as_bytes(), &mut path, |token, into| match token {
            Token::Origin => into.push(b"/o"),
            Token::Lib => into.push(b"lib64"),
            Token::Platform => None,
        })?;
        Some(std::string::String::from_utf8(path.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn as_ld_so_expands() {
        for (string, result) in [
            ("$ORIGIN/../$LIB", "/o/../lib64"),
            ("${ORIGIN}x/${LIB}", "/ox/lib64"),
            ("$ORIGINAL/$LIB_", "$ORIGINAL/$LIB_"),
            ("${ORIGIN/$", "${ORIGIN/$"),
            ("$$LIB", "$lib64"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(expanded(string).as_deref(), Some(result), "{string}");
            assert_eq!(has_token(string.as_bytes()), result.contains("lib64"), "{string}");
        }
        assert_eq!(expanded("/a/$PLATFORM"), None);
        assert!(has_platform(b"/a/${PLATFORM}/b") && !has_platform(b"/PLATFORM/$LIB"));
    }
}

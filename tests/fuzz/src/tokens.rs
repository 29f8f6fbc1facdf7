//! `$ORIGIN`, `$LIB` and `$PLATFORM` in a string: the input, behind two strings that end in NULs, for what `$ORIGIN`
//! and `$PLATFORM` mean. And the same string as the list that is declared.

use rtld_loader::declared::{Problem, entries, entries_from, entry_at};
use rtld_loader::path::{PATH_MAX, PathBuf};
use rtld_loader::tokens::{Token, expand, has_platform, has_token};

use crate::bytes::{cut, lies_in};

/// How long a path may be: room is kept for the NUL and one byte more.
const LONGEST: usize = PATH_MAX - 2;

/// What the tokens mean; nothing if it is empty.
struct Meaning<'m> {
    origin: &'m [u8],
    platform: &'m [u8],
}

/// Expands a string, and parts it.
///
/// # Panics
///
/// If something else comes of it than naively.
pub fn run(bytes: &[u8]) {
    let (origin, rest) = cut(bytes, 0);
    let (platform, string) = cut(rest, 0);
    let meaning = Meaning { origin, platform };
    expands(string, &meaning, b"/before/");
    // Behind a path with which it is as long as a path may be, and one byte longer.
    let (_, expanded) = naively(string, |token| meaning.of(token).map(<[u8]>::to_vec));
    for longer in [0, 1] {
        let before = (LONGEST + longer).saturating_sub(expanded.as_ref().map_or(0, Vec::len)).min(LONGEST);
        expands(string, &meaning, &vec![b'b'; before]);
    }
    parts(string);
}

/// Strings to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let strings: [&[u8]; 6] = [
        b"/o\0x86_64\0$ORIGIN/../$LIB:/a/${PLATFORM}/b",
        b"/o\0\0${ORIGIN}x/${LIB}$PLATFORM",
        b"\0x\0$ORIGINAL/$LIB_:$$LIB:$PLATFORM1",
        b"/o\0p\0${ORIGIN/$:/plain//:b::",
        b"\0\0:/a:b//c:/a/b:",
        b"o\0p\0$",
    ];
    strings.map(<[u8]>::to_vec).into()
}

/// Expands a string behind what is there before it.
fn expands(string: &[u8], meaning: &Meaning<'_>, before: &[u8]) {
    let mut path = PathBuf::new();
    path.push(before).expect("it is short enough");
    let mut replaced = Vec::new();
    let expanded = expand(string, &mut path, |token, into| {
        replaced.push(token);
        into.push(meaning.of(token)?)
    });
    let (tokens, naive) = naively(string, |token| meaning.of(token).map(<[u8]>::to_vec));
    assert_eq!(has_token(string), !tokens.is_empty());
    assert_eq!(has_platform(string), tokens.contains(&Token::Platform));
    assert!(tokens.starts_with(&replaced));
    let naive = naive.map(|naive| [before, &*naive].concat()).filter(|naive| naive.len() <= LONGEST);
    let naive = naive.filter(|naive| !naive.contains(&0));
    assert_eq!(expanded.map(|()| path.as_bytes().to_vec()), naive);
    // Whatever became of it, the path is one.
    assert!(path.as_bytes().starts_with(before) && path.as_bytes().len() <= LONGEST);
    assert_eq!(path.as_bytes().to_vec(), path.as_c_str().to_bytes());
}

impl Meaning<'_> {
    fn of(&self, token: Token) -> Option<&[u8]> {
        let meaning = match token {
            Token::Origin => self.origin,
            Token::Platform => self.platform,
            Token::Lib => b"lib64",
        };
        (!meaning.is_empty()).then_some(meaning)
    }
}

/// The tokens of a string, and what comes of it if all of them mean something: byte by byte, with every spelling tried
/// at each.
pub(crate) fn naively(string: &[u8], meaning: impl Fn(Token) -> Option<Vec<u8>>) -> (Vec<Token>, Option<Vec<u8>>) {
    const SPELLINGS: [(&[u8], &[u8], Token); 3] = [
        (b"$ORIGIN", b"${ORIGIN}", Token::Origin),
        (b"$LIB", b"${LIB}", Token::Lib),
        (b"$PLATFORM", b"${PLATFORM}", Token::Platform),
    ];
    let (mut tokens, mut expanded) = (Vec::new(), Some(Vec::new()));
    let mut at = 0;
    while at < string.len() {
        let rest = &string[at..];
        let mut found = None;
        for (plain, braced, token) in SPELLINGS {
            let goes_on = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_');
            if rest.starts_with(braced) {
                found = Some((token, braced.len()));
            } else if rest.starts_with(plain) && !rest.get(plain.len()).is_some_and(goes_on) {
                found = Some((token, plain.len()));
            }
        }
        match found {
            Some((token, len)) => {
                tokens.push(token);
                expanded = expanded.zip(meaning(token)).map(|(mut before, meaning)| {
                    before.extend(meaning);
                    before
                });
                at += len;
            }
            None => {
                expanded.iter_mut().for_each(|expanded| expanded.push(rest[0]));
                at += 1;
            }
        }
    }
    (tokens, expanded)
}

/// The entries of a declared list, each of which can be reached again by where it starts.
fn parts(list: &[u8]) {
    let naive: Vec<&[u8]> = if list.is_empty() { Vec::new() } else { list.split(|byte| *byte == b':').collect() };
    let all: Vec<_> = entries(list).collect();
    assert_eq!(all.iter().map(|(entry, _)| entry.path).collect::<Vec<_>>(), naive);
    for (nth, (entry, fit)) in all.iter().enumerate() {
        assert!(lies_in(entry.path, list) && list[entry.at..].starts_with(entry.path));
        assert!(!entry.path.contains(&b':') && (entry.at == 0 || list[entry.at - 1] == b':'));
        let expected = match entry.path {
            [] => Err(Problem::Empty),
            [b'/', ..] => Ok(()),
            _ => Err(Problem::Relative),
        };
        assert_eq!(*fit, expected);
        assert_eq!(entry_at(list, entry.at), Some(*entry));
        let is_fit = |(_, fit): &(_, Result<(), Problem>)| fit.is_ok();
        assert!(entries_from(list, entry.at).filter(is_fit).eq(all[nth..].iter().copied().filter(is_fit)));
    }
}

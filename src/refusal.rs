//! What ld.so is made to complain of when a library is declared and no candidate can be loaded.
//!
//! ld.so prints the name that it was answered when it cannot open it, at start-up and for dlopen(3). So the answer is
//! the candidate's path with the reason behind it: a file that does not exist. It is absolute, so that nobody can plant
//! it in a working directory, and the reason has no slash and no `$`, which ld.so would follow or replace.

use crate::decimal::Decimal;
use crate::path::PathBuf;
use crate::skip::Skip;

/// `NAME_MAX` of linux/limits.h: with a longer component ld.so would say "File name too long".
pub const NAME_MAX: usize = 255;

/// What this library was built for, as Nix and Rust name it.
const MACHINE: &[u8] = if cfg!(target_arch = "x86_64") {
    b"x86_64"
} else if cfg!(target_arch = "aarch64") {
    b"aarch64"
} else {
    b"i686"
};

/// What the text needs to know besides the reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'c> {
    /// The N of glibc 2.N.
    pub minor: Option<u32>,
    /// The file name of who asks; empty for the program.
    pub requester: &'c [u8],
}

/// Whether a candidate that is skipped for this is worth a word. What is not there is as good as not declared; and who reads of a file
/// in a directory for everybody may find one there.
pub fn explains(skip: &Skip) -> bool {
    !matches!(skip, Skip::Missing | Skip::TooLong | Skip::Token | Skip::Writable)
}

/// Whether the file is what it should be, and only the wrong build of it: worth more than a word on a broken one.
pub fn is_build(skip: &Skip) -> bool {
    matches!(
        skip,
        Skip::Needs(_) | Skip::Private | Skip::Conflicts { .. } | Skip::Brings { .. } | Skip::Lacks(_) | Skip::Relr
    )
}

/// Appends the reason to the candidate's path. `None`, and the path spoilt, if the text does not fit.
pub fn write(path: &mut PathBuf, skip: &Skip, context: Context<'_>) -> Option<()> {
    let directory = path.as_bytes().iter().rposition(|&byte| byte == b'/')?;
    path.push(b" (")?;
    match skip {
        Skip::Needs(version) => {
            path.push(b"needs ")?;
            push_plain(path, version.as_bytes())?;
            push_glibc(path, context, b" or older")?;
        }
        Skip::Private => {
            path.push(b"needs GLIBC_PRIVATE of another glibc")?;
            push_glibc(path, context, b"")?;
        }
        Skip::Conflicts { version, soname } => {
            path.push(b"needs ")?;
            push_plain(path, version.as_bytes())?;
            path.push(b", which the ")?;
            push_plain(path, soname.as_bytes())?;
            path.push(b" that is loaded does not define; declare an older build of it")?;
        }
        Skip::Brings { soname, version } => {
            path.push(b"brings ")?;
            push_plain(path, soname.as_bytes())?;
            match version {
                Some(version) => {
                    path.push(b", which needs ")?;
                    push_plain(path, version.as_bytes())?;
                    push_glibc(path, context, b" or older")?;
                }
                None => path.push(b", which cannot be loaded; declare another build of it")?,
            }
        }
        Skip::Unbrought(soname) => {
            path.push(b"needs a version of ")?;
            push_plain(path, soname.as_bytes())?;
            path.push(b", which it does not bring itself; declare a whole one")?;
        }
        Skip::Relr => path.push(b"has DT_RELR without GLIBC_ABI_DT_RELR; declare another build of it")?,
        Skip::Lacks(version) => {
            path.push(b"does not define ")?;
            push_plain(path, version.as_bytes())?;
            path.push(b", which ")?;
            match context.requester {
                b"" => path.push(b"the program")?,
                requester => push_plain(path, requester)?,
            }
            path.push(b" needs; declare a newer build of it")?;
        }
        Skip::OtherMachine => {
            path.push(b"is for another kind of machine; declare it for ")?;
            path.push(MACHINE)?;
        }
        other => {
            other.text().into_iter().try_for_each(|piece| path.push(piece))?;
            path.push(b"; declare a whole one")?;
        }
    }
    path.push(b")")?;
    let component = path.len().checked_sub(directory)?.checked_sub(1)?;
    (component < NAME_MAX).then_some(())
}

/// What this process has, and what would do.
fn push_glibc(path: &mut PathBuf, context: Context<'_>, or_older: &[u8]) -> Option<()> {
    match context.minor.map(Decimal::new) {
        Some(minor) => {
            path.push(b", this process has glibc 2.")?;
            path.push(minor.as_bytes())?;
            path.push(b"; declare it from a channel with glibc 2.")?;
            path.push(minor.as_bytes())?;
            path.push(or_older)
        }
        None => path.push(b"; declare it from the channel that the program comes from"),
    }
}

/// Appends bytes of a foreign file, but for those that mean something in a path or on a terminal.
pub fn push_plain(path: &mut PathBuf, name: &[u8]) -> Option<()> {
    name.iter().try_for_each(|byte| match byte {
        b'/' | b'$' => path.push(b"?"),
        byte if byte.is_ascii_graphic() => path.push(&[*byte]),
        _ => path.push(b"?"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::tokens::has_token;
    use std::string::String;

    fn text(path: &str, skip: Skip, context: Context<'_>) -> Option<String> {
        let mut answer = PathBuf::new();
        answer.set(&[path.as_bytes()]).unwrap();
        write(&mut answer, &skip, context)?;
        Some(String::from_utf8(answer.as_bytes().to_vec()).unwrap())
    }

    fn name(name: &str) -> Name {
        Name::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn the_candidate_the_reason_and_the_remedy() {
        let context = Context { minor: Some(36), requester: b"libwheel.so" };
        for (skip, expected) in [
            (
                Skip::Needs(name("GLIBC_2.38")),
                "needs GLIBC_2.38, this process has glibc 2.36; declare it from a channel with glibc 2.36 or older",
            ),
            (
                Skip::Private,
                "needs GLIBC_PRIVATE of another glibc, this process has glibc 2.36; \
                 declare it from a channel with glibc 2.36",
            ),
            (
                Skip::Lacks(name("GLIBCXX_3.4.32")),
                "does not define GLIBCXX_3.4.32, which libwheel.so needs; declare a newer build of it",
            ),
            (
                Skip::Conflicts { version: name("OPENSSL_3.2.0"), soname: name("libcrypto.so.3") },
                "needs OPENSSL_3.2.0, which the libcrypto.so.3 that is loaded does not define; \
                 declare an older build of it",
            ),
            (
                Skip::Brings { soname: name("liby.so"), version: Some(name("GLIBC_2.38")) },
                "brings liby.so, which needs GLIBC_2.38, this process has glibc 2.36; \
                 declare it from a channel with glibc 2.36 or older",
            ),
            (
                Skip::Brings { soname: name("liby.so"), version: None },
                "brings liby.so, which cannot be loaded; declare another build of it",
            ),
            (
                Skip::Unbrought(name("liby.so")),
                "needs a version of liby.so, which it does not bring itself; declare a whole one",
            ),
            (Skip::Relr, "has DT_RELR without GLIBC_ABI_DT_RELR; declare another build of it"),
            (Skip::NotElf, "it is not an ELF file of this byte order; declare a whole one"),
        ] {
            assert_eq!(text("/d/libx.so", skip, context), Some(std::format!("/d/libx.so ({expected})")));
        }
        assert_eq!(
            text("/d/libx.so", Skip::Lacks(name("X_1")), Context::default()).unwrap(),
            "/d/libx.so (does not define X_1, which the program needs; declare a newer build of it)"
        );
        assert_eq!(
            text("/d/libx.so", Skip::Needs(name("GLIBC_2.38")), Context::default()).unwrap(),
            "/d/libx.so (needs GLIBC_2.38; declare it from the channel that the program comes from)"
        );
    }

    #[test]
    fn foreign_names_lead_nowhere() {
        let context = Context { minor: Some(36), requester: b"../../$ORIGIN\x1b[31m" };
        for foreign in ["/etc/x", "$ORIGIN", "${LIB}", "\x1b[2J", "a\nb"] {
            for skip in [Skip::Needs(name(foreign)), Skip::Lacks(name(foreign))] {
                let text = text("/d/libx.so", skip, context).unwrap();
                let reason = &text["/d/libx.so".len()..];
                assert!(!reason.contains(['/', '$', '\x1b', '\n']) && !has_token(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn what_ld_so_would_call_too_long_is_not_said() {
        let longest = std::format!("/d/{}", "x".repeat(255));
        assert_eq!(text(&longest, Skip::NotElf, Context::default()), None);
        let longest = std::format!("/d{}/libx.so", "/x".repeat(2040));
        assert_eq!(text(&longest, Skip::NotElf, Context::default()), None);
        let requester = "x".repeat(300);
        let context = Context { minor: None, requester: requester.as_bytes() };
        assert_eq!(text("/d/libx.so", Skip::Lacks(name("X_1")), context), None);
    }
}

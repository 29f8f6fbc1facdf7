//! GLIBC_TUNABLES as a project declares it: a colon list of `name=value`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Result, bail, ensure};

/// The tunable that we set ourselves.
pub const STATIC_TLS: &str = "glibc.rtld.optional_static_tls";

/// The largest value of it that is taken for one. ld.so goes on to reckon with it as a C `int`, and starts no process
/// when that overflows.
pub const LARGEST: u64 = 1 << 30;

/// What a declared list says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tunables {
    /// The settings but for static TLS, each name once; the last value counts, as in ld.so.
    pub others: Vec<Vec<u8>>,
    /// Static TLS.
    pub static_tls: Option<u64>,
}

impl Tunables {
    /// Reads a list. Since glibc 2.38 one entry that is not `name=value` can cost all the others.
    pub fn parse(list: &[u8]) -> Result<Self> {
        let mut tunables = Self::default();
        for setting in list.split(|&byte| byte == b':').filter(|setting| !setting.is_empty()) {
            let parts: Vec<&[u8]> = setting.split(|&byte| byte == b'=').collect();
            let shown = OsStr::from_bytes(setting).display();
            let [name, value] = parts[..] else { bail!("ld.so cannot read `{shown}` in GLIBC_TUNABLES") };
            if name == STATIC_TLS.as_bytes() {
                let bytes = number(value).filter(|&bytes| bytes <= LARGEST);
                ensure!(bytes.is_some(), "ld.so cannot use `{shown}` in GLIBC_TUNABLES");
                tunables.static_tls = bytes;
            } else {
                tunables.others.retain(|other| !other.starts_with(&setting[..=name.len()]));
                tunables.others.push(setting.to_vec());
            }
        }
        Ok(tunables)
    }
}

/// A number as `_dl_strtoul` of elf/dl-misc.c reads it, without a minus sign. `None` for what has something behind it.
fn number(text: &[u8]) -> Option<u64> {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let text = &text[blanks..];
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, base) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', ..] => (digits, 8),
        _ => (digits, 10),
    };
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = char::from(byte).to_digit(base)?;
        number.checked_mul(base.into())?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_list_is_read_as_ld_so_reads_it() {
        let tunables = Tunables::parse(b":a.b=1::glibc.rtld.optional_static_tls=0x10:a.bc=2:a.b=3:").unwrap();
        assert_eq!(tunables.others, [b"a.bc=2".as_slice(), b"a.b=3"]);
        assert_eq!(tunables.static_tls, Some(16));
        assert_eq!(Tunables::parse(b"").unwrap(), Tunables::default());
    }

    #[test]
    fn what_would_cost_the_others_is_refused() {
        for list in ["a", "a=1:b", "a=1=2", "glibc.rtld.optional_static_tls=1k", "glibc.rtld.optional_static_tls=-1"] {
            assert!(Tunables::parse(list.as_bytes()).is_err(), "{list}");
        }
    }

    #[test]
    fn numbers_have_the_base_that_they_begin_with() {
        for (text, value) in [("10", 10), ("010", 8), ("0x1F", 31), ("0X1f", 31), (" \t+7", 7), ("", 0), ("0", 0)] {
            assert_eq!(number(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["08", "1 ", "-1", "0x1g", "1k", "18446744073709551616", "+ 1"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}

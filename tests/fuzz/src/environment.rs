//! The environment block, its entries parted by NULs: what is read of it, and what of it a child gets.

use rtld_loader::environment::{Environment, Level};
use rtld_loader::heritage::{CHANGED, OUTER, of_child};

use crate::bytes::lies_in;

/// Reads a block.
///
/// # Panics
///
/// If something else is read than a naive reader reads.
pub fn run(block: &[u8]) {
    let entries: Vec<&[u8]> = block.split(|byte| *byte == 0).collect();
    let read = Environment::read(entries.iter().copied());

    let variables: Vec<(&[u8], &[u8])> = entries.iter().filter_map(|entry| variable(entry)).collect();
    let all = |name: &str| -> Vec<&[u8]> {
        variables.iter().filter(|(known, _)| *known == name.as_bytes()).map(|(_, value)| *value).collect()
    };
    let first = |name: &str| all(name).first().copied();
    let last = |name: &str| all(name).last().copied();
    assert_eq!(read.declared, first("REPLIT_LD_LIBRARY_PATH").unwrap_or_default());
    assert_eq!(read.index, first("REPLIT_RTLD_INDEX").unwrap_or_default());
    assert_eq!(read.log_file, first("REPLIT_RTLD_LOG_FILE").unwrap_or_default());
    assert_eq!(read.library_path, last("LD_LIBRARY_PATH").unwrap_or_default());
    assert_eq!(read.origin_path, last("LD_ORIGIN_PATH").unwrap_or_default());
    assert_eq!(read.level, level(first("REPLIT_RTLD_LOG_LEVEL").unwrap_or_default()));
    assert_eq!(read.disabled, first("REPLIT_RTLD_DISABLE").is_some_and(|value| !value.is_empty() && value != b"0"));
    assert_eq!(read.without_hints, first("REPLIT_RTLD_HINTS").is_some_and(|value| value == b"0"));
    assert_eq!(read.childless, first("REPLIT_RTLD_INHERIT").is_some_and(|value| value == b"0"));
    assert_eq!(read.is_traced, first("LD_TRACE_LOADED_OBJECTS").is_some());
    let auditors = all("LD_AUDIT").join(&b':');
    let auditors = auditors.split(|byte| *byte == b':').filter(|name| !name.is_empty()).count();
    assert_eq!(read.has_other_auditors, auditors > 1);
    for part in [read.declared, read.index, read.log_file, read.library_path, read.origin_path] {
        assert!(lies_in(part, block));
    }
    assert_eq!(read.hints(), !read.without_hints && !read.is_traced && auditors <= 1);

    for entry in entries {
        let left = of_child(entry);
        assert_eq!(left.map(<[u8]>::to_vec), inherited(entry));
        assert!(lies_in(left.unwrap_or_default(), entry));
    }
}

/// Blocks to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let blocks: [&[u8]; 4] = [
        b"PATH=/bin\0REPLIT_LD_LIBRARY_PATH=/a:/b=c\0LD_LIBRARY_PATH=/c\0LD_LIBRARY_PATH=/d;/e\0LD_ORIGIN_PATH=/o",
        b"REPLIT_RTLD_LOG_LEVEL=\0REPLIT_RTLD_LOG_FILE=/l\0REPLIT_RTLD_INDEX=/i:/j\0REPLIT_RTLD_DISABLE=0\0R=x\0=\0\0\
          REPLIT",
        b"REPLIT_RTLD_LOG_LEVEL=info\0REPLIT_RTLD_HINTS=0\0REPLIT_RTLD_INHERIT=0\0LD_AUDIT=/a.so::/b.so\0\
          LD_TRACE_LOADED_OBJECTS=",
        b"REPLIT_RTLD_LOG_LEVEL=2\0REPLIT_RTLD_OUTER_LD_AUDIT=/x\0REPLIT_RTLD_OUTER_GLIBC_TUNABLES=a=b\0\
          REPLIT_RTLD_OUTER_PATH=",
    ];
    blocks.map(<[u8]>::to_vec).into()
}

/// An entry's name and value.
fn variable(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = entry.splitn(2, |byte| *byte == b'=');
    Some((parts.next()?, parts.next()?))
}

/// The level that a text means.
fn level(value: &[u8]) -> Level {
    match str::from_utf8(value).unwrap_or_default() {
        "" | "off" => Level::Off,
        "warn" => Level::Warn,
        "info" => Level::Info,
        "debug" => Level::Debug,
        // No sign, as `parse` would take one.
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => match number.trim_start_matches('0') {
            "" => Level::Off,
            "1" => Level::Warn,
            "2" => Level::Info,
            _ => Level::Debug,
        },
        _ => Level::Off,
    }
}

/// What a child gets of an entry.
fn inherited(entry: &[u8]) -> Option<Vec<u8>> {
    let Some((name, value)) = variable(entry) else { return Some(entry.to_vec()) };
    for changed in CHANGED {
        if name == changed.as_bytes() {
            return None;
        }
        if name == [OUTER, changed].concat().as_bytes() {
            return Some([changed.as_bytes(), b"=", value].concat());
        }
    }
    (name != b"REPLIT_RTLD_INHERIT" && !name.starts_with(OUTER.as_bytes())).then(|| entry.to_vec())
}

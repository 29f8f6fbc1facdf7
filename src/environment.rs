//! What the environment asks of us: our own variables and the one of ld.so's that decides a search.
//!
//! The block is the initial one of execve(2). Anything may stand in it: entries without `=`, names that begin like
//! ours, bytes that are no UTF-8.

/// How much is logged: `REPLIT_RTLD_LOG_LEVEL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing, to no place. The default.
    #[default]
    Off,
    /// What the user should mend: entries that are ignored, lookups that are left to ld.so for want of knowledge.
    Warn,
    /// The command line, and each library that ld.so could not find.
    Info,
    /// Each place considered, too.
    Debug,
}

impl Level {
    /// `0` to `3` or a word; a larger number means all. Anything else is [`Level::Off`]: who misspells a level gets
    /// no log, but a working program.
    fn parse(value: &[u8]) -> Self {
        let number = value.iter().try_fold(0u32, |number, byte| {
            byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(byte & 15)))
        });
        match (value, number) {
            (b"", _) | (_, Some(0)) => Self::Off,
            (b"warn", _) | (_, Some(1)) => Self::Warn,
            (b"info", _) | (_, Some(2)) => Self::Info,
            (b"debug", _) | (_, Some(_)) => Self::Debug,
            _ => Self::Off,
        }
    }
}

/// The variables that matter, as they stand in the environment block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment<'e> {
    /// `REPLIT_LD_LIBRARY_PATH`: the declared directories and files, a colon list. Empty when unset.
    pub declared: &'e [u8],
    /// `LD_LIBRARY_PATH` as ld.so takes it: a list with `:` and `;`. Empty when unset.
    pub library_path: &'e [u8],
    /// `LD_ORIGIN_PATH`: what `$ORIGIN` of the program means where /proc is missing.
    pub origin_path: &'e [u8],
    /// `REPLIT_RTLD_INDEX`: index files, a colon list. Empty when unset.
    pub index: &'e [u8],
    /// `REPLIT_RTLD_LOG_FILE`. Empty when unset.
    pub log_file: &'e [u8],
    /// `REPLIT_RTLD_LOG_LEVEL`.
    pub level: Level,
    /// `REPLIT_RTLD_DISABLE` is set to something other than nothing or `0`.
    pub disabled: bool,
    /// `REPLIT_RTLD_HINTS` is `0`: ld.so is left to its own messages.
    pub without_hints: bool,
    /// `LD_AUDIT` names more than one auditor: another one may find what we and ld.so do not.
    pub has_other_auditors: bool,
    /// `REPLIT_RTLD_INHERIT` is `0`: the program's children get none of it.
    pub childless: bool,
    /// `LD_TRACE_LOADED_OBJECTS` is set: ld.so runs nothing and prints what it would load (ldd(1)).
    pub is_traced: bool,
}

impl<'e> Environment<'e> {
    /// Reads a block. Names are compared whole. Of several entries of one name the first counts, as for getenv(3);
    /// for `LD_LIBRARY_PATH` and `LD_ORIGIN_PATH` the last, as for ld.so (elf/rtld.c, `process_envvars`).
    pub fn read(entries: impl Iterator<Item = &'e [u8]>) -> Self {
        let mut declared = None;
        let mut log_file = None;
        let mut index = None;
        let mut level = None;
        let mut disabled = None;
        let mut hints = None;
        let mut inherit = None;
        let mut traced = false;
        let mut auditors = 0usize;
        let mut library_path = None;
        let mut origin_path = None;
        for entry in entries {
            let Some((name, value)) = split_once(entry, b'=') else {
                continue;
            };
            match name {
                b"REPLIT_LD_LIBRARY_PATH" => declared = declared.or(Some(value)),
                b"REPLIT_RTLD_INDEX" => index = index.or(Some(value)),
                b"REPLIT_RTLD_LOG_FILE" => log_file = log_file.or(Some(value)),
                b"REPLIT_RTLD_LOG_LEVEL" => level = level.or(Some(value)),
                b"REPLIT_RTLD_DISABLE" => disabled = disabled.or(Some(value)),
                b"REPLIT_RTLD_HINTS" => hints = hints.or(Some(value)),
                b"REPLIT_RTLD_INHERIT" => inherit = inherit.or(Some(value)),
                b"LD_TRACE_LOADED_OBJECTS" => traced = true,
                // ld.so takes those of all entries (elf/rtld.c, `audit_list_add_string`).
                b"LD_AUDIT" => {
                    let named = value.split(|&byte| byte == b':').filter(|name| !name.is_empty());
                    auditors = auditors.saturating_add(named.count());
                }
                b"LD_LIBRARY_PATH" => library_path = Some(value),
                b"LD_ORIGIN_PATH" => origin_path = Some(value),
                _ => {}
            }
        }
        Self {
            declared: declared.unwrap_or_default(),
            library_path: library_path.unwrap_or_default(),
            origin_path: origin_path.unwrap_or_default(),
            log_file: log_file.unwrap_or_default(),
            index: index.unwrap_or_default(),
            level: level.map_or(Level::Off, Level::parse),
            disabled: !matches!(disabled, None | Some(b"" | b"0")),
            without_hints: hints == Some(b"0"),
            has_other_auditors: auditors > 1,
            childless: inherit == Some(b"0"),
            is_traced: traced,
        }
    }

    /// Whether ld.so is made to say why a library cannot be loaded. Not for ldd(1): there ld.so goes on with a made-up
    /// object of the name that it was answered, and aborts when it does not find it by its soname. And another auditor
    /// would be asked for that name, too.
    pub fn hints(&self) -> bool {
        !self.without_hints && !self.is_traced && !self.has_other_auditors
    }
}

/// The bytes before and after the first `separator`.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.split_first()?.1))
}

/// The bytes after the last `/`, and those before it: `None` without a slash.
pub fn split_directory(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|&byte| byte == b'/')?;
    let (directory, rest) = path.split_at_checked(at)?;
    Some((directory, rest.split_first()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'e>(entries: &[&'e str]) -> Environment<'e> {
        Environment::read(entries.iter().map(|entry| entry.as_bytes()))
    }

    #[test]
    fn names_are_compared_whole() {
        let block = ["R=/x", "REPLIT=1", "REPLIT_LD_LIBRARY_PATHX=/y", "REPLIT_LD_LIBRARY_PATH", "=", ""];
        assert_eq!(read(&block), Environment::default());
        assert_eq!(read(&["REPLIT_LD_LIBRARY_PATH=/a=b:/c"]).declared, b"/a=b:/c");
    }

    #[test]
    fn an_empty_level_does_not_swallow_the_next_entry() {
        let environment = read(&["REPLIT_RTLD_LOG_LEVEL=", "REPLIT_LD_LIBRARY_PATH=/a"]);
        assert_eq!((environment.level, environment.declared), (Level::Off, b"/a".as_slice()));
    }

    #[test]
    fn levels_have_numbers_and_words() {
        for (value, level) in [
            ("0", Level::Off),
            ("off", Level::Off),
            ("1", Level::Warn),
            ("warn", Level::Warn),
            ("2", Level::Info),
            ("info", Level::Info),
            ("3", Level::Debug),
            ("debug", Level::Debug),
            ("9", Level::Debug),
            ("10", Level::Debug),
            ("-1", Level::Off),
            ("2x", Level::Off),
            ("yes", Level::Off),
        ] {
            assert_eq!(Level::parse(value.as_bytes()), level, "{value}");
        }
    }

    #[test]
    fn the_first_of_ours_counts_and_the_last_of_ld_so() {
        let environment = read(&[
            "REPLIT_LD_LIBRARY_PATH=/a",
            "REPLIT_LD_LIBRARY_PATH=/b",
            "LD_LIBRARY_PATH=/c",
            "LD_LIBRARY_PATH=/d",
        ]);
        assert_eq!((environment.declared, environment.library_path), (b"/a".as_slice(), b"/d".as_slice()));
    }

    #[test]
    fn off_is_off() {
        assert!(read(&["REPLIT_RTLD_DISABLE=1"]).disabled);
        assert!(!read(&["REPLIT_RTLD_DISABLE=0"]).disabled);
        assert!(!read(&["REPLIT_RTLD_DISABLE="]).disabled);
        assert!(read(&["REPLIT_RTLD_INHERIT=0"]).childless);
        assert!(!read(&["REPLIT_RTLD_INHERIT="]).childless && !read(&["REPLIT_RTLD_INHERIT=1"]).childless);
        assert!(!read(&["REPLIT_RTLD_HINTS=0"]).hints());
        assert!(!read(&["LD_TRACE_LOADED_OBJECTS="]).hints());
        assert!(!read(&["LD_AUDIT=/a.so:/b.so"]).hints() && !read(&["LD_AUDIT=/a.so", "LD_AUDIT=/b.so"]).hints());
        assert!(read(&["LD_AUDIT=/a.so"]).hints() && read(&["LD_AUDIT=:/a.so:"]).hints());
        assert!(read(&["REPLIT_RTLD_HINTS="]).hints() && read(&["REPLIT_RTLD_HINTS=1"]).hints() && read(&[]).hints());
    }
}

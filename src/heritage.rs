//! What the children of a program get of its environment, where they are not to inherit ours (`REPLIT_RTLD_INHERIT=0`).
//!
//! The wrapper notes what it changes as it was before: under [`OUTER`] and the variable's name, if it was set at all.

/// What the wrapper changes for the auditor's sake. PATH and the variables of a project are for children, too.
pub const CHANGED: [&str; 6] = [
    "LD_AUDIT",
    "GLIBC_TUNABLES",
    "REPLIT_LD_LIBRARY_PATH",
    "REPLIT_RTLD_INDEX",
    "REPLIT_RTLD_LOG_LEVEL",
    "REPLIT_RTLD_LOG_FILE",
];

/// With this before its name a variable has the value from before the wrapper.
pub const OUTER: &str = "REPLIT_RTLD_OUTER_";

/// What of an entry a child gets: it as it is, the part of it that is the entry from before, or nothing.
pub fn of_child(entry: &[u8]) -> Option<&[u8]> {
    let is_changed = |name: &[u8]| CHANGED.iter().any(|changed| changed.as_bytes() == name);
    // Without `=` it is no variable.
    let Some(equals) = entry.iter().position(|&byte| byte == b'=') else { return Some(entry) };
    let name = entry.get(..equals)?;
    match name.strip_prefix(OUTER.as_bytes()) {
        Some(outer) if is_changed(outer) => entry.get(OUTER.len()..),
        Some(_) => None,
        None if is_changed(name) || name == b"REPLIT_RTLD_INHERIT" => None,
        None => Some(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entry: &str) -> Option<&str> {
        of_child(entry.as_bytes()).map(|entry| core::str::from_utf8(entry).unwrap())
    }

    #[test]
    fn what_the_wrapper_has_set_goes() {
        for name in CHANGED {
            assert_eq!(of(&std::format!("{name}=/a=b")), None);
            assert_eq!(of(&std::format!("{name}=")), None);
        }
        assert_eq!(of("REPLIT_RTLD_INHERIT=0"), None);
    }

    #[test]
    fn what_was_there_before_comes_back() {
        assert_eq!(of("REPLIT_RTLD_OUTER_LD_AUDIT=/a.so:/b=c"), Some("LD_AUDIT=/a.so:/b=c"));
        assert_eq!(of("REPLIT_RTLD_OUTER_REPLIT_RTLD_LOG_LEVEL="), Some("REPLIT_RTLD_LOG_LEVEL="));
        // Nobody gets a variable in this way that is not ours to change.
        for name in ["PATH", "LD_PRELOAD", "REPLIT_RTLD_INHERIT", ""] {
            assert_eq!(of(&std::format!("REPLIT_RTLD_OUTER_{name}=x")), None, "{name}");
        }
    }

    #[test]
    fn everything_else_stays() {
        let entries =
            ["PATH=/bin", "LD_AUDITS=x", "XLD_AUDIT=x", "LD_AUDIT", "REPLIT_RTLD_OUTER_LD_AUDIT", "", "=", "=x"];
        for entry in entries.into_iter().chain(["REPLIT_RTLD_HINTS=0", "REPLIT_RTLD_DISABLE=0", "LD_LIBRARY_PATH=/x"]) {
            assert_eq!(of(entry), Some(entry));
        }
    }
}

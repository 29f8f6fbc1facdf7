//! fish, which is no POSIX shell: its commands that set variables, and its hook.

use crate::declared::ListEntry;
use crate::script::in_quotes;

const HOOK: &str = include_str!("sh/hook.fish");

/// What fish does not let anybody set, and its umask, which is no variable.
const OWN: [&str; 14] = [
    "FISH_VERSION",
    "PWD",
    "SHLVL",
    "_",
    "fish_kill_signal",
    "fish_killring",
    "fish_pid",
    "history",
    "hostname",
    "pipestatus",
    "status",
    "status_generation",
    "umask",
    "version",
];

/// The text of `share/fish/vendor_conf.d/replit-env.fish`.
pub fn hook(script: &ListEntry) -> Vec<u8> {
    let parts: Vec<&[u8]> = HOOK.split("@script@").map(str::as_bytes).collect();
    parts.join(&quoted(script.bytes())[..])
}

/// One command that sets a variable to exactly these bytes. The name is a word. Nothing for what fish keeps to itself.
pub fn export(name: &str, value: &[u8]) -> Vec<u8> {
    if OWN.contains(&name) {
        return Vec::new();
    }
    // PATH is a list. Other variables whose names end so are lists too, but fish takes those apart itself.
    let words: Vec<_> = match name {
        "PATH" => value.split(|&byte| byte == b':').map(quoted).collect(),
        _ => vec![quoted(value)],
    };
    [b"set -gx ", name.as_bytes(), b" ", &words.join(&b' '), b"\n"].concat()
}

/// A word of fish that stands for exactly these bytes.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    in_quotes(bytes, &[(b'\'', br"\'"), (b'\\', br"\\")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_literal() {
        assert_eq!(quoted(b"it's \\n $x"), br"'it\'s \\n $x'");
        assert_eq!(quoted(b""), b"''");
    }

    #[test]
    fn path_is_a_list() {
        assert_eq!(export("PATH", b"/a b:/c"), b"set -gx PATH '/a b' '/c'\n");
        assert_eq!(export("A_PATH", b"/a:/b"), b"set -gx A_PATH '/a:/b'\n");
        assert_eq!(export("version", b"1"), b"");
    }
}

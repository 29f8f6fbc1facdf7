//! The shell text: the parts in `sh/`, with constants between them.

use crate::declared::{ListEntry, Shell, Variable};
use crate::tunables::{LARGEST, STATIC_TLS};

const ARGUMENTS: &str = include_str!("sh/arguments.sh");
const MERGE: &str = include_str!("sh/merge.sh");
const TUNABLES: &str = include_str!("sh/tunables.sh");
const FORGET: &str = include_str!("sh/forget.sh");
const EXEC: &str = include_str!("sh/exec.sh");

/// The file name by which an auditor of ours is known in LD_AUDIT.
pub const AUDITOR: &str = "rtld_loader.so";

/// In place of such a file name where every entry is kept: no entry of a colon list has a colon.
const NONE: &str = ":";

/// The PATH of a process that has none, as execvp(3) searches it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What the shell text puts into the process's environment.
pub struct Changes<'a> {
    /// Set first, so that a declared list is what the others are merged with.
    pub variables: &'a [Variable],
    /// Goes first in LD_AUDIT.
    pub auditor: &'a ListEntry,
    /// Go behind it there, before the user's.
    pub auditors: &'a [Vec<u8>],
    /// Go first in REPLIT_LD_LIBRARY_PATH.
    pub libraries: &'a [ListEntry],
    /// Go first in PATH.
    pub programs: &'a [ListEntry],
    /// Go first in GLIBC_TUNABLES, where the user has not set them.
    pub tunables: &'a [Vec<u8>],
    /// The bytes of static thread-local storage that ld.so is to keep at least.
    pub static_tls: u64,
}

/// The text of `bin/replit-env`.
pub fn wrapper(shell: &Shell, helper: &[u8], changes: &Changes<'_>) -> Vec<u8> {
    let (before, after) = ARGUMENTS.split_once("@helper@").expect("arguments.sh names the helper");
    let parts: [&[u8]; 10] = [
        b"#!",
        shell.bytes(),
        b"\n# Runs a program with the declared dependencies. Written by replit-env-cli; made anew, not edited.\n",
        before.as_bytes(),
        &quoted(helper),
        after.as_bytes(),
        b"\n",
        &text(changes),
        b"\n",
        EXEC.as_bytes(),
    ];
    parts.concat()
}

/// The text of `etc/profile.d/replit-env.sh`.
pub fn profile(changes: &Changes<'_>) -> Vec<u8> {
    let header = "# For sourcing: gives the shell the declared dependencies. Written by replit-env-cli; made anew, not edited.\n";
    [header.as_bytes(), &text(changes)].concat()
}

fn text(changes: &Changes<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for variable in changes.variables {
        let parts: [&[u8]; 5] = [b"export ", variable.name().as_bytes(), b"=", &quoted(variable.value()), b"\n"];
        text.extend(parts.concat());
    }
    let auditors = [changes.auditor.bytes()].into_iter().chain(changes.auditors.iter().map(Vec::as_slice));
    text.extend(merge("LD_AUDIT", &auditors.collect::<Vec<_>>(), "", AUDITOR));
    text.extend(merge("REPLIT_LD_LIBRARY_PATH", &bytes(changes.libraries), "", NONE));
    text.extend(merge("PATH", &bytes(changes.programs), DEFAULT_PATH, NONE));
    text.extend(tunables(changes));
    text.extend(FORGET.as_bytes());
    text
}

fn bytes(entries: &[ListEntry]) -> Vec<&[u8]> {
    entries.iter().map(ListEntry::bytes).collect()
}

/// Puts `ours` first in a list variable and leaves out entries of the file name `older`. `unset` is the list that an
/// unset variable stands for.
///
/// One loop a variable and no shell function: functions of a sourced file outlive it, and zsh can be set to complain about
/// what they assign.
fn merge(variable: &str, ours: &[&[u8]], unset: &str, older: &str) -> Vec<u8> {
    // Nothing of ours: the variable is not touched.
    if ours.is_empty() {
        return Vec::new();
    }
    let list = ours.join(&b':');
    let rest = format!("__replit_env_older={older}\n__replit_env_rest=${{{variable}-{unset}}}\n");
    let merge = MERGE.replace("VARIABLE", variable);
    [b"__replit_env_ours=", &quoted(&list)[..], b"\n", rest.as_bytes(), merge.as_bytes()].concat()
}

/// Merges GLIBC_TUNABLES, a list of settings in place of paths.
fn tunables(changes: &Changes<'_>) -> Vec<u8> {
    // With a colon behind each, as the script takes lists apart.
    let declared: Vec<u8> = changes.tunables.iter().flat_map(|setting| setting.iter().chain(b":")).copied().collect();
    let merge = TUNABLES
        .replace("@name@", STATIC_TLS)
        .replace("@static_tls@", &changes.static_tls.to_string())
        .replace("@largest@", &LARGEST.to_string());
    [b"__replit_env_ours=", &quoted(&declared)[..], b"\n", merge.as_bytes()].concat()
}

/// A word of the shell that stands for exactly these bytes.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut word = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => word.extend(br"'\''"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_literal() {
        assert_eq!(quoted(b"it's $x"), br"'it'\''s $x'");
        assert_eq!(quoted(b""), b"''");
    }

    #[test]
    fn a_list_of_nothing_leaves_the_variable_alone() {
        assert!(merge("PATH", &[], DEFAULT_PATH, NONE).is_empty());
    }
}

//! The shell text: the parts in `sh/`, with constants between them.

use rtld_loader::heritage::{CHANGED, OUTER};

use crate::declared::{ListEntry, Shell, Variable};
use crate::tunables::{LARGEST, STATIC_TLS};

const ARGUMENTS: &str = include_str!("sh/arguments.sh");
const INHERIT: &str = include_str!("sh/inherit.sh");
const MERGE: &str = include_str!("sh/merge.sh");
const TUNABLES: &str = include_str!("sh/tunables.sh");
const FORGET: &str = include_str!("sh/forget.sh");
const LOG: &str = include_str!("sh/log.sh");
const EXEC: &str = include_str!("sh/exec.sh");

/// The file name by which an auditor of ours is known in LD_AUDIT.
pub const AUDITOR: &str = "rtld_loader.so";

/// In place of such a file name where every entry is kept: no entry of a colon list has a colon.
const NONE: &str = ":";

/// The PATH of a process that has none, as execvp(3) searches it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// How the script is used.
pub const USAGE: &str = "\
replit-env [OPTION]... [--] PROGRAM [ARGUMENT]...
       replit-env [--log=LEVEL] --print-env[=FORMAT]
       replit-env --explain [--observe] PROGRAM|FILE.so|SONAME [ARGUMENT]...
       replit-env --doctor [--json] [--verbose] [PROGRAM]";

/// What --log sets, with commas between the names.
const LOG_NAMES: &str = "REPLIT_RTLD_LOG_LEVEL,REPLIT_RTLD_LOG_FILE";

/// What the shell text puts into the process's environment.
pub struct Changes<'a> {
    /// Set first, so that a declared list is what the others are merged with.
    pub variables: &'a [Variable],
    /// Goes first in LD_AUDIT.
    pub auditor: &'a ListEntry,
    /// Go behind it there, before the user's.
    pub auditors: &'a [Vec<u8>],
    /// Goes first in REPLIT_RTLD_INDEX.
    pub index: Option<&'a ListEntry>,
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
    let assignments = assignments(changes);
    let arguments = ARGUMENTS.replace("@names@", &names(&assignments).join(",")).replace("@log_names@", LOG_NAMES);
    let arguments = fill(arguments.as_bytes(), "@usage@", &quoted(format!("Usage: {USAGE}").as_bytes()));
    let inherit = INHERIT.replace("@changed@", &CHANGED.join(" ")).replace("@outer@", OUTER);
    let parts: [&[u8]; 10] = [
        b"#!",
        shell.bytes(),
        b"\n# Runs a program with the declared dependencies. Written by replit-env-cli; made anew, not edited.\n",
        &fill(&arguments, "@helper@", &quoted(helper)),
        b"\n",
        inherit.as_bytes(),
        &text(&assignments),
        LOG.as_bytes(),
        b"\n",
        EXEC.as_bytes(),
    ];
    parts.concat()
}

/// The text of `etc/profile.d/replit-env.sh`.
pub fn profile(changes: &Changes<'_>) -> Vec<u8> {
    let header = "# For sourcing: gives the shell the declared dependencies. Written by replit-env-cli; made anew, not edited.\n";
    [header.as_bytes(), &text(&assignments(changes))].concat()
}

/// One line of the shell that sets a variable to exactly these bytes. The name is a word.
pub fn export(name: &str, value: &[u8]) -> Vec<u8> {
    [b"export ", name.as_bytes(), b"=", &quoted(value), b"\n"].concat()
}

/// Text that sets one variable.
struct Assignment<'a> {
    name: &'a str,
    text: Vec<u8>,
}

/// What is set, in order. One name may be there several times.
fn assignments<'a>(changes: &Changes<'a>) -> Vec<Assignment<'a>> {
    let declared = changes
        .variables
        .iter()
        .map(|variable| Assignment { name: variable.name(), text: export(variable.name(), variable.value()) });
    let auditors = [changes.auditor.bytes()].into_iter().chain(changes.auditors.iter().map(Vec::as_slice));
    let lists = [
        merge("LD_AUDIT", &auditors.collect::<Vec<_>>(), "", AUDITOR),
        merge("REPLIT_LD_LIBRARY_PATH", &bytes(changes.libraries), "", NONE),
        merge("REPLIT_RTLD_INDEX", &changes.index.iter().map(|index| index.bytes()).collect::<Vec<_>>(), "", NONE),
        merge("PATH", &bytes(changes.programs), DEFAULT_PATH, NONE),
        Some(tunables(changes)),
    ];
    declared.chain(lists.into_iter().flatten()).collect()
}

fn text(assignments: &[Assignment<'_>]) -> Vec<u8> {
    let parts = assignments.iter().map(|assignment| assignment.text.as_slice());
    parts.chain([FORGET.as_bytes()]).collect::<Vec<_>>().concat()
}

/// The names of what is set, each once.
fn names<'a>(assignments: &[Assignment<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for assignment in assignments {
        if !names.contains(&assignment.name) {
            names.push(assignment.name);
        }
    }
    names
}

fn bytes(entries: &[ListEntry]) -> Vec<&[u8]> {
    entries.iter().map(ListEntry::bytes).collect()
}

/// Puts `ours` first in a list variable and leaves out entries of the file name `older`. `unset` is the list that an
/// unset variable stands for.
///
/// One loop a variable and no shell function: functions of a sourced file outlive it, and zsh can be set to complain about
/// what they assign.
fn merge(variable: &'static str, ours: &[&[u8]], unset: &str, older: &str) -> Option<Assignment<'static>> {
    // Nothing of ours: the variable is not touched.
    if ours.is_empty() {
        return None;
    }
    let list = ours.join(&b':');
    let rest = format!("__replit_env_older={older}\n__replit_env_rest=${{{variable}-{unset}}}\n");
    let merge = MERGE.replace("VARIABLE", variable);
    let text = [b"__replit_env_ours=", &quoted(&list)[..], b"\n", rest.as_bytes(), merge.as_bytes()].concat();
    Some(Assignment { name: variable, text })
}

/// Merges GLIBC_TUNABLES, a list of settings in place of paths.
fn tunables(changes: &Changes<'_>) -> Assignment<'static> {
    // With a colon behind each, as the script takes lists apart.
    let declared: Vec<u8> = changes.tunables.iter().flat_map(|setting| setting.iter().chain(b":")).copied().collect();
    let merge = TUNABLES
        .replace("@name@", STATIC_TLS)
        .replace("@static_tls@", &changes.static_tls.to_string())
        .replace("@largest@", &LARGEST.to_string());
    let text = [b"__replit_env_ours=", &quoted(&declared)[..], b"\n", merge.as_bytes()].concat();
    Assignment { name: "GLIBC_TUNABLES", text }
}

/// The text with `value` in the place of each `mark`.
fn fill(text: &[u8], mark: &str, value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(mark.len()).position(|part| part == mark.as_bytes()) {
        filled.extend([&rest[..at], value].concat());
        rest = &rest[at + mark.len()..];
    }
    filled.extend(rest);
    filled
}

/// A word of the shell that stands for exactly these bytes.
pub fn quoted(bytes: &[u8]) -> Vec<u8> {
    in_quotes(bytes, &[(b'\'', br"'\''")])
}

/// Bytes between single quotes, where some of them have to be written in another way.
pub fn in_quotes(bytes: &[u8], otherwise: &[(u8, &[u8])]) -> Vec<u8> {
    let written = bytes.iter().flat_map(|byte| match otherwise.iter().find(|(known, _)| known == byte) {
        Some((_, text)) => text,
        None => std::slice::from_ref(byte),
    });
    [b'\''].iter().chain(written).chain(b"'").copied().collect()
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
        assert!(merge("PATH", &[], DEFAULT_PATH, NONE).is_none());
    }
}

//! The declared variables, sorted by what becomes of them.

use anyhow::Result;

use crate::declared::Variable;
use crate::script::AUDITOR;
use crate::tunables::Tunables;

/// Declared variables. Of two of one name the last counts.
#[derive(Debug)]
pub struct Variables {
    /// Set as they are.
    pub set: Vec<Variable>,
    /// LD_AUDIT: goes between our auditor and the user's.
    pub auditors: Vec<Vec<u8>>,
    /// GLIBC_TUNABLES: holds where the user has not set it otherwise.
    pub tunables: Tunables,
}

impl Variables {
    /// Sorts them.
    pub fn sort(variables: Vec<Variable>) -> Result<Self> {
        let mut sorted = Self { set: Vec::new(), auditors: Vec::new(), tunables: Tunables::default() };
        for variable in variables {
            match variable.name() {
                "LD_AUDIT" => sorted.auditors = auditors(variable.value()),
                "GLIBC_TUNABLES" => sorted.tunables = Tunables::parse(variable.value())?,
                _ => sorted.set.push(variable),
            }
        }
        Ok(sorted)
    }
}

/// The entries of a list of auditors, each once, without older ones of ours.
fn auditors(list: &[u8]) -> Vec<Vec<u8>> {
    let mut auditors: Vec<Vec<u8>> = Vec::new();
    for entry in list.split(|&byte| byte == b':') {
        let name = entry.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !entry.is_empty() && name != AUDITOR.as_bytes() && !auditors.iter().any(|known| known == entry) {
            auditors.push(entry.to_vec());
        }
    }
    auditors
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn lists_of_ld_so_are_merged_and_others_set() {
        let declared = [
            "LD_AUDIT=/first.so",
            "A=1",
            "GLIBC_TUNABLES=a.b=1",
            "LD_AUDIT=/a.so::/old/rtld_loader.so:rtld_loader.so:/a.so:b.so",
            "A=2",
        ];
        let parse = |text| Variable::parse(OsStr::new(text)).unwrap();
        let variables = Variables::sort(declared.map(parse).into()).unwrap();
        assert_eq!(variables.auditors, [b"/a.so".as_slice(), b"b.so"]);
        assert_eq!(variables.tunables.others, [b"a.b=1"]);
        let set: Vec<_> = variables.set.iter().map(|variable| (variable.name(), variable.value())).collect();
        assert_eq!(set, [("A", &b"1"[..]), ("A", b"2")]);
    }
}

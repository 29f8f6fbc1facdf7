//! Differences that are explained, in `tests/suite/sweep.toml`.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Swept;
use super::compare::What;
use super::programs::Program;

/// The file.
const FILE: &str = include_str!("../../sweep.toml");

/// All that is explained.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(default)]
    difference: Vec<Explained>,
}

/// A program that does not do the same with the auditor, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    /// The name of its file.
    program: String,
    /// The channel that it is of, or `machine`.
    on: String,
    /// What differs.
    what: Vec<What>,
    /// Why.
    why: String,
}

impl Known {
    /// Reads the file.
    pub fn read() -> Result<Known> {
        Known::parse(FILE).context("sweep.toml")
    }

    fn parse(text: &str) -> Result<Known> {
        let known: Known = toml::from_str(text)?;
        for Explained { program, why, what, .. } in &known.difference {
            ensure!(!why.trim().is_empty() && !what.is_empty(), "{program} has to say what differs and why");
        }
        Ok(known)
    }

    /// Whether a difference of a program is explained.
    pub fn explains(&self, program: &Program, what: What) -> bool {
        self.difference.iter().any(|explained| explained.is_of(program) && explained.what.contains(&what))
    }

    /// What is explained and does not differ any more. A program that the machine does not have may differ on another.
    pub fn stale(&self, swept: &[Swept]) -> Vec<String> {
        let mut stale = Vec::new();
        for explained in &self.difference {
            let of: Vec<&Swept> = swept.iter().filter(|swept| explained.is_of(&swept.program)).collect();
            for what in &explained.what {
                let differs =
                    of.iter().any(|swept| swept.differences.iter().any(|difference| difference.what == *what));
                let may_be_elsewhere = of.is_empty() && explained.on == MACHINE;
                if !differs && !may_be_elsewhere {
                    stale.push(format!("{} on {}: {what}", explained.program, explained.on));
                }
            }
        }
        stale
    }
}

/// The origin of the machine's own programs.
pub const MACHINE: &str = "machine";

impl Explained {
    fn is_of(&self, program: &Program) -> bool {
        let name = program.path.file_name().is_some_and(|name| name == self.program.as_str());
        name && program.origin == self.on
    }
}

#[cfg(test)]
mod tests {
    use super::super::Difference;
    use super::*;

    const TEXT: &str = r#"
        [[difference]]
        program = "server"
        on = "old"
        what = ["loaded", "help"]
        why = "It has no room."
        [[difference]]
        program = "other"
        on = "machine"
        what = ["help"]
        why = "So it is."
    "#;

    fn swept(name: &str, origin: &str, differs: &[What]) -> Swept {
        let difference = |what: &What| Difference { what: *what, environment: "index", text: String::new() };
        Swept {
            program: Program { path: format!("/bin/{name}").into(), origin: origin.into() },
            lacks_a_library: false,
            is_unseen: false,
            goes_on: false,
            varies: false,
            differences: differs.iter().map(difference).collect(),
        }
    }

    #[test]
    fn the_file_is_well_formed() {
        Known::read().unwrap();
        assert!(Known::parse(&TEXT.replace("So it is.", " ")).is_err());
        assert!(Known::parse(&TEXT.replace("why", "because")).is_err());
    }

    #[test]
    fn only_what_is_named_is_explained() {
        let known = Known::parse(TEXT).unwrap();
        let server = swept("server", "old", &[]).program;
        assert!(known.explains(&server, What::Help));
        assert!(!known.explains(&server, What::Version));
        assert!(!known.explains(&swept("server", "new", &[]).program, What::Help));
        assert!(!known.explains(&swept("serve", "old", &[]).program, What::Help));
    }

    #[test]
    fn what_does_not_differ_any_more_is_stale() {
        let known = Known::parse(TEXT).unwrap();
        let both = swept("server", "old", &[What::Loaded, What::Help]);
        assert!(known.stale(&[both]).is_empty());
        assert_eq!(known.stale(&[swept("server", "old", &[What::Loaded])]), ["server on old: help"]);
        // A channel's program is there on every machine.
        assert_eq!(known.stale(&[]).len(), 2);
        let same = [swept("server", "old", &[What::Loaded, What::Help]), swept("other", "machine", &[])];
        assert_eq!(known.stale(&same), ["other on machine: help"]);
    }
}

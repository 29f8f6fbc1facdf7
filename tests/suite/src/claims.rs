//! What docs/security.md claims, and by which tests each claim is held.
//!
//! A claim is an item of a list in the section "Claims". It ends with `Held by:` and names in backticks: of a case of the
//! integration tests (`log/planted`), of all cases of a theme (`damaged/`), or of a unit test (`src/refusal.rs::its_name`).
//! Other pages name cases, too, in their text.

use anyhow::{Context, Result, ensure};

/// A claim.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'d> {
    /// Its first line.
    pub begins: &'d str,
    /// The tests that hold it.
    pub held_by: Vec<Test<'d>>,
}

/// A test that holds a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test<'d> {
    /// A case, or all cases of a theme, whose name has a slash at its end.
    Case(&'d str),
    /// A function in a file, by its path in the tree.
    Unit(&'d str, &'d str),
}

const MARK: &str = "Held by: ";

/// The claims of the page.
pub fn read(page: &str) -> Result<Vec<Claim<'_>>> {
    let sections = page.split("\n## ").filter_map(|section| section.strip_prefix("Claims\n"));
    let section = sections.last().context("there is no section of claims")?;
    // What stands before the first item is none.
    let items = section.split("\n- ").skip(1).map(|item| item.split("\n\n").next().unwrap_or_default());
    items.map(claim).collect()
}

/// Where the first part of a name is one of these, it is a path in the tree.
const DIRECTORIES: [&str; 7] = ["docs", "nix", "src", "target", "templates", "tests", "wrapper"];

/// The cases that a page names in backticks, wherever that is. What stands for any name (`theme/…`, `theme/*`, `theme/NAME`) is all
/// that begin so.
pub fn named(page: &str) -> Vec<Test<'_>> {
    let words = page.split('`').skip(1).step_by(2);
    let names = words.map(|word| ["…", "*", "NAME"].iter().find_map(|any| word.strip_suffix(any)).unwrap_or(word));
    let is_name = |name: &&str| {
        let is_plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/'));
        is_plain && name.split_once('/').is_some_and(|(theme, _)| !theme.is_empty() && !DIRECTORIES.contains(&theme))
    };
    names.filter(is_name).map(Test::Case).collect()
}

fn claim(item: &str) -> Result<Claim<'_>> {
    let begins = item.lines().next().unwrap_or_default();
    let (_, names) = item.rsplit_once(MARK).with_context(|| format!("nothing holds: {begins}"))?;
    let held_by: Vec<Test<'_>> = names.split('`').skip(1).step_by(2).map(test).collect();
    let between: Vec<&str> = names.split('`').step_by(2).map(str::trim).collect();
    // Names alone stand there, with commas between them and a full stop behind.
    let is_list = between.split_first().zip(between.split_last()).is_some_and(|((first, _), (last, rest))| {
        first.is_empty() && *last == "." && rest.iter().skip(1).all(|separator| *separator == ",")
    });
    ensure!(is_list && !held_by.is_empty(), "no list of tests: {names}");
    Ok(Claim { begins, held_by })
}

fn test(name: &str) -> Test<'_> {
    name.split_once("::").map_or(Test::Case(name), |(file, function)| Test::Unit(file, function))
}

impl Test<'_> {
    /// Whether it is a case of this name, or the case's theme.
    pub fn is_case(&self, name: &str) -> bool {
        match self {
            Self::Case(wanted) if wanted.ends_with('/') => name.starts_with(wanted),
            Self::Case(wanted) => name == *wanted,
            Self::Unit(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(claims: &str) -> String {
        format!("# Title\n\n- no claim\n\n## Claims\n\nText.\n\n{claims}\n\n## More\n\n- none either\n")
    }

    #[test]
    fn claims_are_read_with_their_tests() {
        let text = page(
            "### A\n\n- One `word`\n  of it. Held by: `a/b`,\n  `c/`.\n- Two.\n  Held by: `x/y.rs::z`.\n\n\
             ### B\n\n- Three. Held by: `a/b`.",
        );
        let claims = read(&text).unwrap();
        let held: Vec<_> = claims.iter().map(|claim| (claim.begins, claim.held_by.as_slice())).collect();
        let expected: [(&str, &[Test<'_>]); 3] = [
            ("One `word`", &[Test::Case("a/b"), Test::Case("c/")]),
            ("Two.", &[Test::Unit("x/y.rs", "z")]),
            ("Three. Held by: `a/b`.", &[Test::Case("a/b")]),
        ];
        assert_eq!(held, expected);
    }

    #[test]
    fn a_claim_without_a_test_is_an_error() {
        for claims in ["- One.", "- One. Held by: .", "- One. Held by: us.", "- One. Held by: `a/b` and\n  `c/d`."] {
            assert!(read(&page(claims)).is_err(), "{claims}");
        }
        assert!(read("# Title\n").is_err());
    }

    #[test]
    fn names_of_cases_are_told_from_other_words() {
        let text =
            "`a/b` `a b/c`, `c/…` or `d/*`\n```sh\nx/y\n```\n| `e/f/NAME` | `/proc` `src/x` `tests/y/` `A/b` `word`";
        assert_eq!(named(text), ["a/b", "c/", "d/", "e/f/"].map(Test::Case));
    }

    #[test]
    fn a_theme_stands_for_its_cases() {
        assert!(Test::Case("a/").is_case("a/b") && Test::Case("a/b").is_case("a/b"));
        assert!(!Test::Case("a/").is_case("aa/b") && !Test::Case("a/b").is_case("a/bc"));
        assert!(!Test::Unit("a", "b").is_case("a::b"));
    }
}

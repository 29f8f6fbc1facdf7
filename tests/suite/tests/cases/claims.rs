//! docs/security.md claims nothing without a case that holds it, and each case that it names can be seen somewhere. Those that other
//! pages name are there.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use suite::claims::{self, Test};
use suite::manifest::{Channel, Manifest};

use super::{Case, FileCase};

/// Pages that name cases in their text.
const PAGES: [(&str, &str); 2] = [
    ("docs/reliability.md", include_str!("../../../../docs/reliability.md")),
    ("docs/old-glibc.md", include_str!("../../../../docs/old-glibc.md")),
];
const SECURITY: &str = include_str!("../../../../docs/security.md");

pub fn cases() -> Vec<FileCase> {
    vec![FileCase { name: "security-claims", check: held }, FileCase { name: "named-in-docs", check: named }]
}

/// The names of all cases that there are, of files and of processes.
fn known() -> Vec<String> {
    let files = super::auditor().into_iter().map(|case| format!("auditor/{}", case.name));
    super::all().into_iter().map(|case| case.name).chain(files).collect()
}

/// Every case that a page names is one.
fn named(_: &Manifest) -> Result<()> {
    let known = known();
    for (page, text) in PAGES {
        let named = claims::named(text);
        ensure!(!named.is_empty(), "{page} names no case");
        let unknown: Vec<&Test<'_>> =
            named.iter().filter(|test| !known.iter().any(|case| test.is_case(case))).collect();
        ensure!(unknown.is_empty(), "{page} names cases that there are not: {unknown:?}");
    }
    Ok(())
}

/// Every case that is named is one, and is tried here on some channel.
fn held(manifest: &Manifest) -> Result<()> {
    let cases = super::all();
    let is_tried = |case: &&Case| {
        let mut places =
            manifest.channels.iter().flat_map(|channel| manifest.views.iter().map(move |view| (channel, *view)));
        places.any(|(channel, view)| case.applies(manifest, channel, view))
    };
    let files: Vec<String> = super::auditor().iter().map(|case| format!("auditor/{}", case.name)).collect();
    let known = known();
    let tried: Vec<String> = cases.iter().filter(is_tried).map(|case| case.name.clone()).chain(files).collect();
    let (mut unknown, mut untried) = (BTreeSet::new(), BTreeSet::new());
    let named: Vec<Test<'_>> = claims::read(SECURITY)?.into_iter().flat_map(|claim| claim.held_by).collect();
    for test in &named {
        let Test::Case(name) = test else { continue };
        if !known.iter().any(|case| test.is_case(case)) {
            unknown.insert(*name);
        } else if !tried.iter().any(|case| test.is_case(case)) {
            untried.insert(*name);
        }
    }
    ensure!(unknown.is_empty(), "docs/security.md names cases that there are not: {unknown:?}");
    // A sandbox of Nix's has no other users, one channel by itself nothing that several do together, and on another machine there
    // is no sweep.
    let is_own = manifest.channels.iter().all(Channel::is_of_this_machine);
    let is_whole = is_own && manifest.views.len() > 1 && manifest.channels.len() > 1;
    ensure!(!is_whole || untried.is_empty(), "no channel and no view is for these: {untried:?}");
    // What is there for users and their rights, and for logs, is claimed.
    let themes = ["secure/", "log/planted", "log/replaced", "log/given-away", "log/privileges-dropped"];
    let unclaimed: Vec<&String> = known
        .iter()
        .filter(|case| themes.iter().any(|theme| case.starts_with(theme)))
        .filter(|case| !named.iter().any(|test| test.is_case(case)))
        .collect();
    ensure!(unclaimed.is_empty(), "docs/security.md does not name {unclaimed:?}");
    Ok(())
}

//! docs/security.md claims nothing without a case that holds it, and each case that it names can be seen somewhere.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use suite::claims::{self, Test};
use suite::manifest::{Channel, Manifest};

use super::{Case, FileCase};

const SECURITY: &str = include_str!("../../../../docs/security.md");

pub fn cases() -> Vec<FileCase> {
    vec![FileCase { name: "security-claims", check: held }]
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
    let known: Vec<String> = cases.iter().map(|case| case.name.clone()).chain(files.clone()).collect();
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

//! The sweep over all programs sees what it is there to see.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::{Manifest, View};
use suite::sweep::compare::What;
use suite::sweep::programs::Programs;
use suite::sweep::{self, Swept};

use super::Case;

/// The rule of older loaders: see the file.
const FIRST_FILE: &str = include_str!("../../fixtures/first_file.c");

pub fn cases() -> Vec<Case> {
    vec![Case::new("sweep/differences", differences).views(&[View::Distribution]).of_the_machine().several_channels()]
}

/// Programs of the channel are the same with our auditor, and not with one that answers before ld.so has searched.
fn differences(bed: &Bed) -> Result<()> {
    let swept = sweep_with(bed, bed.manifest.clone())?;
    for one in &swept {
        let texts: Vec<&str> = one.differences.iter().map(|difference| difference.text.as_str()).collect();
        let name = one.program.path.display();
        ensure!(!one.is_unseen && !one.lacks_a_library && texts.is_empty(), "{name}: {texts:#?}");
    }

    // zlib alone, so that the generator's own programs run.
    let hasty = FIRST_FILE.replace("flag != LA_SER_DEFAULT", "flag != LA_SER_ORIG || asked[3] != 'z'");
    ensure!(hasty != FIRST_FILE, "the auditor is as it was");
    let auditor = bed.library("rtld_loader.so").source(hasty).build()?;
    let mut manifest = Manifest { auditor, ..bed.manifest.clone() };
    // Another channel's comes before its own.
    manifest.channels.sort_by_key(|channel| channel.name == bed.channel.name);
    let swept = sweep_with(bed, manifest)?;
    let curl = swept.iter().find(|one| one.program.path.ends_with("curl")).context("curl is swept")?;
    for environment in ["variables", "index"] {
        let differs = curl.differences.iter().any(|some| some.environment == environment && some.what == What::Loaded);
        ensure!(differs, "curl loads the same with {environment}");
    }
    Ok(())
}

/// Sweeps over the programs of curl and OpenSSL.
fn sweep_with(bed: &Bed, manifest: Manifest) -> Result<Vec<Swept>> {
    let outputs = ["curl", "openssl"].map(|name| bed.channel.programs.get(name).context("the channel has both"));
    let outputs = outputs.into_iter().collect::<Result<Vec<_>>>()?;
    let mut programs = Programs::default();
    for output in &outputs {
        ensure!(programs.add(&output.join("bin"), &bed.channel.name), "{} has no program", output.display());
    }
    let outputs: Vec<&Path> = outputs.iter().map(|output| output.as_path()).collect();
    let count = programs.list.len();
    let swept = sweep::sweep(&manifest, programs.list, &outputs, &|_| ())?;
    ensure!(swept.len() == count, "{} of {count} programs", swept.len());
    Ok(swept)
}

//! What no auditor can do on an old glibc, as docs/old-glibc.md says. Should it work one day, the page has to change.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::instructions::IDLE;

use super::Case;

/// signal(7).
const SIGSEGV: u32 = 11;

pub fn cases() -> Vec<Case> {
    vec![Case::new("old-glibc/dlmopen", dlmopen).before((2, 35))]
}

/// Up to glibc 2.34 ld.so itself crashes when it opens anything in a namespace of its own under any auditor, unless that
/// declines.
fn dlmopen(bed: &Bed) -> Result<()> {
    let library = bed.library("own/libown.so").says("own").build()?;
    let program = bed.program("dlmopen").source(include_str!("../../fixtures/dlmopen.c")).build()?;
    let run = bed.run(program).arg(library);
    run.plain()?.prints(["own"])?;
    let idle = run.clone().env("LD_AUDIT", bed.library("libidle.so").source(IDLE).build()?).plain()?;
    for audited in [idle, run.audited()?] {
        ensure!(audited.killed_by() == Some(SIGSEGV), "{audited}");
    }
    run.env("REPLIT_RTLD_DISABLE", "1").audited()?.prints(["own"])?;
    Ok(())
}

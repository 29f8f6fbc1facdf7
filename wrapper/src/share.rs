//! Shell completions and man pages, in the places below `share` where shells and man(1) look for them.

use std::path::Path;

use anyhow::Result;
use clap::{Command, ValueEnum};

use crate::completions::Shell;
use crate::generate::replace;
use crate::man;
use crate::script::USAGE;

/// The helper program.
pub const HELPER: &str = "replit-env-cli";

/// Writes those of an environment: of the script, whose options are these.
pub fn of_script(share: &Path, options: Command) -> Result<()> {
    for shell in Shell::value_variants() {
        replace(&share.join(shell.file("replit-env")), shell.of_script(options.clone()).as_bytes(), 0o644)?;
    }
    replace(&share.join("man/man1/replit-env.1"), &man::page(&options, USAGE)?, 0o644)?;
    auditor(share)
}

/// Writes those of a package: of the helper.
pub fn of_helper(share: &Path, helper: &Command) -> Result<()> {
    // What the script hands over is nobody's to type.
    let shown = helper.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    let helper = Command::new(HELPER).version(env!("CARGO_PKG_VERSION")).subcommands(shown.cloned());
    for shell in Shell::value_variants() {
        replace(&share.join(shell.file(HELPER)), &shell.of_helper(helper.clone()), 0o644)?;
    }
    auditor(share)
}

fn auditor(share: &Path) -> Result<()> {
    replace(&share.join("man/man7/rtld_loader.7"), man::AUDITOR.as_bytes(), 0o644)
}

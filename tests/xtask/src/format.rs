//! `cargo xtask format`: the Rust files as rustfmt writes them, the Nix files as nixfmt does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{setup, step, tree};

/// Formats what is not as it should be.
pub fn run(sh: &Shell) -> Result<()> {
    setup::rust_components(sh)?;
    step::run("cargo fmt", cmd!(sh, "cargo fmt --all"))?;
    for (file, text) in unformatted(&sh.current_dir())? {
        step::say(&format!("{}", file.display()));
        sh.write_file(file, text)?;
    }
    Ok(())
}

/// Fails if a file is not as it should be.
pub fn check(sh: &Shell) -> Result<()> {
    step::run("cargo fmt", cmd!(sh, "cargo fmt --all --check"))?;
    let files: Vec<_> = unformatted(&sh.current_dir())?.into_iter().map(|(file, _)| file).collect();
    ensure!(files.is_empty(), "`cargo xtask format` would change {files:?}");
    Ok(())
}

/// The Nix files that nixfmt would change, each with what it would make of it.
fn unformatted(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for file in tree::files(root) {
        let file = file?;
        if file.extension().is_none_or(|extension| extension != "nix") {
            continue;
        }
        let text = std::fs::read_to_string(&file)?;
        let formatted = nixfmt_rs::format(&text).map_err(|error| anyhow::anyhow!("{error:?}"));
        let formatted = formatted.with_context(|| file.display().to_string())?;
        if formatted != text {
            found.push((file, formatted));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_nix_are_formatted_and_no_others() {
        let sh = Shell::new().unwrap();
        let tree = sh.create_temp_dir().unwrap();
        let file = |name: &str, text: &str| {
            let path = tree.path().join(name);
            sh.write_file(&path, text).unwrap();
            path
        };
        file("good.nix", "{ a = 1; }\n");
        file("bad.txt", "{a=1;}");
        let bad = file("below/bad.nix", "{a=1;}");
        assert_eq!(unformatted(tree.path()).unwrap(), [(bad.clone(), "{ a = 1; }\n".to_owned())]);
        sh.write_file(&bad, "{").unwrap();
        let error = format!("{:#}", unformatted(tree.path()).unwrap_err());
        assert!(error.contains("bad.nix"), "{error}");
    }
}

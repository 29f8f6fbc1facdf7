//! The files of the tree.

use std::path::{Path, PathBuf};

use ignore::{Error, WalkBuilder};

/// All files below `root` but what .gitignore names, in a checkout and in an unpacked archive alike.
pub fn files(root: &Path) -> impl Iterator<Item = Result<PathBuf, Error>> {
    let entries = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        // An unpacked archive has a .gitignore and no .git.
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    entries
        .map(|entry| entry.map(ignore::DirEntry::into_path))
        .filter(|path| path.as_ref().map_or(true, |path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left behind when a case goes, or was never made one.
    #[test]
    fn every_fixture_is_used() {
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("suite");
        let files: Vec<PathBuf> = files(&suite).collect::<Result<_, _>>().unwrap();
        let (fixtures, others): (Vec<_>, Vec<_>) =
            files.iter().map(|file| file.strip_prefix(&suite).unwrap()).partition(|file| file.starts_with("fixtures"));
        let is_source = |file: &&&Path| file.extension().is_some_and(|extension| extension == "rs");
        let sources: String =
            others.iter().filter(is_source).map(|file| std::fs::read_to_string(suite.join(file)).unwrap()).collect();
        let unused: Vec<_> =
            fixtures.iter().filter(|file| !sources.contains(&format!("/{}\"", file.display()))).collect();
        assert!(fixtures.len() > 40 && unused.is_empty(), "of {} fixtures, no case has {unused:?}", fixtures.len());
    }
}

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

//! What a program loads when it starts, and copies of it that are linked in another way.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::dynamic::Dynamic;
use crate::manifest::Channel;
use crate::process;
use crate::trace::Trace;

/// The objects of a process, but for ld.so and the glibc family.
#[derive(Clone, Debug)]
pub struct Closure {
    /// The program.
    pub program: PathBuf,
    /// Its libraries, in the order of loading.
    pub libraries: Vec<PathBuf>,
    /// What it opened of `modules`: extension modules.
    pub modules: Vec<PathBuf>,
}

/// How copies are to find each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Linking {
    /// Each DT_NEEDED is a path. The RUNPATH stays: it is not searched.
    Paths,
    /// Each RUNPATH is one directory, with a link to every library.
    Links,
    /// Each RUNPATH leads to the glibc alone.
    Nowhere,
}

impl Closure {
    /// The closure of a program of which `trace` was made. What it loaded of the directory `modules` are modules.
    pub fn of(program: &Path, trace: &Trace, modules: Option<&Path>, channel: &Channel) -> Closure {
        let mut closure = Closure { program: program.into(), libraries: Vec::new(), modules: Vec::new() };
        let glibc: Vec<&Path> = [channel.glibc_lib.as_path()]
            .into_iter()
            .chain(channel.default_directories.iter().map(PathBuf::as_path))
            .collect();
        for file in trace.loaded() {
            let is_module = modules.is_some_and(|modules| file.starts_with(modules));
            let list = if is_module { &mut closure.modules } else { &mut closure.libraries };
            if !glibc.iter().any(|directory| file.starts_with(directory)) && !list.contains(&file) {
                list.push(file);
            }
        }
        closure
    }

    /// The directories of the libraries, in the order of loading.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        for directory in self.libraries.iter().filter_map(|library| library.parent()) {
            if !directories.iter().any(|known| known == directory) {
                directories.push(directory.to_owned());
            }
        }
        directories
    }

    /// Copies it to `place`, a directory for each one that it has.
    pub fn copy(&self, bed: &Bed, place: &Path, linking: Linking) -> Result<Copy> {
        let mut copy = Copy {
            program: place.join("bin").join(file_name(&self.program)?),
            modules: place.join("modules"),
            directories: BTreeMap::new(),
        };
        for (number, directory) in self.directories().into_iter().enumerate() {
            copy.directories.insert(directory, place.join(number.to_string()));
        }
        let mut files = vec![(self.program.clone(), copy.program.clone())];
        for library in &self.libraries {
            let directory = &copy.directories[library.parent().context("a library has a directory")?];
            files.push((library.clone(), directory.join(file_name(library)?)));
        }
        for module in &self.modules {
            files.push((module.clone(), copy.modules.join(file_name(module)?)));
        }
        let linker = Linker::new(bed, place, linking, &files)?;
        for (from, to) in &files {
            fs::create_dir_all(to.parent().context("a file has a directory")?)?;
            process::copy_program(from, to, 0o755)?;
            linker.link(to)?;
        }
        Ok(copy)
    }
}

/// Copies of a closure.
#[derive(Debug)]
pub struct Copy {
    /// The program.
    pub program: PathBuf,
    /// The directory of the modules.
    pub modules: PathBuf,
    directories: BTreeMap<PathBuf, PathBuf>,
}

impl Copy {
    /// The directory with the copies of another's libraries; that itself if nothing of it was copied.
    pub fn directory<'a>(&'a self, of: &'a PathBuf) -> &'a PathBuf {
        self.directories.get(of).unwrap_or(of)
    }
}

/// Has patchelf link copies.
struct Linker<'b> {
    patchelf: &'b Path,
    linking: Linking,
    /// The path of each library, by its soname.
    libraries: BTreeMap<String, PathBuf>,
    glibc: &'b Path,
    links: PathBuf,
}

impl<'b> Linker<'b> {
    fn new(bed: &'b Bed, place: &Path, linking: Linking, files: &[(PathBuf, PathBuf)]) -> Result<Linker<'b>> {
        let mut libraries = BTreeMap::new();
        for (_, to) in files {
            libraries.insert(file_name(to)?, to.clone());
        }
        let glibc = &bed.channel.glibc_lib;
        for (from, _) in files {
            for soname in Dynamic::read(from)?.needed {
                let own = glibc.join(&soname);
                // ld.so itself is there from the start, under its soname.
                if own.exists() && fs::canonicalize(&own)? != fs::canonicalize(&bed.channel.interpreter)? {
                    libraries.entry(soname).or_insert(own);
                }
            }
        }
        let links = place.join("links");
        if linking == Linking::Links {
            fs::create_dir_all(&links)?;
            for (soname, library) in &libraries {
                symlink(library, links.join(soname))?;
            }
        }
        Ok(Linker { patchelf: bed.manifest.tool("patchelf")?, linking, libraries, glibc, links })
    }

    fn link(&self, file: &Path) -> Result<()> {
        let mut patchelf = Command::new(self.patchelf);
        match self.linking {
            Linking::Links => patchelf.arg("--set-rpath").arg(&self.links),
            Linking::Nowhere => patchelf.arg("--set-rpath").arg(self.glibc),
            Linking::Paths => {
                let needed = Dynamic::read(file)?.needed;
                let known = needed.iter().filter_map(|soname| self.libraries.get_key_value(soname));
                let options =
                    known.flat_map(|(soname, path)| ["--replace-needed".as_ref(), soname.as_ref(), path.as_os_str()]);
                patchelf.args(options.collect::<Vec<&OsStr>>())
            }
        };
        process::succeed(patchelf.arg(file)).with_context(|| format!("cannot link {}", file.display()))
    }
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
    let name = name.to_str().with_context(|| format!("{} has an odd name", path.display()))?;
    ensure!(!name.is_empty(), "{} has no name", path.display());
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_modules_and_the_glibc_are_told_apart() {
        let channel = r#"{"name": "", "glibc": "2.36", "system": "", "interpreter": "/glibc/lib/ld.so", "glibc_lib": "/glibc/lib",
            "cc": "", "suffix_salt": "", "python": "", "default_directories": ["/lib/triplet"], "cache": ""}"#;
        let opened = |file: &str| format!("openat(AT_FDCWD, \"{file}\", O_RDONLY|O_CLOEXEC) = 3");
        let files =
            ["/b/lib/libb.so.1", "/glibc/lib/libc.so.6", "/a/lib/liba.so", "/modules/_ssl.so", "/b/lib/libb.so.1"];
        let calls = files.into_iter().chain(["/lib/triplet/libm.so.6", "/b/lib/libother.so"]).map(opened).collect();
        let channel = serde_json::from_str(channel).unwrap();
        let closure = Closure::of(Path::new("/main"), &Trace { calls }, Some(Path::new("/modules")), &channel);
        assert_eq!(closure.libraries, ["/b/lib/libb.so.1", "/a/lib/liba.so", "/b/lib/libother.so"].map(PathBuf::from));
        assert_eq!(closure.modules, [Path::new("/modules/_ssl.so")]);
        assert_eq!(closure.directories(), ["/b/lib", "/a/lib"].map(PathBuf::from));
    }
}

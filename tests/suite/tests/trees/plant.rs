//! A tree on the disk.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;
use suite::run::Run;

use super::template::Template;
use super::{File, Kind, LINK, Object, PROGRAM, ROOT, Tree};
use crate::cases::wrapper::generate;

/// The declared directory, in the tree.
const SHADOWS: &str = "shadows";
/// The directory that is seen as a default one where that can be arranged, in the tree.
const DEFAULT: &str = "default";

/// Where trees are planted, one after the other.
pub struct Garden<'b> {
    bed: &'b Bed<'b>,
    root: PathBuf,
    program: Template,
    library: Template,
    names: &'static [&'static str],
}

impl<'b> Garden<'b> {
    /// Makes the templates. `names` are those of all libraries that trees have.
    pub fn new(bed: &'b Bed<'b>, names: &'static [&'static str]) -> Result<Self> {
        let (program, library) = (Template::program(bed)?, Template::library(bed)?);
        Ok(Self { bed, root: bed.path("tree"), program, library, names })
    }

    /// The directory that has another copy of every library.
    pub fn shadows(&self) -> PathBuf {
        self.root.join(SHADOWS)
    }

    /// Plants a tree, in the place of the one before: a start of its program.
    pub fn plant(&self, tree: &Tree) -> Result<Run<'b>> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir(&self.root)?,
        }
        for name in self.names {
            let object = Object { soname: Some((*name).to_owned()), ..Object::default() };
            self.write(&self.shadows().join(name), self.library.copy(&object)?)?;
        }
        fs::create_dir(self.root.join(DEFAULT))?;
        fs::write(self.root.join("file"), "no directory\n")?;
        symlink("loop", self.root.join("loop"))?;
        for file in &tree.files {
            self.plant_file(file).with_context(|| format!("cannot plant {}", file.path))?;
        }
        let program = self.root.join(PROGRAM);
        self.write(&self.root.join(LINK), "")?;
        fs::remove_file(self.root.join(LINK))?;
        symlink(&program, self.root.join(LINK))?;
        self.make_dir(&program)?;
        process::write_program(&self.program.copy(&self.whole_program(&tree.program))?, &program, 0o755)?;

        let run = self.bed.run(self.root.join(if tree.is_linked { LINK } else { PROGRAM }));
        let run = run.working_directory(&self.root);
        let arguments = tree.opens.iter().flat_map(|open| [open.who.to_string(), self.place(&open.name)]);
        let variables = [("LD_LIBRARY_PATH", &tree.library_path), ("LD_PRELOAD", &tree.preload)];
        let variables = variables.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let run = variables.fold(run.args(arguments), |run, (name, value)| run.env(name, self.place(value)));
        self.bind(tree, run)
    }

    /// Puts the cache and the default directory where ld.so looks for them.
    fn bind(&self, tree: &Tree, run: Run<'b>) -> Result<Run<'b>> {
        let run = match self.default_directories() {
            Some([own, _]) => run.bind(self.root.join(DEFAULT), own),
            None => run,
        };
        if tree.cached.is_empty() || self.bed.view == View::Direct {
            return Ok(run);
        }
        Ok(run.bind(self.cache(&tree.cached)?, &self.bed.channel.cache))
    }

    /// Has ldconfig make a cache. It sees nothing but the tree.
    fn cache(&self, directories: &[String]) -> Result<PathBuf> {
        let list: String = directories.iter().map(|directory| self.place(directory) + "\n").collect();
        let (list, cache) = (self.bed.file("conf/list", list)?, self.bed.path("conf/cache"));
        let (conf, tools) = (self.bed.path("conf"), &self.bed.manifest);
        let mut ldconfig = Command::new(tools.tool("bwrap")?);
        ldconfig.arg("--ro-bind").args([tools.tool("ldconfig")?, Path::new("/ldconfig")]);
        ldconfig.arg("--bind").args([&conf, &conf]).arg("--ro-bind").args([&self.root, &self.root]);
        ldconfig.args(["/ldconfig", "-i", "-X", "-f"]).arg(list).arg("-C").arg(&cache);
        process::succeed(&mut ldconfig)?;
        Ok(cache)
    }

    /// The second and the last of ld.so's default directories, where others can be put in their places.
    fn default_directories(&self) -> Option<[&'b Path; 2]> {
        match &self.bed.channel.default_directories[..] {
            [_, second, .., last] if self.bed.view == View::Nix => Some([second, last]),
            _ => None,
        }
    }

    /// The same start where ld.so itself finds the declared directory, last of all, and where that is. `None` where that cannot be
    /// arranged, where a file that cannot be looked at ends its search before, and where libraries get there by other ways.
    pub fn with_shadows_as_default(&self, tree: &Tree, run: &Run<'b>) -> Result<Option<(Run<'b>, &'b Path)>> {
        let Some([second, last]) = self.default_directories() else { return Ok(None) };
        let ends_search = |name: &&str| match fs::metadata(self.root.join(DEFAULT).join(name)) {
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied),
            Ok(_) => false,
        };
        let gets_there = |file: &File| match &file.kind {
            Kind::Library(Object { rpath, runpath, .. }) => {
                let mut lists = [rpath, runpath].into_iter().flatten();
                file.path.starts_with(DEFAULT) && lists.any(|list| list.contains("ORIGIN"))
            }
            _ => false,
        };
        if self.names.iter().any(ends_search) || tree.files.iter().any(gets_there) {
            return Ok(None);
        }
        // One may be inside the other.
        if let Ok(inside) = second.strip_prefix(last) {
            fs::create_dir_all(self.shadows().join(inside))?;
        }
        Ok(Some((run.bind_first(self.shadows(), last), last)))
    }

    /// An index of the tree as it is: nothing in it will change.
    pub fn index(&self) -> Result<PathBuf> {
        let mut roots = String::new();
        for entry in fs::read_dir(&self.root)? {
            roots += &format!("{}\n", entry?.path().display());
        }
        let (closure, programs) = (self.bed.file("closure", roots)?, self.root.join("bin"));
        let store = ("--store", self.root.as_os_str());
        generate(self.bed, "env", &[store, ("--closure", closure.as_os_str()), ("--bin", programs.as_os_str())])?;
        Ok(self.bed.path("env/lib/rtld_loader.index"))
    }

    /// The program with what it needs itself: from its own glibc, whatever its search path is.
    fn whole_program(&self, program: &Object) -> Object {
        let mut whole = self.placed(program);
        let glibc = self.bed.channel.glibc_lib.display();
        for path in [&mut whole.rpath, &mut whole.runpath].into_iter().flatten() {
            *path = format!("{path}:{glibc}");
        }
        for name in &self.program.needs {
            if whole.rpath.is_none() && whole.runpath.is_none() {
                whole.needs.push(format!("{glibc}/{name}"));
            }
            // Its symbols' versions are looked up by this name.
            whole.needs.push(name.clone());
        }
        whole
    }

    fn plant_file(&self, File { path, kind }: &File) -> Result<()> {
        let path = self.root.join(path);
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        self.make_dir(&path)?;
        match kind {
            Kind::Library(object) => self.write(&path, self.library.copy(&self.placed(object))?),
            Kind::Link(target) => Ok(symlink(self.place(target), &path)?),
            Kind::OtherClass => self.write(&path, self.library.of_other_class()),
            Kind::OtherMachine => self.write(&path, self.library.of_other_machine()),
            Kind::Truncated(len) => self.write(&path, self.library.start(*len)),
            Kind::Text => self.write(&path, "GROUP ( libelse.so )\n"),
            Kind::Directory => Ok(fs::create_dir(&path)?),
            Kind::Unreadable => {
                self.write(&path, self.library.copy(&Object::default())?)?;
                Ok(fs::set_permissions(&path, Permissions::from_mode(0o000))?)
            }
        }
    }

    fn write(&self, path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.make_dir(path)?;
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        Ok(fs::create_dir_all(path.parent().context("a file has a directory")?)?)
    }

    fn placed(&self, object: &Object) -> Object {
        let place = |path: &Option<String>| path.as_ref().map(|path| self.place(path));
        Object { rpath: place(&object.rpath), runpath: place(&object.runpath), ..object.clone() }
    }

    fn place(&self, path: &str) -> String {
        path.replace(ROOT, &self.root.display().to_string())
    }
}

//! A machine in a directory, in order until a test breaks something.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::doctor::report::Report;
use crate::doctor::world::World;
use crate::doctor::{examine, program_file::ProgramFile};
use crate::rights::Caller;

pub const AUDITOR: &str = "/nix/store/e-env/lib/rtld_loader.so";
/// LD_AUDIT where there are two, and the other one.
pub const AUDITORS: &str = "/nix/store/e-env/lib/$PLATFORM/rtld_loader.so";
pub const AUDITOR_32: &str = "/nix/store/e-env/lib/i686/rtld_loader.so";
pub const CAIRO: &str = "/nix/store/c-cairo/lib";

/// What keeps the auditor.
pub const ROOT: &str = "/nix/var/nix/profiles/per-user/runner/profile";

/// Made in a temporary directory, which goes with it.
pub struct Machine {
    _directory: TempDir,
    pub world: World,
}

impl Machine {
    /// The environment of a package, with a library and a program.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World {
            variables: [].into(),
            root: directory.path().into(),
            working_directory: "/home".into(),
            // Files are of who runs the tests: somebody else.
            caller: Caller { user: u32::MAX, group: u32::MAX, keeps_rights: false },
            referrers: |_, path| Some(vec![path.into()]),
        };
        let mut machine = Self { _directory: directory, world };
        machine.file(AUDITOR, &object());
        machine.file(&format!("{CAIRO}/libcairo.so.2"), &object());
        machine.program("/bin/tool", &object());
        machine.glibc(41);
        machine.link(ROOT, "/nix/store/e-env");
        machine.set("LD_AUDIT", AUDITOR);
        machine.set("REPLIT_LD_LIBRARY_PATH", CAIRO);
        machine.set("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=24576");
        machine.set("PATH", "/bin");
        machine
    }

    /// Where a path of the machine is on this one.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.world.root.join(path.as_ref().strip_prefix("/").unwrap())
    }

    pub fn file(&self, path: &str, contents: &[u8]) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), contents).unwrap();
    }

    pub fn program(&self, path: &str, contents: &[u8]) {
        self.file(path, contents);
        self.mode(path, 0o755);
    }

    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
    }

    pub fn owner(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().uid()
    }

    pub fn directory(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        symlink(target, self.path(path)).unwrap();
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// A library made of C. Its file name is its soname.
    pub fn library(&self, path: &str, source: &str) {
        self.file(&format!("{path}.c"), source.as_bytes());
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(self.path(path)).arg(self.path(format!("{path}.c")));
        cc.arg(format!("-Wl,-soname,{}", Path::new(path).file_name().unwrap().display()));
        assert!(cc.status().unwrap().success(), "{cc:?}");
        self.remove(&format!("{path}.c"));
    }

    /// The glibc of its programs.
    pub fn glibc(&self, minor: u32) {
        let loader = loader();
        self.file(loader.to_str().unwrap(), &object());
        let libc = loader.with_file_name("libc.so.6");
        let banner = format!("\0GNU C Library (made up) stable release version 2.{minor}.\n");
        self.file(libc.to_str().unwrap(), banner.as_bytes());
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.world.variables.insert(name.into(), value.into());
    }

    pub fn unset(&mut self, name: &str) {
        self.world.variables.remove(OsStr::new(name));
    }

    /// An environment with a 32-bit auditor beside the other one.
    pub fn with_auditor_32(&mut self) {
        self.set("LD_AUDIT", AUDITORS);
        self.file(AUDITOR_32, &object_32(elf::abi::EM_386, elf::abi::ET_DYN, None));
        for (link, target) in [
            ("x86_64/rtld_loader.so", "../rtld_loader.so"),
            ("haswell", "x86_64"),
            ("xeon_phi", "x86_64"),
            ("i586", "i686"),
        ] {
            self.link(&format!("/nix/store/e-env/lib/{link}"), target);
        }
    }

    /// What the doctor says of it, and of a program.
    pub fn report(&self, program: Option<&str>) -> Report {
        examine(&self.world, program.map(OsStr::new), None)
    }
}

/// The beginning of an object for this machine: enough to tell what it is.
pub fn object() -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(std::env::current_exe().unwrap()).unwrap().take(4096).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The same with another ld.so, whose path is not longer.
pub fn object_with_loader(path: &str) -> Vec<u8> {
    let (mut object, loader) = (object(), loader().into_os_string().into_encoded_bytes());
    let at = object.windows(loader.len()).position(|bytes| bytes == loader).unwrap();
    let place = &mut object[at..at + loader.len()];
    place.fill(0);
    place[..path.len()].copy_from_slice(path.as_bytes());
    object
}

/// The same without a segment that names an ld.so.
pub fn static_object() -> Vec<u8> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    let mut object = object();
    let kind = |object: &[u8], nth: usize| object[HEADER + nth * SEGMENT];
    let nth = (0..20).find(|&nth| kind(&object, nth) == elf::abi::PT_INTERP as u8).unwrap();
    object[HEADER + nth * SEGMENT] = elf::abi::PT_NULL as u8;
    object
}

/// The beginning of a 32-bit object of another machine, of this type (`e_type`): its headers, and the ld.so that it asks for.
pub fn object_32(machine: u16, kind: u16, loader: Option<&str>) -> Vec<u8> {
    const HEADER: u8 = 52;
    const SEGMENT: u8 = 32;
    let mut object = vec![0; 256];
    object[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    object[16..18].copy_from_slice(&kind.to_le_bytes());
    object[18..20].copy_from_slice(&machine.to_le_bytes());
    // e_version, e_phoff, e_ehsize, e_phentsize, e_phnum; p_type, p_offset, p_filesz.
    let at = HEADER + SEGMENT;
    for (offset, value) in [(20, 1), (28, HEADER), (40, HEADER), (42, SEGMENT), (44, 1)] {
        object[offset] = value;
    }
    if let Some(loader) = loader {
        let segment = usize::from(HEADER);
        (object[segment], object[segment + 4]) = (elf::abi::PT_INTERP as u8, at);
        object[segment + 16] = loader.len() as u8 + 1;
        object[usize::from(at)..][..loader.len()].copy_from_slice(loader.as_bytes());
    }
    object
}

/// A library: an ld.so is one, too.
pub fn library() -> Vec<u8> {
    fs::read(loader()).unwrap()
}

/// The same with other numbers in the header: `EI_CLASS`, `e_machine`.
pub fn foreign_object(class: u8, machine: u16) -> Vec<u8> {
    let mut object = object();
    object[4] = class;
    object[18..20].copy_from_slice(&machine.to_ne_bytes());
    object
}

/// The ld.so of this test program.
pub fn loader() -> PathBuf {
    match ProgramFile::read(&World::live(|_, _| None), &std::env::current_exe().unwrap()) {
        Some(ProgramFile::Elf { loader: Some(loader) }) => loader,
        other => panic!("{other:?}"),
    }
}

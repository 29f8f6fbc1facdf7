//! The machines that are built for and tested on, and what each is called by whom.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{setup, step};

/// A kind of machine.
#[derive(Debug, PartialEq)]
pub struct Machine {
    /// As Rust names it: the target.
    pub target: &'static str,
    /// As Nix names it.
    pub system: &'static str,
    /// As Debian's packages name it.
    pub debian: &'static str,
    /// Debian's directory of libraries.
    pub triplet: &'static str,
    /// The file name of its ld.so.
    pub interpreter: &'static str,
    /// The first part of the names of its compiler and linker on another machine.
    gnu: &'static str,
    /// What Rust calls the processor, and those that run its programs as well.
    processors: &'static [&'static str],
    /// What runs its programs elsewhere.
    emulator: Option<Emulator>,
}

/// A program that runs those of another machine: the kernel starts it where it is told to (binfmt_misc).
#[derive(Debug, PartialEq)]
struct Emulator {
    /// Its name, in Debian's package `qemu-user-static` and in binfmt_misc.
    name: &'static str,
    /// The first bytes of the machine's programs, and which bits of them count, as the kernel reads them.
    magic: &'static str,
    mask: &'static str,
}

/// Where the kernel is told.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// All of them.
pub static MACHINES: [Machine; 3] = [
    Machine {
        target: "x86_64-unknown-linux-gnu",
        system: "x86_64-linux",
        debian: "amd64",
        triplet: "x86_64-linux-gnu",
        interpreter: "ld-linux-x86-64.so.2",
        gnu: "x86_64-linux-gnu",
        processors: &["x86_64"],
        emulator: None,
    },
    Machine {
        target: "i686-unknown-linux-gnu",
        system: "i686-linux",
        debian: "i386",
        triplet: "i386-linux-gnu",
        interpreter: "ld-linux.so.2",
        gnu: "i686-linux-gnu",
        processors: &["x86", "x86_64"],
        emulator: None,
    },
    Machine {
        target: "aarch64-unknown-linux-gnu",
        system: "aarch64-linux",
        debian: "arm64",
        triplet: "aarch64-linux-gnu",
        interpreter: "ld-linux-aarch64.so.1",
        gnu: "aarch64-linux-gnu",
        processors: &["aarch64"],
        emulator: Some(Emulator {
            name: "qemu-aarch64",
            // A 64-bit ELF file, little-endian, a program or PIE, of EM_AARCH64. Its ABI and what pads the identification
            // may be anything.
            magic: r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
            mask: r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
        }),
    },
];

impl Machine {
    /// The one that this runs on.
    pub fn host() -> Result<&'static Self> {
        let machine = MACHINES.iter().find(|machine| machine.processors[0] == std::env::consts::ARCH);
        machine.with_context(|| format!("{} is not supported", std::env::consts::ARCH))
    }

    /// The one of this Rust target or Nix system.
    pub fn named(name: &str) -> Result<&'static Self> {
        let machine = MACHINES.iter().find(|machine| [machine.target, machine.system].contains(&name));
        let names = MACHINES.each_ref().map(|machine| machine.target).join(", ");
        machine.with_context(|| format!("there is no {name}: it has to be one of {names}"))
    }

    /// Whether this runs on it.
    pub fn is_host(&self) -> bool {
        self.processors[0] == std::env::consts::ARCH
    }

    /// The 32-bit machine whose programs run beside its own.
    pub fn sibling(&self) -> Option<&'static Self> {
        MACHINES.iter().find(|machine| {
            machine.processors[0] != self.processors[0] && machine.processors[1..].contains(&self.processors[0])
        })
    }

    /// Its C compiler, which links, too.
    pub fn compiler(&self) -> String {
        if self.is_host() { "gcc".to_owned() } else { format!("{}-gcc", self.gnu) }
    }

    /// Debian's packages of its compiler, and of the libc that the helper is linked with.
    fn packages(&self) -> [String; 2] {
        [format!("gcc-{}", self.gnu.replace('_', "-")), format!("libc6-dev-{}-cross", self.debian)]
    }

    /// Whether both are there. A build sandbox shows the files, and not which packages they are of.
    fn has_compiler(&self, sh: &Shell) -> bool {
        let compiler = self.compiler();
        let libc = cmd!(sh, "{compiler} -print-file-name=libc.a").quiet().ignore_stderr().read();
        // What is not there is named as it was asked for.
        libc.is_ok_and(|path| Path::new(&path).is_absolute())
    }

    /// Installs what it takes to build for it.
    pub fn prepare(&self, sh: &Shell) -> Result<()> {
        if self.is_host() {
            return Ok(());
        }
        if !self.has_compiler(sh) {
            setup::install(sh, &self.packages().each_ref().map(String::as_str))?;
        }
        let target = self.target;
        let libraries = cmd!(sh, "rustc --print target-libdir --target {target}").quiet().read()?;
        if !Path::new(&libraries).exists() {
            step::say(&format!("Installing with rustup: {target}"));
            step::run("rustup target add", cmd!(sh, "rustup target add {target}").quiet())?;
        }
        Ok(())
    }

    /// Whether its programs are run by another program here.
    pub fn is_emulated(&self) -> bool {
        !self.processors.contains(&std::env::consts::ARCH)
    }

    /// Whether this machine can be had to run its programs. That of x86_64 alone is tried with emulators.
    pub fn can_run(&self) -> bool {
        !self.is_emulated() || (self.emulator.is_some() && cfg!(target_arch = "x86_64"))
    }

    /// Has this machine run its programs.
    pub fn prepare_to_run(&self, sh: &Shell) -> Result<()> {
        if !self.is_emulated() {
            return Ok(());
        }
        let emulator = self.emulator.as_ref().filter(|_| self.can_run());
        let emulator =
            emulator.with_context(|| format!("{} cannot run programs of {}", std::env::consts::ARCH, self.system))?;
        setup::install(sh, &["qemu-user-static"])?;
        emulator.register(sh)
    }
}

impl Emulator {
    /// Tells the kernel of it, unless somebody has.
    fn register(&self, sh: &Shell) -> Result<()> {
        let Self { name, magic, mask } = self;
        if !Path::new(BINFMT).join("register").exists() {
            let mount = cmd!(sh, "mount -t binfmt_misc binfmt_misc {BINFMT}").quiet();
            step::run("mount binfmt_misc", mount)?;
        }
        let entry = Path::new(BINFMT).join(name);
        if !entry.exists() {
            step::say(&format!("Telling the kernel to run programs with {name}, until the next start of the machine"));
            // F: the emulator is opened now, so that it also serves where its file is not to be seen.
            let line = format!(":{name}:M::{magic}:{mask}:/usr/bin/{name}-static:F");
            std::fs::write(Path::new(BINFMT).join("register"), line).with_context(|| format!("registering {name}"))?;
        }
        let entry = sh.read_file(&entry)?;
        let serves_everywhere = entry.lines().any(|line| line.starts_with("flags: ") && line.contains('F'));
        ensure!(serves_everywhere, "{name} is registered so that sandboxes do not see it: {entry}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_what_it_is_called() {
        for machine in &MACHINES {
            assert_eq!(Machine::named(machine.target).unwrap(), machine);
            assert_eq!(Machine::named(machine.system).unwrap(), machine);
        }
        let error = Machine::named("riscv64gc-unknown-linux-gnu").unwrap_err().to_string();
        assert!(error.contains("i686-unknown-linux-gnu"), "{error}");
    }

    #[test]
    fn only_one_has_programs_of_another_beside_its_own() {
        let of = |name: &str| Machine::named(name).unwrap().sibling().map(|machine| machine.system);
        assert_eq!(of("x86_64-linux"), Some("i686-linux"));
        assert_eq!(of("i686-linux"), None);
        assert_eq!(of("aarch64-linux"), None);
    }

    #[test]
    fn packages_have_the_names_that_debian_gives_them() {
        let of = |name: &str| Machine::named(name).unwrap().packages();
        assert_eq!(of("i686-linux"), ["gcc-i686-linux-gnu", "libc6-dev-i386-cross"]);
        assert_eq!(of("aarch64-linux"), ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]);
        assert_eq!(of("x86_64-linux"), ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"]);
    }

    #[test]
    fn only_others_have_a_compiler_of_their_own() {
        let hosts: Vec<_> = MACHINES.iter().filter(|machine| machine.is_host()).collect();
        assert_eq!(hosts, [Machine::host().unwrap()]);
        assert_eq!(hosts[0].compiler(), "gcc");
        assert!(
            MACHINES.iter().filter(|machine| !machine.is_host()).all(|machine| machine.compiler().contains("linux"))
        );
    }
}

//! How much static thread-local storage an environment asks for: of real libraries and programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, run, script, value, variables, which};

/// The bytes that an environment asks for.
pub fn asked(environment: &Path) -> u64 {
    let after = variables(Command::new(script(environment)).args(["/usr/bin/env", "-0"]).env_clear());
    let tunables = value(&after, "GLIBC_TUNABLES").unwrap();
    let (_, bytes) = tunables.rsplit_once("glibc.rtld.optional_static_tls=").unwrap();
    bytes.parse().unwrap()
}

/// An object to be built.
struct Object<'b> {
    bench: &'b Bench,
    path: &'b str,
    source: String,
    arguments: Vec<String>,
}

/// A library with so many bytes of thread-local storage, accessed as `model` says.
fn library<'b>(bench: &'b Bench, path: &'b str, bytes: u64, model: &str) -> Object<'b> {
    let name = Path::new(path).file_name().unwrap().to_str().unwrap();
    let symbol = name.split('.').next().unwrap();
    let source = match bytes {
        0 => format!("int {symbol};\n"),
        _ => format!(
            "__thread char {symbol}[{bytes}] __attribute__((aligned(1)));\nchar *at(void) {{ return {symbol}; }}\n"
        ),
    };
    let arguments = ["-shared", "-fPIC", "-nostdlib", &format!("-ftls-model={model}"), &format!("-Wl,-soname,{name}")];
    Object { bench, path, source, arguments: arguments.map(String::from).into() }
}

/// A program with 5000 bytes of thread-local storage, all its own.
fn program<'b>(bench: &'b Bench, path: &'b str) -> Object<'b> {
    let source = "__thread char own[5000];\nint main(void) { return own[0]; }\n".into();
    Object { bench, path, source, arguments: Vec::new() }
}

impl Object<'_> {
    fn flag(mut self, flag: impl Into<String>) -> Self {
        self.arguments.push(flag.into());
        self
    }

    fn source(self, source: &str) -> Self {
        Self { source: source.into(), ..self }
    }

    fn build(self) -> PathBuf {
        let out = self.bench.path(self.path);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let source = out.with_extension("c");
        fs::write(&source, self.source).unwrap();
        run(Command::new("cc").arg("-o").arg(&out).arg(&source).arg("-Wl,--no-as-needed").args(self.arguments));
        fs::remove_file(source).unwrap();
        out
    }
}

/// What an environment asks for beyond what one of nothing does.
fn beyond<S: AsRef<std::ffi::OsStr>>(bench: &Bench, arguments: &[S]) -> u64 {
    let nothing = asked(&bench.environment::<&str>("nothing", &[]));
    asked(&bench.environment("e", arguments)).checked_sub(nothing).unwrap()
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[test]
fn nothing_declared_leaves_the_default_and_room_for_jemalloc() {
    let bench = Bench::new();
    assert_eq!(asked(&bench.environment::<&str>("e", &[])), 512 + 6216);
    // Which is not counted twice.
    library(&bench, "lib/libjemalloc.so.2", 2632, "initial-exec").build();
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("lib"))]), 0);
    library(&bench, "newer/libjemalloc.so.2", 7216, "initial-exec").build();
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("newer"))]), 1000);
}

#[test]
fn static_storage_counts_with_what_alignment_can_cost() {
    let bench = Bench::new();
    let one = library(&bench, "one/libone.so", 1000, "initial-exec").build();
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("one"))]), 1000);
    assert_eq!(beyond(&bench, &[option("lib", &one)]), 1000);
    assert_eq!(beyond(&bench, &[option("lib-of", &bench.path("one")), option("lib", &one)]), 1000);
    let aligned = "__thread char v[128] __attribute__((aligned(64)));\nchar *at(void) { return v; }\n";
    library(&bench, "two/libtwo.so", 1, "initial-exec").source(aligned).build();
    let both = [option("lib", &bench.path("one")), option("lib", &bench.path("two"))];
    assert_eq!(beyond(&bench, &both), 1000 + 128 + 63);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn storage_that_is_allocated_at_first_use_does_not_count() {
    let bench = Bench::new();
    library(&bench, "lib/libdynamic.so", 1000, "global-dynamic").build();
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("lib"))]), 0);
    // But it does where another library reaches it directly.
    let source = "extern __thread char libdynamic[1000] __attribute__((tls_model(\"initial-exec\")));\n\
                  char *at2(void) { return libdynamic; }\n";
    let user = library(&bench, "user/libuser.so", 0, "initial-exec").source(source);
    user.flag(bench.path("lib/libdynamic.so").to_str().unwrap()).build();
    let both = [option("lib", &bench.path("lib")), option("lib", &bench.path("user"))];
    assert_eq!(beyond(&bench, &both), 1000);
}

#[test]
fn what_is_needed_is_found_as_ld_so_finds_it() {
    let bench = Bench::new();
    let leaf = library(&bench, "deep/far/libleaf.so", 1000, "initial-exec").build();
    let leaf = leaf.to_str().unwrap();
    let needs = |path, flag: &str| library(&bench, path, 0, "initial-exec").flag(leaf).flag(flag).build();
    let runpath = needs("runpath/librunpath.so", "-Wl,--enable-new-dtags,-rpath,/nowhere:$ORIGIN/../deep/far");
    assert_eq!(beyond(&bench, &[option("lib", &runpath)]), 1000);
    let rpath = needs("rpath/librpath.so", "-Wl,--disable-new-dtags,-rpath,${ORIGIN}/../deep/far");
    assert_eq!(beyond(&bench, &[option("lib", &rpath)]), 1000);
    let plain = needs("plain/libplain.so", "-Wl,--enable-new-dtags");
    assert_eq!(beyond(&bench, &[option("lib", &plain)]), 0);
    // An RPATH is inherited, a RUNPATH is not.
    let inherits = |path, dtags: &str| {
        let flag = format!("-Wl,--{dtags}-new-dtags,-rpath,$ORIGIN/../plain:$ORIGIN/../deep/far");
        library(&bench, path, 0, "initial-exec").flag(plain.to_str().unwrap()).flag(flag).build()
    };
    let heir = inherits("heir/libheir.so", "disable");
    assert_eq!(beyond(&bench, &[option("lib", &heir)]), 1000);
    let none = inherits("none/libnone.so", "enable");
    assert_eq!(beyond(&bench, &[option("lib", &none)]), 0);
    // What is declared is the last resort, from which a name that cannot be loaded is passed over.
    fs::create_dir_all(bench.path("bad")).unwrap();
    fs::write(bench.path("bad/libleaf.so"), "INPUT(libleaf.so.1)\n").unwrap();
    fs::create_dir_all(bench.path("bin")).unwrap();
    let user = program(&bench, "bin/user").flag(plain.to_str().unwrap());
    user.flag("-Wl,--enable-new-dtags,--allow-shlib-undefined,-rpath,$ORIGIN/../plain").build();
    let arguments = [option("bin", &bench.path("bin")), option("lib", &bench.path("bad"))];
    assert_eq!(beyond(&bench, &arguments), 0);
    // More than what is kept for undeclared programs, so that it shows.
    library(&bench, "deep/far/libleaf.so", 7216, "initial-exec").build();
    assert_eq!(beyond(&bench, &arguments), 0);
    let arguments = [&arguments[..], &[option("lib", &bench.path("deep/far"))]].concat();
    assert_eq!(beyond(&bench, &arguments), 7216);
}

#[test]
fn of_programs_the_one_that_brings_most_counts() {
    let bench = Bench::new();
    let uses = |path, library: &Path| {
        let directory = library.parent().unwrap().display();
        program(&bench, path).flag(library.to_str().unwrap()).flag(format!("-Wl,-rpath,{directory}")).build()
    };
    let small = library(&bench, "a/libsmall.so", 7000, "initial-exec").build();
    let large = library(&bench, "b/liblarge.so", 8000, "initial-exec").build();
    uses("bin/small", &small);
    uses("bin/large", &large);
    let bin = option("bin", &bench.path("bin"));
    // In place of the room for jemalloc, which this program does not bring. Its own storage is laid out in any case.
    assert_eq!(beyond(&bench, std::slice::from_ref(&bin)), 8000 - 6216);
    // A link to a program is searched from where the program is.
    fs::create_dir_all(bench.path("links")).unwrap();
    symlink(bench.path("bin/large"), bench.path("links/large")).unwrap();
    assert_eq!(beyond(&bench, &[option("bin", &bench.path("links"))]), 8000 - 6216);
    // What is among the declared libraries is not counted again.
    assert_eq!(beyond(&bench, &[bin.clone(), option("lib", &large)]), 8000 + 7000 - 6216);
    assert_eq!(beyond(&bench, &[bin, option("lib", &large), option("lib", &small)]), 8000 + 7000);
}

#[test]
fn glibcs_own_libraries_do_not_count() {
    let bench = Bench::new();
    for name in ["libc.so.6", "libpthread.so.0"] {
        library(&bench, &format!("lib/{name}"), 1000, "initial-exec").build();
    }
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("lib"))]), 0);
}

#[test]
fn of_one_soname_the_largest_counts() {
    let bench = Bench::new();
    for (directory, bytes) in [("a", 1000), ("b", 3000), ("c", 2000)] {
        library(&bench, &format!("{directory}/libsame.so"), bytes, "initial-exec").build();
    }
    let all = ["a", "b", "c"].map(|directory| option("lib", &bench.path(directory)));
    assert_eq!(beyond(&bench, &all), 3000);
}

#[test]
fn what_cannot_be_helped_is_no_burden_for_others() {
    let bench = Bench::new();
    library(&bench, "lib/libhuge.so", 1 << 30, "initial-exec").build();
    library(&bench, "lib/libtsan.so", 785_760, "initial-exec").build();
    assert_eq!(beyond(&bench, &[option("lib", &bench.path("lib"))]), 0);
}

#[test]
fn there_is_a_bound_and_a_warning() {
    let bench = Bench::new();
    for name in ["libone.so", "libtwo.so"] {
        library(&bench, &format!("lib/{name}"), 20_000, "initial-exec").build();
    }
    let out = bench.path("e");
    let output = run(bench.generator(&out).arg(option("lib", &bench.path("lib"))));
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("warning: what is declared may need 40512 bytes of static"), "{warning}");
    assert_eq!(warning.lines().count(), 1, "{warning}");
    assert_eq!(asked(&out), 24576);
}

#[test]
fn damaged_and_foreign_files_are_passed_over() {
    let bench = Bench::new();
    let good = library(&bench, "good/libgood.so", 1000, "initial-exec").flag("-Wl,-rpath,$ORIGIN").build();
    let bytes = fs::read(&good).unwrap();
    let lib = bench.directory("lib");
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    for len in [0, 3, 15, 63, 64, 100, 300, bytes.len() / 2] {
        fs::write(lib.join(format!("cut-{len}")), &bytes[..len]).unwrap();
    }
    // The class, the machine, where the program headers are, how many there are.
    for (at, value) in [(4, 1), (18, 40), (39, 0xff), (56, 0), (57, 0xff)] {
        let mut damaged = bytes.clone();
        damaged[at] = value;
        fs::write(lib.join(format!("byte-{at}")), damaged).unwrap();
    }
    // Every number in the segments' headers made as large as it can be, one after the other.
    for at in (number(32) as usize..number(32) as usize + usize::from(bytes[56]) * 56).step_by(8) {
        let mut damaged = bytes.clone();
        damaged[at..at + 8].fill(0xff);
        damaged[at] = 0xfe;
        fs::write(lib.join(format!("header-{at}.so")), damaged).unwrap();
    }
    run(Command::new(which("mkfifo")).arg(lib.join("fifo")));
    symlink("loop", lib.join("loop")).unwrap();
    symlink("/dev/zero", lib.join("device")).unwrap();
    fs::create_dir(lib.join("directory.so")).unwrap();
    // What is left of it after such damage is the same library, with as much.
    let most = beyond(&bench, &[option("lib", &lib), option("bin", &lib)]);
    assert!(most <= 1000, "{most}");
    assert_eq!(beyond(&bench, &[option("lib", &lib), option("lib", &bench.path("good"))]), 1000);
}

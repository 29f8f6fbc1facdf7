//! Environments with a 32-bit auditor beside the 64-bit one, which there are on x86_64.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::bench::{AS_SH, Bench, LOGIN, ODD_NAME, auditor, cli, parse, run, script, shell, value, variables, which};

/// What ld.so may put in the place of `$PLATFORM`: that of x86_64, and that of i386.
const OF_64: [&str; 3] = ["x86_64", "haswell", "xeon_phi"];
const OF_32: [&str; 2] = ["i686", "i586"];

/// A real auditor for i386 that does nothing. It takes no libc to link it, so gcc need not have one of 32 bits.
fn auditor_32() -> &'static Path {
    static AUDITOR: OnceLock<PathBuf> = OnceLock::new();
    AUDITOR.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auditor-32.so");
        let source = library.with_extension("c");
        fs::write(&source, "unsigned la_version(unsigned version) { return version; }\n").unwrap();
        run(Command::new("cc").args(["-m32", "-shared", "-fPIC", "-nostdlib", "-o"]).arg(&library).arg(source));
        library
    })
}

/// An environment with both.
fn environment(bench: &Bench, name: impl AsRef<OsStr>, more: &[&str]) -> PathBuf {
    let mut arguments = vec![OsStr::new("--auditor-32"), auditor_32().as_os_str()];
    arguments.extend(more.iter().map(OsStr::new));
    bench.environment(name, &arguments)
}

/// The bytes of LD_AUDIT with both, before what the user has.
fn auditors(out: &Path) -> Vec<u8> {
    [out.as_os_str().as_bytes(), b"/lib/$PLATFORM/rtld_loader.so"].concat()
}

#[test]
fn whatever_ld_so_says_there_is_an_auditor_of_its_class() {
    let bench = Bench::new();
    // Again, where it is in use.
    for _ in 0..2 {
        let out = environment(&bench, "e", &[]);
        let at = |name: &str| fs::read(out.join("lib").join(name).join("rtld_loader.so")).unwrap();
        for name in OF_64.iter().chain(&["."]) {
            assert!(at(name) == fs::read(auditor()).unwrap(), "{name}");
        }
        for name in OF_32 {
            assert!(at(name) == fs::read(auditor_32()).unwrap(), "{name}");
        }
        // Nothing is left over from the writing.
        assert_eq!(fs::read_dir(out.join("lib")).unwrap().count(), OF_64.len() + OF_32.len() + 2);
    }
    // It can be moved to another place of the same make, as with an image's root.
    let moved = bench.path("moved");
    fs::rename(bench.path("e"), &moved).unwrap();
    assert!(moved.join("lib/haswell/rtld_loader.so").is_file() && moved.join("lib/i586/rtld_loader.so").is_file());
}

#[test]
fn no_shell_takes_the_token_for_a_variable() {
    let bench = Bench::new();
    let out = environment(&bench, OsStr::from_bytes(ODD_NAME), &["--env=LD_AUDIT=/declared.so"]);
    let expected = [&auditors(&out)[..], b":/declared.so:/users own.so"].concat();
    let expected = Some(expected.escape_ascii().to_string());
    let started = |mut command: Command| {
        // What a shell would put there.
        command
            .env("PLATFORM", "wrong")
            .env("LD_AUDIT", "/old/rtld_loader.so:/users own.so:/x/$PLATFORM/rtld_loader.so");
        value(&parse(&run(&mut command).stdout), "LD_AUDIT")
    };
    let source = bench.path("source");
    for sh in AS_SH {
        assert_eq!(started(shell(sh, &["-eu"], &script(&out), &["/usr/bin/env", "-0"])), expected, "{sh:?}");
    }
    for sh in LOGIN {
        fs::write(&source, "set -eu\n. \"$1\"\n. \"$1\"\nexec /usr/bin/env -0\n").unwrap();
        assert_eq!(started(shell(sh, &[], &source, &[out.join("etc/profile.d/replit-env.sh")])), expected, "{sh:?}");
        fs::write(&source, "set -eu\neval \"$(\"$1\" --print-env)\"\nexec /usr/bin/env -0\n").unwrap();
        assert_eq!(started(shell(sh, &[], &source, &[script(&out)])), expected, "{sh:?}");
    }
    let hook = out.join("share/fish/vendor_conf.d/replit-env.fish");
    let codes = [("$argv --print-env=fish | source", script(&out)), ("source $argv", hook)];
    for (code, argument) in codes {
        let mut fish = Command::new(which("fish"));
        fish.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", bench.directory("home")).env("LC_ALL", "C.UTF-8");
        fish.args(["--login", "--no-config", "-c", &format!("{code}; {code}; exec /usr/bin/env -0")]).arg(argument);
        assert_eq!(started(fish), expected, "{code}");
    }
    // The children of a program that keeps it to itself get theirs back.
    let mut command = shell(AS_SH[0], &[], &script(&out), &["--no-inherit", "/usr/bin/env", "-0"]);
    command.env("LD_AUDIT", "/x/$PLATFORM/own.so");
    let after = parse(&run(&mut command).stdout);
    assert_eq!(value(&after, "REPLIT_RTLD_OUTER_LD_AUDIT").as_deref(), Some("/x/$PLATFORM/own.so"));
}

#[test]
fn ld_so_loads_it_without_a_word() {
    let bench = Bench::new();
    let out = environment(&bench, "e", &[]);
    let start = || variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear());
    assert_eq!(value(&start(), "LD_AUDIT").map(String::into_bytes), Some(auditors(&out)));
    // That is not for nothing: without its file ld.so complains.
    fs::remove_file(out.join("lib/rtld_loader.so")).unwrap();
    let output = run(Command::new(script(&out)).arg("/usr/bin/env").env_clear());
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be loaded as audit interface"));
}

#[test]
fn one_within_the_other_is_in_its_place() {
    let bench = Bench::new();
    let both = environment(&bench, "both", &[]);
    let one = bench.environment::<&str>("one", &[]);
    let plain = one.join("lib/rtld_loader.so").as_os_str().as_bytes().to_vec();
    for (outer, inner, expected) in [(&both, &one, plain), (&one, &both, auditors(&both))] {
        let mut command = Command::new(script(outer));
        command.arg(script(inner)).args(["/usr/bin/env", "-0"]).env_clear();
        assert_eq!(value(&variables(&mut command), "LD_AUDIT").map(String::into_bytes), Some(expected));
    }
    // Made again for one class, processes that still have the other value go on.
    bench.environment::<&str>("both", &[]);
    let after = variables(
        Command::new("/usr/bin/env").arg("-0").env_clear().env("LD_AUDIT", OsStr::from_bytes(&auditors(&both))),
    );
    assert_eq!(after.len(), 1);
    let after = variables(Command::new(script(&both)).args(["/usr/bin/env", "-0"]).env_clear());
    assert_eq!(value(&after, "LD_AUDIT"), Some(both.join("lib/rtld_loader.so").display().to_string()));
}

#[test]
fn what_is_no_32_bit_auditor_is_one_clear_line() {
    let bench = Bench::new();
    fs::write(bench.path("text"), "text").unwrap();
    let text = bench.path("text");
    let missing = bench.path("missing");
    for (file, complaint) in [
        (auditor(), "is no shared object for i386"),
        (&text, "is no shared object for i386"),
        (&missing, "cannot read the auditor"),
    ] {
        let mut generator = Command::new(cli());
        generator.args(["generate", "--auditor"]).arg(auditor()).arg("--auditor-32").arg(file);
        let output = generator.arg("--out").arg(bench.path("e")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains(complaint) && said.contains(file.to_str().unwrap()) && said.lines().count() == 1,
            "{said}"
        );
        assert!(!bench.path("e/bin").exists() && !bench.path("e/lib/rtld_loader.so").exists());
    }
}

/// A 32-bit program or library that needs nothing.
fn object_32(path: &Path, options: &[&str]) {
    let source = path.with_extension("c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    run(Command::new("cc").args(["-m32", "-nostdlib", "-Wl,-e,main", "-o"]).arg(path).arg(&source).args(options));
}

#[test]
fn a_32_bit_file_can_be_observed_alone() {
    let bench = Bench::new();
    let program = bench.path("program");
    object_32(&program, &["-pie", "-Wl,--dynamic-linker=/lib/ld-linux.so.2"]);
    let library = bench.path("libx.so");
    object_32(&library, &["-shared", "-fPIC"]);
    let explain = |out: &Path, file: &Path| {
        let output = Command::new(script(out)).arg("--explain").arg(file).env_clear().output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let both = environment(&bench, "both", &[]);
    let one = bench.environment::<&str>("one", &[]);
    for file in [&program, &library] {
        let shown = file.display();
        let auditor = both.join("lib/i686/rtld_loader.so");
        let expected =
            format!("replit-env: {shown} is 32-bit, and can only be observed: its auditor is {}", auditor.display());
        assert!(explain(&both, file).starts_with(&expected), "{}", explain(&both, file));
        let expected = format!("replit-env: {shown} is 32-bit, and LD_AUDIT has no 32-bit auditor");
        assert!(explain(&one, file).starts_with(&expected), "{}", explain(&one, file));
    }
    // What is 64-bit is explained as ever.
    let said = run(Command::new(script(&both)).args(["--explain", "/usr/bin/env"]).env_clear()).stdout;
    assert!(String::from_utf8(said).unwrap().starts_with("/usr/bin/env: "));
}

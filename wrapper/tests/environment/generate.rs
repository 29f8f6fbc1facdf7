//! The command `generate`: what it accepts, refuses and writes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::bench::{Bench, auditor, cli, link_cli, list, run, script, value, variables};

#[test]
fn order_on_the_command_line_is_the_order_of_the_search() {
    let bench = Bench::new();
    for directory in ["a/lib", "b/lib", "b/bin", "c/bin", "d"] {
        bench.directory(directory);
    }
    let single = bench.path("libone.so.1");
    fs::write(&single, "").unwrap();
    let out = bench.environment(
        "e",
        // Relative paths; c has no lib and a has no bin; b/lib is declared twice.
        &["--lib-of=a", "--lib=d", "--lib-of=c", "--lib=libone.so.1", "--lib-of=b", "--lib=b/lib"]
            .iter()
            .chain(&["--bin-of=c", "--bin=d", "--bin-of=a", "--bin-of=b"])
            .collect::<Vec<_>>(),
    );
    let after = variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear().env("PATH", "/x"));
    let libraries = [bench.path("a/lib"), bench.path("d"), single, bench.path("b/lib")];
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), list(&libraries));
    assert_eq!(value(&after, "PATH"), list(&[bench.path("c/bin"), bench.path("d"), bench.path("b/bin"), "/x".into()]));
}

#[test]
fn channels_keep_their_place_among_other_libraries() {
    let bench = Bench::new();
    for directory in ["a/lib", "b", "c/lib", "d"] {
        bench.directory(directory);
    }
    let out = bench.path("e");
    let output = run(bench.generator(&out).args([
        "--lib=d",
        "--channel-of=new=a:none:c",
        "--channel=old=b:d",
        "--lib-of=c",
        "--channel=new=later",
    ]));
    let warnings = String::from_utf8(output.stderr).unwrap();
    let expected = ["later does not exist", "of the channel new tells", "of the channel old tells"];
    assert_eq!(warnings.lines().count(), expected.len(), "{warnings}");
    for (warning, expected) in warnings.lines().zip(expected) {
        assert!(warning.starts_with("replit-env-cli: warning: ") && warning.contains(expected), "{warnings}");
    }
    let after = variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear());
    let libraries = ["d", "a/lib", "c/lib", "b", "later"].map(|directory| bench.path(directory));
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), list(&libraries));
}

#[test]
fn a_channel_without_a_library_is_none() {
    let bench = Bench::new();
    bench.directory("a/share");
    bench.directory("b");
    let out = bench.environment("e", &["--channel-of=fonts=a", "--lib=b"]);
    let after = variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear());
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), list(&[bench.path("b")]));
}

#[test]
fn store_paths_of_a_closure_are_indexed() {
    let bench = Bench::new();
    let store = bench.path("store");
    for (name, symbol) in [("declared", "a"), ("brought", "b")] {
        let library = bench.directory(format!("store/{name}/plugins")).join(format!("lib{name}.so"));
        let source = bench.path(format!("{symbol}.c"));
        fs::write(&source, format!("int {symbol};\n")).unwrap();
        run(Command::new("cc").args(["-shared", "-o"]).arg(&library).arg(&source).arg("-Wl,-rpath,/nowhere"));
    }
    let list = bench.path("store-paths");
    fs::write(&list, format!("{0}/declared\n{0}/brought\n", store.display())).unwrap();
    let index = |name: &str, more: &[&OsStr]| {
        let mut arguments = vec![OsStr::new("--store"), store.as_os_str(), OsStr::new("--lib")];
        let declared = store.join("declared/plugins");
        arguments.push(declared.as_os_str());
        arguments.extend(more);
        let index = fs::read(bench.environment(name, &arguments).join("lib/rtld_loader.index")).unwrap();
        ["libdeclared.so", "libbrought.so"]
            .map(|soname| index.windows(soname.len()).any(|part| part == soname.as_bytes()))
    };
    assert_eq!(index("without", &[]), [true, false]);
    assert_eq!(index("with", &[OsStr::new("--closure"), list.as_os_str()]), [true, true]);
}

#[test]
fn a_closure_that_is_none_is_one_clear_line() {
    let bench = Bench::new();
    fs::write(bench.path("names"), "/a\nb\n").unwrap();
    for (file, complaint) in [("names", "no absolute path: b"), ("missing", "cannot read the closure")] {
        let output = bench.generator(bench.path("e")).arg("--closure").arg(file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(complaint) && text.contains(file) && text.lines().count() == 1, "{text}");
        assert!(!bench.path("e").exists());
    }
}

#[test]
fn what_is_missing_now_may_appear_later() {
    let bench = Bench::new();
    let out = bench.path("e");
    let output = run(bench.generator(&out).args(["--lib=later", "--lib-of=nothing"]));
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
    assert!(warnings.contains("later does not exist"), "{warnings}");
    let after = variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear());
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH"), list(&[bench.path("later")]));
}

#[test]
fn what_ld_so_or_a_shell_would_misread_is_refused() {
    let bench = Bench::new();
    let cases: [(&[&str], &str); 24] = [
        (&["--out=a:b"], "colon"),
        (&["--out=a$ORIGIN"], "$ORIGIN"),
        (&["--out=${LIB}"], "$LIB"),
        (&["--out=x/$PLATFORM/y"], "$PLATFORM"),
        (&["--out="], "empty"),
        (&["--lib=/a:/b"], "colon"),
        (&["--lib=/a/$LIB"], "$LIB"),
        (&["--lib-of=/a:/b"], "colon"),
        (&["--channel=/a"], "NAME=PATH"),
        (&["--channel=a b=/a"], "a channel's name"),
        (&["--channel==/a"], "a channel's name"),
        (&["--channel=a=/a:"], "empty"),
        (&["--channel=a=/a:/$LIB"], "$LIB"),
        (&["--channel-of=a/b=/a"], "a channel's name"),
        (&["--channel-of=a="], "empty"),
        (&["--bin=/a:/b"], "colon"),
        (&["--bin-of=/a:/b"], "colon"),
        (&["--env=A"], "NAME=VALUE"),
        (&["--env=A-B=c"], "a variable of this name"),
        (&["--env=UID=0"], "read-only"),
        (&["--env=GLIBC_TUNABLES=a.b=1:c"], "`c` in GLIBC_TUNABLES"),
        (&["--env=GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4k"], "=4k` in GLIBC_TUNABLES"),
        (&["--shell=sh"], "absolute"),
        (&["--nixpkgs=unstable"], "such as 24.05"),
    ];
    for (arguments, complaint) in cases {
        let mut command = Command::new(cli());
        command.args(["generate", "--auditor"]).arg(auditor()).args(arguments).current_dir(bench.path(""));
        if !arguments[0].starts_with("--out") {
            command.arg("--out=e");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("error: ") && first.contains(complaint), "{arguments:?}: {text}");
        assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 0, "{arguments:?} wrote something");
    }
}

#[test]
fn a_declared_ld_library_path_is_warned_about() {
    let bench = Bench::new();
    let out = bench.path("e");
    let output = run(bench.generator(&out).arg("--env=LD_LIBRARY_PATH=/x"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("warning: LD_LIBRARY_PATH"));
    let after = variables(Command::new(script(&out)).args(["/usr/bin/env", "-0"]).env_clear());
    assert_eq!(value(&after, "LD_LIBRARY_PATH").as_deref(), Some("/x"));
}

#[test]
fn the_auditor_is_found_beside_the_program_or_in_lib() {
    let bench = Bench::new();
    let program = bench.directory("bin").join("replit-env-cli");
    link_cli(&program);
    let generate =
        |out: &str| Command::new(&program).args(["generate", "--out"]).arg(bench.path(out)).output().unwrap();

    let output = generate("none");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("there is no rtld_loader.so beside") && text.lines().count() == 1, "{text}");
    assert!(!bench.path("none").exists());

    for place in ["lib", "bin"] {
        let library = [fs::read(auditor()).unwrap(), place.into()].concat();
        fs::write(bench.directory(place).join("rtld_loader.so"), &library).unwrap();
        assert!(generate(place).status.success());
        assert!(fs::read(bench.path(place).join("lib/rtld_loader.so")).unwrap() == library, "{place}");
    }
}

#[test]
fn an_auditor_that_cannot_be_read_is_one_clear_line() {
    let bench = Bench::new();
    let missing = bench.path("missing.so");
    let mut command = Command::new(cli());
    command.args(["generate", "--out"]).arg(bench.path("e")).arg("--auditor").arg(&missing);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(missing.to_str().unwrap()) && text.lines().count() == 1, "{text}");
}

#[test]
fn files_in_use_are_replaced_and_not_rewritten() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--env=A=old"]);
    let hook = "share/fish/vendor_conf.d/replit-env.fish";
    let files = ["lib/rtld_loader.so", "lib/rtld_loader.index", "bin/replit-env", "etc/profile.d/replit-env.sh", hook];
    let files = files.map(|file| out.join(file));
    let before: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let mut open: Vec<_> = files.iter().map(|file| File::open(file).unwrap()).collect();
    // Longer than before, so that a rewriting in place would show.
    bench.environment("e", &[OsStr::new("--env=A=new and longer")]);
    for ((file, open), before) in files.iter().zip(&mut open).zip(&before) {
        assert_ne!(file.metadata().unwrap().ino(), open.metadata().unwrap().ino(), "{}", file.display());
        let mut contents = Vec::new();
        open.read_to_end(&mut contents).unwrap();
        assert!(contents == *before, "{} changed under its reader", file.display());
    }
    let modes = files.map(|file| file.metadata().unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o644, 0o644, 0o755, 0o644, 0o644]);
    // Nothing is left over from the writing.
    for (directory, files) in [("lib", 2), ("bin", 1), ("etc/profile.d", 1), ("share/fish/vendor_conf.d", 1)] {
        assert_eq!(fs::read_dir(out.join(directory)).unwrap().count(), files, "{directory}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_one_clear_line() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "").unwrap();
    let output = bench.generator(bench.path("file").join("e")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot write") && text.contains(bench.path("file").to_str().unwrap()), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn errors_name_packages_of_the_release() {
    let bench = Bench::new();
    let index = |name: &str, releases: &[&str]| {
        fs::read(bench.environment(name, releases).join("lib/rtld_loader.index")).unwrap()
    };
    let has = |index: &[u8], text: &str| index.windows(text.len()).any(|part| part == text.as_bytes());
    for (name, releases, attribute) in [
        ("newest", [].as_slice(), "libx11"),
        ("old", &["--nixpkgs=23.11"], "xorg.libX11"),
        ("new", &["--nixpkgs=26.05"], "libx11"),
        ("both", &["--nixpkgs=26.05", "--nixpkgs=23.11"], "xorg.libX11"),
    ] {
        let index = index(name, releases);
        for each in ["libx11", "xorg.libX11"] {
            assert_eq!(has(&index, each), each == attribute, "{releases:?}: {each}");
        }
        assert!(has(&index, "libX11.so.6"));
    }
}

#[test]
fn what_cannot_be_loaded_is_no_auditor() {
    let bench = Bench::new();
    let text = bench.path("text");
    fs::write(&text, "no library").unwrap();
    for file in [text, auditor_of_another_machine(&bench)] {
        let output = Command::new(cli())
            .args(["generate", "--out"])
            .arg(bench.path("e"))
            .arg("--auditor")
            .arg(&file)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains("no shared object for this kind of machine"), "{error}");
        assert!(!bench.path("e").exists());
    }
}

/// The auditor, but for `e_machine`.
fn auditor_of_another_machine(bench: &Bench) -> std::path::PathBuf {
    let mut bytes = fs::read(auditor()).unwrap();
    bytes[18..20].copy_from_slice(&[0xff; 2]);
    let path = bench.path("other.so");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn everybody_may_use_what_a_careful_user_makes() {
    let bench = Bench::new();
    bench.directory("mine");
    fs::set_permissions(bench.path("mine"), fs::Permissions::from_mode(0o700)).unwrap();
    let generator = bench.generator(bench.path("mine/a/b"));
    let mut careful = Command::new("sh");
    careful.args(["-c", "umask 077; exec \"$@\"", "-"]).arg(generator.get_program()).args(generator.get_args());
    run(&mut careful);
    let mode = |path: &str| fs::metadata(bench.path("mine").join(path)).unwrap().mode() & 0o777;
    for made in ["a", "a/b", "a/b/bin", "a/b/etc", "a/b/etc/profile.d", "a/b/lib", "a/b/share/fish/vendor_conf.d"] {
        assert_eq!(mode(made), 0o755, "{made}");
    }
    assert_eq!(mode(""), 0o700, "it was there");
}

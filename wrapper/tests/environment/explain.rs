//! What `--explain` says: each message as it is, and the transcript in README.
//!
//! `INSTA_UPDATE=always cargo test -p replit-env-cli explain` writes what is said now to `snapshots/`, to be looked at.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, run, script};

/// Libraries and programs that need nothing of the machine, and an environment that declares some of them.
struct Place {
    bench: Bench,
    declared: Vec<PathBuf>,
}

impl Place {
    fn new() -> Self {
        Self { bench: Bench::new(), declared: Vec::new() }
    }

    /// Builds a library that looks into no default directory, whatever the machine has there.
    fn library(&self, path: &str, arguments: &[&str]) -> PathBuf {
        let soname = format!("-Wl,-z,nodefaultlib,-soname,{}", path.rsplit('/').next().unwrap());
        self.build(path, &[&["-shared", &soname], arguments].concat())
    }

    fn program(&self, path: &str, arguments: &[&str]) -> PathBuf {
        self.build(path, &[&["-nostartfiles", "-Wl,-z,nodefaultlib,-e,main"], arguments].concat())
    }

    fn build(&self, path: &str, arguments: &[&str]) -> PathBuf {
        let out = self.bench.path(path);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let source = out.with_extension("c");
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let mut cc = Command::new("cc");
        cc.current_dir(self.bench.path("")).arg("-o").arg(&out).arg(&source).args(["-nostdlib", "-fPIC"]);
        run(cc.args(["-Wl,--no-as-needed,--allow-shlib-undefined,--enable-new-dtags"]).args(arguments));
        fs::remove_file(source).unwrap();
        out
    }

    /// A library that needs a version of another which nobody defines: it was there when it was linked.
    fn library_with_need(&self, path: &str, soname: &str, version: &str) -> PathBuf {
        let name = self.versioned(&format!("link/{soname}"), version);
        self.library(path, &[name.to_str().unwrap(), "-Wl,-u,needed"])
    }

    /// A library that defines a version.
    fn versioned(&self, path: &str, version: &str) -> PathBuf {
        let script = self.bench.path("versions");
        fs::write(&script, format!("{version} {{ needed; }};\n")).unwrap();
        self.library(path, &[&format!("-Wl,--version-script={},--defsym=needed=main", script.display())])
    }

    fn declare(&mut self, directory: &str) {
        self.declared.push(self.bench.directory(directory));
    }

    /// What is said, and the exit code behind it.
    fn explain(&self, arguments: &[&str]) -> String {
        self.explain_with(arguments, &[])
    }

    fn explain_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let libraries = self.declared.iter().map(|path| format!("--lib={}", path.display())).collect::<Vec<_>>();
        let environment = self.bench.environment("env", &libraries);
        let mut command = Command::new(script(&environment));
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.bench.path("bin").display()));
        command.envs(variables.iter().copied()).current_dir(self.bench.path("")).arg("--explain").args(arguments);
        let output = command.output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        self.plain(&format!("{stdout}{stderr}({})\n", output.status))
    }

    /// Without what differs from run to run and from machine to machine.
    fn plain(&self, text: &str) -> String {
        let root = self.bench.path("").canonicalize().unwrap();
        let text = text.replace(root.to_str().unwrap(), "/home/me");
        let text = text.replace(env!("CARGO_BIN_EXE_replit-env-cli"), "/bin/replit-env-cli");
        text.lines().map(|line| without_glibc(line) + "\n").collect()
    }
}

/// A line with another version of glibc in it.
fn without_glibc(line: &str) -> String {
    let Some((before, after)) = line.split_once("glibc 2.") else { return line.to_owned() };
    let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
    format!("{before}glibc 2.36{}", without_glibc(rest))
}

/// A program whose plugin wants what its own RUNPATH has, what is declared, and what nobody has.
fn viewer() -> Place {
    let mut place = Place::new();
    place.library("declared/libpicture.so.1", &[]);
    let picture = place.library("declared/libcolour.so.2", &["declared/libpicture.so.1"]);
    place.library("declared/libextra.so.3", &["declared/libpicture.so.1"]);
    let gl = place.library("link/libGL.so.1", &[]);
    let own = place.library("lib/libplugin.so", &[picture.to_str().unwrap(), gl.to_str().unwrap()]);
    place.program("bin/viewer", &[own.to_str().unwrap(), "-Wl,-rpath,$ORIGIN/../lib"]);
    place.declare("declared");
    place
}

#[test]
fn a_program_with_what_is_found_and_what_is_missing() {
    insta::assert_snapshot!(viewer().explain(&["viewer"]));
}

#[test]
fn colours_where_they_are_wanted() {
    let said = viewer().explain_with(&["viewer"], &[("CLICOLOR_FORCE", "1")]);
    insta::assert_snapshot!(said.replace('\x1b', "␛"));
}

#[test]
fn json_for_tools() {
    insta::assert_snapshot!(viewer().explain(&["--json", "viewer"]));
}

#[test]
fn a_soname_that_is_declared() {
    insta::assert_snapshot!(viewer().explain(&["--for", "viewer", "libextra.so.3"]));
}

#[test]
fn a_soname_that_nobody_knows() {
    insta::assert_snapshot!(viewer().explain(&["--for", "viewer", "libnobody.so.1"]));
}

#[test]
fn each_mention_if_it_is_asked_for() {
    insta::assert_snapshot!(viewer().explain(&["--verbose", "lib/libplugin.so", "--for", "viewer"]));
}

#[test]
fn the_transcript_in_the_readme() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, transcript) = readme.split_once("$ replit-env --explain viewer\n").expect("README has the transcript");
    let (transcript, _) = transcript.split_once("```").unwrap();
    let said = viewer().explain(&["viewer"]);
    assert_eq!(transcript, said.strip_suffix("(exit status: 1)\n").unwrap());
}

#[test]
fn why_declared_libraries_cannot_be_loaded() {
    let mut place = Place::new();
    place.library_with_need("new/libnew.so.1", "libc.so.6", "GLIBC_2.99");
    fs::write(place.bench.directory("new").join("libscript.so.1"), "INPUT(libscript.so.2)\n").unwrap();
    place.declare("new");
    // libc.so.6 is there.
    place.build("bin/program", &["-nostartfiles", "-Wl,-e,main", "-lc"]);
    insta::assert_snapshot!("refused", place.explain(&["--for", "program", "libnew.so.1"]));
    insta::assert_snapshot!("broken", place.explain(&["--for", "program", "libscript.so.1"]));
}

#[test]
fn libraries_that_do_not_go_together() {
    let place = Place::new();
    let wants = place.library_with_need("lib/libwants.so", "libother.so.1", "OTHER_2");
    place.versioned("lib/libother.so.1", "OTHER_1");
    let arguments = [wants.to_str().unwrap(), "lib/libother.so.1", "-Wl,-rpath,$ORIGIN/../lib"];
    place.program("bin/program", &arguments);
    insta::assert_snapshot!(place.explain(&["program"]));
}

#[test]
fn places_that_have_something_else() {
    let place = Place::new();
    let wanted = place.library("link/libwanted.so", &[]);
    let [one, two] = ["one", "two"].map(|name| place.bench.directory(name));
    fs::create_dir(two.join("libwanted.so")).unwrap();
    let mut foreign = fs::read(&wanted).unwrap();
    // e_machine: none.
    foreign[18..20].fill(0);
    fs::write(one.join("libwanted.so"), foreign).unwrap();
    place.program("bin/program", &[wanted.to_str().unwrap(), "-Wl,-rpath,/nowhere:$ORIGIN/../one:$ORIGIN/../two"]);
    insta::assert_snapshot!(place.explain(&["program"]));
}

#[test]
fn a_path_that_leads_nowhere() {
    let place = Place::new();
    fs::create_dir_all(place.bench.path("gone")).unwrap();
    let wanted = place.build("gone/libwanted.so", &["-shared"]);
    place.program("bin/program", &["gone/libwanted.so"]);
    fs::remove_file(wanted).unwrap();
    insta::assert_snapshot!(place.explain(&["program"]));
}

#[test]
fn a_declared_library_that_is_left_to_ld_so() {
    let mut place = Place::new();
    let wanted = place.library("declared/libwanted.so", &[]);
    fs::create_dir_all(place.bench.path("lib")).unwrap();
    // Without a soname it is asked for by the path that it is linked by, and where that is, the auditor does not know.
    let arguments = ["-shared", wanted.to_str().unwrap(), "-Wl,-z,nodefaultlib,-rpath,$ORIGIN"];
    place.build("lib/libplugin.so", &arguments);
    place.program("bin/program", &["lib/libplugin.so"]);
    place.declare("declared");
    insta::assert_snapshot!(place.explain(&["program"]));
}

#[test]
fn the_package_of_a_path_has_the_library_by_its_name() {
    let place = Place::new();
    let wanted = place.library("link/libnobody.so.1", &["-Wl,-soname,/usr/lib/libnobody.so.1"]);
    place.program("bin/program", &[wanted.to_str().unwrap()]);
    let said = place.explain(&["program"]);
    assert!(said.contains("missing: /usr/lib/libnobody.so.1"), "{said}");
    assert!(said.contains("--whole-name /lib/libnobody.so.1\n"), "{said}");
}

#[test]
fn an_index_may_name_what_is_gone() {
    let place = Place::new();
    let store = place.bench.directory("store").canonicalize().unwrap();
    let wanted = place.library("store/lib/libwanted.so", &[]);
    let runpath = format!("-Wl,-rpath,{}/lib", store.display());
    place.program("store/bin/program", &[wanted.to_str().unwrap(), &runpath]);
    let shown = store.display();
    let arguments = [format!("--store={shown}"), format!("--lib={shown}/lib"), format!("--bin={shown}/bin")];
    let environment = place.bench.environment("env", &arguments);
    fs::remove_file(wanted).unwrap();
    let mut command = Command::new(script(&environment));
    let output = command.env_clear().env("PATH", "/usr/bin:/bin").args(["--explain", "program"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let gone = store.join("lib/libwanted.so");
    let remedy = format!("what to do: the index has {}, which is gone: make the environment again\n", gone.display());
    assert!(said.contains(&remedy), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_script_is_its_interpreter() {
    let place = viewer();
    let path = place.bench.path("bin/main.py");
    fs::write(&path, "#!/usr/bin/env -S viewer -x\n").unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    let said = place.explain(&["main.py"]);
    insta::assert_snapshot!(said.lines().take(2).collect::<Vec<_>>().join("\n"));
}

#[test]
fn without_the_auditor_ld_so_is_on_its_own() {
    let said = viewer().explain_with(&["viewer"], &[("REPLIT_RTLD_DISABLE", "1")]);
    insta::assert_snapshot!(said);
}

#[test]
fn a_preload_that_is_gone_is_not_the_program_s_to_miss() {
    let mut place = Place::new();
    let wanted = place.library("declared/libwanted.so", &[]);
    place.program("bin/program", &[wanted.to_str().unwrap()]);
    place.declare("declared");
    let said = place.explain_with(&["program"], &[("LD_PRELOAD", "/nowhere/libx.so libnobody.so")]);
    assert!(said.starts_with("program: 1 library, which is found\n"), "{said}");
}

#[test]
fn a_program_with_more_rights_finds_nothing_that_is_declared() {
    let mut place = Place::new();
    let wanted = place.library("declared/libwanted.so", &[]);
    let program = place.program("bin/program", &[wanted.to_str().unwrap()]);
    place.declare("declared");
    let mine = fs::metadata(&program).unwrap().gid();
    // Only root can give a group away that it is not in.
    if let Err(error) = chown(&program, None, Some(mine + 1)) {
        assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0, "root cannot give it away: {error}");
        eprintln!("not seen, since this is not root: a program with more rights");
        return;
    }
    fs::set_permissions(&program, Permissions::from_mode(0o2755)).unwrap();
    insta::assert_snapshot!(place.explain(&["program"]));
}

#[test]
fn an_auditor_that_is_gone_finds_nothing() {
    let mut place = Place::new();
    let wanted = place.library("declared/libwanted.so", &[]);
    place.program("bin/program", &[wanted.to_str().unwrap()]);
    place.declare("declared");
    let libraries = format!("--lib={}", place.bench.path("declared").display());
    let environment = place.bench.environment("env", &[libraries]);
    fs::remove_file(environment.join("lib/rtld_loader.so")).unwrap();
    let mut command = Command::new(script(&environment));
    command.env_clear().env("PATH", "/usr/bin:/bin").arg("--explain").arg(place.bench.path("bin/program"));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("libwanted.so [missing]") && said.contains("rtld_loader.so takes no part"), "{said}");
}

#[test]
fn what_is_looked_at_is_not_run() {
    let bench = Bench::new();
    let ran = bench.path("ran");
    let text = format!(
        "#include <stdio.h>\n__attribute__((constructor)) static void start(void) {{ fclose(fopen({:?}, \"w\")); }}\n",
        ran.to_str().unwrap()
    );
    let (library, program) = (bench.path("libhostile.so"), bench.path("hostile"));
    for (out, body, options) in [
        (&library, "int answer(void) { return 0; }\n", ["-shared", "-fPIC"].as_slice()),
        (&program, "int main(void) { return 0; }\n", &[]),
    ] {
        let source = bench.path("hostile.c");
        fs::write(&source, format!("{text}{body}")).unwrap();
        let mut cc = Command::new("cc");
        run(cc
            .arg("-o")
            .arg(out)
            .arg(&source)
            .args(options)
            .arg("-Wl,--no-as-needed")
            .args((out == &program).then_some(&library)));
    }
    let environment = bench.environment("env", &[format!("--lib={}", bench.path("").display())]);
    let start = |arguments: &[&str]| {
        let mut command = Command::new(script(&environment));
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").args(arguments).output().unwrap();
        (output.stdout, fs::remove_file(&ran).is_ok())
    };
    let [library, program] = [&library, &program].map(|path| path.to_str().unwrap());
    assert!(start(&[program]).1, "it would not be seen");
    for question in
        [["--explain", program], ["--explain", library], ["--explain", "libhostile.so"], ["--doctor", program]]
    {
        let (said, has_run) = start(&question);
        assert!(!said.is_empty() && !has_run, "{question:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn nobody_need_read_what_is_said() {
    let bench = Bench::new();
    let environment = bench.environment("env", &[] as &[&str]);
    for (question, code) in [("--explain", 2), ("--doctor", 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(script(&environment));
        command.arg(question).args((question == "--explain").then_some("sh"));
        let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{question}: {status}");
    }
}

#[test]
fn what_cannot_be_explained() {
    let place = Place::new();
    place.build("bin/static", &["-static", "-nostartfiles", "-Wl,-e,main"]);
    place.build("bin/musl", &["-nostartfiles", "-Wl,-e,main,-dynamic-linker,/lib/ld-musl-x86_64.so.1"]);
    place.build("bin/gone", &["-nostartfiles", "-Wl,-e,main,-dynamic-linker,/gone/ld-linux.so.2"]);
    fs::write(place.bench.path("bin/text"), "hello\n").unwrap();
    run(Command::new("mkfifo").arg(place.bench.path("bin/fifo")));
    let mut foreign = fs::read(place.bench.path("bin/static")).unwrap();
    foreign[18..20].fill(0);
    fs::write(place.bench.path("bin/foreign"), foreign).unwrap();
    let questions: &[&[&str]] = &[
        &["static"],
        &["musl"],
        &["gone"],
        &["bin/text"],
        &["bin/fifo"],
        &["./bin"],
        &["bin/foreign"],
        &["bin/nothing"],
        &["nothing"],
        &[],
        &["libx.so.1", "--for", "libx.so.1"],
    ];
    let said = questions.iter().map(|question| format!("{}\n{}", question.join(" "), place.explain(question)));
    insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
}

/// In memory it would need more than there is.
#[test]
fn a_library_of_gigabytes() {
    let mut place = Place::new();
    let large = place.library("declared/liblarge.so.1", &[]);
    place.program("bin/viewer", &[large.to_str().unwrap()]);
    place.declare("declared");
    fs::File::options().write(true).open(&large).unwrap().set_len(8 << 30).unwrap();
    let environment = place.bench.environment("env", &[format!("--lib={}", place.declared[0].display())]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 1000000; exec \"$@\"", "-"]).arg(script(&environment)).arg("--explain");
    let output = limited.arg(place.bench.path("bin/viewer")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn who_opens_a_program() {
    insta::assert_snapshot!(viewer().explain(&["--for", "viewer", "viewer"]));
}

//! A library that nobody declares and nobody has: the program's own error says which package brings it, if the index knows.
//! Whatever ld.so would have found it finds, and nothing else is said or done otherwise.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::run::Run;

use super::index::with_index;
use super::logging::{FILE, LEVEL, read};
use super::versions::{NEVER, needing};
use super::wrapper::generate;
use super::{Case, line};

/// A soname of the table that no machine is likely to have, and its package.
pub const SONAME: &str = "libCbcSolver.so.3";
const PACKAGE: &str = "cbc";

/// Another one.
const OTHER: &str = "libClp.so.1";

/// What ld.so says behind the name of a file that is not there.
const NO_FILE: &str = "cannot open shared object file: No such file or directory";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hints/dlopen", dlopen),
        Case::new("hints/start", start),
        Case::new("hints/python", python),
        Case::new("hints/off", off),
        Case::new("hints/only-with-an-index", only_with_an_index),
        Case::new("hints/other-names", other_names),
        Case::new("hints/release", release).views(&[View::Nix]),
        Case::new("hints/found-by-ld-so", found),
        Case::new("hints/found-by-default", found_by_default).views(&[View::Nix]),
        Case::new("hints/declared", declared),
        Case::new("hints/declared-in-vain", declared_in_vain),
        Case::new("hints/made-later", made_later),
        Case::new("hints/goes-on", goes_on),
        Case::new("hints/planted", planted),
        Case::new("hints/path", path),
        Case::new("hints/requester-in-the-index", requester_in_the_index),
        Case::new("hints/environments-in-each-other", nested),
        Case::new("hints/explicit-ld-so", explicit),
        Case::new("hints/other-auditor", other_auditor),
        Case::new("hints/ldd", ldd),
        Case::new("hints/log", log),
    ]
}

/// The text for a library of this soname.
fn text(soname: &str, package: &str) -> String {
    format!("{soname} (not among the declared dependencies; add pkgs.{package} to replit.nix)")
}

/// All that ld.so says.
fn said() -> String {
    format!("{}: {NO_FILE}\n", text(SONAME, PACKAGE))
}

/// The index of an environment that declares nothing which could be indexed.
fn index(bed: &Bed) -> Result<PathBuf> {
    generate(bed, "env", &[("--lib", bed.dir("declared")?.as_os_str())])?;
    Ok(bed.path("env/lib/rtld_loader.index"))
}

/// A program that opens the library, and the index.
fn opens<'b>(bed: &'b Bed<'b>) -> Result<(Run<'b>, PathBuf)> {
    let run = bed.run(bed.program("main").build()?).arg(SONAME).declare([bed.path("declared")]);
    Ok((run, index(bed)?))
}

fn dlopen(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let plain = run.plain()?;
    ensure!(plain.stderr == format!("{SONAME}: {NO_FILE}\n"), "{plain}");
    let told = with_index(&run, &index).plain()?;
    ensure!(told.stderr == said() && told.status == plain.status, "{told}");
    // Through the script, and where nothing at all is declared.
    let run = bed.run(bed.path("env/bin/replit-env")).arg(bed.path("main")).arg(SONAME);
    let told = run.plain()?;
    ensure!(told.stderr == said() && told.status == plain.status, "{told}");
    let bare = bed.run(generate(bed, "bare", &[])?).arg(bed.path("main")).arg(SONAME).plain()?;
    ensure!(bare.stderr == said() && bare.status == plain.status, "{bare}");
    Ok(())
}

/// The program needs it, or a library that it needs.
fn start(bed: &Bed) -> Result<()> {
    let reference = bed.library(&format!("reference/{SONAME}")).says("reference").build()?;
    let through = bed.library("own/libthrough.so").source("").needs(&reference).build()?;
    let index = index(bed)?;
    for (name, needed) in [("needs", &reference), ("through", &through)] {
        let main = bed.program(name).needs(needed).runpath("$ORIGIN/own").build()?;
        let run = bed.run(&main).declare([bed.path("declared")]);
        let begin = format!("{}: error while loading shared libraries: ", main.display());
        let plain = run.plain()?;
        ensure!(plain.stderr == format!("{begin}{SONAME}: {NO_FILE}\n"), "{plain}");
        let told = with_index(&run, &index).plain()?;
        ensure!(told.stderr == begin + &said() && told.status == plain.status, "{told}");
    }
    Ok(())
}

/// As people meet it.
fn python(bed: &Bed) -> Result<()> {
    let code = format!("import ctypes; ctypes.CDLL('{SONAME}')");
    let run = bed.run(&bed.channel.python).args(["-c", &code]);
    run.plain()?.fails_with(&format!("OSError: {SONAME}: {NO_FILE}\n"))?;
    with_index(&run, &index(bed)?).plain()?.fails_with(&format!("OSError: {}", said()))?;
    Ok(())
}

/// Who does not want to be told gets ld.so's own words.
fn off(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let plain = run.plain()?;
    plain.misses(SONAME)?;
    let run = with_index(&run, &index);
    run.plain()?.fails_with(&said())?;
    run.env("REPLIT_RTLD_HINTS", "0").plain()?.equals(&plain)?;
    Ok(())
}

/// The auditor by itself knows no packages.
fn only_with_an_index(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let plain = run.plain()?;
    run.audited()?.equals(&plain)?;
    with_index(&run, &bed.file("damaged", "no index")?).plain()?.equals(&plain)?;
    let mut bytes = fs::read(index)?;
    bytes.pop();
    with_index(&run, &bed.file("cut", bytes)?).plain()?.equals(&plain)?;
    Ok(())
}

/// Of names that are not in the table nothing is said.
fn other_names(bed: &Bed) -> Result<()> {
    let index = index(bed)?;
    let main = bed.program("main").build()?;
    for name in ["libnowhere.so", "libCbcSolver.so", "libCbcSolver.so.30", "LIBCBCSOLVER.SO.3", "libc.so.7"] {
        let run = bed.run(&main).arg(name).declare([bed.path("declared")]);
        with_index(&run, &index).plain()?.equals(run.plain()?.misses(name)?)?;
    }
    Ok(())
}

/// The package is one of the releases that the environment is made for.
fn release(bed: &Bed) -> Result<()> {
    let main = bed.program("main").build()?;
    bed.run(&main).arg("libXRes.so.1").plain()?.misses("libXRes.so.1")?;
    for (releases, package) in [
        (["23.11"].as_slice(), "xorg.libXres"),
        (&["26.05"], "libxres"),
        (&["26.05", "23.11"], "xorg.libXres"),
        (&[], "libxres"),
    ] {
        let options: Vec<_> = releases.iter().map(|release| ("--nixpkgs", release.as_ref())).collect();
        let run = bed.run(generate(bed, "env", &options)?).arg(&main).arg("libXRes.so.1");
        run.plain()?.fails_with(&format!("{}: {NO_FILE}\n", text("libXRes.so.1", package)))?;
    }
    Ok(())
}

/// What ld.so finds in any place is left to it.
fn found(bed: &Bed) -> Result<()> {
    let index = index(bed)?;
    let own = bed.library(&format!("own/{SONAME}")).says("own").build()?;
    let alike = |run: Run| -> Result<()> {
        let plain = run.plain()?;
        plain.prints([line("own", &own)])?;
        with_index(&run, &index).plain()?.equals(&plain)?;
        Ok(())
    };
    let without = bed.program("main").build()?;
    with_index(&bed.run(&without).arg(SONAME), &index).plain()?.fails_with(&said())?;
    alike(bed.run(&without).arg(SONAME).env("LD_LIBRARY_PATH", bed.path("own")))?;
    alike(bed.run(bed.program("runpath").runpath("$ORIGIN/own").build()?).arg(SONAME))?;
    alike(bed.run(bed.program("rpath").rpath("$ORIGIN/own").build()?).arg(SONAME))?;
    // One that is in the process.
    let run = bed.run(&without).arg(&own).arg(SONAME);
    let plain = run.plain()?;
    plain.prints([line("own", &own), line("own", &own)])?;
    with_index(&run, &index).plain()?.equals(&plain)?;
    Ok(())
}

/// Also where it is in one of ld.so's own directories.
fn found_by_default(bed: &Bed) -> Result<()> {
    let index = index(bed)?;
    let own = bed.library(&format!("own/{SONAME}")).says("own").build()?;
    let run = bed.run(bed.program("main").build()?).arg(SONAME);
    with_index(&run, &index).plain()?.fails_with(&said())?;
    let directory = bed.channel.default_directories.last().context("ld.so has a directory")?;
    let run = run.bind(own.parent().context("it is in a directory")?, directory);
    let plain = run.plain()?;
    plain.prints([line("own", &directory.join(SONAME))])?;
    with_index(&run, &index).plain()?.equals(&plain)?;
    Ok(())
}

/// What is declared is handed out.
fn declared(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    with_index(&run, &index).plain()?.fails_with(&said())?;
    let library = bed.library(&format!("declared/{SONAME}")).says("declared").build()?;
    run.plain()?.misses(SONAME)?;
    with_index(&run, &index).plain()?.prints([line("declared", &library)])?;
    Ok(())
}

/// What is declared and cannot be loaded is refused: the package is there, only the wrong build of it.
fn declared_in_vain(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    needing(bed, &format!("declared/{SONAME}"), "declared", "libc.so.6", NEVER)?;
    let refused = run.audited()?;
    refused.fails_with(&format!("needs {NEVER}"))?;
    with_index(&run, &index).plain()?.equals(&refused)?;
    Ok(())
}

/// A program that tries again once the library is there gets it.
fn made_later(bed: &Bed) -> Result<()> {
    let main = bed.program("main").source(include_str!("../../fixtures/renames.c")).runpath("$ORIGIN/own");
    let main = main.build()?;
    let index = index(bed)?;
    bed.dir("own")?;
    let start = |run: &Run| {
        let _ = fs::remove_file(bed.path("own").join(SONAME));
        bed.library(&format!("made/{SONAME}")).says("made").build()?;
        run.plain()
    };
    let run = bed.run(main).args([SONAME, &format!("made/{SONAME}=own/{SONAME}"), SONAME]);
    let found = format!("{}\n", bed.path("own").join(SONAME).display());
    let plain = start(&run)?;
    plain.misses(SONAME)?;
    ensure!(plain.stdout.ends_with(&found), "{plain}");
    let told = start(&with_index(&run, &index))?;
    ensure!(told.stderr == said() && told.stdout.ends_with(&found), "{told}");
    Ok(())
}

/// A program that can do without it goes on as ever: errno and dlerror are what they are, and others are found.
fn goes_on(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libown.so").says("own").build()?;
    bed.library("declared/libother.so").says("other").build()?;
    let index = index(bed)?;
    let main = bed.program("main").source(include_str!("../../fixtures/goes_on.c")).build()?;
    let run = bed.run(main).args([SONAME, SONAME]).arg(&own).arg("libnowhere.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    ensure!(plain.runs()?.stdout.contains(&format!("{SONAME}: {NO_FILE}\n")), "{plain}");
    let told = with_index(&run, &index).arg("libother.so").plain()?;
    let expected = plain.stdout.replace(SONAME, &text(SONAME, PACKAGE)) + "other\n";
    ensure!(told.runs()?.stdout == expected, "{told}expected:\n{expected}");
    Ok(())
}

/// A library under the name of the text, where ld.so does not look for libraries.
fn planted(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let planted = bed.library("libplanted.so").says("planted").build()?;
    for directory in ["cwd", "declared"] {
        fs::copy(&planted, bed.dir(directory)?.join(text(SONAME, PACKAGE)))?;
    }
    let run = run.working_directory(bed.path("cwd"));
    run.plain()?.misses(SONAME)?;
    let told = with_index(&run, &index).plain()?;
    ensure!(told.stderr == said() && told.stdout.is_empty(), "{told}");
    Ok(())
}

/// A path is a path.
fn path(bed: &Bed) -> Result<()> {
    let (_, index) = opens(bed)?;
    for directory in ["/usr/lib", "/lib/x86_64-linux-gnu", "/nowhere", ".", "sub"] {
        let path = format!("{directory}/{SONAME}");
        let run = bed.run(bed.path("main")).arg(&path).declare([bed.path("declared")]);
        with_index(&run, &index).plain()?.equals(run.plain()?.misses(&path)?)?;
    }
    Ok(())
}

/// The index knows that the program's own search finds nothing.
fn requester_in_the_index(bed: &Bed) -> Result<()> {
    let programs = bed.dir("store/bin")?;
    bed.library("store/lib/libother.so").says("other").build()?;
    let main = bed.program("store/bin/main").runpath(&bed.path("store/lib").display().to_string()).build()?;
    // The glibc is in a store, too.
    let glibc = bed.channel.glibc_lib.ancestors().nth(2).context("it is in a store path")?;
    let stores = [glibc, &bed.path("store")].map(|store| ("--store", store.as_os_str().to_owned()));
    let options: Vec<_> = stores.iter().map(|(option, store)| (*option, store.as_os_str())).collect();
    let options = [options, vec![("--bin", programs.as_os_str())]].concat();
    generate(bed, "env", &options)?;
    let index = bed.path("env/lib/rtld_loader.index");
    let run = bed.run(main).args([SONAME, OTHER]);
    run.plain()?.misses(SONAME)?.misses(OTHER)?;
    let told = with_index(&run, &index).plain()?;
    ensure!(told.stderr == said() + &format!("{}: {NO_FILE}\n", text(OTHER, "clp")), "{told}");
    // It goes by the index alone, which has it then.
    let library = bed.library(&format!("store/lib/{SONAME}")).says("store").build()?;
    let run = bed.run(bed.path("store/bin/main")).arg(SONAME);
    with_index(&run, &index).plain()?.fails_with(&said())?;
    generate(bed, "env", &options)?;
    with_index(&run, &index).plain()?.prints([line("store", &library)])?;
    Ok(())
}

/// Any of the index files may know it.
fn nested(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let missing = bed.path("missing");
    for list in [[&missing, &index], [&index, &missing], [&index, &index]] {
        let list = list.map(|path| path.display().to_string()).join(":");
        with_index(&run, Path::new(&list)).plain()?.fails_with(&said())?;
    }
    Ok(())
}

/// Nobody tells which options it was given: the search is not certain to fail.
fn explicit(bed: &Bed) -> Result<()> {
    let (_, index) = opens(bed)?;
    let own = bed.library(&format!("own/{SONAME}")).says("own").build()?;
    let explicit = bed.run(&bed.channel.interpreter);
    let run = explicit.clone().arg(bed.path("main")).arg(SONAME);
    with_index(&run, &index).plain()?.equals(run.plain()?.misses(SONAME)?)?;
    let run = explicit.arg("--library-path").arg(bed.path("own")).arg(bed.path("main")).arg(SONAME);
    run.plain()?.prints([line("own", &own)])?;
    with_index(&run, &index).plain()?.prints([line("own", &own)])?;
    Ok(())
}

/// Another auditor finds it where ld.so does not, late in the search.
fn other_auditor(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    let real = bed.library("real/libreal.so").says("real").build()?;
    // LA_SER_DEFAULT: each candidate becomes the real one, if it is for the library.
    let source = format!(
        r#"
        unsigned la_version(unsigned version) {{ return version; }}
        char *la_objsearch(const char *name, void *cookie, unsigned flag) {{
            const char *wanted = "{SONAME}";
            for (const char *at = name; *at; at++) {{
                int i = 0;
                while (at[i] && at[i] == wanted[i]) i++;
                if (flag == 0x40 && !at[i] && !wanted[i]) return "{}";
            }}
            return (char *)name;
        }}"#,
        real.display()
    );
    let other = bed.library("auditor/libauditor.so").source(source).build()?;
    let alone = run.clone().env("LD_AUDIT", &other).plain()?;
    ensure!(alone.runs()?.stdout.starts_with("real "), "{alone}");
    let ours = &bed.manifest.auditor;
    for list in [[ours, &other], [&other, ours]] {
        let list = list.map(|path| path.display().to_string()).join(":");
        run.clone().env("REPLIT_RTLD_INDEX", &index).env("LD_AUDIT", list).plain()?.equals(&alone)?;
    }
    Ok(())
}

/// ldd lists what is not found by its name.
fn ldd(bed: &Bed) -> Result<()> {
    let reference = bed.library(&format!("reference/{SONAME}")).says("reference").build()?;
    let main = bed.program("main").needs(&reference).build()?;
    let index = index(bed)?;
    let run = bed.run(main).env("LD_TRACE_LOADED_OBJECTS", "1");
    for run in [run.clone(), run.env("LD_VERBOSE", "1").env("LD_WARN", "yes").env("LD_BIND_NOW", "yes")] {
        let (plain, told) = (run.plain()?, with_index(&run, &index).plain()?);
        let line = format!("\t{SONAME} => not found\n");
        ensure!(plain.stdout.contains(&line) && told.stdout.contains(&line), "{plain}{told}");
        ensure!(told.status == plain.status && told.stderr == plain.stderr, "{plain}{told}");
    }
    Ok(())
}

/// The log has it beside the miss.
fn log(bed: &Bed) -> Result<()> {
    let (run, index) = opens(bed)?;
    run.plain()?.misses(SONAME)?;
    let expected = format!("ld library miss for {SONAME}\nsearching...\nnot found.\nhint: {}\n", text(SONAME, PACKAGE));
    for level in ["1", "2"] {
        let log = bed.path(format!("log.{level}"));
        with_index(&run, &index).env(LEVEL, level).env(FILE, &log).plain()?.fails_with(&said())?;
        let log = if log.exists() { read(&log)? } else { String::new() };
        ensure!(log.contains(&expected) == (level == "2"), "level {level}:\n{log}");
    }
    Ok(())
}

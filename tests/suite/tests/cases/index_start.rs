//! Starts that an index meets: whatever a user sets and however a program is started, the same files are loaded with it as
//! without.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;

use super::index::{index, opened_libraries, with_index};
use super::index_search::{TWIN, list, main, same, second_of_two, straight, twin};
use super::wrapper::generate;
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("index/ld-library-path", library_path),
        Case::new("index/ld-preload", preload),
        Case::new("index/ways-to-start", ways_to_start).tool("strace"),
        Case::new("index/without-proc", without_proc).views(&[View::Nix]).not_emulated(),
        Case::new("index/origin-without-proc", origin_without_proc).views(&[View::Nix]).not_emulated(),
        Case::new("index/dlmopen", dlmopen).since((2, 35)).glibc_of_the_machine().tool("strace"),
        Case::new("index/dlmopen-with-glibc", dlmopen_with_glibc).since((2, 35)).glibc_of_the_machine(),
        Case::new("index/fallback-beside-it", fallback),
    ]
}

/// LD_LIBRARY_PATH goes before a RUNPATH, and an empty one does not.
fn library_path(bed: &Bed) -> Result<()> {
    let users = twin(bed, "users")?;
    let (run, index, twin) = second_of_two(bed)?;
    same(&run.clone().env("LD_LIBRARY_PATH", bed.path("users")), &index, &users)?;
    same(&run.clone().env("LD_LIBRARY_PATH", list(bed, &["none", "users"])), &index, &users)?;
    same(&run.clone().env("LD_LIBRARY_PATH", ""), &index, &twin)?;
    let relative = run.working_directory(bed.path("users")).env("LD_LIBRARY_PATH", ":");
    let plain = relative.plain()?;
    ensure!(!plain.runs()?.stdout.contains(&twin.display().to_string()), "{plain}");
    with_index(&relative, &index).plain()?.equals(&plain)?;
    Ok(())
}

/// LD_PRELOAD names a library of the same soname, or one that the program's RUNPATH leads to.
fn preload(bed: &Bed) -> Result<()> {
    let users = twin(bed, "users")?;
    let extra = bed.library("store/second/libextra.so").says("extra").build()?;
    let (run, index, _) = second_of_two(bed)?;
    same(&run.clone().env("LD_PRELOAD", &users), &index, &users)?;
    same(&run.clone().env("LD_PRELOAD", "libextra.so"), &index, &extra)?;
    let missing = run.env("LD_PRELOAD", "libnowhere.so").plain()?;
    ensure!(missing.stderr.contains("libnowhere.so"), "{missing}");
    Ok(())
}

/// A program is known however it is started.
fn ways_to_start(bed: &Bed) -> Result<()> {
    let (run, index, found) = second_of_two(bed)?;
    let program = bed.path("store/bin/main");
    symlink("store/bin/main", bed.path("link"))?;
    symlink("store", bed.path("linked"))?;
    let relative = bed.run("bin/main").working_directory(bed.path("store"));
    let dots = bed.run(bed.path("store/second/../bin/main"));
    let from_shell = |word: &str| {
        bed.run(super::wrapper::shell(bed)).args(["-c", &format!("exec {word}")]).working_directory(bed.path("store"))
    };
    let ways = [run, relative, dots, bed.run(bed.path("link")), bed.run(bed.path("linked/bin/main"))];
    for run in ways.into_iter().chain([from_shell("bin/main"), from_shell("./bin/../bin/main")]) {
        straight(&run, &index, &found)?;
    }
    let explicit = bed.run(&bed.channel.interpreter);
    same(&explicit.clone().arg(&program), &index, &found)?;
    let users = twin(bed, "users")?;
    same(&explicit.arg("--library-path").arg(bed.path("users")).arg(&program), &index, &users)
}

/// Without /proc the kernel's word for the program is enough.
fn without_proc(bed: &Bed) -> Result<()> {
    let (run, index, twin) = second_of_two(bed)?;
    straight(&run.clone().without_proc(), &index, &twin)?;
    same(&bed.run("bin/main").working_directory(bed.path("store")).without_proc(), &index, &twin)
}

/// Without /proc ld.so does not know where the program is, unless LD_ORIGIN_PATH says so.
fn origin_without_proc(bed: &Bed) -> Result<()> {
    let own = twin(bed, "store/own")?;
    let (second, users) = (twin(bed, "store/second")?, twin(bed, "users/own")?);
    let runpath = format!("$ORIGIN/../own:{}", list(bed, &["store/second"]));
    let program = main(bed).needs(&own).runpath(&runpath).build()?;
    bed.dir("users/bin")?;
    let index = index(bed)?;
    let run = bed.run(program);
    same(&run, &index, &bed.path("store/bin/../own").join(TWIN))?;
    let run = run.without_proc();
    same(&run, &index, &second)?;
    let users = users.strip_prefix(bed.path("users"))?;
    same(&run.env("LD_ORIGIN_PATH", bed.path("users/bin")), &index, &bed.path("users/bin/..").join(users))
}

/// A namespace of its own: its libraries search as in the program's.
fn dlmopen(bed: &Bed) -> Result<()> {
    let libc = ["libc.so.6", "libm.so.6"].map(|soname| bed.channel.glibc_lib.join(soname));
    let source = r#"const char *twin(void); double cos(double); double (*volatile used)(double) = cos;
        const char *who(void) { return twin(); }"#;
    let source_of_twin = "const char *twin(void) { return \"twin\"; }";
    let twin = bed.library("store/second/libtwin.so").source(source_of_twin).build()?;
    let plugin = bed.library("store/lib/libplugin.so").source(source).needs(&twin);
    let plugin = libc.iter().fold(plugin, |plugin, member| plugin.needs(member));
    let glibc = bed.channel.glibc_lib.display();
    plugin.runpath(&format!("{}:{glibc}", list(bed, &["store/bin/none", "store/second"]))).build()?;
    let program = bed.program("store/bin/main").source(include_str!("../../fixtures/dlmopen.c"));
    let run = bed.run(program.runpath(&list(bed, &["store/bin/none", "store/lib"])).build()?).arg("libplugin.so");
    let index = index(bed)?;
    run.plain()?.prints(["twin"])?;
    with_index(&run, &index).plain()?.prints(["twin"])?;
    let (plain, indexed) = (opened_libraries(&run)?, opened_libraries(&with_index(&run, &index))?);
    ensure!(plain == indexed, "{indexed:#?} instead of {plain:#?}");
    Ok(())
}

/// There is but one ld.so in a process, and in each namespace ld.so knows itself by its soname alone: by the path that the index
/// has for it, or that of another glibc's, it would not, and end the process.
fn dlmopen_with_glibc(bed: &Bed) -> Result<()> {
    let glibc = bed.channel.glibc_lib.display();
    let plugin = bed.library("store/lib/libplugin.so").source(r#"const char *who(void) { return "plugin"; }"#);
    plugin.needs(&bed.channel.glibc_lib.join("libc.so.6")).runpath(&glibc.to_string()).build()?;
    let program = bed.program("store/bin/main").source(include_str!("../../fixtures/dlmopen.c"));
    let runpath = format!("{}:{glibc}", list(bed, &["store/lib"]));
    let run = bed.run(program.runpath(&runpath).build()?).arg("libplugin.so");
    run.plain()?.prints(["plugin"])?;
    // With something declared the family is looked after.
    let run = run.declare([bed.dir("declared")?]);
    run.audited()?.prints(["plugin"])?;
    let stores = [("--store", bed.path("store")), ("--store", PathBuf::from("/nix/store"))];
    let stores = stores.iter().map(|(option, store)| (*option, store.as_os_str()));
    let programs = bed.path("store/bin");
    let libraries = bed.path("store/lib");
    let options = stores.chain([("--bin", programs.as_os_str()), ("--lib", libraries.as_os_str())]);
    generate(bed, "env", &options.collect::<Vec<_>>())?;
    with_index(&run, &bed.path("env/lib/rtld_loader.index")).plain()?.prints(["plugin"])?;
    Ok(())
}

/// What the index says nothing of falls back to what is declared.
fn fallback(bed: &Bed) -> Result<()> {
    let declared = bed.library("declared/libfound.so").says("declared").build()?;
    let twin = twin(bed, "store/second")?;
    let program = bed.program("store/bin/main").runpath(&list(bed, &["store/first", "store/second"])).build()?;
    let index = index(bed)?;
    let run = bed.run(program).args(["libfound.so", TWIN]).declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    let lines = [line("declared", &declared), line("store/second", &twin)];
    with_index(&run, &index).plain()?.prints(lines)?;
    Ok(())
}

//! Static thread-local storage under an auditor: what the environment asks ld.so to keep (GLIBC_TUNABLES).
//!
//! glibc has that tunable from 2.32 on, and Debian's 2.31 has it, too.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::object::Object;

use super::wrapper::generate;
use super::{Case, line};

/// What ld.so says of a library that finds no room.
const NO_ROOM: &str = "cannot allocate memory in static TLS block";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("static-tls/surplus", surplus),
        Case::new("static-tls/declared", declared),
        Case::new("static-tls/declared-program", declared_program),
        Case::new("static-tls/fallback", fallback),
        Case::new("static-tls/opened-later", opened_later),
        Case::new("static-tls/less-is-raised", |bed| users_value(bed, &["1", "0777", "0x200", "junk", ""], true)),
        Case::new("static-tls/more-is-kept", |bed| users_value(bed, &["24000", "056700", "0x5dc0"], false)),
        Case::new("static-tls/small-stacks", small_stacks).not_emulated(),
        Case::new("static-tls/profile", profile),
    ]
}

/// A library with so many bytes of initial-exec TLS.
fn library<'b>(bed: &'b Bed, path: &str, bytes: usize) -> Object<'b> {
    let source = format!(
        "static __thread char block[{bytes}];
        const char *who(void) {{ block[{bytes} - 1]++; return block[{bytes} - 1] == 1 ? \"static\" : \"shared\"; }}"
    );
    bed.library(path).source(source).flag("-ftls-model=initial-exec")
}

/// A program that needs a library of so many bytes, and finds it by itself.
fn program(bed: &Bed, path: &str, bytes: usize) -> Result<PathBuf> {
    let library = library(bed, &format!("own/{bytes}/libstatic.so"), bytes).build()?;
    let directory = bed.path(format!("own/{bytes}"));
    bed.program(path).needs(&library).runpath(&directory.display().to_string()).build()
}

/// With an auditor alone 1664 bytes load and 2048 do not; in an environment both do, though nobody declared them.
fn surplus(bed: &Bed) -> Result<()> {
    let replit_env = generate(bed, "env", &[])?;
    let small = program(bed, "small", 1664)?;
    bed.run(&small).plain()?.prints(["static"])?;
    bed.run(&small).audited()?.prints(["static"])?;
    for bytes in [2048, 6216] {
        let large = program(bed, "large", bytes)?;
        bed.run(&large).plain()?.prints(["static"])?;
        bed.run(&large).audited()?.fails_with(NO_ROOM)?;
        bed.run(&replit_env).arg(&large).plain()?.prints(["static"])?;
    }
    Ok(())
}

/// A declared library has its room, by its directory or as a file.
fn declared(bed: &Bed) -> Result<()> {
    let main = program(bed, "main", 20000)?;
    bed.run(&main).plain()?.prints(["static"])?;
    bed.run(&main).audited()?.fails_with(NO_ROOM)?;
    bed.run(generate(bed, "nothing", &[])?).arg(&main).plain()?.fails_with(NO_ROOM)?;
    let directory = bed.path("own/20000");
    for entry in [directory.join("libstatic.so"), directory] {
        let replit_env = generate(bed, "env", &[("--lib", entry.as_os_str())])?;
        bed.run(replit_env).arg(&main).plain()?.prints(["static"])?;
    }
    Ok(())
}

/// So has what a declared program needs.
fn declared_program(bed: &Bed) -> Result<()> {
    let main = program(bed, "bin/main", 20000)?;
    bed.run(&main).audited()?.fails_with(NO_ROOM)?;
    let replit_env = generate(bed, "env", &[("--bin", bed.path("bin").as_os_str())])?;
    bed.run(replit_env).arg("main").plain()?.prints(["static"])?;
    Ok(())
}

/// A library that only the auditor finds, and that another one brings.
fn fallback(bed: &Bed) -> Result<()> {
    let deep = library(bed, "deep/libdeep.so", 9000).flag("-Dwho=deep").build()?;
    let source = "extern const char *deep(void); const char *who(void) { return deep(); }";
    let found = bed.library("declared/libfound.so").source(source).needs(&deep);
    let found = found.runpath(&bed.path("deep").display().to_string()).build()?;
    let main = bed.program("main").needs(&found).build()?;
    bed.run(&main).plain()?.misses("libfound.so")?;
    bed.run(&main).declare([bed.path("declared")]).audited()?.fails_with(NO_ROOM)?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    bed.run(replit_env).arg(&main).plain()?.prints(["static"])?;
    Ok(())
}

/// A declared library that is opened later has its room, even where it has none without us.
fn opened_later(bed: &Bed) -> Result<()> {
    let library = library(bed, "declared/libstatic.so", 4000).build()?;
    let main = bed.program("main").build()?;
    bed.run(&main).arg(&library).plain()?.fails_with(NO_ROOM)?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    bed.run(replit_env).arg(&main).arg("libstatic.so").plain()?.prints([line("static", &library)])?;
    Ok(())
}

/// What the user has set is raised where it is less than what is declared needs, and kept where it is more.
fn users_value(bed: &Bed, values: &[&str], declare: bool) -> Result<()> {
    let main = program(bed, "main", 20000)?;
    let directory = bed.path("own/20000");
    let entry = [("--lib", directory.as_os_str())];
    let replit_env = generate(bed, "env", if declare { &entry } else { &[] })?;
    bed.run(&main).audited()?.fails_with(NO_ROOM)?;
    for value in values {
        let tunables = format!("glibc.malloc.check=0:glibc.rtld.optional_static_tls={value}");
        let audited = bed.run(&main).env("GLIBC_TUNABLES", &tunables).audited()?;
        if declare {
            audited.fails_with(NO_ROOM)?;
        } else {
            audited.prints(["static"])?;
            bed.run(&replit_env).arg(&main).plain()?.fails_with(NO_ROOM)?;
        }
        // The shell of the script complains of junk, too, where glibc does: only what is printed counts.
        let outcome = bed.run(&replit_env).arg(&main).env("GLIBC_TUNABLES", tunables).plain()?;
        ensure!(outcome.stdout == "static\n", "{outcome}");
    }
    Ok(())
}

/// Threads pay for it with their stacks. With the smallest one a thread starts in an environment of nothing, and with
/// 32 KiB, as Node.js starts one, in any.
fn small_stacks(bed: &Bed) -> Result<()> {
    let library = bed.library("own/libown.so").says("own").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/thread.c")).build()?;
    for number in 0..3 {
        self::library(bed, &format!("declared/lib{number}.so"), 20000).build()?;
    }
    let full = generate(bed, "full", &[("--lib", bed.path("declared").as_os_str())])?;
    let guessed = |bytes: &str| format!("glibc.rtld.optional_static_tls={bytes}");
    for (environment, stack, too_much) in [(generate(bed, "env", &[])?, "16384", "16000"), (full, "32768", "32000")] {
        let run = |program: &Path| bed.run(program).arg(&main).arg(stack).arg(&library);
        let tunables = guessed(too_much);
        let guess = bed.run(&main).arg(stack).arg(&library).env("GLIBC_TUNABLES", tunables).audited()?;
        ensure!(guess.status.contains("exit code: 2"), "{guess}expected a thread that cannot be started\n");
        run(&environment).plain()?.prints(["own"])?;
    }
    Ok(())
}

/// The shell hook does the same for what is started from that shell.
fn profile(bed: &Bed) -> Result<()> {
    let main = program(bed, "main", 20000)?;
    bed.run(&main).audited()?.fails_with(NO_ROOM)?;
    let directory = bed.path("own/20000");
    generate(bed, "env", &[("--lib", directory.as_os_str())])?;
    let hook = bed.path("env/etc/profile.d/replit-env.sh");
    let script = r#"set -eu; . "$1"; . "$1"; exec "$2""#;
    let run = bed.run(super::wrapper::shell(bed)).args(["-c", script, "sh"]).arg(hook).arg(&main);
    run.clone().plain()?.prints(["static"])?;
    run.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=1").plain()?.prints(["static"])?;
    Ok(())
}

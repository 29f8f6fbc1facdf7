//! The generated `replit-env`, with real programs: what people start.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;

use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("wrapper/program", program),
        Case::new("wrapper/python", python),
        Case::new("wrapper/cairo", cairo).store_only(),
        Case::new("wrapper/nested", nested),
        Case::new("wrapper/users-own-auditor", users_own_auditor),
        Case::new("wrapper/profile", profile),
        // The helper may be a program of the machine, and those are not in the other view.
        Case::new("wrapper/print-env", print_env).views(&[View::Distribution, View::Direct]),
    ]
}

/// Has the generator make an environment in a directory of the bed, with its arguments in pairs. Returns `replit-env`.
pub fn generate(bed: &Bed, directory: &str, arguments: &[(&str, &OsStr)]) -> Result<PathBuf> {
    generate_by(Command::new(&bed.manifest.replit_env_cli), bed, directory, arguments)
}

/// The same with a command that starts the generator.
pub fn generate_by(
    mut generator: Command,
    bed: &Bed,
    directory: &str,
    arguments: &[(&str, &OsStr)],
) -> Result<PathBuf> {
    let out = bed.path(directory);
    generator
        .arg("generate")
        .arg("--out")
        .arg(&out)
        .arg("--auditor")
        .arg(&bed.manifest.auditor)
        .arg("--shell")
        .arg(shell(bed))
        .args(arguments.iter().flat_map(|(option, value)| [OsStr::new(*option), *value]));
    process::succeed(&mut generator)?;
    Ok(out.join("bin/replit-env"))
}

/// A shell that runs in this view.
pub fn shell(bed: &Bed) -> PathBuf {
    let bash = bed.channel.programs.get("bash");
    bash.map_or("/bin/sh".into(), |output| output.join("bin/bash"))
}

/// A program that misses a library runs.
fn program(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").needs(&library).build()?;
    bed.run(&main).plain()?.misses("libfound.so")?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    bed.run(replit_env).arg(&main).arg("libfound.so").plain()?.prints(["declared", &line("declared", &library)])?;
    Ok(())
}

/// Python is found among the declared programs, and loads a declared library.
fn python(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").source("int answer(void) { return 42; }").build()?;
    let code = "import ctypes; print(ctypes.CDLL('libfound.so').answer())";
    bed.run(&bed.channel.python).args(["-c", code]).plain()?.misses("libfound.so")?;
    let bin = bed.channel.python.parent().context("python is in a directory")?;
    let replit_env = generate(bed, "env", &[("--lib", library.as_os_str()), ("--bin", bin.as_os_str())])?;
    bed.run(replit_env).args(["python3", "-c", code]).plain()?.prints(["42"])?;
    Ok(())
}

/// Real libraries with all that they need: cairo draws, and libstdc++ loads.
fn cairo(bed: &Bed) -> Result<()> {
    let code = "import ctypes
cairo = ctypes.CDLL('libcairo.so.2')
cairo.cairo_image_surface_create.restype = ctypes.c_void_p
surface = ctypes.c_void_p(cairo.cairo_image_surface_create(0, 8, 8))
print(cairo.cairo_image_surface_get_width(surface), cairo.cairo_surface_status(surface))
ctypes.CDLL('libstdc++.so.6')
print(ctypes.CDLL('libz.so.1').crc32(0, b'abc', 3) & 0xffffffff)";
    bed.run(&bed.channel.python).args(["-c", code]).plain()?.misses("libcairo.so.2")?;
    let libraries = ["cairo", "zlib", "libstdcxx"].map(|name| bed.channel.libraries.get(name).context(name));
    let outputs = libraries.into_iter().collect::<Result<Vec<_>>>()?;
    let arguments: Vec<_> = outputs.iter().map(|output| ("--lib-of", output.as_os_str())).collect();
    let replit_env = generate(bed, "env", &arguments)?;
    let run = bed.run(replit_env).arg(&bed.channel.python).args(["-c", code]);
    run.plain()?.prints(["8 0", "891568578"])?;
    Ok(())
}

/// An environment inside another: both declare.
fn nested(bed: &Bed) -> Result<()> {
    let inner = bed.library("inner/libinner.so").says("inner").build()?;
    let outer = bed.library("outer/libouter.so").says("outer").build()?;
    for place in ["inner/libboth.so", "outer/libboth.so"] {
        bed.library(place).says(place).build()?;
    }
    let first = generate(bed, "env-outer", &[("--lib", bed.path("outer").as_os_str())])?;
    let second = generate(bed, "env-inner", &[("--lib", bed.path("inner").as_os_str())])?;
    let main = bed.program("main").build()?;
    let names = ["libinner.so", "libouter.so", "libboth.so"];
    bed.run(&main).args(names).plain()?.misses("libinner.so")?;
    let both = line("inner/libboth.so", &bed.path("inner/libboth.so"));
    bed.run(first).arg(second).arg(main).args(names).plain()?.prints([
        line("inner", &inner),
        line("outer", &outer),
        both,
    ])?;
    Ok(())
}

/// An auditor of somebody else, which finds this library as libuser.so.
pub fn other_auditor(bed: &Bed, real: &Path) -> Result<PathBuf> {
    let source = format!(
        r#"
        unsigned la_version(unsigned version) {{ return version; }}
        char *la_objsearch(const char *name, void *cookie, unsigned flag) {{
            const char *wanted = "libuser.so";
            for (int i = 0; ; i++) {{
                if (name[i] != wanted[i]) return (char *)name;
                if (!name[i]) return "{}";
            }}
        }}"#,
        real.display()
    );
    bed.library("auditor/libauditor.so").source(source).build()
}

/// Who has an auditor keeps it, and it does its work beside ours.
fn users_own_auditor(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let real = bed.library("real/libreal.so").says("real").build()?;
    let auditor = other_auditor(bed, &real)?;
    let main = bed.program("main").build()?;
    let names = ["libuser.so", "libfound.so"];
    bed.run(&main).args(names).plain()?.misses("libuser.so")?.misses("libfound.so")?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    let run = bed.run(replit_env).arg(&main).args(names);
    run.plain()?.misses("libuser.so")?;
    run.env("LD_AUDIT", &auditor).plain()?.prints([line("real", &real), line("declared", &library)])?;
    Ok(())
}

/// A login shell reads the same from profile.d.
fn profile(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    bed.run(&main).arg("libfound.so").plain()?.misses("libfound.so")?;
    generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    let script = r#"set -eu; . "$1"; . "$1"; exec "$2" libfound.so"#;
    let run = bed.run(shell(bed)).args(["-c", script, "sh"]).arg(bed.path("env/etc/profile.d/replit-env.sh")).arg(main);
    run.plain()?.prints([line("declared", &library)])?;
    Ok(())
}

/// Who has what it prints can do without it.
fn print_env(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    bed.run(&main).arg("libfound.so").plain()?.misses("libfound.so")?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    let lines = [line("declared", &library)];
    let script = r#"eval "$("$1" --print-env)"; exec "$2" libfound.so"#;
    bed.run(shell(bed)).args(["-c", script, "sh"]).arg(&replit_env).arg(&main).plain()?.prints(&lines)?;
    let printed = bed.run(&replit_env).arg("--print-env=json").plain()?;
    let variables: BTreeMap<String, String> = serde_json::from_str(&printed.runs()?.stdout)?;
    let run = variables.iter().fold(bed.run(&main), |run, (name, value)| run.env(name, value));
    run.arg("libfound.so").plain()?.prints(&lines)?;
    Ok(())
}

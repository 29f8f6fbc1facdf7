//! What was handed out is known under its real name, to the process and to those who look at it.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;

use super::Case;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("names/all-agree", all_agree),
        Case::new("names/needed-agrees", needed_agrees),
        Case::new("names/origin-finds-sibling", origin_finds_sibling),
        Case::new("names/debugger", debugger).views(&[View::Distribution]).tool("gdb"),
    ]
}

/// Every way to ask for the name of a library that was found gives its path.
fn all_agree(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("names").source(include_str!("../../fixtures/names.c")).build()?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    let path = library.display();
    let mut lines = vec!["who declared".to_string(), format!("link_map {path}"), format!("dladdr {path}")];
    lines.push(format!("dl_iterate_phdr {path}"));
    lines.push(format!("origin {}", bed.path("declared").display()));
    lines.extend([format!("r_debug {path}"), format!("maps {path}")]);
    run.audited()?.prints(lines)?;
    Ok(())
}

/// The same for what the program needs from its start.
fn needed_agrees(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        const char *who(void);
        int main(void) { Dl_info info; dladdr((void *)who, &info); puts(info.dli_fname); return 0; }"#;
    let main = bed.program("main").source(source).needs(&library).flag("-fPIE").flag("-pie").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([library.display().to_string()])?;
    Ok(())
}

/// `$ORIGIN` in the RUNPATH of what was found is its own directory: its private libraries need no declaring.
fn origin_finds_sibling(bed: &Bed) -> Result<()> {
    let private = bed.library("package/private/libinner.so");
    let private = private.source("const char *inner(void) { return \"private\"; }").build()?;
    let source = "const char *inner(void); const char *who(void) { return inner(); }";
    let library = bed.library("package/lib/libfound.so").source(source).needs(&private);
    let library = library.runpath("$ORIGIN/../private").build()?;
    let main = bed.program("main").needs(&library).build()?;
    let run = bed.run(main).declare([bed.path("package/lib")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints(["private"])?;
    Ok(())
}

/// A debugger finds the library's symbols.
fn debugger(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").flag("-g").build()?;
    let main = bed.program("main").needs(&library).build()?;
    let gdb = |variables: &[(&str, &str)]| {
        let mut run = bed.run(bed.manifest.tool("gdb")?).args(["-nx", "-batch", "-ex", "set startup-with-shell off"]);
        for (name, value) in variables {
            run = run.arg("-ex").arg(format!("set environment {name}={value}"));
        }
        run.args(["-ex", "break who", "-ex", "run", "-ex", "info sharedlibrary", "--args"]).arg(&main).plain()
    };
    let declared = bed.path("declared").display().to_string();
    let plain = gdb(&[("REPLIT_LD_LIBRARY_PATH", &declared)])?;
    ensure!(format!("{plain}").contains("libfound.so: cannot open shared object file"), "{plain}");
    let auditor = bed.manifest.auditor.display().to_string();
    let audited = gdb(&[("REPLIT_LD_LIBRARY_PATH", &declared), ("LD_AUDIT", &auditor)])?;
    let row = audited.stdout.lines().find(|row| row.ends_with(&format!("{}", library.display())));
    ensure!(row.is_some_and(|row| row.contains("Yes")) && audited.stdout.contains("Breakpoint 1, "), "{audited}");
    Ok(())
}

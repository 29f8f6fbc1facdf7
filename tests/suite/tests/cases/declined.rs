//! On aarch64 with a glibc before 2.35 the auditor declines: nothing is found, and nothing is broken.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::instructions::IDLE;

use super::Case;
use super::logging::{FILE, LEVEL};
use super::wrapper::generate;

pub fn cases() -> Vec<Case> {
    let cases = vec![
        Case::new("declined/structures", structures),
        Case::new("declined/declared", declared),
        Case::new("declined/own", own),
        Case::new("declined/environment", environment),
    ];
    cases.into_iter().map(Case::where_the_auditor_declines).collect()
}

/// Why: up to 2.34 ld.so itself loses where a function is to leave a structure, on its first call under any auditor that stays.
fn structures(bed: &Bed) -> Result<()> {
    let large = "struct large { long numbers[16]; };\nstruct large make(long number)";
    let made =
        format!("{large} {{ struct large made = {{{{number}}}}; made.numbers[15] = number + 1; return made; }}\n");
    let library = bed.library("own/libmake.so").source(made).build()?;
    let main = format!(
        "#include <stdio.h>\n{large};\nint main(void) {{\n  struct large made = make(41);\n  \
         return printf(\"%ld %ld\\n\", made.numbers[0], made.numbers[15]) < 0;\n}}\n"
    );
    let main = bed.program("main").source(main).needs(&library).runpath("$ORIGIN/own").flag("-Wl,-z,lazy").build()?;
    let run = bed.run(main);
    run.plain()?.prints(["41 42"])?;
    let idle = run.clone().env("LD_AUDIT", bed.library("libidle.so").source(IDLE).build()?).plain()?;
    ensure!(idle.runs().is_err() || idle.stdout != "41 42\n", "there is no need to decline: {idle}");
    run.declare([bed.dir("declared")?]).audited()?.prints(["41 42"])?;
    Ok(())
}

/// What is declared is not found, and nothing is said of it.
fn declared(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.audited()?.equals(&plain)?;
    let log = bed.path("log");
    run.env(LEVEL, "debug").env(FILE, &log).audited()?.equals(&plain)?;
    Ok(())
}

/// The program's own library is found as ever.
fn own(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let run = bed.run(bed.program("main").runpath("$ORIGIN/own").build()?).arg("libtwin.so");
    let run = run.declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.prints([super::line("own", &own)])?;
    run.audited()?.equals(&plain)?;
    Ok(())
}

/// A whole environment, and a program with many libraries of its own.
fn environment(bed: &Bed) -> Result<()> {
    let cairo = bed.channel.libraries["cairo"].join("lib");
    generate(bed, "env", &[("--lib", cairo.as_os_str())])?;
    let code = "import ctypes, ssl, zlib; ctypes.CDLL('libcairo.so.2')";
    let missing = "libcairo.so.2: cannot open shared object file: No such file or directory";
    let run = bed.run(&bed.channel.python).args(["-c", code]);
    run.plain()?.fails_with(missing)?;
    let script = bed.run(bed.path("env/bin/replit-env")).arg(&bed.channel.python).args(["-c", code]);
    script.plain()?.fails_with(missing)?;
    Ok(())
}

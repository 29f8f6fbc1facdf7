//! `--no-inherit`: the program gets the environment, and its children the one from before.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::run::Run;

use super::Case;
use super::wrapper::{generate, other_auditor};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("inherit/children", children),
        Case::new("inherit/through-ld-so", through_ld_so),
        Case::new("inherit/what-was-there-before", what_was_there_before),
        Case::new("inherit/nested", nested),
        Case::new("inherit/index", index).tool("strace"),
        Case::new("inherit/disabled", disabled),
        Case::new("inherit/odd-entries", odd_entries).not_emulated(),
        // As for guest/static-child.
        Case::new("inherit/static-child", static_child).since((2, 35)).views(&[View::Nix, View::Distribution]),
    ]
}

/// A program that opens a library and starts another program, and a declared library.
fn prepare(bed: &Bed) -> Result<(PathBuf, PathBuf)> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/children.c")).build()?;
    let replit_env = generate(bed, "env", &[("--lib", bed.path("declared").as_os_str())])?;
    Ok((replit_env, main))
}

/// A start of the program that starts itself in this way.
fn start<'b>(run: Run<'b>, main: &Path, way: &str) -> Run<'b> {
    run.arg(main).args(["libfound.so", way]).arg(main).arg("libfound.so")
}

/// What the program and its child print of a word.
fn count(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.starts_with(word)).count()
}

/// However a child is started: it inherits all of it, or with the option nothing. Neither does the program see anything
/// of it then, though it gets the library.
fn children(bed: &Bed) -> Result<()> {
    let (replit_env, main) = prepare(bed)?;
    for way in ["exec", "fork", "vfork", "spawn"] {
        bed.run(&main)
            .args(["libfound.so", way])
            .arg(&main)
            .arg("libfound.so")
            .plain()?
            .prints(["missed", "missed"])?;
        let inherits = start(bed.run(&replit_env), &main, way).plain()?;
        let text = &inherits.runs()?.stdout;
        ensure!(count(text, "found") == 2 && count(text, "LD_AUDIT=") == 2, "{inherits}");
        let run = bed.run(&replit_env).arg("--no-inherit");
        start(run, &main, way).plain()?.prints(["found", "missed"])?;
    }
    // With a log, which is the program's alone.
    let run = bed.run(&replit_env).args(["--log", "info", "--no-inherit", "--"]);
    let logged = start(run, &main, "exec").plain()?;
    ensure!(logged.stdout == "found\nmissed\n" && logged.stderr.matches("cmdline: ").count() == 1, "{logged}");
    Ok(())
}

/// ld.so moves the environment when it is the program, before some version.
fn through_ld_so(bed: &Bed) -> Result<()> {
    let (replit_env, main) = prepare(bed)?;
    let run = bed.run(replit_env).arg("--no-inherit").arg(&bed.channel.interpreter);
    start(run, &main, "spawn").plain()?.prints(["found", "missed"])?;
    Ok(())
}

/// What the user has set comes back, to the program too. The user's own auditor stands behind ours in the program, and alone
/// in the child.
fn what_was_there_before(bed: &Bed) -> Result<()> {
    let (replit_env, main) = prepare(bed)?;
    let real = bed.library("real/libreal.so").says("real").build()?;
    let auditor = other_auditor(bed, &real)?;
    let tunables = "glibc.malloc.mxfast=32";
    let own = [
        format!("GLIBC_TUNABLES={tunables}"),
        format!("LD_AUDIT={}", auditor.display()),
        "REPLIT_LD_LIBRARY_PATH=/mine:/nowhere".to_owned(),
        "REPLIT_RTLD_HINTS=0".to_owned(),
        "REPLIT_RTLD_LOG_LEVEL=off".to_owned(),
    ];
    let run = bed.run(replit_env).args(["--no-inherit", "--log=off"]);
    let run = own.iter().filter_map(|entry| entry.split_once('=')).fold(run, |run, (name, value)| run.env(name, value));
    let outcome = run.arg(&main).args(["libfound.so", "exec"]).arg(&main).arg("libuser.so").plain()?;
    // The order of an environment is nobody's business.
    let mut lines: Vec<&str> = outcome.runs()?.stdout.lines().collect();
    let at = lines.iter().position(|line| *line == "found").unwrap_or(0);
    let mut child = lines.split_off(at);
    ensure!(child.first() == Some(&"found") && child.pop() == Some("found"), "{outcome}");
    child.remove(0);
    for mut entries in [lines, child] {
        entries.sort_unstable();
        ensure!(entries == own, "{outcome}");
    }
    Ok(())
}

/// An environment in another one: children get the outer one's.
fn nested(bed: &Bed) -> Result<()> {
    let (inner, main) = prepare(bed)?;
    bed.library("outer/libouter.so").says("outer").build()?;
    let outer = generate(bed, "outer-env", &[("--lib", bed.path("outer").as_os_str())])?;
    for (name, expected) in [("libouter.so", "found"), ("libfound.so", "missed")] {
        let run = bed.run(&outer).arg(&inner).arg("--no-inherit").arg(&main).args(["libfound.so", "fork"]);
        let outcome = run.arg(&main).arg(name).plain()?;
        let text = &outcome.runs()?.stdout;
        ensure!(text.ends_with(&format!("\n{expected}\n")), "{outcome}");
        // The program and the child have the outer one's variables, and no trace of the inner one.
        let auditor = bed.path("outer-env/lib/rtld_loader.so");
        ensure!(count(text, "found") == 1 + usize::from(expected == "found"), "{outcome}");
        ensure!(count(text, &format!("LD_AUDIT={}", auditor.display())) == 2, "{outcome}");
        ensure!(!text.contains("declared") && !text.contains("REPLIT_RTLD_INHERIT"), "{outcome}");
    }
    // The other way round the inner script is a child, which starts from nothing.
    let run = bed.run(&outer).arg("--no-inherit").arg(&inner).arg(&main).args(["libouter.so", "fork"]);
    let outcome = run.arg(&main).arg("libfound.so").plain()?;
    let text = &outcome.runs()?.stdout;
    ensure!(count(text, "missed") == 1 && count(text, "found") == 1 && !text.contains("outer"), "{outcome}");
    Ok(())
}

/// What was read of the environment still holds: the index, the declared directories. It costs no system call.
fn index(bed: &Bed) -> Result<()> {
    let (_, main) = prepare(bed)?;
    let store = bed.path("declared");
    let arguments = [("--store", store.as_os_str()), ("--lib", store.as_os_str())];
    generate(bed, "indexed", &arguments)?;
    let run = bed.run(&main).arg("libfound.so").with_auditor().declare([&store]);
    let run = run.env("REPLIT_RTLD_INDEX", bed.path("indexed/lib/rtld_loader.index"));
    ensure!(run.plain()?.runs()?.stdout.ends_with("\nfound\n"), "it is not found");
    let childless = run.clone().env("REPLIT_RTLD_INHERIT", "0");
    childless.plain()?.prints(["found"])?;
    // What it writes of its environment is one call less for each entry, if it is written line by line.
    let calls = |run: &Run<'_>| -> Result<usize> {
        Ok(run.traced()?.calls.iter().filter(|call| !call.contains("write(1,")).count())
    };
    let (with, without) = (calls(&childless)?, calls(&run)?);
    ensure!(with == without && with > 20, "{with} calls where it was {without}");
    Ok(())
}

/// An auditor that is told to keep out changes nothing.
fn disabled(bed: &Bed) -> Result<()> {
    let (_, main) = prepare(bed)?;
    let run = bed.run(&main).arg("libfound.so").env("REPLIT_RTLD_INHERIT", "0").env("REPLIT_RTLD_DISABLE", "1");
    let outcome = run.declare([bed.path("declared")]).audited()?;
    let text = &outcome.runs()?.stdout;
    ensure!(count(text, "LD_AUDIT=") == 1 && count(text, "REPLIT_RTLD_INHERIT=0") == 1, "{outcome}");
    Ok(())
}

/// Whatever stands in the block: entries without `=`, and the same name twice.
fn odd_entries(bed: &Bed) -> Result<()> {
    let auditor = [b"LD_AUDIT=", bed.manifest.auditor.as_os_str().as_encoded_bytes()].concat();
    let entries: [&[u8]; 10] = [
        b"",
        b"REPLIT_X",
        &auditor,
        b"REPLIT_RTLD_OUTER_LD_AUDIT",
        b"REPLIT_RTLD_INHERIT=0",
        b"REPLIT_RTLD_OUTER_REPLIT_LD_LIBRARY_PATH=",
        b"=",
        b"REPLIT_RTLD_INHERIT=1",
        b"REPLIT_RTLD_OUTER_=x",
        b"\xff=\xff",
    ];
    let list = bed.program("list").source(LIST).build()?;
    let outcome = super::environment::launch(bed, &entries, "-", &list)?.plain()?;
    outcome.prints([
        "[]",
        "[REPLIT_X]",
        "[REPLIT_RTLD_OUTER_LD_AUDIT]",
        "[REPLIT_LD_LIBRARY_PATH=]",
        "[=]",
        "[\u{fffd}=\u{fffd}]",
    ])?;
    Ok(())
}

/// A program that lists its environment.
pub const LIST: &str = r#"
    #include <stdio.h>
    extern char **environ;
    int main(void) {
        for (char **entry = environ; *entry; entry++) printf("[%s]\n", *entry);
        return 0;
    }"#;

/// A static child has no ld.so that would take anything out.
fn static_child(bed: &Bed) -> Result<()> {
    let (replit_env, main) = prepare(bed)?;
    let source = concat!("#define STATIC\n", include_str!("../../fixtures/children.c"));
    let child = bed.program("static").source(source).flag("-static").build()?;
    let run = |run: Run<'_>| run.arg(&main).args(["libfound.so", "exec"]).arg(&child).arg("-").plain();
    let inherits = run(bed.run(&replit_env))?;
    ensure!(count(&inherits.runs()?.stdout, "LD_AUDIT=") == 2, "{inherits}");
    run(bed.run(&replit_env).arg("--no-inherit"))?.prints(["found"])?;
    Ok(())
}

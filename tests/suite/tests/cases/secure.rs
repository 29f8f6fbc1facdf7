//! Users and their rights: a program that runs with more rights than its user is left alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::process;
use suite::run::Run;

use super::index::INDEX;
use super::inherit::LIST;
use super::logging::{FILE, LEVEL, names, read};
use super::{Case, line};

pub fn cases() -> Vec<Case> {
    // bubblewrap takes the right to run such programs away.
    const VIEWS: &[View] = &[View::Distribution];
    vec![
        Case::new("secure/setuid-program", |bed| privileged_program(bed, Rights::User)).views(VIEWS).not_emulated(),
        Case::new("secure/setgid-program", |bed| privileged_program(bed, Rights::Group)).views(VIEWS).not_emulated(),
        Case::new("secure/program-with-capabilities", |bed| privileged_program(bed, Rights::Capabilities))
            .views(VIEWS)
            .not_emulated(),
        Case::new("secure/explained", explained).views(VIEWS).not_emulated(),
        Case::new("secure/trusted-auditor", trusted_auditor).views(VIEWS).not_emulated(),
        Case::new("secure/trusted-auditor-makes-no-call", trusted_makes_no_call).views(VIEWS).tool("strace"),
        Case::new("secure/trusted-auditor-leaves-the-environment", trusted_leaves_environment)
            .views(VIEWS)
            .not_emulated(),
        Case::new("skipped/unreadable", unreadable).views(VIEWS),
    ]
}

/// What a program's file may give it beyond its user's rights.
#[derive(Clone, Copy, Debug)]
enum Rights {
    User,
    Group,
    Capabilities,
}

const RIGHTS: [Rights; 3] = [Rights::User, Rights::Group, Rights::Capabilities];

impl Rights {
    /// A copy of a program that has them, of root.
    fn give(self, bed: &Bed, program: &Path) -> Result<PathBuf> {
        let copy = bed.path(format!("{self:?}"));
        let mode = match self {
            Rights::User => 0o4755,
            Rights::Group => 0o2755,
            Rights::Capabilities => 0o755,
        };
        process::copy_program(program, &copy, mode)?;
        if let Rights::Capabilities = self {
            // To bind to small ports, effective from the start: capabilities(7), linux/capability.h.
            let code = "import os, struct, sys
os.setxattr(sys.argv[1], 'security.capability', struct.pack('<5I', 0x2000001, 1 << 10, 0, 0, 0))";
            process::succeed(Command::new(&bed.channel.python).args(["-c", code]).arg(&copy))?;
        }
        Ok(copy)
    }
}

/// A copy of the auditor that everybody may read, and a program.
fn prepare(bed: &Bed) -> Result<(PathBuf, PathBuf)> {
    let auditor = bed.path("rtld_loader.so");
    process::copy_program(&bed.manifest.auditor, &auditor, 0o755)?;
    Ok((auditor, bed.program("main").build()?))
}

/// A start of a program as nobody, with the arguments to come: see the fixture.
pub fn as_nobody<'b>(bed: &'b Bed, shown: &[impl AsRef<Path>; 2], program: &Path) -> Result<Run<'b>> {
    let secure = bed.program("secure").source(include_str!("../../fixtures/secure.c")).build()?;
    Ok(bed.run(secure).args(shown.each_ref().map(|path| path.as_ref())).arg(program))
}

/// No directory is shown in the place of another.
pub const AS_IT_IS: [&str; 2] = ["-", "-"];

/// The same user gets the library in an ordinary program, and not in one with more rights.
fn privileged_program(bed: &Bed, rights: Rights) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let (auditor, main) = prepare(bed)?;
    let start = |program: &Path, auditor: &Path| {
        let run = as_nobody(bed, &AS_IT_IS, program)?.arg("libfound.so").declare([bed.path("declared")]);
        run.env(LEVEL, "0").env("LD_AUDIT", auditor).plain()
    };
    let privileged = rights.give(bed, &main)?;
    let nothing = Path::new("");
    start(&main, nothing)?.misses("libfound.so")?;
    start(&main, &auditor)?.prints([line("declared", &library)])?;
    let plain = start(&privileged, nothing)?;
    plain.misses("libfound.so")?;
    start(&privileged, &auditor)?.equals(&plain)?;
    Ok(())
}

/// `--explain` and `--doctor` know which programs have more rights, and for whom.
fn explained(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let (auditor, _) = prepare(bed)?;
    let main = bed.program("needs").needs(&library).build()?;
    let helper = bed.path("helper");
    process::copy_program(&bed.manifest.replit_env_cli, &helper, 0o755)?;
    let ask = |option: &[&str], program: &Path| {
        let run = as_nobody(bed, &AS_IT_IS, &helper)?.args(option).arg(program);
        run.declare([bed.path("declared")]).env(LEVEL, "0").env("LD_AUDIT", &auditor).plain()
    };
    const EXPLAIN: &[&str] = &["replit-env", "--explain"];
    const DOCTOR: &[&str] = &["doctor"];
    ensure!(ask(EXPLAIN, &main)?.status == "exit code: 0", "{}", ask(EXPLAIN, &main)?);
    let told = "runs with more rights than its caller";
    ensure!(!ask(DOCTOR, &main)?.stdout.contains(told), "{}", ask(DOCTOR, &main)?);
    for rights in RIGHTS {
        let privileged = rights.give(bed, &main)?;
        let plain = as_nobody(bed, &AS_IT_IS, &privileged)?.env("LD_AUDIT", &auditor).plain()?;
        plain.misses("libfound.so")?;
        let explained = ask(EXPLAIN, &privileged)?;
        ensure!(explained.status == "exit code: 1", "{rights:?}: {explained}");
        let examined = ask(DOCTOR, &privileged)?;
        ensure!(examined.stdout.contains(told), "{rights:?}: {examined}");
        // In a container where programs get no more rights it is the kernel that knows what counts.
        let contained = |words: &[&OsStr]| {
            let run = as_nobody(bed, &AS_IT_IS, Path::new("/usr/bin/setpriv"))?.arg("--no-new-privs").args(words);
            run.declare([bed.path("declared")]).env(LEVEL, "0").env("LD_AUDIT", &auditor).plain()
        };
        let live = contained(&[privileged.as_os_str()])?;
        let words = EXPLAIN.iter().map(OsStr::new).chain([privileged.as_os_str()]);
        let explained = contained(&[helper.as_os_str()].into_iter().chain(words).collect::<Vec<_>>())?;
        let [finds, says] = [live, explained].map(|outcome| outcome.status == "exit code: 0");
        ensure!(finds == says, "{rights:?}: it is found: {finds}; it is said to be: {says}");
    }
    Ok(())
}

/// An administrator may have put the auditor where ld.so takes it from even for such a program: by its bare name, from a
/// default directory, with the setuid bit. Then it declines, whatever is asked of it.
fn trusted_auditor(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let (_, main) = prepare(bed)?;
    let logs = bed.dir("logs")?;
    fs::set_permissions(&logs, Permissions::from_mode(0o1777))?;
    let start = |program: &Path, auditor: &str| {
        let run = as_nobody(bed, &trust(bed)?, program)?.arg("libfound.so").declare([bed.path("declared")]);
        run.env(LEVEL, "3").env(FILE, logs.join("%p")).env("LD_AUDIT", auditor).plain()
    };
    // The process has a log of its own. (Its starter, which is root's, has one, too.)
    let is_logged = |program: &Path| -> Result<bool> {
        let line = format!("cmdline: {} ", program.display());
        let all = names(&logs)?.into_iter().map(|name| read(&logs.join(name))).collect::<Result<Vec<_>>>()?;
        Ok(all.iter().any(|log| log.contains(&line)))
    };
    // ld.so takes it from there: an ordinary program is helped. (Its starter misses it, and says so.)
    let ordinary = start(&main, "rtld_loader.so")?;
    ensure!(ordinary.stdout == line("declared", &library) + "\n" && is_logged(&main)?, "{ordinary}");
    for rights in RIGHTS {
        let privileged = rights.give(bed, &main)?;
        start(&privileged, "")?.misses("libfound.so")?;
        let audited = start(&privileged, "rtld_loader.so")?;
        audited.misses("libfound.so")?;
        ensure!(audited.stdout.is_empty() && !is_logged(&privileged)?, "{rights:?}: {audited}");
    }
    Ok(())
}

/// Declines at once.
const DECLINES: &str = "unsigned la_version(unsigned version) { return 0; }\n";

/// It opens no file of what the environment names, and no other: from where ld.so has loaded it on, the calls are those of a process
/// with an auditor that declines and does nothing else.
fn trusted_makes_no_call(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let (_, main) = prepare(bed)?;
    let trusted = trust(bed)?;
    let declines = bed.library("declines.so").source(DECLINES).build()?;
    let declining = trust_in(bed, "declining", &declines)?;
    let traced = |program: &Path, trusted: &[PathBuf; 2], auditor: &str| -> Result<(BTreeSet<String>, Vec<String>)> {
        let run = as_nobody(bed, trusted, program)?.arg("libfound.so").declare([bed.path("declared")]);
        let run = run.env(LEVEL, "3").env(FILE, bed.path("log")).env(INDEX, bed.path("index")).env("LD_AUDIT", auditor);
        let calls = run.traced()?.calls;
        let start = calls.iter().rposition(|call| call.starts_with("execve(") && call.ends_with(" = 0"));
        let own = &calls[start.context("it is started")? + 1..];
        let is_auditor = |call: &String| call.contains("/rtld_loader.so\"") && !call.contains(" = -1 ");
        let loaded = own.iter().skip_while(|call| !is_auditor(call)).skip_while(|call| !call.starts_with("close("));
        let kinds = loaded.filter_map(|call| Some(call.split_once('(')?.0.to_string())).collect();
        let files = own.iter().flat_map(|call| call.split('"').skip(1).step_by(2)).filter(|text| text.starts_with('/'));
        Ok((files.map(String::from).collect(), kinds))
    };
    for rights in RIGHTS {
        let privileged = rights.give(bed, &main)?;
        let (plain, _) = traced(&privileged, &trusted, "")?;
        let (audited, calls) = traced(&privileged, &trusted, "rtld_loader.so")?;
        let (_, expected) = traced(&privileged, &declining, "rtld_loader.so")?;
        ensure!(audited.iter().any(|file| file.ends_with("/rtld_loader.so")), "{rights:?}: ld.so does not take it");
        // ld.so looks for it in its own directories, and in the program's RUNPATH.
        let own = bed.channel.default_directories.iter().chain([&bed.channel.glibc_lib]);
        let is_ld_sos = |file: &str| own.clone().any(|own| Path::new(file).starts_with(own));
        let more: Vec<&String> = audited.difference(&plain).filter(|file| !is_ld_sos(file)).collect();
        ensure!(more.is_empty() && !calls.is_empty(), "{rights:?}: {more:?}");
        ensure!(calls == expected, "{rights:?}: {calls:?}\ninstead of\n{expected:?}");
    }
    let (ordinary, _) = traced(&main, &trusted, "rtld_loader.so")?;
    for named in ["index", "declared"] {
        let named = bed.path(named).display().to_string();
        ensure!(ordinary.iter().any(|text| *text == named), "an ordinary program has no use of {named}");
    }
    Ok(())
}

/// A directory, with the auditor in it, to be seen in the place of another, the glibc's.
fn trust(bed: &Bed) -> Result<[PathBuf; 2]> {
    trust_in(bed, "trusted", &bed.manifest.auditor)
}

/// The same with any auditor, in a directory of this name.
fn trust_in(bed: &Bed, name: &str, auditor: &Path) -> Result<[PathBuf; 2]> {
    let trusted = bed.path(name);
    if !trusted.exists() {
        fs::create_dir(&trusted)?;
        for entry in fs::read_dir(&bed.channel.glibc_lib)? {
            let entry = entry?;
            symlink(entry.path(), trusted.join(entry.file_name()))?;
        }
        process::copy_program(auditor, &trusted.join("rtld_loader.so"), 0o4755)?;
    }
    Ok([trusted, bed.channel.default_directories[0].clone()])
}

/// There it takes nothing out of the environment for the sake of children either.
fn trusted_leaves_environment(bed: &Bed) -> Result<()> {
    let trusted = trust(bed)?;
    let list = bed.program("list").source(LIST).build()?;
    let start = |program: &Path| {
        let run = as_nobody(bed, &trusted, program)?;
        run.env("LD_AUDIT", "rtld_loader.so").env("REPLIT_RTLD_INHERIT", "0").plain()
    };
    let (ordinary, secure) = (start(&list)?, start(&Rights::User.give(bed, &list)?)?);
    ensure!(ordinary.stdout.is_empty() && secure.stdout == "[REPLIT_RTLD_INHERIT=0]\n", "{ordinary}{secure}");
    Ok(())
}

/// A candidate that the user may not read is passed over.
fn unreadable(bed: &Bed) -> Result<()> {
    let bad = bed.library("bad/libfound.so").says("bad").build()?;
    fs::set_permissions(bad, Permissions::from_mode(0o000))?;
    let good = bed.library("good/libfound.so").says("good").build()?;
    let (auditor, main) = prepare(bed)?;
    let run = as_nobody(bed, &AS_IT_IS, &main)?.arg("libfound.so");
    let run = run.declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    run.env("LD_AUDIT", auditor).plain()?.prints([line("good", &good)])?;
    Ok(())
}

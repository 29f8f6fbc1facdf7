//! The machine's own programs in an environment that declares what they need, too, from another glibc: they are as they were.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::dynamic::Dynamic;
use suite::manifest::View;
use suite::run::Run;
use suite::server::Server;

use super::Case;
use super::wrapper::generate;

/// What the machine's bash does with git and curl.
const WORK: &str = r#"
set -eu
git init --quiet --initial-branch=main "$1/repository"
cd "$1/repository"
echo content >file
git add file
git -c user.name=somebody -c user.email=somebody@localhost commit --quiet --message=commit
git --no-pager log --stat
git clone --quiet "file://$PWD" ../clone
cat ../clone/file
curl --silent --show-error --include "$2"
git no-such-command || exit 3
"#;

pub fn cases() -> Vec<Case> {
    const DISTRIBUTION: &[View] = &[View::Distribution];
    vec![
        Case::new("users/machine-libraries", libraries).views(DISTRIBUTION).of_the_machine(),
        Case::new("users/machine-work", work).views(DISTRIBUTION).of_the_machine(),
    ]
}

/// Everything that the channel has: its libraries, its glibc, and what its programs need.
fn everything(bed: &Bed) -> Result<BTreeSet<PathBuf>> {
    let channel = bed.channel;
    let mut directories: BTreeSet<PathBuf> = channel.libraries.values().map(|output| output.join("lib")).collect();
    directories.insert(channel.glibc_lib.clone());
    for (package, program) in [("bash", "bash"), ("curl", "curl"), ("openssl", "openssl")] {
        let output = channel.programs.get(package).with_context(|| format!("the channel has no {package}"))?;
        let runpath = Dynamic::read(&output.join("bin").join(program))?.runpath.unwrap_or_default();
        directories.extend(runpath.split(':').map(PathBuf::from));
    }
    let has = |name: &str| directories.iter().any(|directory| directory.join(name).exists());
    for shadow in ["libc.so.6", "libz.so.1", "libtinfo.so.6", "libcurl.so.4"] {
        ensure!(has(shadow), "nobody has {shadow} in {directories:?}");
    }
    Ok(directories)
}

/// An environment with all that.
fn environment(bed: &Bed) -> Result<PathBuf> {
    let directories = everything(bed)?;
    let arguments: Vec<(&str, &OsStr)> = directories.iter().map(|directory| ("--lib", directory.as_os_str())).collect();
    generate(bed, "env", &arguments)
}

/// They load the files that they load without us. Through LD_LIBRARY_PATH they would not.
fn libraries(bed: &Bed) -> Result<()> {
    let replit_env = environment(bed)?;
    let trace = [OsStr::new("env"), OsStr::new("LD_TRACE_LOADED_OBJECTS=1")];
    let shadows = std::env::join_paths(everything(bed)?)?;
    for name in ["bash", "curl", "git"] {
        let program = bed.manifest.tool(name)?;
        let run = bed.run(program).env("PATH", "/usr/bin:/bin");
        let own = loaded(&run.clone().env("LD_TRACE_LOADED_OBJECTS", "1"))?;
        ensure!(own.iter().any(|line| line.contains("libc.so.6 => /")), "{own:?}");
        let within = loaded(&run.through(&replit_env, trace))?;
        ensure!(within == own, "{name}: {within:#?}\ninstead of\n{own:#?}");
        let shadowed = run.env("LD_LIBRARY_PATH", &shadows).env("LD_TRACE_LOADED_OBJECTS", "1").plain()?;
        ensure!(shadowed.succeeds().is_err() || lines(&shadowed.stdout) != own, "nothing shadows what {name} needs");
    }
    Ok(())
}

/// What ld.so says that it has loaded, in order.
fn loaded(run: &Run) -> Result<Vec<String>> {
    Ok(lines(&run.plain()?.runs()?.stdout))
}

/// Without the addresses that a library was loaded to.
fn lines(trace: &str) -> Vec<String> {
    trace.lines().map(|line| line.split(" (0x").next().unwrap_or_default().trim().to_owned()).collect()
}

/// They say and do the same, with all the programs that they start. The auditor is in each, and finds nothing.
fn work(bed: &Bed) -> Result<()> {
    let server = Server::start("from a server\n")?;
    let run = |place: &str| -> Result<Run> {
        let run = bed.run(bed.manifest.tool("bash")?).args(["-c", WORK, "bash"]).arg(bed.dir(place)?).arg(server.url());
        let date = "2000-01-01T00:00:00Z";
        let run = run.env("PATH", "/usr/bin:/bin").env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date);
        Ok(run.env("HOME", bed.root()).env("GIT_CONFIG_NOSYSTEM", "1"))
    };
    let own = run("own")?.plain()?;
    ensure!(
        own.status.contains("3") && own.stdout.contains("\ncontent\n") && own.stdout.contains("from a server"),
        "{own}"
    );
    let logs = bed.dir("logs")?;
    let within = run("within")?.through(&environment(bed)?, [] as [&str; 0]);
    let within = within.env("REPLIT_RTLD_LOG_LEVEL", "2").env("REPLIT_RTLD_LOG_FILE", logs.join("%p"));
    within.plain()?.equals(&own)?;

    let mut commands = BTreeSet::new();
    for log in fs::read_dir(logs)? {
        let log = fs::read_to_string(log?.path())?;
        ensure!(!log.contains("found dynamically"), "{log}");
        let command = log.lines().find_map(|line| line.strip_prefix("cmdline: ")).unwrap_or_default();
        commands
            .insert(command.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned());
    }
    for name in ["bash", "cat", "curl", "git"] {
        ensure!(commands.contains(name), "the auditor was not in {name}: {commands:?}");
    }
    Ok(())
}

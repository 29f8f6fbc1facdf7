//! `--explain` against ld.so: what it says beforehand of every program and every library of a whole closure is what then happens.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use suite::bed::Bed;
use suite::manifest::View;
use suite::run::Run;

use super::Case;
use super::index::{JEMALLOC, with_index};
use super::index_oracle::{Closure, JEMALLOC_SONAME, LIST, OPEN_EACH, parts};
use super::wrapper::shell;

/// What ld.so says behind a name that it cannot open.
const CANNOT_OPEN: &str = ": cannot open shared object file: No such file or directory";

/// Room for libraries with storage of their own, as the script makes it.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=20000");

pub fn cases() -> Vec<Case> {
    // The helper may be a program of the machine, and those are not in the other view.
    let views = &[View::Distribution, View::Direct];
    vec![
        Case::new("explain/programs", programs).views(views),
        Case::new("explain/libraries", libraries).views(views),
        Case::new("explain/sonames", sonames).views(views),
        Case::new("explain/observe", observe).views(views),
        Case::new("explain/observe-several", observe_several).views(views),
        Case::new("explain/observe-interrupted", observe_interrupted).views(views),
        Case::new("explain/preloaded-everywhere", preloaded).views(&[View::Distribution]).not_emulated(),
        Case::new("explain/sonames-of-all-channels", sonames_of_all).views(views).several_channels(),
        Case::new("explain/driver", driver).views(&[View::Distribution]),
    ]
}

/// Every program: with the index, and with what is declared alone.
fn programs(bed: &Bed) -> Result<()> {
    let closure = Closure::of(bed)?;
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let list = bed.library("liblist.so").source(LIST).needs(&libc).build()?;
    let mut count = 0;
    for object in closure.objects.iter().filter(|object| object.is_program) {
        let run = bed.run(&object.path).env(TUNABLES.0, TUNABLES.1);
        for run in [with_index(&run, &closure.index), declare_all(bed, &run)] {
            let explained = explain(bed, &run, [object.path.as_os_str()])?;
            let loads_jemalloc = |path: &String| path.contains(JEMALLOC_SONAME);
            let expected = without_glibc(bed, &paths(&explained)?);
            if bed.channel.version() < JEMALLOC && expected.iter().any(loads_jemalloc) {
                continue;
            }
            let live = run.env("LD_PRELOAD", &list).plain()?;
            let loaded: Vec<String> = live.runs()?.stdout.lines().map(str::to_owned).collect();
            ensure!(loaded.contains(&list.display().to_string()), "{live}");
            let loaded = without_glibc(bed, &loaded[1..]);
            let loaded: Vec<_> = loaded.into_iter().filter(|path| Path::new(path) != list).collect();
            ensure!(expected == loaded, "{expected:#?}\nexplained for\n{live}");
            count += 1;
        }
    }
    ensure!(count >= 20, "{count} programs");
    Ok(())
}

/// Every library and module, opened by its path.
fn libraries(bed: &Bed) -> Result<()> {
    let closure = Closure::of(bed)?;
    let paths =
        closure.objects.iter().filter(|object| object.is_library).map(|object| object.path.display().to_string());
    let names: Vec<String> = paths.collect();
    let opener = bed.program("open").source(OPEN_EACH).build()?;
    let run = bed.run(opener).env(TUNABLES.0, TUNABLES.1);
    ensure!(names.len() >= 80, "{} libraries", names.len());
    opens(bed, &with_index(&run, &closure.index), &names)?;
    opens(bed, &declare_all(bed, &run), &names)
}

/// Every soname, opened by a program that finds none of them itself.
fn sonames(bed: &Bed) -> Result<()> {
    let closure = Closure::of(bed)?;
    let names = file_names(&closure);
    let opener = bed.program("open").source(OPEN_EACH).build()?;
    let run = bed.run(opener).env(TUNABLES.0, TUNABLES.1);
    opens(bed, &declare_all(bed, &run), &names)?;
    opens(bed, &declare_all(bed, &with_index(&run, &closure.index)), &names)
}

/// The same with the libraries of all channels declared, the newest first: some are refused, others are passed over.
fn sonames_of_all(bed: &Bed) -> Result<()> {
    let names = file_names(&Closure::of(bed)?);
    let opener = bed.program("open").source(OPEN_EACH).build()?;
    let outputs = bed.manifest.channels.iter().flat_map(|channel| channel.libraries.values());
    let run = bed.run(opener).with_auditor().declare(outputs.map(|output| output.join("lib")));
    opens(bed, &run.env(TUNABLES.0, TUNABLES.1), &names)
}

/// A program that runs: what it needs, what it opens, what is declared and what nobody has.
fn observe(bed: &Bed) -> Result<()> {
    let declared = bed.library("declared/libdeclared.so").says("declared").build()?;
    let own = bed.library("own/libown.so").says("own").build()?;
    let main = bed.program("main").needs(&own).runpath("$ORIGIN/own").build()?;
    let run = bed.run(&bed.manifest.replit_env_cli).with_auditor().declare([bed.path("declared")]);
    let run = run.args(["replit-env", "--explain", "--json", "--observe"]).arg(&main);
    let outcome = run.args(["libdeclared.so", "libnobody.so"]).plain()?;
    ensure!(outcome.status == "exit code: 1", "{outcome}");
    // What the program itself says is not for who reads the JSON.
    ensure!(outcome.stderr.contains("\nown\n"), "{outcome}");
    let observed: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    let program = &observed["programs"][0];
    let rule = |path: &Path| {
        let path = path.display().to_string();
        program["loaded"].as_array()?.iter().find(|loaded| loaded["path"] == path)?["rule"].as_str()
    };
    // Nobody declares its own: it is not looked for.
    ensure!(rule(&own).is_some_and(|rule| rule != "declared"), "{observed:#}");
    ensure!(rule(&declared) == Some("declared"), "{observed:#}");
    let missing = program["missing"].as_array().context("missing")?;
    ensure!(missing.len() == 1 && missing[0]["name"] == "libnobody.so", "{observed:#}");
    Ok(())
}

/// Programs of several processes, of which each runs two, one after the other.
fn observe_several(bed: &Bed) -> Result<()> {
    let main = bed.program("main").build()?;
    let run = bed.run(&bed.manifest.replit_env_cli).with_auditor().declare([bed.dir("declared")?]);
    let run = run.args(["replit-env", "--explain", "--json", "--observe"]).arg(shell(bed));
    let script = r#"shell=$1 main=$2; "$shell" -c 'exec "$0" libone.so' "$main"; exec "$main" libtwo.so"#;
    let outcome = run.args(["-c", script, "-"]).arg(shell(bed)).arg(&main).plain()?;
    ensure!(outcome.status == "exit code: 1", "{outcome}");
    let observed: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    let programs = observed["programs"].as_array().context("programs")?;
    let missing =
        |program: &Value| program["missing"].as_array().map(|all| all.iter().map(|one| one["name"].clone()).collect());
    let all: Vec<(u64, Vec<Value>)> = programs
        .iter()
        .map(|program| program["process"].as_u64().zip(missing(program)).context("a process, and what it misses"))
        .collect::<Result<_>>()?;
    let [(first, nothing), (same, two), (other, none), (again, one)] = &all[..] else {
        bail!("{} programs: {observed:#}", all.len());
    };
    ensure!(first == same && other == again && first != other && *other > 1, "{observed:#}");
    ensure!(nothing.is_empty() && none.is_empty(), "{observed:#}");
    ensure!(two == &["libtwo.so"] && one == &["libone.so"], "{observed:#}");
    Ok(())
}

/// Ctrl-C is for the program: what that has loaded is told.
fn observe_interrupted(bed: &Bed) -> Result<()> {
    const INTERRUPTS: &str = r#"
        #include <signal.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(void) {
            for (int nth = 0; nth < 2; nth++) {
                int number = nth ? SIGQUIT : SIGINT;
                kill(getppid(), number);
                fputs(signal(number, SIG_IGN) == SIG_DFL ? "as usual\n" : "ignored\n", stderr);
            }
            return 3;
        }"#;
    let main = bed.program("main").source(INTERRUPTS).build()?;
    let run = bed.run(&bed.manifest.replit_env_cli).with_auditor().declare([bed.dir("declared")?]);
    let outcome = run.args(["replit-env", "--explain", "--json", "--observe"]).arg(&main).plain()?;
    ensure!(outcome.status == "exit code: 0" && outcome.stderr == "as usual\nas usual\n", "{outcome}");
    let observed: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    ensure!(observed["status"] == "exit status: 3", "{observed:#}");
    ensure!(observed["programs"].as_array().is_some_and(|programs| programs.len() == 1), "{observed:#}");
    Ok(())
}

/// What the machine preloads into every process has what a program needs.
fn preloaded(bed: &Bed) -> Result<()> {
    let library = bed.library("libpreloaded.so").says("preloaded").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/loaded.c")).needs(&library).build()?;
    let list = bed.file("list", format!("# no library\n\t{0}:\n", library.display()))?;
    let run = bed.run(&main).declare([bed.dir("declared")?]);
    run.plain()?.misses("libpreloaded.so")?;
    ensure!(explain(bed, &run.with_auditor(), [main.as_os_str()])?["whole"] == false);
    let run = run.bind(list, "/etc/ld.so.preload");
    let live = run.plain()?;
    ensure!(live.runs()?.stdout.lines().any(|path| Path::new(path) == library), "{live}");
    let explained = explain(bed, &run.with_auditor(), [main.as_os_str()])?;
    ensure!(paths(&explained)?.contains(&library.display().to_string()), "{explained:#}");
    Ok(())
}

/// A library of the machine's graphics driver, whose directory is made here.
fn driver(bed: &Bed) -> Result<()> {
    let name = "libnvidia-nobody-has-this.so.1";
    let library = bed.library(&format!("run/opengl-driver/lib/{name}")).says("driver").build()?;
    let main = bed.program("main").needs(&library).build()?;
    let run = bed.run(&main).declare([bed.dir("declared")?]).bind(bed.path("run"), "/run");
    run.plain()?.misses(name)?;
    run.audited()?.prints(["driver"])?;
    let explained = explain(bed, &run.with_auditor(), [main.as_os_str()])?;
    let edge = edges(&explained).find(|edge| edge["name"] == name).context("it is needed")?;
    let path = Path::new("/run/opengl-driver/lib").join(name).display().to_string();
    ensure!(edge["rule"] == "driver" && paths(&explained)?.contains(&path), "{explained:#}");
    Ok(())
}

/// The names of libraries of a closure, and one that nobody has.
fn file_names(closure: &Closure) -> Vec<String> {
    let names = closure.objects.iter().filter(|object| object.is_library).filter_map(|object| object.path.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.push("libnobody-has-this.so.7".to_owned());
    names.sort();
    names.dedup();
    names
}

/// Has a program open each of these, and holds what happens against what is explained.
fn opens(bed: &Bed, run: &Run, names: &[String]) -> Result<()> {
    let list: String =
        ["libc.so.6"].into_iter().chain(names.iter().map(String::as_str)).flat_map(|name| [name, "\n"]).collect();
    let live = run.clone().arg(bed.file("list", list)?).plain()?;
    let parts = parts(&live.runs()?.stdout);
    let (initial, parts) = parts.split_first().context("libc.so.6 is there")?;
    ensure!(parts.len() == names.len(), "{live}");
    let program = run.program();
    for part in parts {
        let (name, happened) = part.split_first().context("a part begins with a name")?;
        if bed.channel.version() < JEMALLOC && happened.iter().any(|line| line.contains(JEMALLOC_SONAME)) {
            continue;
        }
        let explained = explain(bed, run, ["--for".as_ref(), program.as_os_str(), OsStr::new(name)])?;
        let is_whole = explained["whole"].as_bool().context("whole")?;
        // ld.so names the first one that is missing.
        let first_missing = edges(&explained).find_map(|edge| edge["message"].as_str());
        let expected = match first_missing {
            Some(message) => vec![format!("  {message}{CANNOT_OPEN}")],
            None => paths(&explained)?
                .iter()
                .map(|path| format!("  {path}"))
                .filter(|line| !initial.contains(&line.as_str()))
                .collect(),
        };
        let happened: Vec<String> =
            happened.iter().filter(|line| !initial.contains(line)).map(|line| (*line).to_owned()).collect();
        // All is there, and does not go together: symbols are not explained.
        if happened.iter().any(|line| line.contains(": undefined symbol: ")) {
            ensure!(is_whole, "{name}");
            continue;
        }
        let lacks_version = happened.iter().any(|line| line.contains(": version `"));
        let agrees = if lacks_version { !is_whole && first_missing.is_none() } else { happened == expected };
        ensure!(agrees, "{name}: {happened:#?}\nexplained as {expected:#?}");
    }
    Ok(())
}

/// What `--explain` says in the environment of a run. The exit code and the verdict agree.
pub fn explain<'a>(bed: &Bed, run: &Run, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Value> {
    let helper = run.of(&bed.manifest.replit_env_cli).args(["replit-env", "--explain", "--json"]).args(arguments);
    let outcome = helper.plain()?;
    let explained: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    let status = if explained["whole"] == true { "exit code: 0" } else { "exit code: 1" };
    ensure!(outcome.status == status, "{outcome}");
    Ok(explained)
}

/// The same run with the channel's libraries declared.
fn declare_all<'b>(bed: &Bed, run: &Run<'b>) -> Run<'b> {
    run.with_auditor().declare(bed.channel.libraries.values().map(|output| output.join("lib")))
}

/// The paths of the objects that are explained, in their order.
pub fn paths(explained: &Value) -> Result<Vec<String>> {
    let objects = explained["objects"].as_array().context("objects")?;
    objects.iter().map(|object| Ok(object["path"].as_str().context("a path")?.to_owned())).collect()
}

/// All names that are explained: those that were asked for first.
pub fn edges(explained: &Value) -> impl Iterator<Item = &Value> {
    let needs = explained["needs"].as_array().into_iter().flatten();
    let objects = explained["objects"].as_array().into_iter().flatten();
    needs.chain(objects.flat_map(|object| object["needs"].as_array().into_iter().flatten()))
}

/// A list of loaded files without libc.so.6, whose place depends on who asks for it first, without ld.so, the auditor and what the
/// kernel maps.
pub fn without_glibc(bed: &Bed, paths: &[String]) -> Vec<String> {
    let interpreter = bed.channel.interpreter.file_name();
    let is_other = |path: &&String| {
        let name = PathBuf::from(path).file_name().map(OsStr::to_owned);
        let name = name.as_deref();
        // What the kernel maps has two names: the second one is that of 32-bit x86.
        let known = ["libc.so.6", "rtld_loader.so", "linux-vdso.so.1", "linux-gate.so.1"];
        name.is_some_and(|name| known.iter().all(|known| name != *known)) && name != interpreter
    };
    paths.iter().filter(is_other).cloned().collect()
}

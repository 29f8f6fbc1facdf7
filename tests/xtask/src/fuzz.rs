//! `cargo xtask fuzz`: libFuzzer looks for bytes on which a target of tests/fuzz fails.
//!
//! The targets are instrumented by the stable compiler. (cargo-fuzz would do the same, with a nightly one for its
//! sanitizers; but what is tested is safe code, where no memory is corrupted.) What was tried and found interesting is
//! kept in target/fuzz, so that the next run goes on from there.

use std::collections::VecDeque;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::{docs, setup, step, tree};

/// What tells libFuzzer which code an input has reached, and which numbers were compared there.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The programs, one a target.
const PROGRAMS: &str = "tests/fuzz/fuzz_targets";
/// What is found, and stays a test.
const FINDS: &str = "tests/fuzz/finds";
/// All else: what is built and tried.
const PLACE: &str = "target/fuzz";

/// An input that takes longer than these seconds is a find, too.
const SLOW: u32 = 10;
/// The longest inputs, in bytes.
const LONGEST: u32 = 8192;

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How many targets run at once. By default as many as there are processors.
    #[arg(long)]
    jobs: Option<usize>,
    /// These targets alone.
    #[arg(long, value_delimiter = ',', value_name = "TARGETS")]
    only: Vec<String>,
    /// Also write what all runs together came to into docs/reliability.md.
    #[arg(long)]
    docs: bool,
}

/// What runs of a target came to, with the same sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Runs {
    /// A hash of the sources.
    sources: u64,
    seconds: f64,
    /// Of a processor. Beside other work it is less than what a clock says.
    cpu_seconds: f64,
    executions: u64,
}

/// What is known of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// By their sources, the newest last.
    runs: Vec<Runs>,
    /// What inputs were told apart by when the last run ended.
    features: u64,
    /// How many inputs are kept for the next run.
    inputs: u64,
}

/// What one run came to.
struct Ran {
    runs: Runs,
    features: u64,
    inputs: u64,
    status: ExitStatus,
}

/// Runs the targets. A find is an error.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    let targets = wanted(&targets(&sh.current_dir())?, &arguments.only)?;
    let programs = build(sh)?;
    let sources = sources(&sh.current_dir())?;
    let jobs = match arguments.jobs {
        Some(jobs) => jobs,
        None => std::thread::available_parallelism()?.get(),
    };
    let queue = Mutex::new(VecDeque::from(targets.clone()));
    let ended = Mutex::new(Vec::new());
    let bar = step::Counter::start(&format!("targets, {} s each", arguments.seconds), targets.len());
    let root = sh.current_dir();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panics with it").pop_front();
                    let Some(target) = next else { break };
                    let found = fuzz(&root, &programs, &target, arguments.seconds, sources);
                    bar.advance(&target);
                    ended.lock().expect("nobody panics with it").push(found.with_context(|| target.clone()));
                }
            });
        }
    });
    bar.end();
    let ended: Vec<Vec<PathBuf>> = ended.into_inner()?.into_iter().collect::<Result<_>>()?;
    if arguments.docs {
        let states = targets_states(&root)?;
        docs::fuzzing(sh, &table(&states, sources))?;
    }
    let finds = ended.concat();
    ensure!(finds.is_empty(), "{}", how_to_keep(&finds));
    println!("{} targets, {} s each: nothing was found", targets.len(), arguments.seconds);
    Ok(())
}

/// The names of all targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let stem = |entry: std::io::Result<fs::DirEntry>| -> Result<String> {
        let path = entry?.path();
        Ok(path.file_stem().and_then(|stem| stem.to_str()).context("targets have names of letters")?.to_owned())
    };
    let mut targets = fs::read_dir(root.join(PROGRAMS))?.map(stem).collect::<Result<Vec<_>>>()?;
    targets.sort();
    Ok(targets)
}

/// Those of them that are asked for.
fn wanted(targets: &[String], only: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target {unknown}: {}", targets.join(", "));
    }
    Ok(targets.iter().filter(|target| only.is_empty() || only.contains(target)).cloned().collect())
}

/// Builds the targets, and says where their programs are.
fn build(sh: &Shell) -> Result<PathBuf> {
    // libFuzzer is C++.
    if cmd!(sh, "g++ --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        setup::install(sh, &["g++"])?;
    }
    let host = cmd!(sh, "rustc --print host-tuple").quiet().read()?;
    let directory = sh.current_dir().join(PLACE).join("build");
    // With a target, what runs while this is compiled is not instrumented.
    let cargo = cmd!(sh, "cargo build --locked --profile fuzz --package fuzz --bins --features libfuzzer");
    let cargo =
        cargo.args(["--target", &host, "--target-dir"]).arg(&directory).env("RUSTFLAGS", INSTRUMENTATION.join(" "));
    step::run("build the fuzz targets", cargo.quiet())?;
    Ok(directory.join(host).join("fuzz"))
}

/// Runs a target, adds up what it came to, and returns what was found.
fn fuzz(root: &Path, programs: &Path, target: &str, seconds: u32, sources: u64) -> Result<Vec<PathBuf>> {
    let place = root.join(PLACE).join(target);
    let [corpus, seeds, found] = ["corpus", "seeds", "found"].map(|name| place.join(name));
    for directory in [&corpus, &seeds, &found] {
        fs::create_dir_all(directory)?;
    }
    // What was found before is told no more: it is kept, or mended, or found again.
    let before = files(&found)?;
    let mut command = Command::new(programs.join(target));
    command.env("FUZZ_SEEDS", &seeds).args([&corpus, &seeds]);
    let finds = root.join(FINDS).join(target);
    if finds.is_dir() {
        command.arg(finds);
    }
    command
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args([format!("-timeout={SLOW}"), format!("-max_len={LONGEST}")])
        .arg("-print_final_stats=1");
    let log = place.join("log");
    let ran = watched(&mut command, &log, sources)?;

    let file = place.join("state.json");
    let state = State::read(&file)?.with(&ran);
    fs::write(&file, serde_json::to_string_pretty(&state)? + "\n")?;
    let Runs { seconds, cpu_seconds, executions, .. } = ran.runs;
    let figures = format!(
        "{target}: {seconds:.0} s ({cpu_seconds:.0} s of a processor), {executions} executions, {} features, {} inputs",
        ran.features, ran.inputs
    );
    let new: Vec<PathBuf> = files(&found)?.into_iter().filter(|path| !before.contains(path) && is_find(path)).collect();
    if ran.status.success() {
        step::say(&format!("{figures}, nothing found"));
        return Ok(Vec::new());
    }
    step::say(&format!("{figures}, FOUND:\n{}", told(&fs::read(&log)?)));
    ensure!(!new.is_empty(), "{}, and left nothing: see {}", ran.status, log.display());
    Ok(new)
}

/// Whether libFuzzer left a file because the target failed: not because it took long on a busy machine.
fn is_find(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["crash-", "timeout-", "oom-", "leak-"].iter().any(|start| name.starts_with(start))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Runs libFuzzer, keeps what it says in `log`, and adds it up.
fn watched(command: &mut Command, log: &Path, sources: u64) -> Result<Ran> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let (mut log, mut said) = (fs::File::create(log)?, Said::default());
    for line in BufReader::new(child.stderr.take().context("it is piped")?).split(b'\n') {
        let line = line?;
        log.write_all(&[&line, b"\n".as_slice()].concat())?;
        said.take(&String::from_utf8_lossy(&line));
    }
    // It has ended, and is not yet waited for: what it has used is still to be read.
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let status = child.wait()?;
    let runs = Runs {
        sources,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(&stat).context("/proc/PID/stat has the times")?,
        executions: said.executions,
    };
    Ok(Ran { runs, features: said.features, inputs: said.inputs, status })
}

/// What libFuzzer says of itself.
#[derive(Debug, Default, PartialEq)]
struct Said {
    executions: u64,
    features: u64,
    inputs: u64,
}

impl Said {
    /// `#4194304 pulse cov: 612 ft: 2300 corp: 250/12Kb …`, and at the end `stat::number_of_executed_units: 5000000`.
    fn take(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let count = |word: Option<&str>| word.and_then(|word| word.split('/').next()?.parse().ok());
        match words.next() {
            Some("stat::number_of_executed_units:") => self.executions = count(words.next()).unwrap_or(self.executions),
            Some(first) if first.starts_with('#') => {
                // Until a find there are no other figures.
                self.executions = count(first.get(1..)).unwrap_or(self.executions);
                while let Some(word) = words.next() {
                    match word {
                        "ft:" => self.features = count(words.next()).unwrap_or(self.features),
                        "corp:" => self.inputs = count(words.next()).unwrap_or(self.inputs),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The processor's time in proc(5)'s stat, whose unit is a hundredth of a second on every Linux that we build for.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program may have blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut time = || fields.next()?.parse::<u64>().ok();
    Some((time()? + time()?) as f64 / 100.0)
}

/// The part of a log that says why the target failed.
fn told(log: &[u8]) -> String {
    let log = String::from_utf8_lossy(log);
    let lines: Vec<&str> = log.lines().collect();
    let start = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    lines[start.unwrap_or(0)..].iter().take(12).copied().collect::<Vec<_>>().join("\n")
}

/// What to do with finds.
fn how_to_keep(finds: &[PathBuf]) -> String {
    let keep = |find: &PathBuf| {
        let target = find.ancestors().nth(2).and_then(Path::file_name).unwrap_or_default().display();
        let kept = format!("{FINDS}/{target}");
        format!("  mkdir -p {kept} && cp {} {kept}/\n", find.display())
    };
    let kept: String = finds.iter().map(keep).collect();
    format!(
        "{} found. Kept under a name that says what it is, a file is a test of `cargo test --package fuzz`:\n{kept}",
        finds.len()
    )
}

/// A hash of what the targets are made of and what they test.
fn sources(root: &Path) -> Result<u64> {
    let is_source = |path: &Path| {
        let is_tested = path.starts_with("src") && !path.starts_with("src/live");
        is_tested || path.starts_with("tests/fuzz/src") || path == Path::new("wrapper/src/layout.rs")
    };
    let mut hasher = DefaultHasher::new();
    let mut files = tree::files(root).collect::<Result<Vec<_>, _>>()?;
    files.sort();
    for file in files {
        let path = file.strip_prefix(root)?;
        if is_source(path) {
            (path, fs::read(&file)?).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

impl State {
    /// Of a target that never ran, nothing is known.
    fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&fs::read(file)?).with_context(|| file.display().to_string())
    }

    /// With one run more.
    fn with(mut self, ran: &Ran) -> Self {
        let nth = self.runs.iter().position(|runs| runs.sources == ran.runs.sources).unwrap_or(self.runs.len());
        let mut runs = if nth < self.runs.len() { self.runs.remove(nth) } else { Runs::default() };
        runs.sources = ran.runs.sources;
        runs.seconds += ran.runs.seconds;
        runs.cpu_seconds += ran.runs.cpu_seconds;
        runs.executions += ran.runs.executions;
        self.runs.push(runs);
        Self { runs: self.runs, features: ran.features, inputs: ran.inputs }
    }
}

/// What is known of each target, and how many finds are kept.
fn targets_states(root: &Path) -> Result<Vec<(String, State, usize)>> {
    let known = |target: String| {
        let finds = root.join(FINDS).join(&target);
        let finds = if finds.is_dir() { files(&finds)?.len() } else { 0 };
        let state = State::read(&root.join(PLACE).join(&target).join("state.json"))?;
        Ok((target, state, finds))
    };
    targets(root)?.into_iter().map(known).collect()
}

/// The figures, as Markdown.
fn table(states: &[(String, State, usize)], sources: u64) -> String {
    let mut table =
        "| target | executions | hours of a processor | with these sources | features | inputs | finds kept |\n"
            .to_owned();
    table += "|---|---|---|---|---|---|---|\n";
    for (target, State { runs, features, inputs }, finds) in states {
        let hours = |runs: &mut dyn Iterator<Item = &Runs>| runs.map(|runs| runs.cpu_seconds).sum::<f64>() / 3600.0;
        let all = hours(&mut runs.iter());
        let these = hours(&mut runs.iter().filter(|runs| runs.sources == sources));
        let executions = in_words(runs.iter().map(|runs| runs.executions).sum());
        table += &format!("| {target} | {executions} | {all:.2} | {these:.2} | {features} | {inputs} | {finds} |\n");
    }
    table
}

/// A large number as people read it.
fn in_words(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{} thousand", number / 1000),
        _ => format!("{} million", number / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut said = Said::default();
        let lines = [
            "INFO: Seed: 123",
            "#2\tINITED cov: 30 ft: 31 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#4096\tpulse  cov: 612 ft: 2300 corp: 250/12Kb lim: 43 exec/s: 2048 rss: 40Mb",
        ];
        lines.iter().for_each(|line| said.take(line));
        assert_eq!(said, Said { executions: 4096, features: 2300, inputs: 250 });
        said.take("stat::number_of_executed_units: 5000");
        said.take("stat::average_exec_per_sec:     7");
        assert_eq!(said, Said { executions: 5000, features: 2300, inputs: 250 });
    }

    #[test]
    fn a_process_tells_its_time() {
        let stat = "77 (a name) with) Z 1 77 77 0 -1 4194304 100 0 0 0 1250 250 7 8 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(15.0));
        assert_eq!(cpu_seconds("77 (short) Z 1"), None);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(cpu_seconds(&own).is_some());
    }

    #[test]
    fn runs_add_up_by_their_sources() {
        let ran = |sources, executions| Ran {
            runs: Runs { sources, seconds: 4.0, cpu_seconds: 1800.0, executions },
            features: executions + 1,
            inputs: 3,
            status: ExitStatus::default(),
        };
        let state = State::default().with(&ran(1, 20)).with(&ran(2, 9_000_000)).with(&ran(1, 30));
        assert_eq!(
            state.runs.iter().map(|runs| (runs.sources, runs.executions)).collect::<Vec<_>>(),
            [(2, 9_000_000), (1, 50)]
        );
        assert_eq!((state.features, state.runs[1].seconds), (31, 8.0));
        let table = table(&[("x".to_owned(), state, 2)], 1);
        assert!(table.ends_with("| x | 9000 thousand | 1.50 | 1.00 | 31 | 3 | 2 |\n"), "{table}");
    }

    #[test]
    fn a_find_is_told_with_what_to_do() {
        let find = Path::new("/t/target/fuzz/index/found/crash-1");
        assert!(is_find(find) && !is_find(Path::new("/t/slow-unit-1")));
        let text = how_to_keep(&[find.to_owned()]);
        assert!(text.contains("cp /t/target/fuzz/index/found/crash-1 tests/fuzz/finds/index/"), "{text}");
        let log = b"INFO\n#1 NEW\nthread 'x' panicked at y:\nassertion\n";
        assert_eq!(told(log), "thread 'x' panicked at y:\nassertion");
    }

    #[test]
    fn targets_are_those_of_the_tree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let targets = targets(root).unwrap();
        assert!(targets.len() >= 6 && targets.contains(&"elf_file".to_owned()), "{targets:?}");
        assert_eq!(wanted(&targets, &["index".to_owned()]).unwrap(), ["index"]);
        assert!(wanted(&targets, &["none".to_owned()]).is_err());
        assert_eq!(sources(root).unwrap(), sources(root).unwrap());
        let page = include_str!("../../../docs/reliability.md");
        assert!(targets.iter().all(|target| page.contains(&format!("\n| `{target}` |"))), "{targets:?}");
    }
}

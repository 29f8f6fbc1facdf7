//! Runs a command that takes its time, and shows how far it is.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How much of a failed command's output is shown.
const TAIL: usize = 40;
/// How often a log without a terminal hears from a running command.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Runs `command` to its end and returns its standard output. Standard error is shown line by line, in place, and
/// whole only when the command fails. Several may run at once.
pub fn run(title: &str, command: impl Into<Command>) -> Result<String> {
    let mut command = command.into();
    let mut progress = Progress::start(title);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    let mut stdout = child.stdout.take().expect("piped above");
    let reader = std::thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let mut tail = VecDeque::new();
    for line in BufReader::new(child.stderr.take().expect("piped above")).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        progress.tell(&line);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let output = reader.join().expect("the reader does not panic")?;
    let status = child.wait()?;
    progress.end(status.success());
    if !status.success() {
        let shown: Vec<String> = tail.into_iter().collect();
        bail!("{title}: {status}\n{command:?}\n{output}{}", shown.join("\n"));
    }
    Ok(output)
}

/// Prints a line above the running commands.
pub fn say(line: &str) {
    // Without a terminal `println` of indicatif is silent.
    if BARS.is_hidden() || BARS.println(line).is_err() {
        eprintln!("{line}");
    }
}

/// How far work is that has many parts, done on several threads.
pub struct Counter {
    title: String,
    bar: ProgressBar,
    started: Instant,
    last_sign: Mutex<Instant>,
}

impl Counter {
    /// Shows that nothing of `parts` is done yet.
    pub fn start(title: &str, parts: usize) -> Self {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {prefix} [{elapsed}, {eta} to go] {wide_msg:.dim}");
        let style = style.expect("is valid");
        let bar = BARS.add(ProgressBar::new(parts as u64).with_style(style).with_prefix(title.to_owned()));
        if bar.is_hidden() {
            eprintln!("  {title}: {parts} …");
        }
        Self { title: title.to_owned(), bar, started: Instant::now(), last_sign: Mutex::new(Instant::now()) }
    }

    /// One more part is done.
    pub fn advance(&self, part: &str) {
        self.bar.set_message(part.to_owned());
        self.bar.inc(1);
        let mut last_sign = self.last_sign.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_hidden() && last_sign.elapsed() > SIGN_OF_LIFE {
            eprintln!("    {}: {} of {}", self.title, self.bar.position(), self.bar.length().unwrap_or_default());
            *last_sign = Instant::now();
        }
    }

    /// All is done.
    pub fn end(self) {
        self.bar.finish_and_clear();
        say(&format!("✓ {} ({:.1} s)", self.title, self.started.elapsed().as_secs_f32()));
    }
}

/// A command that is running, on the terminal or in a log.
struct Progress {
    title: String,
    bar: ProgressBar,
    started: Instant,
    last_sign: Instant,
}

impl Progress {
    fn start(title: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}").expect("is valid");
        let bar = BARS.add(ProgressBar::new_spinner().with_style(style).with_prefix(title.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(100));
        if bar.is_hidden() {
            eprintln!("  {title} …");
        }
        Self { title: title.to_owned(), bar, started: Instant::now(), last_sign: Instant::now() }
    }

    fn tell(&mut self, line: &str) {
        self.bar.set_message(line.to_owned());
        if self.bar.is_hidden() && self.last_sign.elapsed() > SIGN_OF_LIFE {
            eprintln!("    {}: {line}", self.title);
            self.last_sign = Instant::now();
        }
    }

    fn end(self, success: bool) {
        self.bar.finish_and_clear();
        let mark = if success { "✓" } else { "✗" };
        say(&format!("{mark} {} ({:.1} s)", self.title, self.started.elapsed().as_secs_f32()));
    }
}

//! How far a long task is, for a person who waits for it.
//!
//! A bar on standard error, if that is a terminal and the task takes a while. Nothing is left of it in the end.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nobody wonders whether what ends sooner goes on.
const PATIENCE: Duration = Duration::from_millis(500);

/// The state of a task of several steps.
pub struct Progress {
    bar: ProgressBar,
    /// When it is to be seen. `None` if it is.
    due: Option<Instant>,
}

impl Progress {
    /// A task of so many store paths. It may turn out to have more.
    pub fn new(len: usize) -> Self {
        Self::after(PATIENCE, len)
    }

    fn after(delay: Duration, len: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} store paths indexed");
        Self { bar: bar.with_style(style.expect("the template is a valid one")), due: Some(Instant::now() + delay) }
    }

    /// One is done.
    pub fn step(&mut self) {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            // What is no terminal stays as it is.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.bar.length() <= Some(self.bar.position()) {
            self.bar.inc_length(1);
        }
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Says in how many milliseconds [`the_task`] shows itself.
    const DELAY: &str = "PROGRESS_DELAY";

    /// A task of ten store paths and one more. The other tests run this one, with a standard error of their own.
    #[test]
    fn the_task() {
        let delay = std::env::var(DELAY).map_or(PATIENCE, |delay| Duration::from_millis(delay.parse().unwrap()));
        let mut progress = Progress::after(delay, 10);
        for done in 1..=11 {
            progress.step();
            assert_eq!((progress.bar.position(), progress.bar.length()), (done, Some(done.max(10))));
        }
    }

    /// What the task leaves on a terminal, or on a pipe in place of one.
    fn output(on_terminal: bool, delay: &str) -> String {
        let task = [r#"exec "$PROGRAM" --exact progress::tests::the_task --nocapture"#, "2>&1 >/dev/null"].join(" ");
        let mut command = if on_terminal { Command::new("script") } else { Command::new("sh") };
        match on_terminal {
            true => command.args(["--quiet", "--return", "--command", &task, "/dev/null"]),
            false => command.args(["-c", &task]),
        };
        command.env("PROGRAM", std::env::current_exe().unwrap()).env("TERM", "xterm").env(DELAY, delay);
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_terminal_shows_a_long_task_and_is_clean_in_the_end() {
        let output = output(true, "0");
        assert!(output.contains(" of 10 store paths indexed"), "{output:?}");
        let (_, left) = output.rsplit_once("\x1b[2K").expect("a line is cleared");
        assert_eq!(left, "", "{output:?}");
    }

    #[test]
    fn a_short_task_shows_nothing() {
        assert_eq!(output(true, "600000"), "");
    }

    #[test]
    fn without_a_terminal_there_is_nothing() {
        assert_eq!(output(false, "0"), "");
    }
}

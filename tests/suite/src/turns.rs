//! How long starts take, side by side: they take turns, so that what else the machine does hits each of them.

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::calls::middle;
use crate::run::Run;

/// At most so many rounds are made.
const ROUNDS: &str = "201";
/// And none that would begin after so many seconds.
const SECONDS: &str = "8";

/// The program that starts others: see the file.
const TURNS: &str = include_str!("../fixtures/turns.c");

/// The middle of how many nanoseconds each of some starts takes, from before the fork to the end of the process.
pub fn take<'r, 'b: 'r>(bed: &'b Bed, runs: impl IntoIterator<Item = &'r Run<'b>>) -> Result<Vec<f64>> {
    let mut turns = bed.run(bed.program("turns").source(TURNS).build()?).args([ROUNDS, SECONDS]);
    let mut count = 0;
    for run in runs {
        let [arguments, environment] = run.lists();
        let way = format!("turns-of/{count}");
        bed.file(format!("{way}/arguments"), arguments)?;
        bed.file(format!("{way}/environment"), environment)?;
        turns = turns.arg(bed.path(way));
        count += 1;
    }
    let outcome = turns.plain()?;
    let taken = parse(&outcome.runs()?.stdout, count).context("the program prints a way and a number in each line")?;
    ensure!(taken.iter().all(|taken| !taken.is_empty()), "not every way was taken");
    Ok(taken.into_iter().map(middle).collect())
}

/// What was taken in each of `count` ways.
fn parse(text: &str, count: usize) -> Option<Vec<Vec<f64>>> {
    let mut taken = vec![Vec::new(); count];
    for line in text.lines() {
        let (way, nanoseconds) = line.split_once(' ')?;
        taken.get_mut(way.parse::<usize>().ok()?)?.push(nanoseconds.parse().ok()?);
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ways_times_are_kept_apart() {
        assert_eq!(parse("0 5\n1 7\n1 8\n0 6\n", 2), Some(vec![vec![5.0, 6.0], vec![7.0, 8.0]]));
        assert_eq!(parse("2 5\n", 2), None);
        assert_eq!(parse("0\n", 2), None);
    }
}

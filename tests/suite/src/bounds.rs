//! What a start with an index may cost: counted figures are held to bounds, times are shown as ratios.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::starts::{Figures, Starts};
use crate::ways::Way;
use crate::workloads::Kind;

/// The most system calls beyond those of the same program with absolute DT_NEEDED, or beyond stock ld.so's for one that needs
/// nothing but libc.
pub const CALLS: usize = 13;
/// The most instructions of the auditor for each library.
pub const INSTRUCTIONS: u64 = 3000;
/// What a start costs once is not a library's: so many are the fewest that instructions are reckoned for. Nor are they where
/// it is for thousands of directories.
const LIBRARIES: usize = 10;

/// The figures of one channel, as a table in Markdown, and what of it is beyond a bound.
pub fn table(all: &[Starts]) -> (String, Vec<String>) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "with an index",
        "failed opens",
        "system calls over absolute",
        "over ld.so",
        "auditor's instructions per library",
        "time × absolute",
        "time × ld.so",
        "time over ld.so",
    ]);
    let mut beyond = Vec::new();
    for starts in all {
        let (Some(stock), Some(absolute), Some(indexed)) =
            (starts.of(Way::Stock), starts.of(Way::Absolute), starts.of(Way::Indexed))
        else {
            continue;
        };
        let over = |other: &Figures| indexed.calls as i64 - other.calls as i64;
        let per_library = indexed.auditor / starts.libraries as u64;
        let ratio = |other: &Figures| format!("{:.2}", indexed.wall.as_secs_f64() / other.wall.as_secs_f64());
        let mut hold = |holds: bool, what: String| {
            if !holds {
                beyond.push(format!("{}: {what}", starts.name));
            }
        };
        hold(indexed.failed_opens == 0, format!("{} opens failed", indexed.failed_opens));
        hold(over(absolute) <= CALLS as i64, format!("{} system calls over absolute DT_NEEDED", over(absolute)));
        if starts.kind == Kind::Hello {
            hold(over(stock) <= CALLS as i64, format!("{} system calls over ld.so", over(stock)));
        }
        let is_reckoned = starts.libraries >= LIBRARIES && !Kind::GROWTH.contains(&starts.kind);
        hold(!is_reckoned || per_library < INSTRUCTIONS, format!("{per_library} instructions for each library"));
        table.add_row([
            starts.name.clone(),
            indexed.failed_opens.to_string(),
            format!("{:+}", over(absolute)),
            format!("{:+}", over(stock)),
            if is_reckoned { per_library.to_string() } else { String::new() },
            ratio(absolute),
            ratio(stock),
            format!("{:+.0} µs", (indexed.wall.as_secs_f64() - stock.wall.as_secs_f64()) * 1e6),
        ]);
    }
    if let Some(grown) = grown(all) {
        beyond.push(grown);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (table.to_string(), beyond)
}

/// What is wrong if more directories cost more system calls. ld.so makes some for a long RUNPATH, also where nothing is
/// searched.
fn grown(all: &[Starts]) -> Option<String> {
    let of = |way: Way| {
        let growth = all.iter().filter(|starts| Kind::GROWTH.contains(&starts.kind));
        let of_runpath = |starts: &Starts| match way {
            Way::Indexed => Some(starts.of(Way::Absolute)?.calls),
            _ => Some(0),
        };
        let over = growth.filter_map(|starts| Some(starts.of(way)?.calls as i64 - of_runpath(starts)? as i64));
        over.collect::<Vec<i64>>()
    };
    let differ = |calls: &Vec<i64>| calls.windows(2).any(|two| two[0] != two[1]);
    let grown =
        [Way::Indexed, Way::IndexedAlone].map(|way| (way, of(way))).into_iter().find(|(_, calls)| differ(calls));
    grown.map(|(way, calls)| format!("{}: {calls:?} system calls with more and more directories", way.title()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn starts(kind: Kind, libraries: usize, indexed: (usize, usize, u64)) -> Starts {
        let figures = |way, (failed_opens, calls, auditor): (usize, usize, u64)| Figures {
            way,
            failed_opens,
            calls,
            instructions: 100_000,
            auditor,
            wall: Duration::from_micros(calls as u64),
            delayed: Duration::ZERO,
        };
        let figures =
            vec![figures(Way::Stock, (5, 100, 0)), figures(Way::Absolute, (0, 80, 0)), figures(Way::Indexed, indexed)];
        Starts { kind, name: format!("{libraries} libraries"), libraries, figures }
    }

    #[test]
    fn bounds_are_held() {
        let (text, beyond) = table(&[starts(Kind::Python, 10, (0, 93, 29_990)), starts(Kind::Hello, 1, (0, 93, 9000))]);
        assert!(beyond.is_empty(), "{beyond:?}");
        let row: Vec<&str> = text.lines().nth(2).unwrap().split('|').map(str::trim).collect();
        assert_eq!(row[1..9], ["10 libraries", "0", "+13", "-7", "2999", "1.16", "0.93", "-7 µs"]);
    }

    #[test]
    fn what_is_beyond_is_said() {
        let of = |kind, indexed| table(&[starts(kind, 10, indexed)]).1;
        assert_eq!(of(Kind::Python, (1, 80, 10_000)), ["10 libraries: 1 opens failed"]);
        assert_eq!(of(Kind::Python, (0, 94, 10_000)), ["10 libraries: 14 system calls over absolute DT_NEEDED"]);
        assert_eq!(of(Kind::Python, (0, 80, 30_000)), ["10 libraries: 3000 instructions for each library"]);
        assert_eq!(of(Kind::Hello, (0, 114, 0)).len(), 2);
        let growth = |calls: [usize; 3]| {
            let starts: Vec<_> =
                Kind::GROWTH.into_iter().zip(calls).map(|(kind, calls)| starts(kind, 10, (0, calls, 0))).collect();
            table(&starts).1
        };
        assert!(growth([90, 90, 90]).is_empty());
        assert_eq!(growth([90, 90, 91]).len(), 1);
    }
}

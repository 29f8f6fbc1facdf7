//! What is compared of a program's starts, and what counts as a difference.

use std::fmt::{self, Display};

use serde::Deserialize;

use super::sandbox::End;

/// How many lines of each stream a difference shows.
const SHOWN: usize = 6;

/// A way to start a program, and what is seen of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The libraries that ld.so lists, as ldd(1) asks for them.
    Listed,
    /// The libraries that are loaded, in order, when the program begins.
    Loaded,
    /// Status and output with `--version`.
    Version,
    /// Status and output with `--help`.
    Help,
}

impl What {
    /// All of them. The list comes first: it says whether a library is missing.
    pub const ALL: [What; 4] = [What::Listed, What::Loaded, What::Version, What::Help];

    /// The program's arguments.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            What::Listed | What::Loaded => &[],
            What::Version => &["--version"],
            What::Help => &["--help"],
        }
    }

    /// Without what must differ: addresses, and the auditor in the list of what is loaded.
    pub fn normalised(self, end: End, auditor: &str) -> End {
        let stdout = match self {
            What::Listed => {
                lines(end.stdout.lines().map(|line| line.rsplit_once(" (0x").map_or(line, |(file, _)| file)))
            }
            What::Loaded => lines(end.stdout.lines().filter(|line| *line != auditor)),
            What::Version | What::Help => return end,
        };
        End { stdout, ..end }
    }
}

impl Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Listed => "listed",
            What::Loaded => "loaded",
            What::Version => "version",
            What::Help => "help",
        })
    }
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// What came of the comparison.
#[derive(Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is the same.
    Same,
    /// It is the same as far as the starts without the auditor are.
    Varies,
    /// It is not, and this was seen.
    Differs(String),
}

/// Whether ld.so misses a library.
pub fn lacks_a_library(plain: &End) -> bool {
    plain.stdout.lines().any(|line| line.ends_with(" => not found"))
        || plain.stderr.contains("cannot open shared object file")
}

/// Compares a start with the auditor with several without, at least one.
pub fn verdict(plains: &[End], audited: &End) -> Verdict {
    let is_steady = plains.windows(2).all(|pair| pair[0] == pair[1]);
    let has_status = plains.iter().any(|plain| plain.status == audited.status);
    let streams: [fn(&End) -> &str; 2] = [|end| &end.stdout, |end| &end.stderr];
    let says = streams.iter().all(|stream| agrees(&plains.iter().map(stream).collect::<Vec<_>>(), stream(audited)));
    match (has_status && says, is_steady) {
        (true, true) => Verdict::Same,
        (true, false) => Verdict::Varies,
        (false, _) => {
            Verdict::Differs(format!("without: {}with: {}", shown(&plains[0], audited), shown(audited, &plains[0])))
        }
    }
}

/// Whether a text has the lines that several others have in common, in their places. If those are of different lengths, their
/// places may be any.
fn agrees(plains: &[&str], audited: &str) -> bool {
    let plains: Vec<Vec<&str>> = plains.iter().map(|plain| plain.split('\n').collect()).collect();
    let (first, others) = plains.split_first().expect("there is one");
    let audited: Vec<&str> = audited.split('\n').collect();
    if others.iter().any(|other| other.len() != first.len()) {
        let mut common = first.iter().filter(|line| others.iter().all(|other| other.contains(line)));
        return common.all(|line| audited.contains(line));
    }
    let is_common = |at: usize| others.iter().all(|other| other[at] == first[at]);
    audited.len() == first.len() && (0..first.len()).all(|at| !is_common(at) || audited[at] == first[at])
}

/// What is seen of a start, from the first line of each stream on that another start does not have there.
fn shown(end: &End, other: &End) -> String {
    let mut text = format!("{}\n", end.status.as_deref().unwrap_or("does not end"));
    for (name, stream, other) in [("stdout", &end.stdout, &other.stdout), ("stderr", &end.stderr, &other.stderr)] {
        let same = stream.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
        let rest: Vec<&str> = stream.lines().skip(same).collect();
        for (number, line) in rest.iter().take(SHOWN).enumerate() {
            text += &format!("  {name} {}: {line}\n", same + number + 1);
        }
        if rest.len() > SHOWN {
            text += &format!("  {name}: … {} lines more\n", rest.len() - SHOWN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(stdout: &str) -> End {
        End { status: Some("exit status: 0".into()), stdout: stdout.into(), stderr: String::new() }
    }

    #[test]
    fn what_is_steady_must_be_the_same() {
        let plains = [end("a\nb\n"), end("a\nb\n")];
        assert_eq!(verdict(&plains, &end("a\nb\n")), Verdict::Same);
        assert!(matches!(verdict(&plains, &end("a\nc\n")), Verdict::Differs(_)));
        assert!(matches!(verdict(&plains, &end("a\nb\n\n")), Verdict::Differs(_)));
        let loud = End { stderr: "ERROR\n".into(), ..end("a\nb\n") };
        assert!(matches!(verdict(&plains, &loud), Verdict::Differs(_)));
        let fails = End { status: Some("exit status: 1".into()), ..end("a\nb\n") };
        assert!(matches!(verdict(&plains, &fails), Verdict::Differs(_)));
        let goes_on = End { status: None, ..end("") };
        assert!(matches!(verdict(&plains, &goes_on), Verdict::Differs(_)));
    }

    #[test]
    fn of_what_varies_the_rest_must_be_the_same() {
        let plains = [end("time 1\nb\n"), end("time 2\nb\n")];
        assert_eq!(verdict(&plains, &end("time 3\nb\n")), Verdict::Varies);
        assert!(matches!(verdict(&plains, &end("time 3\nc\n")), Verdict::Differs(_)));
        let plains = [end("0\n1\n"), end("0\n2\n1\n")];
        assert_eq!(verdict(&plains, &end("3\n1\n0\n")), Verdict::Varies);
        assert!(matches!(verdict(&plains, &end("3\n0\n")), Verdict::Differs(_)));
        let fails = End { status: Some("signal: 11".into()), ..end("0\n1\n") };
        assert!(matches!(verdict(&plains, &fails), Verdict::Differs(_)));
    }

    #[test]
    fn a_difference_is_shown_from_its_first_line_on() {
        let Verdict::Differs(text) = verdict(&[end("a\nb\nc\n")], &end("a\nd\nc\n")) else { panic!("they differ") };
        let without = "without: exit status: 0\n  stdout 2: b\n  stdout 3: c\n";
        assert_eq!(text, format!("{without}with: exit status: 0\n  stdout 2: d\n  stdout 3: c\n"));
    }

    #[test]
    fn addresses_and_the_auditor_must_differ() {
        let listed =
            end("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld.so (0x7)\n");
        let text = "\tlinux-vdso.so.1\n\tlibc.so.6 => /lib/libc.so.6\n\t/lib64/ld.so\n";
        assert_eq!(What::Listed.normalised(listed, "").stdout, text);
        let loaded = end("\n/a.so\n/env/rtld_loader.so\n");
        assert_eq!(What::Loaded.normalised(loaded.clone(), "/env/rtld_loader.so").stdout, "\n/a.so\n");
        assert_eq!(What::Version.normalised(loaded.clone(), "/env/rtld_loader.so"), loaded);
    }

    #[test]
    fn a_missing_library_is_seen() {
        assert!(lacks_a_library(&end("\tlibx.so => not found\n")));
        assert!(!lacks_a_library(&end("\tlibx.so => /lib/libx.so\n")));
        let message = "p: error while loading shared libraries: libx.so: cannot open shared object file: No such file";
        assert!(lacks_a_library(&End { stderr: message.into(), ..end("") }));
    }
}

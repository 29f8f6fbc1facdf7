//! What was found, as text for people and as JSON for tools.

use anstyle::{AnsiColor, Style};
use serde_json::json;
use textwrap::{Options, WordSeparator, WordSplitter};

use super::finding::{Finding, Severity};

/// What was found, and what is well.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    well: Vec<String>,
}

const BOLD: Style = Style::new().bold();
/// What a program says in the place of a name.
const INDENT: &str = "  ";
/// Before lines that are to be copied: they are never wrapped.
const LINE: &str = "      ";

impl Severity {
    const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }

    fn style(self) -> Style {
        let colour = match self {
            Self::Error => AnsiColor::Red,
            Self::Warning => AnsiColor::Yellow,
            Self::Note => AnsiColor::Cyan,
        };
        colour.on_default().bold()
    }
}

impl Report {
    /// Something is wrong, or good to know.
    pub fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Something was checked and is well.
    pub fn well(&mut self, what: impl Into<String>) {
        self.well.push(what.into());
    }

    /// How much was found so far.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Says that something is well if nothing was found since there were so many findings.
    pub fn well_since(&mut self, len: usize, what: impl Into<String>) {
        if self.len() == len {
            self.well(what);
        }
    }

    /// Whether there is neither an error nor a warning.
    pub fn is_well(&self) -> bool {
        self.count(Severity::Error) + self.count(Severity::Warning) == 0
    }

    /// What was found.
    #[cfg(test)]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.message().severity == severity).count()
    }

    fn verdict(&self) -> String {
        let counts = Severity::ALL.into_iter().filter_map(|severity| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {}", severity.name())),
            more => Some(format!("{more} {}s", severity.name())),
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        match (self.is_well(), counts.is_empty()) {
            (true, true) => "no problem found".into(),
            (true, false) => format!("no problem found, {counts}"),
            (false, _) => counts,
        }
    }

    /// The findings, what matters most first.
    fn sorted(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.message().severity);
        findings
    }

    /// For people: lines of so many columns, with colours.
    pub fn text(&self, columns: usize, with_well: bool) -> String {
        let mut text = wrapped(&self.verdict(), columns, "replit-env: ", INDENT, BOLD, Style::new());
        for finding in self.sorted() {
            let message = finding.message();
            let label = format!("{}: ", message.severity.name());
            text += "\n";
            text += &wrapped(&message.problem, columns, &label, INDENT, message.severity.style(), BOLD);
            for paragraph in [&message.reason, &message.remedy] {
                text += &wrapped(paragraph, columns, INDENT, INDENT, Style::new(), Style::new());
            }
            for line in &message.lines {
                text += &format!("{LINE}{line}\n");
            }
        }
        if with_well {
            text += "\n";
            for what in &self.well {
                text += &wrapped(what, columns, "ok: ", INDENT, AnsiColor::Green.on_default().bold(), Style::new());
            }
        }
        text
    }

    /// For tools.
    pub fn json(&self) -> String {
        let findings = self.sorted().into_iter().map(|finding| {
            let message = finding.message();
            json!({
                "id": finding.id(),
                "severity": message.severity.name(),
                "problem": message.problem,
                "reason": message.reason,
                "remedy": message.remedy,
                "lines": message.lines,
            })
        });
        let report = json!({
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "findings": findings.collect::<Vec<_>>(),
            "ok": self.well,
        });
        format!("{report:#}\n")
    }
}

/// A paragraph that begins with a label. Long words, such as paths, are not broken: they are to be copied.
fn wrapped(text: &str, columns: usize, label: &str, indent: &str, of_label: Style, of_text: Style) -> String {
    let options = Options::new(columns)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .initial_indent(label)
        .subsequent_indent(indent);
    let mut out = String::new();
    for (nth, line) in textwrap::wrap(text, options).iter().enumerate() {
        let (before, style) = if nth == 0 { (label, of_label) } else { (indent, Style::new()) };
        let line = line.strip_prefix(before).unwrap_or(line);
        out += &format!("{style}{before}{style:#}{of_text}{line}{of_text:#}\n");
    }
    out
}

//! What the sweep came to.

use anyhow::{Result, ensure};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::Swept;
use super::known::Known;

/// Fewer programs would say little.
const LEAST: usize = 1000;

/// The figures of the programs of one origin, or of all.
#[derive(Default)]
struct Figures {
    programs: usize,
    compared: usize,
    lack: usize,
    unseen: usize,
    go_on: usize,
    vary: usize,
    explained: usize,
    unexplained: usize,
}

impl Figures {
    fn of<'a>(swept: impl Iterator<Item = &'a Swept>, known: &Known) -> Figures {
        let mut figures = Figures::default();
        for one in swept {
            let is_explained = one.differences.iter().all(|difference| known.explains(&one.program, difference.what));
            figures.programs += 1;
            figures.compared += usize::from(!one.lacks_a_library);
            figures.lack += usize::from(one.lacks_a_library);
            figures.unseen += usize::from(one.is_unseen);
            figures.go_on += usize::from(one.goes_on);
            figures.vary += usize::from(one.varies);
            figures.explained += usize::from(!one.differences.is_empty() && is_explained);
            figures.unexplained += usize::from(!is_explained);
        }
        figures
    }

    fn row(&self, name: &str) -> Vec<String> {
        let figures = [
            self.programs,
            self.compared,
            self.lack,
            self.unseen,
            self.go_on,
            self.vary,
            self.explained,
            self.unexplained,
        ];
        std::iter::once(name.to_owned()).chain(figures.map(|figure| figure.to_string())).collect()
    }
}

/// A row for each origin, in the order of the programs, and one for all.
pub fn table(swept: &[Swept], known: &Known) -> String {
    let mut origins: Vec<&str> = Vec::new();
    for one in swept {
        if !origins.contains(&one.program.origin.as_str()) {
            origins.push(&one.program.origin);
        }
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "programs of",
        "programs",
        "compared",
        "lack a library",
        "not seen",
        "do not end",
        "vary",
        "differ, explained",
        "differ",
    ]);
    for origin in origins {
        let of = swept.iter().filter(|one| one.program.origin == origin);
        table.add_row(Figures::of(of, known).row(origin));
    }
    table.add_row(Figures::of(swept.iter(), known).row("all"));
    table.to_string()
}

/// An error that says what is not as it must be. Where not the whole machine was swept, what was not cannot be wrong.
pub fn check(swept: &[Swept], known: &Known, is_whole: bool) -> Result<()> {
    let mut wrong = Vec::new();
    for one in swept {
        for difference in one.differences.iter().filter(|difference| !known.explains(&one.program, difference.what)) {
            let program = one.program.path.display();
            wrong.push(format!(
                "{program} ({}), {}, {}:\n{}",
                one.program.origin, difference.what, difference.environment, difference.text
            ));
        }
    }
    ensure!(wrong.is_empty(), "with the auditor these do not do the same:\n{}", wrong.join("\n"));
    if !is_whole {
        return Ok(());
    }
    let stale = known.stale(swept);
    ensure!(stale.is_empty(), "sweep.toml explains what does not differ:\n{}", stale.join("\n"));
    let compared = swept.iter().filter(|one| !one.lacks_a_library && !one.is_unseen).count();
    ensure!(compared >= LEAST, "{compared} programs are not enough: there have to be {LEAST}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Difference;
    use super::super::compare::What;
    use super::super::programs::Program;
    use super::*;

    fn swept(count: usize) -> Vec<Swept> {
        let program = |number| Program { path: format!("/bin/{number}").into(), origin: "machine".into() };
        let one = |number| Swept {
            program: program(number),
            lacks_a_library: false,
            is_unseen: false,
            goes_on: false,
            varies: false,
            differences: Vec::new(),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_difference_is_an_error() {
        let (known, mut all) = (Known::default(), swept(LEAST));
        check(&all, &known, true).unwrap();
        all[7].differences.push(Difference { what: What::Help, environment: "index", text: "seen".into() });
        let error = check(&all, &known, true).unwrap_err().to_string();
        assert!(error.ends_with("/bin/7 (machine), help, index:\nseen"), "{error}");
        assert!(table(&all, &known).lines().last().unwrap().ends_with("| 1      |"), "{}", table(&all, &known));
    }

    #[test]
    fn few_programs_are_an_error() {
        assert!(check(&swept(LEAST - 1), &Known::default(), true).is_err());
        check(&swept(1), &Known::default(), false).unwrap();
        let mut all = swept(LEAST);
        all[0].lacks_a_library = true;
        assert!(check(&all, &Known::default(), true).is_err());
        (all[0].lacks_a_library, all[0].is_unseen) = (false, true);
        assert!(check(&all, &Known::default(), true).is_err());
    }
}

//! Properties that hold for any tree of objects, whatever ld.so makes of it: where it finds a library, nothing changes; where it
//! does not, the declared one is found; and `--explain` says what then happens.

use std::cell::Cell;
use std::env;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};

use anyhow::{Context, Result, bail, ensure};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::Value;
use suite::bed::Bed;
use suite::manifest::View;
use suite::outcome::Outcome;
use suite::run::Run;

use super::Case;
use super::explain::{edges, explain, paths, without_glibc};
use super::index::with_index;
use crate::trees::plant::Garden;
use crate::trees::strategy::{NAMES, tree};
use crate::trees::{File, Kind, Open, Tree};

/// How many trees are tried on each channel in each view, unless PROPTEST_CASES says otherwise.
const TREES: u32 = 100;
/// What those are made of.
const SEED: u64 = 1;
/// How many smaller trees are tried once one has failed.
const SHRINKS: u32 = 2_000;

/// What ld.so says before a name where a program cannot be started.
const CANNOT_START: &str = "error while loading shared libraries: ";

/// Trees for which a property did not hold, once.
const FOUND: [(&str, &str); 7] = [
    ("cache-of-glibc-hwcaps", include_str!("../../fixtures/trees/cache-of-glibc-hwcaps.json")),
    ("cache-of-older-subdirectory", include_str!("../../fixtures/trees/cache-of-older-subdirectory.json")),
    ("cache-of-what-is-gone", include_str!("../../fixtures/trees/cache-of-what-is-gone.json")),
    ("needs-itself-without-soname", include_str!("../../fixtures/trees/needs-itself-without-soname.json")),
    ("origin-of-relative-path", include_str!("../../fixtures/trees/origin-of-relative-path.json")),
    (
        "platform-and-no-default-directories",
        include_str!("../../fixtures/trees/platform-and-no-default-directories.json"),
    ),
    ("platform", include_str!("../../fixtures/trees/platform.json")),
];

const X86_64: &str = "x86_64-linux";

pub fn cases() -> Vec<Case> {
    let found = FOUND.iter().map(|(name, tree)| {
        let tree: Tree = serde_json::from_str(tree).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        // Those that ldconfig knows are x86_64's.
        let is_of_x86_64 = tree.caches_processors();
        let case = Case::new(format!("property/tree/{name}"), move |bed| {
            check(bed, &Garden::new(bed, NAMES)?, &tree).with_context(|| tree.to_string())?;
            Ok(())
        });
        if is_of_x86_64 { case.system(X86_64) } else { case }
    });
    found.chain([Case::new("property/search", search).system(X86_64)]).collect()
}

/// Trees that are made up. The one that fails is made as small as it can be and is left on the disk.
fn search(bed: &Bed) -> Result<()> {
    let garden = Garden::new(bed, NAMES)?;
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // Unless more are asked for they are the same each time: what is tested passes or fails for what was changed.
    let is_asked_for = env::var_os("PROPTEST_CASES").is_some();
    if !is_asked_for {
        config.cases = TREES;
    }
    if env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_none() {
        config.max_shrink_iters = SHRINKS;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random if is_asked_for => RandomState::new().hash_one(0),
        RngSeed::Random => SEED,
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let cases = config.cases;
    let [tried, started, missed, failed] = [const { Cell::new(0) }; 4];
    let result = TestRunner::new(config).run(&tree(), |tree| {
        tried.set(tried.get() + 1);
        let outcome = check(bed, &garden, &tree).map_err(|error| {
            failed.set(if failed.get() == 0 { tried.get() } else { failed.get() });
            TestCaseError::fail(format!("{error:#}"))
        })?;
        started.set(started.get() + u32::from(outcome.stdout.starts_with("start")));
        missed.set(missed.get() + u32::from(first_miss(&outcome).is_some()));
        Ok(())
    });
    match result {
        Ok(()) => {
            // Trees in which nothing is found, or everything, would show little.
            let (started, missed) = (started.get(), missed.get());
            let is_mixed = started * 4 >= cases && missed * 4 >= cases && missed * 8 <= cases * 7;
            ensure!(cases < TREES || is_mixed, "of {cases} programs {started} start, {missed} miss a library");
            Ok(())
        }
        Err(TestError::Fail(reason, tree)) => {
            garden.plant(&tree)?;
            bed.file("tree.json", serde_json::to_string_pretty(&tree)?)?;
            let number = failed.get();
            bail!(
                "{tree}\n{reason}\nThis is what is left of tree {number}. \
                 PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} has the same trees."
            )
        }
        Err(TestError::Abort(reason)) => bail!("{reason}"),
    }
}

/// All properties, of one tree: what comes of it without the auditor.
fn check(bed: &Bed, garden: &Garden, tree: &Tree) -> Result<Outcome> {
    let run = garden.plant(tree)?;
    let plain = run.plain()?;
    run.audited()?.equals(&plain).context("nothing is declared")?;
    let declared = run.with_auditor().declare([garden.shadows()]);
    let mut audited = declared.plain()?;
    let has_nodeflib = tree.objects().any(|object| object.no_default_libraries);
    let has_doubts = tree.has_doubts();
    if has_doubts {
        audited = renamed(bed, garden, audited);
    }
    // ld.so goes to no default directory for those: it cannot be asked again.
    if !(has_doubts && has_nodeflib) {
        falls_back(garden, &plain, &audited).context("all is declared")?;
    }
    if !has_nodeflib && let Some((by_default, directory)) = garden.with_shadows_as_default(tree, &run)? {
        let by_default = by_default.plain()?;
        let (from, to) = (format!("{}/lib", directory.display()), format!("{}/lib", garden.shadows().display()));
        audited.equals(&by_default.replace(&from, &to)).context("the declared directory is the last default one")?;
    }
    let index = garden.index()?;
    // A missing library that the index knows a package for would be told with it.
    let indexed = with_index(&run, &index).env("REPLIT_RTLD_HINTS", "0");
    indexed.plain()?.equals(&plain).context("with an index, nothing is declared")?;
    let all_indexed = with_index(&declared, &index);
    let audited_by_index = all_indexed.plain()?;
    let audited_by_index = if has_doubts { renamed(bed, garden, audited_by_index) } else { audited_by_index };
    audited_by_index.equals(&audited).context("with an index, all is declared")?;
    if bed.view != View::Nix {
        is_explained(bed, tree, &run.with_auditor(), &plain).context("explained with nothing declared")?;
        is_explained(bed, tree, &declared, &audited).context("explained with all declared")?;
        is_explained(bed, tree, &all_indexed, &audited_by_index).context("explained with an index")?;
    }
    Ok(plain)
}

/// The same with declared libraries under their own names, where they were found at the last moment.
fn renamed(bed: &Bed, garden: &Garden, audited: Outcome) -> Outcome {
    let shadows = garden.shadows();
    let names = NAMES.iter().flat_map(|name| {
        let real = shadows.join(name).display().to_string();
        let defaults = bed.channel.default_directories.iter();
        defaults.map(move |directory| (format!("{} = {real}", directory.join(name).display()), real.clone()))
    });
    names.fold(audited, |audited, (from, to)| audited.replace(&from, &to))
}

/// Up to the first library that is missing, nothing changes. The declared one is taken for that.
fn falls_back(garden: &Garden, plain: &Outcome, audited: &Outcome) -> Result<()> {
    let Some((at, name)) = first_miss(plain) else {
        audited.equals(plain)?;
        return Ok(());
    };
    let expected = format!("  {}", garden.shadows().join(name).display());
    let (before, after): (Vec<_>, Vec<_>) = plain.stdout.lines().zip(audited.stdout.lines()).take(at).unzip();
    ensure!(before == after, "{audited}is another start than\n{plain}");
    // What it needs may yet be missing, or damaged.
    let is_there = audited.stdout.lines().skip(at).any(|line| line == expected);
    let fails_otherwise = audited.stdout.lines().nth(at).is_none_or(|line| line.starts_with("  error: "));
    let misses_another = first_miss(audited).is_some_and(|(place, _)| place == at);
    ensure!(
        (is_there || fails_otherwise) && !misses_another,
        "{audited}expected\n{expected}\nwhich is missing in\n{plain}"
    );
    Ok(())
}

/// The first name that ld.so does not find: after how many lines of the output, and which. A path is none.
fn first_miss(outcome: &Outcome) -> Option<(usize, &str)> {
    let mut of_start = outcome.stderr.lines().filter_map(|line| {
        let preloaded =
            || line.split_once("ERROR: ld.so: object '")?.1.split_once("' from LD_PRELOAD cannot be preloaded (");
        let needed = || line.split_once(CANNOT_START)?.1.split_once(": ");
        preloaded().or_else(needed)
    });
    let mut opened = outcome
        .stdout
        .lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.strip_prefix("  error: ")?.split_once(": ")?)));
    // Where all that it has seen is of the other class, ld.so says that.
    let is_missing = |name: &str, why: &str| {
        !name.contains('/')
            && ["cannot open shared object file", "wrong ELF class: "].iter().any(|text| why.starts_with(text))
    };
    let of_start = of_start.find(|(name, why)| is_missing(name, why)).map(|(name, _)| (0, name));
    of_start.or_else(|| opened.find(|(_, (name, why))| is_missing(name, why)).map(|(at, (name, _))| (at, name)))
}

/// `--explain` says of the start, and of the first library that the program opens, what then happens.
fn is_explained(bed: &Bed, tree: &Tree, run: &Run, live: &Outcome) -> Result<()> {
    let program = run.program();
    let explained = match explain(bed, run, [program.as_os_str()]) {
        // What is preloaded, the helper loads, too.
        Err(error) if tree.preload.is_some() && format!("{error:#}").contains(CANNOT_START) => return Ok(()),
        explained => explained?,
    };
    let mut parts = live.stdout.split("\nopen ").map(|part| part.lines().collect::<Vec<_>>());
    let start = parts.next().unwrap_or_default();
    agrees(bed, &explained, &start, &live.stderr, &[])?;
    let Some(first) = parts.next() else { return Ok(()) };
    let (name, happened) = first.split_first().context("what is opened has a name")?;
    let Open { who: 0, name: placed } = &tree.opens[0] else { return Ok(()) };
    let at_path = |file: &&File| placed.strip_prefix("@/").is_some_and(|path| path == file.path);
    let is_library = |file: &File| matches!(file.kind, Kind::Library(_));
    // Of other files, and of none, it says what it thinks of them.
    if name.contains('/') && !tree.files.iter().find(at_path).is_some_and(is_library) {
        return Ok(());
    }
    let explained = explain(bed, run, ["--for".as_ref(), program.as_os_str(), OsStr::new(name)])?;
    let error = happened.iter().find_map(|line| line.strip_prefix("  error: ")).unwrap_or_default();
    agrees(bed, &explained, happened, error, &start).with_context(|| format!("the program opens {name}"))
}

/// What is explained is what happened: these are the lines, and the error, beyond what there was before.
fn agrees(bed: &Bed, explained: &Value, lines: &[&str], error: &str, before: &[&str]) -> Result<()> {
    let first_missing = edges(explained).find(|edge| edge["message"].is_string());
    if let Some(edge) = first_missing {
        let message = edge["message"].as_str().unwrap_or_default();
        ensure!(
            error.contains(&format!("{message}: ")),
            "{explained:#}\nsays that {message} is missing; in fact:\n{error}\n{lines:#?}"
        );
        return Ok(());
    }
    let paths = |lines: &[&str]| -> Vec<String> {
        let paths = lines
            .iter()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|path| !path.is_empty() && !path.contains(' '));
        paths.map(str::to_owned).collect()
    };
    let before = paths(before);
    let expected: Vec<_> = self::paths(explained)?.into_iter().filter(|path| !before.contains(path)).collect();
    let (expected, happened) = (without_glibc(bed, &expected), without_glibc(bed, &paths(lines)));
    ensure!(expected == happened, "{explained:#}\nsays {expected:#?}\nin fact {happened:#?}\n{error}");
    Ok(())
}

//! Holds .github/workflows. They cannot run where they are tested, but what they run and whom they trust can be looked
//! at.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser;
use saphyr::{LoadableYamlNode, Yaml};

use crate::Arguments;

/// A file: its name, its text, and what that means.
struct Workflow {
    name: String,
    text: String,
}

fn workflows() -> Vec<Workflow> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let files = std::fs::read_dir(root.join(".github/workflows")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| Workflow {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    let mut found: Vec<Workflow> = files.map(read).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

impl Workflow {
    fn yaml(&self) -> Yaml<'_> {
        Yaml::load_from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.name)).remove(0)
    }
}

/// A job's or a step's text under a name.
fn text<'a>(yaml: &'a Yaml<'_>, key: &str) -> Option<&'a str> {
    yaml.as_mapping_get(key)?.as_str()
}

fn jobs<'a, 'b>(workflow: &'a Yaml<'b>) -> Vec<(&'a str, &'a Yaml<'b>)> {
    let jobs = workflow.as_mapping_get("jobs").and_then(Yaml::as_mapping).unwrap();
    jobs.iter().map(|(name, job)| (name.as_str().unwrap(), job)).collect()
}

fn steps<'a, 'b>(job: &'a Yaml<'b>) -> &'a [Yaml<'b>] {
    job.as_mapping_get("steps").and_then(Yaml::as_vec).unwrap()
}

/// Whether it is the whole hash of a commit, or of an image.
fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn there_is_one_for_changes_and_one_for_releases() {
    let names: Vec<String> = workflows().into_iter().map(|workflow| workflow.name).collect();
    assert_eq!(names, ["ci.yml", "release.yml"]);
}

#[test]
fn actions_and_images_are_pinned() {
    let mut commits = BTreeMap::new();
    for workflow in workflows() {
        let yaml = workflow.yaml();
        for (_, job) in jobs(&yaml) {
            if let Some(container) = job.as_mapping_get("container") {
                let (_, digest) = text(container, "image").unwrap().split_once("@sha256:").unwrap();
                assert!(is_hash(digest, 64));
            }
            for action in steps(job).iter().filter_map(|step| text(step, "uses")) {
                let (name, commit) = action.split_once('@').unwrap();
                assert!(is_hash(commit, 40), "{action}");
                let line = workflow.text.lines().find(|line| line.contains(action)).unwrap();
                let version = line.split_once(" # v").unwrap_or_else(|| panic!("{action}: of which version?")).1;
                assert!(version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok()));
                // An action is of one version everywhere.
                assert_eq!(*commits.entry(name.to_owned()).or_insert(commit.to_owned()), commit);
            }
        }
    }
    assert!(commits.contains_key("actions/checkout"));
}

#[test]
fn nobody_may_write_but_who_publishes() {
    for workflow in workflows() {
        let yaml = workflow.yaml();
        let of = |yaml: &Yaml<'_>| -> Vec<(String, String)> {
            let permissions = yaml.as_mapping_get("permissions").and_then(Yaml::as_mapping).unwrap().iter();
            permissions
                .map(|(what, how)| (what.as_str().unwrap().to_owned(), how.as_str().unwrap().to_owned()))
                .collect()
        };
        assert_eq!(of(&yaml), [("contents".to_owned(), "read".to_owned())], "{}", workflow.name);
        for (name, job) in jobs(&yaml) {
            let may_write = job.as_mapping_get("permissions").is_some();
            assert_eq!(may_write, (workflow.name.as_str(), name) == ("release.yml", "publish"));
            // Whoever may write runs nothing of the tree.
            let checks_out =
                |step: &Yaml<'_>| text(step, "uses").is_some_and(|uses| uses.starts_with("actions/checkout@"));
            assert!(!may_write || !steps(job).iter().any(checks_out));
            for step in steps(job).iter().filter(|step| checks_out(step)) {
                let keeps = step.as_mapping_get("with").and_then(|with| with.as_mapping_get("persist-credentials"));
                assert_eq!(keeps.and_then(Yaml::as_bool), Some(false), "{name}");
            }
            assert!(job.as_mapping_get("timeout-minutes").is_some(), "{name}");
        }
    }
}

#[test]
fn both_architectures_have_runners() {
    for workflow in workflows() {
        let yaml = workflow.yaml();
        let both = |job: &Yaml<'_>| {
            let matrix = job.as_mapping_get("strategy")?.as_mapping_get("matrix")?;
            let runners: Vec<&str> =
                matrix.as_mapping_get("runner")?.as_vec()?.iter().filter_map(Yaml::as_str).collect();
            (runners == ["ubuntu-24.04", "ubuntu-24.04-arm"]).then_some(())
        };
        assert!(jobs(&yaml).iter().any(|(_, job)| both(job).is_some()), "{}", workflow.name);
    }
}

#[test]
fn the_chores_that_they_run_are_there() {
    let mut seen = Vec::new();
    for workflow in workflows() {
        let yaml = workflow.yaml();
        for (_, job) in jobs(&yaml) {
            for script in steps(job).iter().filter_map(|step| text(step, "run")) {
                // What somebody else may choose, such as a title, would run as a command.
                assert!(!script.contains("${{"), "{script}");
                for line in script.lines().filter_map(|line| Some(line.split_once("cargo xtask ")?.1)) {
                    let words = line.split_whitespace().map(|word| word.trim_matches('"'));
                    let chore = Arguments::try_parse_from(std::iter::once("xtask").chain(words));
                    assert!(chore.is_ok(), "cargo xtask {line}");
                    seen.push(line.split(' ').next().unwrap().to_owned());
                }
            }
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["deny", "fuzz", "reproduce", "sbom", "test"]);
}

//! Every target on its seeds, on what was found once, and on a few thousand inputs made of those: always the same ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::{TARGETS, Target};

/// How many inputs are made for a target.
const MADE: usize = 1500;

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).expect("it is in the list")
}

/// Runs a target, and says on what if it fails.
fn run(target: Target, input: &[u8], what: &str) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(result.is_ok(), "{} fails on {what}: {}", target.name, input.escape_ascii());
}

/// What libFuzzer once found.
fn finds(target: Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("finds").join(target.name);
    let Ok(files) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn replay(name: &str) {
    let target = target(name);
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty());
    inputs.extend(finds(target));
    for (nth, input) in inputs.iter().enumerate() {
        run(target, input, &format!("seed or find {nth}"));
    }
    let mut random = fastrand::Rng::with_seed(7);
    for nth in 0..MADE {
        let input = changed(&mut random, &inputs);
        run(target, &input, &format!("made input {nth}"));
    }
}

/// One of the inputs, changed in some places.
fn changed(random: &mut fastrand::Rng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = inputs[random.usize(..inputs.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let len = random.usize(..9).min(input.len() - at);
        let part = match random.usize(..7) {
            0 => Vec::new(),
            1 => vec![*random.choice(&[0, 1, 2, 4, 16, 0x7f, 0x80, 0xff]).unwrap(); len],
            2 => (0..len).map(|_| random.u8(..)).collect(),
            3 => random.choice([0u64, 1, 8, 64, 0x1000, u32::MAX.into(), u64::MAX]).unwrap().to_ne_bytes()[..len]
                .to_vec(),
            4 => vec![random.u8(..); random.usize(..20)],
            _ => {
                let other = &inputs[random.usize(..inputs.len())];
                let from = random.usize(..=other.len());
                other[from..(from + random.usize(..40)).min(other.len())].to_vec()
            }
        };
        input.splice(at..at + len, part);
    }
    input
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn each_target_is_run_here_and_has_a_program() {
            let names = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), names);
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(root.join("fuzz_targets")).unwrap();
            let mut programs: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            programs.sort();
            assert_eq!(programs, names.map(|name| format!("{name}.rs")));
            let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
            assert!(names.iter().all(|name| manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\""))));
            for directory in std::fs::read_dir(root.join("finds")).into_iter().flatten() {
                let name = directory.unwrap().file_name().into_string().unwrap();
                assert!(names.contains(&&*name), "finds/{name} is of no target");
            }
        }
    };
}

targets! { elf_file environment gate index index_bytes ld_so_cache search tokens versions }

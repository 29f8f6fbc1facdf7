//! Holds docs/security.md to the unit tests that it names. Its cases of the integration tests are looked for there.

use std::path::Path;

use suite::claims::{self, Test};

const SECURITY: &str = include_str!("../../../docs/security.md");

/// Whether a file has a test of this name.
fn has_test(text: &str, function: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let function = format!("fn {function}() {{");
    lines.windows(2).any(|pair| pair[0] == "#[test]" && pair[1] == function)
}

#[test]
fn unit_tests_that_hold_claims_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let claims = claims::read(SECURITY).unwrap();
    assert!(claims.len() >= 30, "{} claims", claims.len());
    for (file, function) in claims.iter().flat_map(|claim| &claim.held_by).filter_map(|test| match test {
        Test::Unit(file, function) => Some((file, function)),
        Test::Case(_) => None,
    }) {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(has_test(&text, function), "{file} has no test {function}");
    }
}

#[test]
fn a_function_that_is_no_test_holds_nothing() {
    let text = "fn a() {\n}\n\n    #[test]\n    fn b() {\n    }\n";
    assert!(has_test(text, "b") && !has_test(text, "a") && !has_test(text, "c"));
}

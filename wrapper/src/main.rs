//! `replit-env-cli`, the helper program behind `replit-env`.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match replit_env::cli::run() {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be there to read it, as behind `2>&1 | head`.
            let _ = writeln!(io::stderr(), "replit-env-cli: {error:#}");
            ExitCode::FAILURE
        }
    }
}

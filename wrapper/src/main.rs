//! `replit-env-cli`, the helper program behind `replit-env`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match replit_env::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("replit-env-cli: {error:#}");
            ExitCode::FAILURE
        }
    }
}

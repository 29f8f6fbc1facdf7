//! Shell completions. Those of `replit-env-cli` are clap's. `replit-env` is a command before another one, as sudo(8) is, which
//! clap does not know how to complete: for it there is a text for each shell in `completions/`, with the options in it.

use clap::{Arg, Command, ValueEnum};
use clap_complete::Shell as ClapShell;

const BASH: &str = include_str!("completions/replit-env.bash");
const ZSH: &str = include_str!("completions/replit-env.zsh");
const FISH: &str = include_str!("completions/replit-env.fish");

/// A shell that completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

impl Shell {
    /// Where a shell looks for the completions of a command, below a directory `share`.
    pub fn file(self, command: &str) -> String {
        match self {
            Self::Bash => format!("bash-completion/completions/{command}"),
            Self::Zsh => format!("zsh/site-functions/_{command}"),
            Self::Fish => format!("fish/vendor_completions.d/{command}.fish"),
        }
    }

    /// The completions of a command with subcommands.
    pub fn of_helper(self, mut command: Command) -> Vec<u8> {
        let shell = match self {
            Self::Bash => ClapShell::Bash,
            Self::Zsh => ClapShell::Zsh,
            Self::Fish => ClapShell::Fish,
        };
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, name, &mut text);
        text
    }

    /// The completions of the script, which has these options.
    pub fn of_script(self, mut command: Command) -> String {
        command.build();
        let shown = |argument: &&Arg| !argument.is_hide_set() && !argument.is_positional();
        let options: Vec<_> = command.get_arguments().filter(shown).map(Opt::new).collect();
        let each = |line: fn(&Opt) -> String| options.iter().map(line).collect::<String>();
        match self {
            Self::Bash => {
                let valued: Vec<_> = options.iter().filter(|option| option.takes == Takes::Value).collect();
                let valued: Vec<_> = valued.iter().map(|option| option.names().join(" | ")).collect();
                let names: Vec<_> = options.iter().map(|option| format!("--{}", option.long)).collect();
                BASH.replace("@valued@", &valued.join(" | "))
                    .replace("@options@", &names.join(" "))
                    .replace("@values@\n", &each(Opt::bash))
            }
            Self::Zsh => ZSH.replace("@options@", &each(Opt::zsh)),
            Self::Fish => {
                let specifications: Vec<_> = options.iter().map(Opt::argparse).collect();
                FISH.replace("@argparse@", &specifications.join(" ")).replace("@options@", &each(Opt::fish))
            }
        }
    }
}

/// An option as shells want to know it.
struct Opt {
    long: String,
    short: Option<char>,
    takes: Takes,
    /// What the value is called, and may be.
    value: String,
    values: Vec<String>,
    help: String,
}

/// What follows an option.
#[derive(PartialEq)]
enum Takes {
    Nothing,
    /// With an equals sign or not at all.
    Optional,
    Value,
}

impl Opt {
    fn new(argument: &Arg) -> Self {
        let takes = match argument.get_num_args() {
            Some(range) if range.takes_values() && range.min_values() == 0 => Takes::Optional,
            // What takes the rest of the line takes a program.
            Some(range) if range.takes_values() && range.max_values() == 1 => Takes::Value,
            _ => Takes::Nothing,
        };
        let values = if takes == Takes::Nothing { Vec::new() } else { argument.get_possible_values() };
        let values = values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned());
        Self {
            long: argument.get_long().unwrap_or_default().to_owned(),
            short: argument.get_short(),
            takes,
            value: argument
                .get_value_names()
                .and_then(|names| names.first())
                .map(|name| name.to_string())
                .unwrap_or_default(),
            values: values.collect(),
            help: argument.get_help().map(|help| help.to_string()).unwrap_or_default(),
        }
    }

    fn names(&self) -> Vec<String> {
        let short = self.short.map(|short| format!("-{short}"));
        short.into_iter().chain([format!("--{}", self.long)]).collect()
    }

    /// A branch of a `case`.
    fn bash(&self) -> String {
        if self.values.is_empty() {
            return String::new();
        }
        format!("        {}) values='{}' ;;\n", self.names().join(" | "), self.values.join(" "))
    }

    /// A specification for `_arguments`.
    fn zsh(&self) -> String {
        let values = if self.values.is_empty() { "_default".into() } else { format!("({})", self.values.join(" ")) };
        let (before, after) = match self.takes {
            Takes::Nothing => ("", String::new()),
            Takes::Optional => ("=-", format!("::{}:{values}", self.value)),
            Takes::Value => ("=", format!(":{}:{values}", self.value)),
        };
        let line = |name: &String| {
            let before = if name.starts_with("--") { before } else { before.trim_start_matches('=') };
            format!("    {} \\\n", quoted(&format!("{name}{before}[{}]{after}", escaped(&self.help, "[]:\\"))))
        };
        self.names().iter().map(line).collect()
    }

    /// A specification for `argparse`.
    fn argparse(&self) -> String {
        let takes = match self.takes {
            Takes::Nothing => "",
            Takes::Optional => "=?",
            Takes::Value => "=",
        };
        let short = self.short.map(|short| format!("{short}/")).unwrap_or_default();
        format!("'{short}{}{takes}'", self.long)
    }

    fn fish(&self) -> String {
        let short = self.short.map(|short| format!(" --short-option {short}")).unwrap_or_default();
        let takes = match self.takes {
            Takes::Nothing => "",
            // An option whose value may be missing gets it with an equals sign, and the words after it are no values.
            Takes::Optional => " --no-files",
            Takes::Value if self.values.is_empty() => " --require-parameter --force-files",
            Takes::Value => " --exclusive",
        };
        let values =
            if self.values.is_empty() { String::new() } else { format!(" --arguments '{}'", self.values.join(" ")) };
        format!(
            "complete --command replit-env --condition 'not __replit_env_program >/dev/null' --long-option {}{short}{takes}{values} \
             --description {}\n",
            self.long,
            quoted_for_fish(&self.help)
        )
    }
}

/// With a backslash before each of these characters.
fn escaped(text: &str, special: &str) -> String {
    let escape = |character| [special.contains(character).then_some('\\'), Some(character)];
    text.chars().flat_map(escape).flatten().collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn quoted_for_fish(text: &str) -> String {
    format!("'{}'", escaped(text, r"\'"))
}

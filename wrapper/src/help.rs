//! What `--help` and the man page say beyond the options. The tests hold the variables to what the auditor reads.

use clap::builder::styling::Style;

/// The width of the narrowest terminal that people have.
pub const WIDTH: usize = 80;

/// The variables that the script or the auditor reads, and what they mean.
pub const VARIABLES: [(&str, &str); 10] = [
    ("REPLIT_LD_LIBRARY_PATH", "more directories or single files, a colon list; searched after the declared ones"),
    ("REPLIT_RTLD_LOG_LEVEL", "off, warn, info or debug, or a number from 0 to 3"),
    (
        "REPLIT_RTLD_LOG_FILE",
        "stderr, or a path (%p is the process's number); if unset, rtld_loader.log.N in the working directory",
    ),
    ("REPLIT_RTLD_HINTS", "0: ld.so's plain messages, without reasons and packages"),
    ("REPLIT_RTLD_DISABLE", "1: the auditor keeps out"),
    ("REPLIT_RTLD_INHERIT", "0: as --no-inherit"),
    ("REPLIT_RTLD_INDEX", "index files of other environments, a colon list"),
    ("LD_AUDIT", "other audit libraries are kept, behind rtld_loader.so"),
    ("GLIBC_TUNABLES", "kept; glibc.rtld.optional_static_tls is raised where it is less than the libraries need"),
    ("PATH", "the declared bin directories go first"),
];

/// What people do with it: a title, and the commands.
pub const EXAMPLES: [(&str, &str); 7] = [
    ("Run a program", "replit-env python3 main.py"),
    ("See what is missed and found", "replit-env --log info python3 main.py"),
    ("Keep it from other programs that make starts", "replit-env --no-inherit make"),
    ("Say which libraries it comes to, and why one is missing", "replit-env --explain python3"),
    ("Find out what is wrong with the environment", "replit-env --doctor"),
    ("Set up this shell", "eval \"$(replit-env --print-env)\""),
    ("Set up this fish", "replit-env --print-env=fish | source"),
];

/// What `--help` ends with, headed as clap heads its own. Not on a terminal, clap leaves styles out.
pub fn after() -> String {
    let heading = Style::new().bold().underline();
    let mut text = format!("{heading}Variables:{heading:#}\n");
    for (name, meaning) in VARIABLES {
        text += &entry(name, meaning);
    }
    text += &format!("\n{heading}Examples:{heading:#}\n");
    for (title, command) in EXAMPLES {
        text += &format!("  {command}\n      {title}\n");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Two columns, the second one wrapped.
fn entry(name: &str, meaning: &str) -> String {
    const INDENT: usize = 26;
    let mut lines = vec![format!("  {name:<width$}", width = INDENT - 2)];
    for word in meaning.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(format!("{:INDENT$}{word}", "")),
        }
    }
    lines.join("\n") + "\n"
}

//! Every message, as people see it; and every check, on machines that are made up.

#[cfg(target_arch = "x86_64")]
mod both_classes;
mod checks;
mod details;
mod machine;
mod messages;
mod worlds;

//! Every message, as people see it; and every check, on machines that are made up.

mod checks;
mod details;
mod machine;
mod messages;
mod worlds;

//! Generated environments, run for real under every shell that they are written for.

mod bench;
#[cfg(target_arch = "x86_64")]
mod both_classes;
mod doctor;
mod explain;
mod fish;
mod generate;
mod options;
mod print_env;
mod profile;
mod share;
mod static_tls;
mod tunables;
mod wrapper;

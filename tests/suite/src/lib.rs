//! The harness of the integration tests: real processes on real glibcs.
//!
//! A *manifest* names the channels (one glibc each) and the views (what of the machine a process sees). A *bed* is one
//! trial's own directory on one channel in one view; *objects* are built in it by the channel's compiler, and *runs*
//! start them without and with the auditor. Nothing here imitates ld.so: what a trial says is what a process printed.

pub mod bed;
pub mod bounds;
pub mod calls;
pub mod claims;
pub mod closure;
pub mod counts;
pub mod damage;
pub mod dynamic;
pub mod instructions;
pub mod manifest;
pub mod matrix;
pub mod object;
pub mod outcome;
pub mod process;
pub mod run;
pub mod server;
pub mod starts;
pub mod sweep;
pub mod trace;
pub mod turns;
pub mod ways;
pub mod workloads;

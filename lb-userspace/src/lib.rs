//! Holdfast's user space: what the daemon and the command line share.
//!
//! Pure modules decide (`config`, `table`, `vips`, `revision`, `plan`); a few
//! touch the world (`kernel::aya`, `store`, `neighbours`, `api`, `daemon`).
#![deny(unsafe_code)]

pub mod api;
pub mod cli;
pub mod config;
pub mod digest;
pub mod plan;
pub mod store;

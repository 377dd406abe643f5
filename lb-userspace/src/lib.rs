//! Holdfast's user space: what the daemon and the command line share.
//!
//! Pure modules decide (`config`, `table`, `vips`, `revision`, `plan`); a few
//! touch the world (`kernel::aya`, `store`, `neighbours`, `api`, `daemon`).
#![deny(unsafe_code)]

pub mod api;
pub mod config;
pub mod digest;
pub mod plan;
pub mod kernel;
pub mod layout;
pub mod publish;
pub mod revision;
pub mod neighbours;
pub mod table;
pub mod vips;
pub mod agent;
pub mod attachments;
pub mod daemon;
pub mod failure;
pub mod rehearsal;
pub mod reports;
pub mod serving;
pub mod startup;
pub mod store;

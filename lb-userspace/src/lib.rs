//! Holdfast's user space: what the daemon and the command line share.
//!
//! Pure modules decide (`approval`, `config`, `table`, `vips`, `revision`,
//! `layout`, `plan`); a few touch the world (`kernel`, `store`, `neighbours`, `api`,
//! `daemon`). `serving` is the one writer.
#![deny(unsafe_code)]

pub mod activity;
pub mod agent;
pub mod api;
pub mod approval;
pub mod approvers;
pub mod arrivals;
pub mod attachments;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confirm;
pub mod daemon;
pub mod digest;
pub mod doctor;
pub mod drain;
pub mod drill;
pub mod events;
pub mod failure;
pub mod headline;
pub mod health;
pub mod kernel;
pub mod layout;
pub mod lock;
pub mod log;
pub mod metrics;
pub mod neighbours;
pub mod part;
pub mod past;
pub mod plan;
pub mod preview;
pub mod publish;
pub mod rehearsal;
pub mod relayout;
pub mod reports;
pub mod revision;
pub mod serving;
pub mod startup;
pub mod store;
pub mod table;
pub mod takeover;
pub mod vips;

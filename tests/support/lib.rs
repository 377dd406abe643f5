//! What the tests and the demo share: a network of namespaces with the real
//! daemon, the real command line and real sockets in it.
//!
//! [`rig::Rig`] puts it together and takes it away again; everything else is a
//! part of it that can be used alone.
#![deny(unsafe_code)]

pub mod addresses;
pub mod api;
pub mod capture;
pub mod change;
pub mod config;
pub mod contract;
pub mod daemon;
pub mod datagrams;
pub mod exchange;
pub mod flood;
pub mod flow_events;
pub mod generator;
pub mod guest;
pub mod guide;
pub mod machine;
pub mod mutation;
pub mod native;
pub mod netns;
pub use holdfast::drill::offload;
pub mod oracle;
pub mod packet;
pub mod pass;
pub mod pattern;
pub mod ping;
pub mod process;
pub mod rig;
pub mod rows;
pub mod run;
pub mod scrape;
pub mod services;
pub mod sites;
pub mod snapshot;
pub mod sockets;
pub mod statistics;
pub mod streams;
pub mod terminal;
pub mod topology;
#[cfg(target_arch = "x86_64")]
pub mod tracer;
pub mod turn;
pub mod vm;
pub mod wait;

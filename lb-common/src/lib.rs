//! What kernel and user space agree on (`abi`), and the whole packet path,
//! generic over a packet ([`frame::Frame`]) and over the maps ([`view::View`]).
//!
//! Contract: no I/O, no clock, no allocation, no aya. The same functions are
//! compiled for the host, where tests run them, and for BPF, where packets do.
#![no_std]
#![deny(unsafe_code)]

pub mod abi;
pub mod agent;
pub mod answer;
pub mod checksum;
pub mod dirty;
pub mod encap;
pub mod frame;
pub mod hash;
pub mod parse;
pub mod path;
pub mod select;
pub mod siphash;
pub mod verdict;
pub mod view;
pub mod wire;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;

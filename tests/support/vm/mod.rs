//! Virtual machines: another kernel, a disk of its own, and a power switch.
//!
//! A machine starts from an [`image`], whose first process is `holdfast-guest`:
//! the rig's network with agents and backends in the guest's own namespaces. It is
//! asked and answers over a serial line ([`wire`]). Nothing of a guest but its
//! disk outlives it.

pub mod image;
pub mod kernel;
pub mod machine;
pub mod wire;

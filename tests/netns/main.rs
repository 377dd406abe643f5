//! System tests in network namespaces: the real daemon and command line, the
//! programs in the kernel, real sockets. Each test builds a rig of its own.
//!
//! They need root, so they are ignored unless asked for: `cargo xtask test`
//! asks for them where it may, and says so where it may not.

mod changes;
mod forwarding;
mod host;
mod network;
mod next_hops;
mod refusals;
mod restart;
mod switches;

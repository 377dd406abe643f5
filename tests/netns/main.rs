//! System tests in network namespaces: the real daemon and command line, the
//! programs in the kernel, real sockets. Each test builds a rig of its own, and
//! needs root for it.

mod affinity;
mod changes;
mod checks;
mod confirm;
mod dirty;
mod doctor;
mod forwarding;
mod guards;
mod health;
mod host;
mod links;
mod metrics;
mod modes;
mod network;
mod next_hops;
mod notify;
mod overrides;
mod path_mtu;
mod refusals;
mod relayout;
mod restart;
mod roles;
mod sizes;
mod switches;
mod top;
mod upgrade;
mod ways;

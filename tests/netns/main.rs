//! System tests in network namespaces: the real daemon and command line, the
//! programs in the kernel, real sockets. Each test builds a rig of its own, and
//! needs root for it.

mod affinity;
mod api;
mod changes;
mod checks;
mod confirm;
mod crash;
mod dirty;
mod doctor;
mod drain_wait;
mod drift;
mod drill;
mod forwarding;
mod guards;
mod guide;
mod health;
mod health_restart;
mod host;
mod journal;
mod links;
mod lock;
mod many_checks;
mod metrics;
mod modes;
mod network;
mod next_hops;
mod notify;
mod overrides;
mod path_mtu;
mod preview;
mod preview_sampled;
mod prometheus;
mod recover;
mod refusals;
mod relayout;
mod restart;
mod roles;
mod sizes;
mod switches;
mod top;
mod trials;
mod upgrade;
mod uplinks;
mod ways;

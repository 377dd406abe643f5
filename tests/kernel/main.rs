//! The programs in the kernel, as the real daemon loaded and pinned them: the
//! rows and mutations that the packet path was tried with natively, through
//! `BPF_PROG_TEST_RUN`, and claims about maps and programs.
//!
//! They need root, so they are ignored unless asked for. Each builds a balancer
//! of its own, with no network around it: no frame comes but those that are
//! run.

mod agent;
mod balancer;
mod content;
mod damage;
mod mutations;
mod program;
mod rows;
mod shares;

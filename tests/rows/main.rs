//! Packet rows and mutations through the packet path in this process, held
//! against the oracle. Needs no privileges.

mod agent;
mod balancer;
mod damage;
mod mutations;
mod scratch;
mod shares;
mod spread;

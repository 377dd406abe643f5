//! Packet rows and mutations through the packet path in this process, held
//! against the oracle. Needs no privileges.

mod agent;
mod answers;
mod balancer;
mod damage;
mod mutations;
mod shares;
mod spread;

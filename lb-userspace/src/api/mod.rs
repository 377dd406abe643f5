//! The API on the unix socket: what it says (`model`), what the daemon answers
//! (`backing`), how that is routed and served (`routes`, `serve`, `socket`),
//! who may (`auth`), and how the command line asks (`client`).

pub mod auth;
pub mod backing;
mod body;
pub mod client;
#[cfg(test)]
pub mod fake;
pub mod model;
mod places;
pub mod roles;
pub mod routes;
mod serve;
pub mod socket;

#[cfg(test)]
mod tests;

pub use routes::metrics_router;
pub use serve::serve;

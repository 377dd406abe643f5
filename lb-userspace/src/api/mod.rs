//! The API on the unix socket: what it says (`model`), what the daemon answers
//! (`backing`), how that is routed and served (`routes`, `serve`, `socket`),
//! who may (`auth`), how the command line asks (`client`), and all of it as a
//! document (`openapi`).

pub mod auth;
pub mod backing;
mod body;
pub mod client;
mod describe;
#[cfg(test)]
pub mod fake;
#[cfg(test)]
pub mod held;
pub mod model;
pub mod openapi;
mod places;
pub mod roles;
pub mod routes;
mod serve;
pub mod socket;

#[cfg(test)]
mod tests;

pub use routes::metrics_router;
pub use serve::serve;

//! The API on the unix socket: what it says (`model`), how it is served
//! (`routes`), who may (`auth`), and how the command line asks (`client`).

pub mod model;

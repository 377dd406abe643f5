//! The packages as they are installed: under systemd, by dpkg, in a guest on this
//! kernel. Needs root, and what `cargo xtask dist --dev` makes.

mod guide;
mod host;
mod systemd;

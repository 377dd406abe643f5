//! Unit and property tests of the packet path.

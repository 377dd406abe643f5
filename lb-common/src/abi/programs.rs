//! PROGRAMS: what the first program calls, by tail call.

/// The program that knows all packets of the common shape: [`crate::path::plain`].
pub const PLAIN: u32 = 0;

/// The program that knows all other packets: [`crate::path::odd`].
pub const ODD: u32 = 1;

/// Entries of PROGRAMS.
pub const PROGRAMS: u32 = 2;

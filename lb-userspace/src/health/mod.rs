//! Are backends up, and what follows? `sm` decides about one backend, `standing`
//! about a pool, `watch` about all of them; none of them reads the clock.

pub mod sm;
pub mod standing;
pub mod watch;

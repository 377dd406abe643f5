//! Each rule of the lock, with what it takes and what it just does not; and the
//! lock as a whole.

mod budgets;
mod labels;
mod objects;
mod rules;

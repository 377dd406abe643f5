//! The approval lock in the hands of people: sessions of a team and of somebody
//! alone, with the real daemon, command line, `ssh-keygen` and streams.

mod after;
mod alone;
mod approvals;
mod emergency;
mod flood;
mod forged;
mod logins;
mod people;
mod signers;
mod walks;
mod ways;

//! What programs built with `cargo xtask build --trace` say of every packet.
//! Others have no log, and nothing here runs.

use aya_log::EbpfLogger;
use log::Log;

/// The log of a program.
pub struct ProgramLog(EbpfLogger<&'static dyn Log>);

impl ProgramLog {
    /// `None`: the program was built without a log.
    #[must_use]
    pub fn of(program_id: u32) -> Option<Self> {
        EbpfLogger::init_from_id(program_id).ok().map(Self)
    }

    /// Hands the records so far on to the daemon's log.
    pub fn show(&mut self) {
        self.0.flush();
    }
}

//! Arguments of `recover`.

use clap::{ArgAction, Args};

#[derive(Clone, Copy, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast recover --dry-run    what is wrong, and what would be done
  holdfast recover              back to normal; what is served stays as it is")]
pub struct Recover {
    /// Say what would be done, and do nothing
    #[arg(long, action = ArgAction::SetTrue)]
    pub dry_run: bool,
}

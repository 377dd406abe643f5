//! What a configuration may hold at most, and the shapes of its names.
//!
//! Every limit is checked by `rules`, stated by the schema and listed in
//! docs/configuration.md; a configuration beyond one is refused whole.

use lb_common::abi::{member, node};

use super::{Milliseconds, Seconds};

/// Bytes in a configuration file (16 MiB): room for `MAX_VIPS` and
/// `MAX_BACKENDS` at 340 bytes each, also as the JSON of a plan's target, which
/// spells out every default.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Interfaces of one balancer; the kernel's map has as many.
pub const MAX_INTERFACES: usize = node::MAX_INTERFACES;

/// Pools of one balancer.
pub const MAX_POOLS: usize = 1024;

/// Backends of one pool; its members share a chunk.
pub const MAX_BACKENDS_IN_POOL: usize = member::MAX_MEMBERS;

/// Backends of all pools together: with the VIPs they must fit into the
/// counters, whose index has 16 bits.
pub const MAX_BACKENDS: usize = 32_000;

/// VIPs of one balancer.
pub const MAX_VIPS: usize = 16_384;

/// Entries of `removed`: as many objects as a configuration can hold.
pub const MAX_REMOVED: usize = MAX_POOLS + MAX_BACKENDS + MAX_VIPS;

/// Persons that `protection.approvals` asks for.
pub const MAX_APPROVALS: u32 = 9;

/// `protection.window` and `protection.approvals.ttl`.
pub const MIN_PROTECTION_WINDOW: Seconds = Seconds(60);
pub const MAX_PROTECTION_WINDOW: Seconds = Seconds(7 * 24 * 3600);

/// `protection.confirm.default`: a day, as `confirm::LONGEST`.
pub const MAX_TRIAL: Seconds = Seconds(24 * 3600);

/// Entries of a role in `access`.
pub const MAX_SUBJECTS: usize = 256;

pub const MAX_WEIGHT: u32 = 65_535;
pub const DEFAULT_WEIGHT: u32 = 100;

/// Port 0 is reserved (RFC 6335 §6): no packet can be for it.
pub const MIN_PORT: u16 = 1;
pub const MAX_PORT: u16 = u16::MAX;

/// Prefix lengths of `encapSource.v4`: shorter ones would claim other
/// people's addresses as ours.
pub const MIN_PREFIX_V4: u8 = 8;

/// The same of `encapSource.v6`. The flow hash fills 32 bits at most, so a
/// prefix longer than /96 has less room for it.
pub const MIN_PREFIX_V6: u8 = 32;

/// `drain.idle`.
pub const MIN_DRAIN: Seconds = Seconds(1);
pub const MAX_DRAIN_IDLE: Seconds = Seconds(3600);
pub const DEFAULT_DRAIN_IDLE: Seconds = Seconds(60);

/// `drain.deadline`.
pub const MAX_DRAIN_DEADLINE: Seconds = Seconds(24 * 3600);
pub const DEFAULT_DRAIN_DEADLINE: Seconds = Seconds(3600);

/// `health.interval` and `health.timeout`.
pub const MIN_INTERVAL: Milliseconds = Milliseconds(100);
pub const MAX_INTERVAL: Milliseconds = Milliseconds(3_600_000);
pub const DEFAULT_INTERVAL: Milliseconds = Milliseconds(2000);
pub const DEFAULT_TIMEOUT: Milliseconds = Milliseconds(1000);
pub const MIN_TIMEOUT: Milliseconds = Milliseconds(10);

/// `health.rise` and `health.fall`.
pub const MAX_CHECKS: u32 = 100;
pub const DEFAULT_RISE: u32 = 2;
pub const DEFAULT_FALL: u32 = 3;

/// `health.slowStart`.
pub const MAX_SLOW_START: Milliseconds = Milliseconds(3_600_000);

/// `health.velocity.window`.
pub const MIN_WINDOW: Milliseconds = Milliseconds(1000);

/// `health.damping`: a backend that goes down five times in a minute is held
/// down, for two minutes after the last time at most.
pub const DEFAULT_SUPPRESS: u32 = 4000;
pub const DEFAULT_REUSE: u32 = 2000;
pub const MAX_PENALTY: u32 = 1_000_000;
pub const DEFAULT_HALF_LIFE: Milliseconds = Milliseconds(60_000);
pub const MIN_HALF_LIFE: Milliseconds = Milliseconds(1000);

/// Texts of a check, bytes: a path, a datagram, an argument.
pub const MAX_CHECK_TEXT: usize = 1024;

/// `health.exec.command`, program and arguments.
pub const MAX_ARGUMENTS: usize = 64;

/// Of a name and of an environment: one label of a host name (RFC 1123 §2.1).
pub const MAX_NAME_BYTES: usize = 63;

/// Of an interface's name: `IFNAMSIZ` less the final NUL.
pub const MAX_INTERFACE_BYTES: usize = 15;

/// Names of pools, backends and VIPs. Hosts are often named with dots or
/// underscores; a slash separates the parts of an object's name.
pub const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9._-]*$";

/// Environments.
pub const ENVIRONMENT_PATTERN: &str = "^[a-z0-9][a-z0-9-]*$";

/// What `dev_valid_name()` of the kernel takes.
pub const INTERFACE_PATTERN: &str = r"^[^/:\s\x00-\x1f\x7f]{1,15}$";

pub const MAC_PATTERN: &str = "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$";

pub const PREFIX_V4_PATTERN: &str = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/([89]|[12][0-9]|3[0-2])$";

pub const PREFIX_V6_PATTERN: &str = r"^[0-9A-Fa-f:.]+/(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-8])$";

pub const SECONDS_PATTERN: &str = "^(0|[1-9][0-9]*)[smh]$";

pub const MILLISECONDS_PATTERN: &str = "^(0|[1-9][0-9]*)(ms|s|m|h)$";

pub const PERCENT_PATTERN: &str = "^([0-9]|[1-9][0-9]|100)%$";

pub const STATUSES_PATTERN: &str = "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$";

pub const OBJECT_PATTERN: &str =
    "^((vip|pool)/[a-z0-9][a-z0-9._-]*|backend/[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*)$";

/// Users and groups.
pub const SUBJECT_PATTERN: &str = r"^(root|(user|group):[A-Za-z0-9_][A-Za-z0-9_.@\\$-]*|(uid|gid):(0|[1-9][0-9]*))$";

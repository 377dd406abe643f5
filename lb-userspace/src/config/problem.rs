//! What can be wrong with a configuration: the measured value, the limit, and
//! what to do about it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use serde_saphyr::{DefaultMessageFormatter, MessageFormatter};

use super::{
    Encap, Milliseconds, Protocol, Seconds,
    code::Code,
    limits::{MAX_FILE_BYTES, MAX_INTERFACE_BYTES, MAX_NAME_BYTES},
    words::{listed, nearest, shown},
};

/// One thing wrong, without its place.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("the file cannot be read: {0}")]
    FileUnreadable(#[source] io::Error),
    #[error("{0}, not a regular file")]
    FileNotRegular(&'static str),
    #[error("the file has {} bytes or more; {MAX_FILE_BYTES} is the limit", .bytes)]
    FileTooLarge { bytes: u64 },
    #[error("byte {0} of the file begins no UTF-8 character")]
    FileNotUtf8(usize),
    #[error("the file holds a NUL byte")]
    FileHoldsNul,
    #[error("the file holds no configuration")]
    DocumentEmpty,
    #[error("the YAML cannot be read: {}", said(.0))]
    YamlSyntax(#[source] Box<serde_saphyr::Error>),
    #[error("a second YAML document begins here; a file holds one")]
    SecondDocument,
    #[error("a merge key (`<<`) is not allowed")]
    MergeKey,
    #[error("too much YAML: {}", said(.0))]
    YamlTooComplex(#[source] Box<serde_saphyr::Error>),
    #[error("unknown key `{}`", shown(.key))]
    UnknownKey { key: String, known: Vec<&'static str> },
    #[error("the key `{}` is written twice in this mapping", shown(.0))]
    DuplicateKey(String),
    #[error("the mapping that this key is in lacks `{0}`")]
    MissingKey(&'static str),
    #[error("{} stands where {wanted} belongs", shown(.found))]
    WrongType { found: String, wanted: String },
    #[error("apiVersion is `{}`; this program reads `{}`", shown(.0), super::API_VERSION)]
    ApiVersion(String),
    #[error("`{}` is no {what}", shown(.written))]
    NameInvalid { what: &'static str, written: String },
    #[error("a {what} of {bytes} bytes; {MAX_NAME_BYTES} is the limit")]
    NameTooLong { what: &'static str, bytes: usize },
    #[error("{key} is {}, not a whole number", quoted(.written))]
    NotANumber { key: &'static str, written: String },
    #[error("{key} is {number}; it must be {min} to {max}")]
    NumberOutOfRange {
        key: &'static str,
        number: i128,
        min: u32,
        max: u32,
    },
    #[error("{key} is `{}`; it must be {}", shown(.written), listed(.words))]
    UnknownWord {
        key: &'static str,
        written: String,
        words: &'static [&'static str],
    },
    #[error("`{}` is not a time", shown(.0))]
    TimeInvalid(String),
    #[error("{key} is {}; it must be {min} to {max}", shown(.written))]
    TimeOutOfRange {
        key: &'static str,
        written: String,
        min: Seconds,
        max: Seconds,
    },
    #[error("drain.idle is {idle}, longer than drain.deadline {deadline}")]
    DrainOrder { idle: Seconds, deadline: Seconds },
    #[error("`{}` is not an IPv4 or IPv6 address", shown(.0))]
    AddressInvalid(String),
    #[error("{address} is {kind}, not the address of one host")]
    AddressNotUnicast { address: IpAddr, kind: &'static str },
    #[error("`{}` is not an {family} prefix", shown(.written))]
    PrefixInvalid {
        written: String,
        family: &'static str,
        /// One that would be taken.
        like: &'static str,
    },
    #[error("{prefix} has bits set behind the prefix; the prefix is {network}")]
    PrefixHasHostBits { prefix: String, network: String },
    #[error("a prefix of /{length}; it must be /{min} to /{max}")]
    PrefixTooShort { length: u8, min: u8, max: u8 },
    #[error("{prefix} is {kind}; no packet may come from there")]
    PrefixNotUnicast { prefix: String, kind: &'static str },
    #[error("`{}` is not an Ethernet address", shown(.0))]
    MacInvalid(String),
    #[error("{mac} is {kind}, not the Ethernet address of one host")]
    MacNotUnicast { mac: String, kind: &'static str },
    #[error("`{}` is not an absolute path", shown(.0))]
    PathInvalid(String),
    #[error("`{}` cannot be the name of an interface", shown(.0))]
    InterfaceInvalid(String),
    #[error("`{}` names no object", shown(.0))]
    ObjectInvalid(String),
    #[error("`{}` names nobody", shown(.0))]
    SubjectInvalid(String),
    #[error("{count} {what}; {limit} is the limit")]
    TooMany {
        what: &'static str,
        count: usize,
        limit: usize,
    },
    #[error("{0} has no {1}; one at least is needed")]
    NoneGiven(String, &'static str),
    #[error("{what} `{name}` is there twice: here and on line {first_line}")]
    DuplicateName {
        what: &'static str,
        name: String,
        first_line: u32,
    },
    #[error("{socket}/{protocol} is there twice: here and on line {first_line}")]
    DuplicateVip {
        socket: SocketAddr,
        protocol: Protocol,
        first_line: u32,
    },
    #[error("pool `{pool}` has a backend at {address} twice: here and on line {first_line}")]
    DuplicateBackend {
        pool: String,
        address: IpAddr,
        first_line: u32,
    },
    #[error("there is no pool `{}`", shown(.pool))]
    UnknownPool { pool: String, known: Vec<String> },
    #[error("`{}` is not one of node.interfaces", shown(.interface))]
    UnknownInterface { interface: String, known: Vec<String> },
    #[error("pool `{0}` has no backend that is ready and has a weight above 0")]
    NoWeight(String),
    #[error("a backend at {address}, which is the address of a VIP on line {vip_line}: packets would go in circles")]
    BackendIsVip { address: IpAddr, vip_line: u32 },
    #[error("a backend at {address}, inside encapSource {prefix} on line {prefix_line}")]
    BackendIsSource {
        address: IpAddr,
        prefix: String,
        prefix_line: u32,
    },
    #[error("a VIP at {address}, inside encapSource {prefix} on line {prefix_line}")]
    VipIsSource {
        address: IpAddr,
        prefix: String,
        prefix_line: u32,
    },
    #[error("pool `{}` has a backend at {address}, and {encap} to it needs encapSource.{key}", shown(.pool))]
    NoSource {
        pool: String,
        address: IpAddr,
        encap: Encap,
        /// `v4` or `v6`.
        key: &'static str,
    },
    #[error("{key} is {}; it must be {min} to {max}", shown(.written))]
    SpanOutOfRange {
        key: &'static str,
        written: String,
        min: Milliseconds,
        max: Milliseconds,
    },
    #[error("`{}` is not a share of 0% to 100%", shown(.0))]
    PercentInvalid(String),
    #[error("health asks for {}; exactly one of tcp, http, icmp, udp, dns and exec is needed", no_or(.0))]
    CheckKinds(Vec<&'static str>),
    #[error("{key} is `{}`; it must be {wanted}", shown(.written))]
    CheckText {
        key: &'static str,
        written: String,
        wanted: &'static str,
    },
    #[error("the check has no port, and {}", no_port(.pool, .vips))]
    CheckPort { pool: String, vips: Vec<String> },
    #[error("timeout is {timeout}, longer than interval {interval}")]
    TimeoutOrder {
        timeout: Milliseconds,
        interval: Milliseconds,
    },
    #[error("damping.reuse is {reuse}; it must be less than damping.suppress {suppress}")]
    DampingOrder { reuse: u32, suppress: u32 },
    #[error("{0} means nothing without health: nobody would know who is healthy")]
    NeedsHealth(&'static str),
    #[error("pool `{0}` falls back on itself")]
    FallbackItself(String),
    #[error("pool `{pool}` falls back on `{fallback}`, which falls back on `{further}`; only one step is taken")]
    FallbackChain {
        pool: String,
        fallback: String,
        further: String,
    },
    #[error("approvals.drain is {drain}, more than approvals.remove {remove}")]
    ApprovalsOrder { drain: u32, remove: u32 },
    #[error("approvals are asked for, and `approvers` does not say by whom")]
    NoApprovers,
    #[error("{object} is named in `removed`, but it is in the file on line {present_line}")]
    PresentAndRemoved { object: String, present_line: u32 },
}

impl Problem {
    /// Its stable number.
    pub const fn code(&self) -> Code {
        match self {
            Self::FileUnreadable(_) => Code::FileUnreadable,
            Self::FileNotRegular(_) => Code::FileNotRegular,
            Self::FileTooLarge { .. } => Code::FileTooLarge,
            Self::FileNotUtf8(_) | Self::FileHoldsNul => Code::FileNotText,
            Self::DocumentEmpty => Code::DocumentEmpty,
            Self::YamlSyntax(_) | Self::SecondDocument | Self::MergeKey => Code::YamlSyntax,
            Self::YamlTooComplex(_) => Code::YamlTooComplex,
            Self::UnknownKey { .. } => Code::UnknownKey,
            Self::DuplicateKey(_) => Code::DuplicateKey,
            Self::MissingKey(_) => Code::MissingKey,
            Self::WrongType { .. } => Code::WrongType,
            Self::ApiVersion(_) => Code::ApiVersion,
            Self::NameInvalid { .. } | Self::NameTooLong { .. } => Code::NameInvalid,
            Self::NotANumber { .. } => Code::NotANumber,
            Self::NumberOutOfRange { .. } | Self::TimeOutOfRange { .. } | Self::SpanOutOfRange { .. } => {
                Code::NumberOutOfRange
            }
            Self::TimeInvalid(_) => Code::TimeInvalid,
            Self::DrainOrder { .. } => Code::DrainOrder,
            Self::UnknownWord { .. } => Code::UnknownWord,
            Self::AddressInvalid(_) => Code::AddressInvalid,
            Self::AddressNotUnicast { .. } => Code::AddressNotUnicast,
            Self::PrefixInvalid { .. }
            | Self::PrefixHasHostBits { .. }
            | Self::PrefixTooShort { .. }
            | Self::PrefixNotUnicast { .. } => Code::PrefixInvalid,
            Self::MacInvalid(_) | Self::MacNotUnicast { .. } => Code::MacInvalid,
            Self::PathInvalid(_) => Code::PathInvalid,
            Self::InterfaceInvalid(_) => Code::InterfaceInvalid,
            Self::ObjectInvalid(_) => Code::ObjectInvalid,
            Self::SubjectInvalid(_) => Code::SubjectInvalid,
            Self::TooMany { .. } => Code::TooMany,
            Self::NoneGiven(..) => Code::NoneGiven,
            Self::DuplicateName { .. } => Code::DuplicateName,
            Self::DuplicateVip { .. } => Code::DuplicateVip,
            Self::DuplicateBackend { .. } => Code::DuplicateBackend,
            Self::UnknownPool { .. } => Code::UnknownPool,
            Self::UnknownInterface { .. } => Code::UnknownInterface,
            Self::NoWeight(_) => Code::NoWeight,
            Self::BackendIsVip { .. } => Code::BackendIsVip,
            Self::BackendIsSource { .. } => Code::BackendIsSource,
            Self::VipIsSource { .. } => Code::VipIsSource,
            Self::NoSource { .. } => Code::NoSource,
            Self::PresentAndRemoved { .. } => Code::PresentAndRemoved,
            Self::PercentInvalid(_) => Code::PercentInvalid,
            Self::CheckKinds(_) => Code::CheckKinds,
            Self::CheckText { .. } => Code::CheckText,
            Self::CheckPort { .. } => Code::CheckPort,
            Self::TimeoutOrder { .. } => Code::TimeoutOrder,
            Self::DampingOrder { .. } => Code::DampingOrder,
            Self::NeedsHealth(_) => Code::NeedsHealth,
            Self::ApprovalsOrder { .. } => Code::ApprovalsOrder,
            Self::NoApprovers => Code::NoApprovers,
            Self::FallbackItself(_) | Self::FallbackChain { .. } => Code::FallbackLoop,
        }
    }

    /// What to do about it, where the message alone does not say.
    pub fn fix(&self) -> Option<String> {
        let fix = match self {
            Self::FileNotUtf8(_) | Self::FileHoldsNul => "save the file as UTF-8 text".to_owned(),
            Self::DocumentEmpty => "`holdfast config init` prints a configuration to begin with".to_owned(),
            Self::MergeKey => "write the keys out".to_owned(),
            Self::UnknownKey { key, known } => match nearest(key, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("keys here: {}", known.join(", ")),
            },
            Self::NameInvalid { .. } => {
                "lower-case letters, digits and `-`, a letter or digit first (object names also take `.` and `_`)"
                    .to_owned()
            }
            Self::NotANumber { written, .. } if written.starts_with(['"', '\'']) => {
                "write the number without quotes".to_owned()
            }
            Self::UnknownWord { written, words, .. } => format!("did you mean `{}`?", nearest(written, words)?),
            Self::TimeInvalid(_) => "write a whole number with its unit: 30s, 5m or 1h".to_owned(),
            Self::AddressInvalid(_) => {
                "write 192.0.2.1 or 2001:db8::1, without port, prefix or zone; names are not resolved".to_owned()
            }
            Self::PrefixInvalid { like, .. } => format!("write it like {like}"),
            Self::NoSource { key, .. } => {
                format!(
                    "give the balancers a prefix of their own there: encapSource: {{ {key}: … }}; encap l2 needs none"
                )
            }
            Self::MacInvalid(_) => "write it in quotes, like \"02:00:00:00:00:11\"".to_owned(),
            Self::InterfaceInvalid(_) => {
                format!("1 to {MAX_INTERFACE_BYTES} bytes without `/`, `:` and white space; `ip link` lists them")
            }
            Self::ObjectInvalid(_) => "write vip/NAME, pool/NAME or backend/POOL/NAME".to_owned(),
            Self::SubjectInvalid(_) => "write root, user:NAME, group:NAME, uid:N or gid:N".to_owned(),
            Self::UnknownPool { pool: written, known }
            | Self::UnknownInterface {
                interface: written,
                known,
            } => {
                format!("did you mean `{}`?", nearest(written, known)?)
            }
            Self::NoWeight(_) => "set `state: ready` and a weight of 1 or more on one of them".to_owned(),
            Self::PresentAndRemoved { .. } => "take it out of `removed`, or out of the file".to_owned(),
            Self::PercentInvalid(_) => "write a whole number and a percent sign: 25%".to_owned(),
            Self::CheckPort { .. } => "give the check a `port:` of its own".to_owned(),
            Self::NeedsHealth(_) => "say how the backends are checked: `health: { tcp: {} }`".to_owned(),
            Self::NoApprovers => "name an allowed_signers file: `approvers: /etc/holdfast/approvers`".to_owned(),
            Self::FallbackItself(_) | Self::FallbackChain { .. } => {
                "name a pool that has no `fallbackPool` itself".to_owned()
            }
            Self::FileUnreadable(_)
            | Self::FileNotRegular(_)
            | Self::FileTooLarge { .. }
            | Self::YamlSyntax(_)
            | Self::SecondDocument
            | Self::YamlTooComplex(_)
            | Self::DuplicateKey(_)
            | Self::MissingKey(_)
            | Self::WrongType { .. }
            | Self::ApiVersion(_)
            | Self::NameTooLong { .. }
            | Self::NotANumber { .. }
            | Self::NumberOutOfRange { .. }
            | Self::TimeOutOfRange { .. }
            | Self::SpanOutOfRange { .. }
            | Self::CheckKinds(_)
            | Self::CheckText { .. }
            | Self::TimeoutOrder { .. }
            | Self::DampingOrder { .. }
            | Self::ApprovalsOrder { .. }
            | Self::DrainOrder { .. }
            | Self::AddressNotUnicast { .. }
            | Self::PrefixHasHostBits { .. }
            | Self::PrefixTooShort { .. }
            | Self::PrefixNotUnicast { .. }
            | Self::MacNotUnicast { .. }
            | Self::PathInvalid(_)
            | Self::TooMany { .. }
            | Self::NoneGiven(..)
            | Self::DuplicateName { .. }
            | Self::DuplicateVip { .. }
            | Self::DuplicateBackend { .. }
            | Self::BackendIsVip { .. }
            | Self::BackendIsSource { .. }
            | Self::VipIsSource { .. } => return None,
        };
        Some(fix)
    }
}

/// The parser's message without the place, which we show ourselves.
fn said(cause: &serde_saphyr::Error) -> String {
    shown(&DefaultMessageFormatter.format_message(cause))
}

fn no_or(kinds: &[&'static str]) -> String {
    if kinds.is_empty() {
        "no check".to_owned()
    } else {
        kinds.join(" and ")
    }
}

fn no_port(pool: &str, vips: &[String]) -> String {
    if vips.is_empty() {
        format!("no VIP uses pool `{}`", shown(pool))
    } else {
        format!(
            "the VIPs of pool `{}` have several: {}",
            shown(pool),
            shown(&vips.join(", "))
        )
    }
}

/// What stands for a number: as it is, or the words "empty".
fn quoted(written: &str) -> String {
    if written.is_empty() {
        "empty".to_owned()
    } else {
        format!("`{}`", shown(written))
    }
}

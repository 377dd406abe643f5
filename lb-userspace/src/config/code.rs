//! Codes of configuration errors.

use std::fmt;

/// Declares `Code` and its list from one place, so that neither misses one.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What is wrong, as a number that scripts and documents can rely on:
        /// shown as `HF1001`. A code is never given another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Code {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

codes! {
    /// The file cannot be opened or read.
    FileUnreadable = 1001,
    /// The path names a directory, a pipe, a socket or a device.
    FileNotRegular = 1002,
    /// The file is larger than one may be.
    FileTooLarge = 1003,
    /// The file is not UTF-8, or holds a NUL.
    FileNotText = 1004,
    /// There is nothing in the file but white space, comments or `{}`.
    DocumentEmpty = 1005,
    /// The text is not YAML, or more than one document.
    YamlSyntax = 1006,
    /// The YAML is nested too deeply, or expands too far.
    YamlTooComplex = 1007,
    /// A key that means nothing here.
    UnknownKey = 1008,
    /// A key is written twice in one mapping.
    DuplicateKey = 1009,
    /// A key that must be there is not.
    MissingKey = 1010,
    /// A list, a mapping or nothing stands where something else belongs.
    WrongType = 1011,
    /// The file is of another format or version.
    ApiVersion = 1020,
    /// An environment, or the name of a pool, backend or VIP, is not well-formed.
    NameInvalid = 1021,
    /// Not a whole number.
    NotANumber = 1022,
    /// A number is too small or too large.
    NumberOutOfRange = 1023,
    /// Not one of the words a key takes.
    UnknownWord = 1024,
    /// Not an IP address.
    AddressInvalid = 1025,
    /// An address that no single host can have.
    AddressNotUnicast = 1026,
    /// Not a prefix, or not one that packets may come from.
    PrefixInvalid = 1027,
    /// Not an Ethernet address of one host.
    MacInvalid = 1028,
    /// Not an absolute path.
    PathInvalid = 1029,
    /// Not a name an interface can have.
    InterfaceInvalid = 1030,
    /// An entry of `removed` names no kind of object there is.
    ObjectInvalid = 1031,
    /// Not a time, such as `30s`.
    TimeInvalid = 1032,
    /// More of something than there may be.
    TooMany = 1040,
    /// None of something there must be.
    NoneGiven = 1041,
    /// Two objects of a kind, or two interfaces, have one name.
    DuplicateName = 1042,
    /// Two VIPs have the same address, port and protocol.
    DuplicateVip = 1043,
    /// Two backends of a pool have one address.
    DuplicateBackend = 1044,
    /// A VIP leads to a pool that is not in the file.
    UnknownPool = 1045,
    /// A next hop is behind an interface that is not ours.
    UnknownInterface = 1046,
    /// No backend of a pool can take a flow.
    NoWeight = 1047,
    /// A backend has the address of a VIP: packets would go in circles.
    BackendIsVip = 1048,
    /// A backend has an address that encapsulated packets come from.
    BackendIsSource = 1049,
    /// An object is in the file and in `removed`.
    PresentAndRemoved = 1050,
    /// Packets must be encapsulated to a family that has no `encapSource`.
    NoSource = 1051,
    /// A VIP has an address that encapsulated packets come from.
    VipIsSource = 1052,
    /// `drain.idle` is longer than `drain.deadline`.
    DrainOrder = 1053,
    /// Not a share, such as `25%`.
    PercentInvalid = 1060,
    /// `health` names no check, or more than one.
    CheckKinds = 1061,
    /// A text that a check is made of is not well-formed, or too long.
    CheckText = 1062,
    /// A check has no port, and the VIPs that use the pool have not one and
    /// the same.
    CheckPort = 1063,
    /// `health.timeout` is longer than `health.interval`.
    TimeoutOrder = 1064,
    /// `damping.reuse` is not less than `damping.suppress`.
    DampingOrder = 1065,
    /// `panicThreshold` or `fallbackPool` in a pool without `health`.
    NeedsHealth = 1066,
    /// A pool falls back on itself, or on one that falls back on another.
    FallbackLoop = 1067,
    /// An entry of `access` names nobody.
    SubjectInvalid = 1070,
    /// `approvals.drain` is more than `approvals.remove`.
    ApprovalsOrder = 1071,
    /// Approvals are asked for, and nobody can give them.
    NoApprovers = 1072,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HF{}", *self as u16)
    }
}

//! The codes of findings: what scripts, dashboards and runbooks match on.
//! `docs/refusals.md` says for each one what to do.

use std::fmt;

/// A code of the policy. A code keeps its meaning forever; a code that is no
/// longer used is not given to anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Nothing would be served, or nothing for some VIP.
    Empty,
    /// An object is missing from the file and not named as removed.
    Omitted,
    /// Another generation runs than the one the plan was made from.
    Stale,
    /// The plan or file is for another environment.
    OtherEnvironment,
    /// No interface would be left attached.
    NothingAttached,
    /// The program is taken off an interface, or put on it anew.
    Interface,
    /// Another hash key: every flow would move.
    HashKey,
    /// Outer source addresses change.
    EncapSource,
    /// A backend's name stands for another host.
    BackendAddress,
    /// A pool's packets travel to its backends in another way.
    Encap,
    /// A VIP's packets go to another pool.
    Repointed,
    /// A lookup table is built in another way.
    TableKind,
    /// A VIP's flows are hashed in another way.
    FlowHash,
    /// An address, port and protocol is no longer served.
    Endpoint,
    /// An object named as removed goes.
    Removed,
    /// Something is named as removed that does not run.
    RemovesNothing,
    /// A backend owns no slot any more: weight 0, `drain` or `maint`.
    OutOfService,
    /// The plan says something else than its target means.
    Altered,
    /// A backend has an address of this host.
    LocalBackend,
    /// A VIP has an address of this host.
    LocalVip,
    /// There is no such interface now.
    NoInterface,
    /// A backend has no next hop now.
    NoNextHop,
    /// The daemon is read-only.
    ReadOnly,
    /// What was set by command holds instead of what the file says, or goes.
    Overridden,
    /// Something that cannot be is set by command.
    BadOverride,
    /// A generation is on trial: no other plan is taken.
    OnTrial,
    /// No generation is on trial.
    NoTrial,
    /// A trial is over.
    TrialOver,
    /// A pool is checked in another way, or no more.
    Check,
    /// A VIP that goes carried packets lately.
    LiveVip,
    /// A backend that goes has connections.
    NotDrained,
    /// A protected VIP goes.
    Protected,
    /// Too many packets end.
    TrafficBudget,
    /// Too many backends are taken out.
    RemovalBudget,
    /// Too little of a pool is left.
    CapacityFloor,
    /// A VIP goes, or goes elsewhere.
    VipGoes,
    /// Connections end.
    Breaks,
    /// The rules are weakened.
    Weakened,
    /// A pool is checked in another way: for a while nobody knows who is healthy.
    CheckPath,
    /// Capacity, or what nobody uses, is taken away.
    TakenAway,
    /// The plan's time is over.
    Expired,
    /// The plan is for other hosts.
    OtherHost,
    /// More than the plan says would end.
    BeyondBounds,
    /// Approvals are missing.
    Unapproved,
    /// The plan is not one that this daemon made and kept.
    NotKept,
    /// Somebody rejected the plan.
    Rejected,
    /// Changes are on hold.
    OnHold,
    /// The approvals asked for cannot be given.
    TooFewSigners,
    /// The glass was broken: the lock is open.
    GlassBroken,
}

impl Code {
    /// Every one of them, in the order of the document.
    pub const ALL: [Self; 49] = [
        Self::Empty,
        Self::Omitted,
        Self::Stale,
        Self::OtherEnvironment,
        Self::NothingAttached,
        Self::Interface,
        Self::HashKey,
        Self::EncapSource,
        Self::BackendAddress,
        Self::Encap,
        Self::Repointed,
        Self::TableKind,
        Self::FlowHash,
        Self::Endpoint,
        Self::Removed,
        Self::RemovesNothing,
        Self::OutOfService,
        Self::Altered,
        Self::LocalBackend,
        Self::LocalVip,
        Self::NoInterface,
        Self::NoNextHop,
        Self::ReadOnly,
        Self::Overridden,
        Self::BadOverride,
        Self::OnTrial,
        Self::NoTrial,
        Self::TrialOver,
        Self::Check,
        Self::LiveVip,
        Self::NotDrained,
        Self::Protected,
        Self::TrafficBudget,
        Self::RemovalBudget,
        Self::CapacityFloor,
        Self::VipGoes,
        Self::Breaks,
        Self::Weakened,
        Self::CheckPath,
        Self::TakenAway,
        Self::Expired,
        Self::OtherHost,
        Self::BeyondBounds,
        Self::Unapproved,
        Self::NotKept,
        Self::Rejected,
        Self::OnHold,
        Self::TooFewSigners,
        Self::GlassBroken,
    ];

    /// The refusals that a broken glass is for: what somebody may have to do at
    /// night, alone. An empty result is none of them.
    const YIELDING: [Self; 5] = [
        Self::LiveVip,
        Self::NotDrained,
        Self::TrafficBudget,
        Self::RemovalBudget,
        Self::CapacityFloor,
    ];

    /// What `lock` finds: measured anew at every look.
    const MEASURED: [Self; 11] = [
        Self::LiveVip,
        Self::NotDrained,
        Self::Protected,
        Self::TrafficBudget,
        Self::RemovalBudget,
        Self::CapacityFloor,
        Self::VipGoes,
        Self::Breaks,
        Self::Weakened,
        Self::CheckPath,
        Self::TakenAway,
    ];

    #[must_use]
    pub fn yields_to_glass(code: &str) -> bool {
        Self::YIELDING.iter().any(|yielding| yielding.as_str() == code)
    }

    #[must_use]
    pub fn is_measured(code: &str) -> bool {
        Self::MEASURED.iter().any(|measured| measured.as_str() == code)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "HF2000",
            Self::Omitted => "HF2002",
            Self::Stale => "HF2003",
            Self::OtherEnvironment => "HF2005",
            Self::NothingAttached => "HF2006",
            Self::Interface => "HF2007",
            Self::HashKey => "HF2008",
            Self::EncapSource => "HF2009",
            Self::BackendAddress => "HF2010",
            Self::Repointed => "HF2011",
            Self::TableKind => "HF2012",
            Self::Endpoint => "HF2013",
            Self::Removed => "HF2014",
            Self::RemovesNothing => "HF2015",
            Self::OutOfService => "HF2016",
            Self::Altered => "HF2017",
            Self::LocalBackend => "HF2018",
            Self::ReadOnly => "HF2019",
            Self::Encap => "HF2020",
            Self::FlowHash => "HF2021",
            Self::LocalVip => "HF2022",
            Self::NoInterface => "HF2023",
            Self::NoNextHop => "HF2024",
            Self::Overridden => "HF2030",
            Self::BadOverride => "HF2031",
            Self::OnTrial => "HF2040",
            Self::NoTrial => "HF2041",
            Self::TrialOver => "HF2042",
            Self::Check => "HF2050",
            Self::LiveVip => "HF2001",
            Self::NotDrained => "HF2004",
            Self::Protected => "HF2060",
            Self::TrafficBudget => "HF2061",
            Self::RemovalBudget => "HF2062",
            Self::CapacityFloor => "HF2063",
            Self::VipGoes => "HF2064",
            Self::Breaks => "HF2065",
            Self::Weakened => "HF2066",
            Self::CheckPath => "HF2067",
            Self::TakenAway => "HF2068",
            Self::Expired => "HF2070",
            Self::OtherHost => "HF2071",
            Self::BeyondBounds => "HF2072",
            Self::Unapproved => "HF2073",
            Self::NotKept => "HF2074",
            Self::Rejected => "HF2075",
            Self::OnHold => "HF2076",
            Self::TooFewSigners => "HF2077",
            Self::GlassBroken => "HF2078",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;

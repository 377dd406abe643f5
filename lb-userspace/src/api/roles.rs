//! Which roles somebody has. Pure: the running generation's `access`, the
//! host's accounts and the peer are arguments.

use std::{collections::BTreeSet, fmt, fs};

use super::{auth::Peer, model::Failure};
use crate::config::{Access, Subject};

#[cfg(test)]
mod tests;

/// What a route asks of whoever comes: at least this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks, and plans, which changes nothing.
    Viewer,
    /// Views, and approves what others planned.
    Approver,
    /// Views, and changes what is served.
    Operator,
    /// Operates, and says who may do what.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Approver, Self::Operator, Self::Admin];

    /// The roles that come with it.
    const fn includes(self) -> &'static [Self] {
        match self {
            Self::Viewer => &[Self::Viewer],
            Self::Approver => &[Self::Viewer, Self::Approver],
            Self::Operator => &[Self::Viewer, Self::Operator],
            // Who approves is said one by one: an admin alone is not two persons.
            Self::Admin => &[Self::Viewer, Self::Operator, Self::Admin],
        }
    }

    const fn of(self, access: &Access) -> &Vec<Subject> {
        match self {
            Self::Viewer => &access.viewer,
            Self::Approver => &access.approver,
            Self::Operator => &access.operator,
            Self::Admin => &access.admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// The host's users and groups, as /etc/passwd and /etc/group list them.
/// Users of a directory are known by their numbers alone.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub passwd: String,
    pub group: String,
}

impl Accounts {
    /// No database, no names: `uid:` and `gid:` hold all the same.
    #[must_use]
    pub fn read() -> Self {
        Self {
            passwd: fs::read_to_string("/etc/passwd").unwrap_or_default(),
            group: fs::read_to_string("/etc/group").unwrap_or_default(),
        }
    }

    fn uid(&self, user: &str) -> Option<u32> {
        id_of(&self.passwd, user)
    }

    fn gid(&self, group: &str) -> Option<u32> {
        id_of(&self.group, group)
    }

    /// Groups that list the user as a member (group(5)).
    pub fn groups_of(&self, user: &str) -> Vec<u32> {
        let lines = self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let gid = fields.nth(2)?.parse().ok()?;
            fields.next()?.split(',').any(|member| member == user).then_some(gid)
        });
        lines.collect()
    }
}

/// The number of an account: the third field, in both files.
fn id_of(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The roles somebody has; with one come those it includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing(BTreeSet<Role>);

impl Standing {
    /// Root and the daemon's own user are admins. Without `access` everybody
    /// else who could open the socket is a viewer.
    #[must_use]
    pub fn of(peer: &Peer, access: Option<&Access>, daemon_uid: u32, accounts: &Accounts) -> Self {
        let mut roles = BTreeSet::new();
        if peer.is_privileged(daemon_uid) {
            roles.extend(Role::Admin.includes());
        }
        match access {
            None => roles.extend(Role::Viewer.includes()),
            Some(access) => {
                for role in Role::ALL {
                    if role.of(access).iter().any(|subject| is(peer, subject, accounts)) {
                        roles.extend(role.includes());
                    }
                }
            }
        }
        Self(roles)
    }

    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// # Errors
    /// HF5003, which says what was missing and who can.
    pub fn needs(&self, role: Role, peer: &Peer, access: Option<&Access>) -> Result<(), Failure> {
        if self.has(role) {
            return Ok(());
        }
        let mut who: Vec<String> = Role::ALL
            .into_iter()
            .filter(|of| of.includes().contains(&role))
            .flat_map(|of| access.into_iter().flat_map(move |access| of.of(access)))
            .map(ToString::to_string)
            .collect();
        who.push("root".to_owned());
        who.sort();
        who.dedup();
        Err(Failure {
            code: "HF5003".to_owned(),
            message: format!("{peer} is {self}; this needs the role {role}. Nothing was changed."),
            fix: Some(format!(
                "ask one of: {} (`access:` of the running generation)",
                who.join(", ")
            )),
            exit: 7,
        })
    }
}

/// `operator and approver`, without those that come with another.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let included = |role: &Role| {
            let others = self.0.iter().filter(|other| *other != role);
            others.into_iter().any(|other| other.includes().contains(role))
        };
        let own: Vec<String> = self
            .0
            .iter()
            .filter(|role| !included(role))
            .map(ToString::to_string)
            .collect();
        match own.as_slice() {
            [] => f.write_str("without a role"),
            own => f.write_str(&own.join(" and ")),
        }
    }
}

fn is(peer: &Peer, subject: &Subject, accounts: &Accounts) -> bool {
    match subject {
        Subject::Root => peer.uid == 0,
        Subject::Uid(uid) => peer.uid == *uid,
        Subject::User(name) => accounts.uid(name) == Some(peer.uid),
        Subject::Gid(gid) => peer.is_in(*gid),
        Subject::Group(name) => accounts.gid(name).is_some_and(|gid| peer.is_in(gid)),
    }
}

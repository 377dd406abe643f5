//! Who is at the other end: the kernel says who opened the socket
//! (`SO_PEERCRED`, `SO_PEERGROUPS`), at the time of the connect, and no client
//! can say otherwise. What they may, `roles` says.

use std::{fmt, io, os::fd::AsFd as _};

use tokio::net::UnixStream;

use super::roles::Accounts;
use crate::kernel::sys;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The process that connected; absent where the kernel does not say.
    pub pid: Option<i32>,
    /// Its name in `/etc/passwd`, or `uid N`.
    pub name: String,
    /// Of root: who logged in before becoming root, as the kernel's audit says
    /// (`/proc/PID/loginuid`); absent: nobody did, or nobody can tell.
    pub login: Option<String>,
}

impl Peer {
    /// Who connected.
    pub fn of(stream: &UnixStream, accounts: &Accounts) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let uid = credentials.uid();
        let listed = name_in(&accounts.passwd, uid);
        // A kernel that does not say it is asked no more than the database.
        let groups = sys::peer_groups(stream.as_fd())
            .unwrap_or_else(|_| listed.map_or_else(Vec::new, |name| accounts.groups_of(name)));
        Ok(Self {
            uid,
            gid: credentials.gid(),
            groups,
            pid: credentials.pid(),
            name: listed.map_or_else(|| format!("uid {uid}"), str::to_owned),
            login: credentials
                .pid()
                .filter(|_| uid == ROOT)
                .and_then(|pid| login(pid, accounts)),
        })
    }

    /// Who wants what it asks for: the person behind root, if there is one.
    #[must_use]
    pub fn author(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.name)
    }

    /// Root or the daemon's own user.
    #[must_use]
    pub const fn is_privileged(&self, daemon_uid: u32) -> bool {
        self.uid == ROOT || self.uid == daemon_uid
    }

    #[must_use]
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const ROOT: u32 = 0;

/// The login name behind a process. The kernel keeps it over su and sudo, and
/// no program without CAP_AUDIT_CONTROL can change it.
fn login(pid: i32, accounts: &Accounts) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    let uid: u32 = text.trim().parse().ok()?;
    // -1: nobody logged in; 0: root itself did, who is nobody in particular.
    if uid == u32::MAX || uid == ROOT {
        return None;
    }
    Some(name_in(&accounts.passwd, uid).map_or_else(|| format!("uid {uid}"), str::to_owned))
}

/// The name of a user in a text like that of `/etc/passwd` (passwd(5)).
fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let listed: u32 = fields.nth(1)?.parse().ok()?;
        (listed == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::name_in;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7:7::/:\nann:x:1000:1000::/srv/ann:/bin/sh\n";

    #[test]
    fn name_is_that_of_the_first_whole_line_with_the_uid() {
        assert_eq!(name_in(PASSWD, 0), Some("root"));
        assert_eq!(name_in(PASSWD, 1000), Some("ann"));
        assert_eq!(name_in(PASSWD, 7), None);
        assert_eq!(name_in(PASSWD, 1), None);
    }
}

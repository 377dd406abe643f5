//! Who may: the kernel says who opened the socket (`SO_PEERCRED`), at the time
//! of the connect, and no client can say otherwise.
//!
//! Whoever can open the socket may read (its mode says who that is); only root
//! and the daemon's own user may write.

use std::{fmt, fs, io};

use tokio::net::UnixStream;

use super::model::Failure;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    /// The process that connected; absent where the kernel does not say.
    pub pid: Option<i32>,
    /// Its name in `/etc/passwd`, or `uid N`.
    pub name: String,
}

impl Peer {
    /// Who connected.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let uid = credentials.uid();
        // No user database, no names: the uid says it all the same.
        let passwd = fs::read_to_string(USERS).unwrap_or_default();
        Ok(Self {
            uid,
            gid: credentials.gid(),
            pid: credentials.pid(),
            name: name_in(&passwd, uid).map_or_else(|| format!("uid {uid}"), str::to_owned),
        })
    }

    /// Root and the daemon's own user may change what is served.
    pub fn may_write(&self, daemon_uid: u32) -> Result<(), Failure> {
        if self.uid == ROOT || self.uid == daemon_uid {
            return Ok(());
        }
        Err(Failure {
            code: "HF5003".to_owned(),
            message: format!("{self} may look but not change anything"),
            fix: Some("run the command as root".to_owned()),
            exit: 7,
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const ROOT: u32 = 0;
const USERS: &str = "/etc/passwd";

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
    use super::{Peer, name_in};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7:7::/:\nann:x:1000:1000::/srv/ann:/bin/sh\n";

    fn peer(uid: u32) -> Peer {
        Peer {
            uid,
            gid: uid,
            pid: None,
            name: format!("uid {uid}"),
        }
    }

    #[test]
    fn name_is_that_of_the_first_whole_line_with_the_uid() {
        assert_eq!(name_in(PASSWD, 0), Some("root"));
        assert_eq!(name_in(PASSWD, 1000), Some("ann"));
        assert_eq!(name_in(PASSWD, 7), None);
        assert_eq!(name_in(PASSWD, 1), None);
    }

    #[test]
    fn only_root_and_the_daemons_user_may_write() {
        assert_eq!(peer(0).may_write(990), Ok(()));
        assert_eq!(peer(990).may_write(990), Ok(()));
        let refused = peer(1000).may_write(990).expect_err("a stranger");
        assert_eq!((refused.code.as_str(), refused.exit), ("HF5003", 7));
    }
}

//! Who is at the terminals: accounts and keys that exist on the stage alone.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

use super::{
    error::{DrillError, Result},
    stage::{Stage, cover},
};

/// What approvals are signed for.
const NAMESPACE: &str = "holdfast-plan-v1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    Root,
    /// Operate.
    Ann,
    Dan,
    /// Approve.
    Ben,
    Cy,
    /// May hand approvals in, and has a key that nobody trusts.
    Eve,
}

impl Person {
    pub const ALL: [Self; 6] = [Self::Root, Self::Ann, Self::Dan, Self::Ben, Self::Cy, Self::Eve];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ann => "ann",
            Self::Dan => "dan",
            Self::Ben => "ben",
            Self::Cy => "cy",
            Self::Eve => "eve",
        }
    }

    #[must_use]
    pub const fn uid(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Ann => 70_011,
            Self::Dan => 70_012,
            Self::Ben => 70_013,
            Self::Cy => 70_014,
            Self::Eve => 70_015,
        }
    }
}

/// Makes accounts and keys.
///
/// # Errors
/// When a file cannot be written.
pub fn make(stage: &Stage) -> Result<()> {
    let mut passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    for person in Person::ALL {
        let (name, uid) = (person.name(), person.uid());
        if uid != 0 {
            writeln!(passwd, "{name}:x:{uid}:{uid}::/:/bin/sh").unwrap_or_default();
        }
        let private = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(DrillError::Key)?;
        let path = key(stage, person);
        let text = private.to_openssh(LineEnding::LF).map_err(DrillError::Key)?;
        let public = private.public_key().to_openssh().map_err(DrillError::Key)?;
        let written = fs::write(&path, text.as_bytes())
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .and_then(|()| chown(&path, Some(uid), Some(uid)))
            .and_then(|()| fs::write(path.with_extension("pub"), public));
        written.map_err(DrillError::io(format!("writing {}", path.display())))?;
    }
    let own = stage.path("passwd");
    fs::write(&own, passwd).map_err(DrillError::io("writing accounts"))?;
    cover(Path::new("/etc/passwd"), &own)
}

/// Somebody's private key.
#[must_use]
pub fn key(stage: &Stage, person: Person) -> PathBuf {
    stage.path("desk").join(format!("key-{}", person.name()))
}

/// Writes the file of approvers with these.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_approvers(stage: &Stage, people: &[Person]) -> Result<()> {
    let mut text = String::new();
    for person in people {
        let public = fs::read_to_string(key(stage, *person).with_extension("pub"))
            .map_err(DrillError::io(format!("reading the key of {}", person.name())))?;
        writeln!(text, "{} namespaces=\"{NAMESPACE}\" {}", person.name(), public.trim()).unwrap_or_default();
    }
    fs::write(stage.path("approvers"), text).map_err(DrillError::io("writing approvers"))
}

/// Signs a text, for this purpose: `holdfast-plan-v1` is that of approvals.
///
/// # Errors
/// When the key cannot be read.
pub fn sign(stage: &Stage, person: Person, purpose: &str, text: &[u8]) -> Result<String> {
    let private = fs::read(key(stage, person)).map_err(DrillError::io("reading a key"))?;
    let private = PrivateKey::from_openssh(private).map_err(DrillError::Key)?;
    let signature = private.sign(purpose, HashAlg::Sha512, text).map_err(DrillError::Key)?;
    signature.to_pem(LineEnding::LF).map_err(DrillError::Key)
}

/// The same for approvals.
///
/// # Errors
/// When the key cannot be read.
pub fn approve(stage: &Stage, person: Person, plan: &[u8]) -> Result<String> {
    sign(stage, person, NAMESPACE, plan)
}

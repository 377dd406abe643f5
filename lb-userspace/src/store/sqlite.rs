//! Opens the store's file, or says why it must not be used.
//!
//! Rollback journal and `synchronous = EXTRA`, not a write-ahead log: at rest the
//! store is one file that can be copied, and a commit is on the disk, the
//! directory entry included, before it returns. A write-ahead log ends silently
//! at the first frame whose checksum is wrong: a flipped bit there would take
//! committed entries away without an error.
//!
//! The order of `open` matters: everything that can say "this is not ours" comes
//! before SQLite may write a byte. A store is made under another name and
//! renamed when it is whole, so an empty file is never a new store.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::{
    Store, StoreError,
    chain::{GENESIS, Head},
    header::{APPLICATION_ID, SCHEMA, check_header, check_length},
    journal::each_record,
    migration,
    place::Inode,
    signing::Signing,
};
use crate::{digest::Digest, lock::Lock};

/// The store, in the state directory.
pub const STORE_FILE: &str = "holdfast.db";

/// Locked while a daemon runs.
pub const LOCK_FILE: &str = "holdfast.lock";

/// A store that is being made.
const NEW_FILE: &str = "holdfast.db.new";

/// The host a store belongs to, if it says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(Option<Digest>);

impl Host {
    /// This host, by `/etc/machine-id`.
    #[must_use]
    pub fn this() -> Self {
        fs::read_to_string("/etc/machine-id").map_or(Self(None), |id| Self::named(&id))
    }

    /// A host with that machine id. machine-id(5): "It should be considered
    /// 'confidential', and must not be exposed in untrusted environments", so
    /// it is kept as a salted hash.
    #[must_use]
    pub fn named(machine_id: &str) -> Self {
        let id = machine_id.trim();
        Self((!id.is_empty()).then(|| Digest::of(format!("holdfast store {id}").as_bytes())))
    }

    /// A host that does not say who it is.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(None)
    }

    fn text(self) -> String {
        self.0.map_or_else(String::new, |digest| digest.to_string())
    }
}

/// While a daemon serves, somebody else who has the file locked is waited for so long, and what was
/// to be written is refused then: meanwhile nobody heals anything, or follows a next hop.
pub const OTHERS: Duration = Duration::from_millis(250);

impl Store {
    /// The store of this host in `dir`; a new one if there is none.
    ///
    /// # Errors
    /// If it is not sound, not this host's, or used by another process. The file
    /// is then as it was.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(dir, Host::this())
    }

    /// The same for a given host.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(dir: &Path, host: Host) -> Result<Self, StoreError> {
        let dir = directory(dir)?;
        let lock = lock(&dir)?;
        let path = dir.join(STORE_FILE);
        if !is_there(&path)? {
            create(&dir, &path, host)?;
        }
        if fs::symlink_metadata(&path).map_err(file_error(&path))?.is_symlink() {
            return Err(StoreError::Link { path });
        }
        let schema = check_header(&path)?;
        let connection = connect(&path).map_err(|source| unsound(&path, source.into()))?;
        let mut store = Self {
            connection,
            path,
            rebuilt: false,
            lock: Lock::default(),
            end: Head::START,
            foreign: None,
            signing: Signing::default(),
            inode: None,
            lock_inode: Inode::of(&dir.join(LOCK_FILE)),
            lock_file: lock,
        };
        store.check(host, schema).map_err(|error| unsound(&store.path, error))?;
        store.inode = Inode::of(&store.path);
        migration::migrate(&mut store.connection, schema)?;
        if !store.projections_agree()? {
            store.rebuild()?;
            store.rebuilt = true;
        }
        let mut lock = Lock::default();
        each_record(&store.connection, |record| {
            lock.follow(record);
            Ok(())
        })?;
        store.lock = lock;
        // What a start needs has to be there; what it is, the daemon asks.
        let pending = store.pending_intent()?.map(|pending| pending.served);
        for known in store.last_switched()?.iter().chain(&pending) {
            store.check_state(known)?;
        }
        store.connection.busy_timeout(OTHERS)?;
        Ok(store)
    }

    /// Whether the file is sound, this host's, and says what was written.
    fn check(&mut self, host: Host, schema: u32) -> Result<(), StoreError> {
        let text = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, String>(0));
        let finding = text("PRAGMA quick_check(1)")?;
        if finding != "ok" {
            let path = self.path.clone();
            return Err(StoreError::FailedCheck { path, finding });
        }
        // After the first read: it rolls back what a crash left half written.
        check_length(&self.path)?;
        check_schema(&self.connection, &self.path, schema)?;
        // A host that does not say who it is cannot be told from another.
        let (made_on, here) = (text("SELECT host FROM identity")?, host.text());
        if !made_on.is_empty() && !here.is_empty() && made_on != here {
            let path = self.path.clone();
            return Err(StoreError::OtherHost { path });
        }
        self.end = self.verify()?;
        if schema >= migration::HEADS {
            self.check_heads()?;
        }
        Ok(())
    }
}

/// Tables, indices and triggers are those of a schema.
pub fn check_schema(connection: &Connection, path: &Path, schema: u32) -> Result<(), StoreError> {
    let expected = Connection::open_in_memory()?;
    expected.execute_batch(&migration::definition(schema))?;
    if schema_of(connection)? == schema_of(&expected)? {
        return Ok(());
    }
    let path = path.to_owned();
    Err(StoreError::AlteredSchema { path })
}

/// A store without entries, in memory: what tables look like before anybody
/// touched them.
pub fn empty() -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&migration::definition(SCHEMA))?;
    Ok(connection)
}

/// Kind, name and definition of everything in the file.
fn schema_of(connection: &Connection) -> Result<Vec<[Option<String>; 3]>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    rows.collect()
}

/// What SQLite says while the file is looked at is about the file, unless it is
/// about the disk or another process.
pub fn unsound(path: &Path, error: StoreError) -> StoreError {
    let StoreError::Sqlite(source) = error else {
        return error;
    };
    if is_around(&source) {
        return StoreError::Sqlite(source);
    }
    let path = path.to_owned();
    StoreError::Damaged { path, source }
}

fn is_around(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_some_and(|code| {
        matches!(
            code,
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure
        )
    })
}

/// The directory, made if it is missing. One that is there keeps its mode.
pub fn directory(dir: &Path) -> Result<PathBuf, StoreError> {
    let error = |source| StoreError::Directory {
        path: dir.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(error)?;
    let mode = fs::metadata(dir).map_err(error)?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(StoreError::OpenToAll { path: dir.to_owned() });
    }
    // Symbolic links may lead here, but not from here on (`connect`).
    dir.canonicalize().map_err(error)
}

pub fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: dir.to_owned() }),
        Err(errno) => Err(file_error(&path)(errno.into())),
    }
}

pub fn file_error(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        path: path.clone(),
        source,
    }
}

/// Something has that name, be it a link to nowhere.
pub fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_error(path)(error)),
    }
}

/// An empty file under the name of a store that is being made. What is left of one that
/// was never finished goes; of a link, only the link.
pub fn begin(dir: &Path) -> Result<(PathBuf, File), StoreError> {
    let new = dir.join(NEW_FILE);
    for unfinished in [&new, &dir.join("holdfast.db.new-journal")] {
        if is_there(unfinished)? {
            fs::remove_file(unfinished).map_err(file_error(unfinished))?;
        }
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(file_error(&new))?;
    Ok((new, file))
}

/// Makes a whole store under another name, then gives it its own.
fn create(dir: &Path, path: &Path, host: Host) -> Result<(), StoreError> {
    for left in ["holdfast.db-journal", "holdfast.db-wal"] {
        let left = dir.join(left);
        if is_there(&left)? {
            return Err(StoreError::LeftOver { path: left });
        }
    }
    let (new, _) = begin(dir)?;
    let mut connection = connect(&new)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(&migration::definition(SCHEMA))?;
    transaction.execute(
        "INSERT INTO identity VALUES (1, lower(hex(randomblob(16))), ?1, 0, ?2)",
        (host.text(), GENESIS.to_string()),
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    fs::rename(&new, path).map_err(file_error(path))?;
    let entries = File::open(dir).map_err(file_error(dir))?;
    entries.sync_all().map_err(file_error(dir))
}

pub fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    // What a damaged schema could hide in triggers and views is not run.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

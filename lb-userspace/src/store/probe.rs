//! Whether the disk takes what is written, and the key's file is there, when nobody
//! has anything to write.

use super::{
    Store, StoreError,
    header::SCHEMA,
    key::{KEY_FILE, OLD_KEY_FILE},
    sqlite::is_there,
};

impl Store {
    /// Writes to the file what it says already, durably.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn try_write(&self) -> Result<(), StoreError> {
        // SQLite writes the page out, whatever it said before.
        Ok(self.connection.pragma_update(None, "user_version", SCHEMA)?)
    }

    /// Writes the key's file again if somebody removed it, and says whether that was so. With
    /// the key before beside it, somebody is changing the key.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn keep_key(&self) -> Result<bool, StoreError> {
        let Some(key) = self.signing.key() else {
            return Ok(false);
        };
        let dir = self.path.with_file_name("");
        if is_there(&dir.join(KEY_FILE))? || is_there(&dir.join(OLD_KEY_FILE))? {
            return Ok(false);
        }
        key.keep(&dir)?;
        Ok(true)
    }
}

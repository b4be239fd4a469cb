//! What can go wrong with a database, and what its owner can do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why the store could not do what was asked. Nothing was changed in any case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The key does not open the file (or the file is no database at all: encrypted, both look alike).
    #[error(
        "{0} cannot be opened: its first page is damaged, or the key or passphrase is not the one it was \
        made with; give the right one, or restore the whole folder from a backup, and keep the damaged file"
    )]
    WrongKey(PathBuf),
    /// A newer version of the program wrote this database.
    #[error(
        "the database was written by a newer version (room '{room}' is at {found}, this program \
         knows {known}); update the program"
    )]
    NewerVersion {
        /// Whose tables.
        room: String,
        /// The version found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The file is damaged; the text says which, where that is known. It is never deleted or repaired by itself.
    #[error(
        "the database is damaged ({0}); restore the whole folder from a backup, and keep the damaged file"
    )]
    Damaged(String),
    /// No space is left.
    #[error("the disk is full; free some space and try again")]
    Full,
    /// The file may not be written or read.
    #[error("the database cannot be opened or written ({0}); check the folder's permissions")]
    Denied(String),
    /// Another program holds the database.
    #[error("another program holds the database; close it and try again")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A job panicked; its changes were rolled back.
    #[error("a database job failed inside the program: {0}")]
    Panicked(String),
    /// Random bytes, key derivation or reading its parameters failed.
    #[error("no key could be made: {0}")]
    Key(String),
    /// Anything else SQLite says.
    #[error("database error: {0}")]
    Sqlite(String),
}

impl StoreError {
    /// Says which file it is about, where the text is SQLite's.
    pub(crate) fn about(self, path: &Path) -> Self {
        let named = |text| format!("{}: {text}", path.display());
        match self {
            Self::Damaged(text) => Self::Damaged(named(text)),
            Self::Denied(text) => Self::Denied(named(text)),
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        // Making the index of the log, a file of fixed size, fails for want of room.
        if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(text),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Denied(text)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(text),
        }
    }
}

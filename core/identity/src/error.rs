//! What can go wrong with an identity.

use threephone_store::{StoreError, rusqlite};

/// Why an identity could not be made or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// The database holds one already; it is never replaced.
    #[error("this profile has an identity already")]
    Exists,
    /// The name is empty, too long, or holds control characters.
    #[error("a profile name has 1 to 200 bytes and no control characters")]
    BadName,
    /// The operating system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// What is stored is no key.
    #[error("the stored device key is damaged; restore a copy of the database")]
    Damaged,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for IdentityError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

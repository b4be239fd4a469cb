//! What can go wrong in a chat, and what its user can do.

use threephone_delivery::DeliveryError;
use threephone_store::{StoreError, rusqlite};

use crate::WireError;

/// Why messaging could not do what was asked. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MessagingError {
    /// The text cannot be a line.
    #[error(transparent)]
    Text(#[from] WireError),
    /// Delivery does not take it.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// Delivery was not attached yet: a bug of whoever opens the phone.
    #[error("the phone is not open yet")]
    NotAttached,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for MessagingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

//! What can go wrong, and what delivery tells about strangers' envelopes.

use std::net::Ipv6Addr;

use threephone_identity::DevicePublicKey;
use threephone_store::{StoreError, rusqlite};

/// Why delivery could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// The target is this device.
    #[error("that address is this device's own")]
    ToSelf,
    /// No envelope can hold the body.
    #[error("the body has {bytes} bytes; at most {limit} can be sent")]
    TooLarge {
        /// The body's size.
        bytes: usize,
        /// The largest body.
        limit: usize,
    },
    /// No handler takes this noun.
    #[error("nothing here handles '{0}'")]
    UnknownNoun(String),
    /// The operating system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for DeliveryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Something the user or the log should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// An address that we know speaks with another device key. Nothing of it was taken.
    PeerKeyChanged {
        /// Whose.
        address: Ipv6Addr,
        /// The key pinned here.
        pinned: DevicePublicKey,
        /// The key that signed now.
        found: DevicePublicKey,
    },
    /// An envelope was refused. The state is untouched.
    Refused {
        /// The address it came from.
        address: Ipv6Addr,
        /// Why.
        kind: RefusalKind,
    },
}

/// Why an envelope was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// No envelope at all.
    Malformed,
    /// Longer or deeper than allowed.
    TooLarge,
    /// Of a newer version than this program knows.
    FutureVersion,
    /// The signature does not fit: tampered with, or made for another sender or receiver.
    BadSignature,
    /// The node key does not hash to the source address.
    AddressMismatch,
    /// Another device key is pinned for the address.
    KeyChanged,
    /// Its sequence lies beyond what a sender may have in the air.
    OutOfWindow,
    /// Strangers fill their quota.
    StrangerQuota,
    /// No service takes its noun.
    UnknownNoun,
    /// A service would not have the content.
    Content,
}

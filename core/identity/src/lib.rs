#![doc = include_str!("../README.md")]

mod db;
mod error;
mod key;

use std::sync::Arc;

use threephone_address::PublicKey;
use threephone_store::Room;

pub use db::{MAX_NAME_BYTES, create, load};
pub use error::IdentityError;
pub use key::{BadSignature, DeviceKey, DevicePublicKey};

/// The tables of this crate.
pub const ROOM: Room =
    Room { name: "identity", migrations: &[include_str!("migrations/0001_init.sql")] };

/// A profile as its owner named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name shown to others, as typed.
    pub name: String,
    /// When it was made, in unix milliseconds.
    pub created_at: i64,
}

/// What services are opened with: the profile, its device key and its place in the network.
#[derive(Debug, Clone)]
pub struct Me {
    /// The profile.
    pub profile: Profile,
    /// The key that signs.
    pub device: Arc<DeviceKey>,
    /// The node key, which gives the address.
    pub node_key: PublicKey,
}

impl Me {
    /// Puts together what was loaded.
    pub fn new(profile: &Profile, device: DeviceKey, node_key: PublicKey) -> Self {
        Self { profile: profile.clone(), device: Arc::new(device), node_key }
    }
}

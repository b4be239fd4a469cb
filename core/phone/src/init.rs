//! Making a profile. Interrupted at any point it can be run again: what is there already is kept,
//! and the profile counts as made only when its row in the database is.

use std::net::Ipv6Addr;

use threephone_address::PublicKey;
use threephone_identity as identity;
use threephone_node::SecretKey;
use threephone_store::{Store, WriteTx};

use crate::key::create_store_key;
use crate::lock::{HomeLock, Purpose};
use crate::{Home, KeySource, PhoneError, open, time};

/// A profile that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// The overlay address.
    pub address: Ipv6Addr,
    /// The node key that it is derived from.
    pub public_key: PublicKey,
}

/// Characters of a name; it becomes part of mail headers.
const NAME_LIMIT: usize = 64;

pub(crate) async fn init(
    home: Home,
    name: String,
    source: KeySource,
) -> Result<InitReport, PhoneError> {
    let name = name.trim().to_owned();
    let fits = (1..=NAME_LIMIT).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        return Err(PhoneError::BadName(name));
    }
    home.create()?;
    let _lock = HomeLock::take(&home, Purpose::Command)?;
    let public_key = node_key(&home)?.public_key();
    let key_home = home.clone();
    let key = open::blocking(move || create_store_key(&key_home, &source)).await?;
    let store = open::store(&home, key).await?;
    let made = create_profile(&store, &home, name).await;
    store.close().await?;
    made?;
    Ok(InitReport { address: public_key.address(), public_key })
}

/// The node key; one that lies there is taken over, and out of other people's reach.
fn node_key(home: &Home) -> Result<SecretKey, PhoneError> {
    let path = home.node_key();
    let key = SecretKey::read_or_create(&path)
        .map_err(|source| PhoneError::NodeKey { path: path.clone(), source })?;
    home.keep_private(&path)?;
    Ok(key)
}

async fn create_profile(store: &Store, home: &Home, name: String) -> Result<(), PhoneError> {
    let home = home.path().to_owned();
    store
        .write(move |tx: &mut WriteTx<'_>| {
            if let Some((profile, _)) = identity::load(tx)? {
                return Err(PhoneError::AlreadyInitialised { home, name: profile.name });
            }
            identity::create(tx, &name, time::now_ms())?;
            Ok(())
        })
        .await
}

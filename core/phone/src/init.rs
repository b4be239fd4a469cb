//! Making a profile. Interrupted at any point it can be run again: what is there already is kept,
//! and the profile counts as made only when its row in the database is. Refused it makes nothing:
//! a folder that holds a profile, or what is left of one, stays as it is.
//!
//! The key of the database is on the disk before the database is begun. So a database without its
//! key was never left by an interrupted run: its key is lost, and is to be restored.

use std::net::Ipv6Addr;

use threephone_address::PublicKey;
use threephone_identity as identity;
use threephone_store::{Store, WriteTx};

use crate::key::{check_new, create_store_key};
use crate::lock::{HomeLock, Purpose};
use crate::{Home, KeySource, PhoneError, node_key, open, time};

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
    check(&home, &source)?;
    home.create()?;
    let _lock = HomeLock::take(&home, Purpose::Command)?;
    // Again, for another process may have been at it until now.
    check(&home, &source)?;
    let key_home = home.clone();
    let key = open::blocking(move || create_store_key(&key_home, &source)).await?;
    let store = open::store(&home, key).await?;
    let made = create_profile(&store, &home, name).await;
    match (&made, store.close().await) {
        // The log beside the database holds it; the next opening writes it back.
        (Ok(_), Err(error)) => {
            tracing::warn!(%error, "the profile is made, but its database was not closed cleanly");
        }
        (Err(_), _) | (_, Ok(())) => {}
    }
    let public_key = made?;
    Ok(InitReport { address: public_key.address(), public_key })
}

/// Refuses what reading alone can tell to be impossible.
fn check(home: &Home, source: &KeySource) -> Result<(), PhoneError> {
    if !home.path().is_dir() {
        return Ok(());
    }
    check_new(home, source)?;
    node_key::find(home).map(|_| ())
}

/// Makes the profile in an open database, and the node key if there is none.
async fn create_profile(store: &Store, home: &Home, name: String) -> Result<PublicKey, PhoneError> {
    let taken = store.read(|conn| identity::load(conn).map_err(PhoneError::from)).await?;
    if let Some((profile, _)) = taken {
        let home = home.path().to_owned();
        return Err(PhoneError::AlreadyInitialised { home, name: profile.name });
    }
    let key_home = home.clone();
    let key = open::blocking(move || node_key::find_or_create(&key_home)).await?.public_key();
    store
        .write(move |tx: &mut WriteTx<'_>| {
            identity::create(tx, &name, time::now_ms())?;
            node_key::remember(tx, &key)
        })
        .await?;
    Ok(key)
}

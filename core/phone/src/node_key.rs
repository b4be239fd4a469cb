//! The node key: the file, and what the profile remembers of it.
//!
//! The profile remembers which key it was made with. A key file that was lost and made anew, or
//! came with another profile, would have it speak from an address that nobody knows it by.

use threephone_address::PublicKey;
use threephone_node::SecretKey;
use threephone_store::rusqlite::{Connection, OptionalExtension};
use threephone_store::{Store, WriteTx};

use crate::{Home, PhoneError};

/// The key in the home, if there is one.
pub(crate) fn find(home: &Home) -> Result<Option<SecretKey>, PhoneError> {
    let path = home.node_key();
    SecretKey::read(&path).map_err(|source| PhoneError::NodeKey { path, source })
}

/// The key for a profile that is being made; one that lies there is taken over, and out of other
/// people's reach.
pub(crate) fn find_or_create(home: &Home) -> Result<SecretKey, PhoneError> {
    let path = home.node_key();
    let key = SecretKey::read_or_create(&path)
        .map_err(|source| PhoneError::NodeKey { path: path.clone(), source })?;
    home.keep_private(&path)?;
    Ok(key)
}

/// The key that the profile in `store` was made with.
pub(crate) async fn open(home: &Home, store: &Store) -> Result<SecretKey, PhoneError> {
    let path = home.node_key();
    let Some(key) = find(home)? else { return Err(PhoneError::NodeKeyMissing { path }) };
    let (found, known) = (key.public_key(), store.read(load).await?);
    match known {
        Some(known) if known == found => Ok(key),
        Some(known) => Err(PhoneError::NodeKeyOfAnother {
            path,
            expected: known.address(),
            found: found.address(),
        }),
        // Made before keys were remembered.
        None => {
            store.write(move |tx: &mut WriteTx<'_>| remember(tx, &found)).await?;
            Ok(key)
        }
    }
}

/// Writes down which key the profile is made with.
pub(crate) fn remember(tx: &WriteTx<'_>, key: &PublicKey) -> Result<(), PhoneError> {
    tx.execute(
        "INSERT INTO phone_node_key (id, public_key) VALUES (1, ?1)",
        [key.as_bytes().as_slice()],
    )?;
    Ok(())
}

fn load(conn: &Connection) -> Result<Option<PublicKey>, PhoneError> {
    let row = conn
        .query_row("SELECT public_key FROM phone_node_key", [], |row| row.get::<_, [u8; 32]>(0))
        .optional()?;
    Ok(row.map(PublicKey::from_bytes))
}

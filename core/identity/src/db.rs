//! The two one-row tables.

use threephone_store::WriteTx;
use threephone_store::rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::{DeviceKey, IdentityError, Profile};

/// The longest profile name, in bytes: it travels in every mail's `From`.
pub const MAX_NAME_BYTES: usize = 200;

/// Makes the profile and its device key, once per database.
///
/// # Errors
/// [`IdentityError::Exists`] where there is one, [`IdentityError::BadName`], or the store's.
pub fn create(
    tx: &WriteTx<'_>,
    name: &str,
    now_ms: i64,
) -> Result<(Profile, DeviceKey), IdentityError> {
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(IdentityError::BadName);
    }
    if load(tx)?.is_some() {
        return Err(IdentityError::Exists);
    }
    let device = DeviceKey::generate()?;
    tx.execute(
        "INSERT INTO identity_profile (id, name, created_at) VALUES (1, ?1, ?2)",
        params![name, now_ms],
    )?;
    tx.execute(
        "INSERT INTO identity_device (id, seed) VALUES (1, ?1)",
        [device.seed().as_slice()],
    )?;
    Ok((Profile { name: name.to_owned(), created_at: now_ms }, device))
}

/// The profile and its key, or `None` before [`create`].
///
/// # Errors
/// The store's, or [`IdentityError::Damaged`].
pub fn load(conn: &Connection) -> Result<Option<(Profile, DeviceKey)>, IdentityError> {
    let row = conn
        .query_row(
            "SELECT name, created_at, seed FROM identity_profile JOIN identity_device USING (id)",
            [],
            |row| {
                let profile = Profile { name: row.get(0)?, created_at: row.get(1)? };
                Ok((profile, Zeroizing::new(row.get::<_, Vec<u8>>(2)?)))
            },
        )
        .optional()?;
    let Some((profile, seed)) = row else { return Ok(None) };
    let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| IdentityError::Damaged)?;
    Ok(Some((profile, DeviceKey::from_seed(seed))))
}

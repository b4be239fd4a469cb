//! The key a database is encrypted with: 32 bytes from the platform, a file, or a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
#[cfg(feature = "sqlcipher")]
use zeroize::Zeroizing;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::StoreError;

/// 32 bytes, wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// Takes 32 random bytes as they are, from a key store or a file.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new random key.
    ///
    /// # Errors
    /// [`StoreError::Key`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, StoreError> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(|error| StoreError::Key(error.to_string()))?;
        Ok(key)
    }

    /// Derives the key with Argon2id. Takes a good part of a second and the memory `params` names.
    ///
    /// # Errors
    /// [`StoreError::Key`] when the parameters are out of bounds.
    pub fn from_passphrase(passphrase: &[u8], params: &KdfParams) -> Result<Self, StoreError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.checked()?);
        let mut key = Self([0; 32]);
        argon2
            .hash_password_into(passphrase, &params.salt, &mut key.0)
            .map_err(|error| StoreError::Key(error.to_string()))?;
        Ok(key)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SQLCipher's notation for a raw key, which skips its own derivation.
    #[cfg(feature = "sqlcipher")]
    pub(crate) fn to_literal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("x'{}'", data_encoding::HEXLOWER.encode(&self.0)))
    }
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// Salt and costs of a passphrase, kept in clear beside the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfParams {
    /// Always `argon2id`.
    pub algorithm: String,
    /// 16 random bytes.
    pub salt: Vec<u8>,
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// More would let a tampered file stop a phone; 1 GiB is past what any phone derives with.
const MEMORY_LIMIT_KIB: u32 = 1 << 20;
const PASSES_LIMIT: u32 = 64;
const LANES_LIMIT: u32 = 16;

impl KdfParams {
    /// A new salt and today's costs: 64 MiB, three passes, one lane (RFC 9106's second choice, with
    /// one lane since the derivation runs on one core).
    ///
    /// # Errors
    /// [`StoreError::Key`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, StoreError> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(|error| StoreError::Key(error.to_string()))?;
        Ok(Self { algorithm: "argon2id".into(), salt, memory_kib: 64 << 10, passes: 3, lanes: 1 })
    }

    fn checked(&self) -> Result<Params, StoreError> {
        let within = self.memory_kib <= MEMORY_LIMIT_KIB
            && self.passes <= PASSES_LIMIT
            && self.lanes <= LANES_LIMIT
            && self.algorithm == "argon2id";
        if !within {
            return Err(StoreError::Key("the passphrase parameters are out of bounds".into()));
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|error| StoreError::Key(error.to_string()))
    }
}

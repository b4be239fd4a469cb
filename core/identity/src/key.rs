//! The device key: signing with a context, and verifying strictly.
//!
//! What is signed is `context ‖ 0x00 ‖ bytes`. Contexts are constants without a zero byte, so a
//! signature made for one kind of statement is never valid for another. Verification is strict
//! (RFC 8032 with small-order and non-canonical points refused), so that everyone who checks a
//! signature comes to the same verdict.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::IdentityError;

/// An Ed25519 signing key. Its bytes are wiped when it is dropped.
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| IdentityError::Random(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed: the 32 secret bytes of RFC 8032.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, to be stored encrypted.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> DevicePublicKey {
        DevicePublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `bytes` as a statement of the kind that `context` names.
    pub fn sign(&self, context: &'static str, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(&statement(context, bytes)).to_bytes()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.public())
    }
}

/// The public half of a device key, as received: checked only when a signature is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePublicKey([u8; 32]);

impl DevicePublicKey {
    /// Takes the 32 bytes of RFC 8032 as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 8032.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that this key signed `bytes` in `context`.
    ///
    /// # Errors
    /// [`BadSignature`], also where the key is no valid point.
    pub fn verify(
        &self,
        context: &'static str,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        key.verify_strict(&statement(context, bytes), &Signature::from_bytes(signature))
            .map_err(|_| BadSignature)
    }
}

impl fmt::Display for DevicePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DevicePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePublicKey({self})")
    }
}

/// The signature is not one of this key, context and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit")]
pub struct BadSignature;

fn statement(context: &'static str, bytes: &[u8]) -> Vec<u8> {
    debug_assert!(!context.bytes().any(|byte| byte == 0), "a context holds no zero byte");
    let mut statement = Vec::with_capacity(context.len().saturating_add(bytes.len()) + 1);
    statement.extend_from_slice(context.as_bytes());
    statement.push(0);
    statement.extend_from_slice(bytes);
    statement
}

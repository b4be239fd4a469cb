//! The cipher behind sealing: one small trait, so that another implementation can take the place of
//! ring where one is faster. Why ring: docs/decisions/0006-data-plane.md.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{NONCE_LENGTH, TAG_LENGTH};

/// AES-256-GCM without associated data, under one key.
pub(super) trait Aead: Send + Sync {
    /// Encrypts in place; gives the tag. None for a text too long for the cipher.
    fn seal(&self, nonce: [u8; NONCE_LENGTH], text: &mut [u8]) -> Option<[u8; TAG_LENGTH]>;
    /// Decrypts in place what ends with a tag; gives the length of the text. None when the tag is
    /// not right, and then the bytes are worth nothing.
    fn open(&self, nonce: [u8; NONCE_LENGTH], text_and_tag: &mut [u8]) -> Option<usize>;
}

#[derive(Debug)]
pub(super) struct RingAes256Gcm(LessSafeKey);

impl RingAes256Gcm {
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?)))
    }
}

impl Aead for RingAes256Gcm {
    fn seal(&self, nonce: [u8; NONCE_LENGTH], text: &mut [u8]) -> Option<[u8; TAG_LENGTH]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::empty(), text).ok()?;
        tag.as_ref().try_into().ok()
    }

    fn open(&self, nonce: [u8; NONCE_LENGTH], text_and_tag: &mut [u8]) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let text = self.0.open_in_place(nonce, Aad::empty(), text_and_tag).ok()?;
        Some(text.len())
    }
}

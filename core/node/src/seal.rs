//! Sealing of packets between two nodes (spec 7.4): AES-256-GCM under the key both nodes share.
//!
//! The idea to know: both directions use one key, and a receiver takes any nonce. So a nonce here is
//! a counter of 95 bits from a random start, new at every process start and for every key, and one
//! bit that tells the two directions apart; two of our own nonces never meet, and ours never meet
//! those of a node that does the same. The counter also answers which nonces were ours: a packet
//! that comes back with one of them was reflected by somebody on the path and is refused.

use bytes::{BufMut, Bytes, BytesMut};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use threephone_address::PublicKey;

use crate::identity::SharedSecret;

/// Bytes of a tag, which follows the ciphertext.
pub const TAG_LENGTH: usize = 16;
/// Bytes of a nonce, which ends a sealed payload.
pub const NONCE_LENGTH: usize = 12;
/// What sealing adds to a plaintext.
pub const OVERHEAD: usize = TAG_LENGTH + NONCE_LENGTH;

const DIRECTION: u128 = 1 << 95;
const COUNTER: u128 = DIRECTION - 1;

/// The bytes are not something the peer sealed for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than tag and nonce and the user header.
    #[error("the sealed payload is too short")]
    Short,
    /// One of our own packets came back.
    #[error("the sealed payload is one of our own")]
    Reflected,
    /// Wrong key, or changed on the way.
    #[error("the sealed payload does not open")]
    Forged,
}

/// Seals and opens everything between this node and one other.
pub struct Sealer {
    key: LessSafeKey,
    direction: u128,
    start: u128,
    sent: u128,
}

impl Sealer {
    /// `start` must be fresh random bits at every call.
    pub fn new(
        secret: &SharedSecret,
        own: &PublicKey,
        peer: &PublicKey,
        start: [u8; 12],
    ) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret.as_bytes()).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
            direction: if own > peer { DIRECTION } else { 0 },
            start: nonce_value(&start) & COUNTER,
            sent: 0,
        })
    }

    /// Seals all of `buffer` from `from` on and appends tag and nonce.
    pub fn seal(&mut self, buffer: &mut BytesMut, from: usize) -> bool {
        let value = (self.start.wrapping_add(self.sent) & COUNTER) | self.direction;
        self.sent = self.sent.wrapping_add(1);
        let nonce = nonce_bytes(value);
        let Some(plain) = buffer.get_mut(from..) else { return false };
        let sealed = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            plain,
        );
        let Ok(tag) = sealed else { return false };
        buffer.put_slice(tag.as_ref());
        buffer.put_slice(&nonce);
        true
    }

    /// The plaintext of a sealed payload, user header first.
    pub fn open(&self, sealed: &Bytes) -> Result<Bytes, OpenError> {
        let (rest, nonce) = sealed.split_last_chunk::<NONCE_LENGTH>().ok_or(OpenError::Short)?;
        if rest.len() < TAG_LENGTH {
            return Err(OpenError::Short);
        }
        if self.is_own(nonce_value(nonce)) {
            return Err(OpenError::Reflected);
        }
        let mut buffer = rest.to_vec();
        let length = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut buffer)
            .map_err(|_| OpenError::Forged)?
            .len();
        buffer.truncate(length);
        Ok(Bytes::from(buffer))
    }

    /// Whether this sealer made that nonce since it exists. A peer with random nonces hits the range
    /// with a chance of one in 2^96 for every packet we sent.
    fn is_own(&self, nonce: u128) -> bool {
        nonce & DIRECTION == self.direction
            && ((nonce & COUNTER).wrapping_sub(self.start) & COUNTER) < self.sent
    }
}

fn nonce_value(bytes: &[u8; NONCE_LENGTH]) -> u128 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u128::from(*byte))
}

fn nonce_bytes(value: u128) -> [u8; NONCE_LENGTH] {
    let mut bytes = [0; NONCE_LENGTH];
    for (byte, full) in bytes.iter_mut().zip(value.to_be_bytes().into_iter().skip(4)) {
        *byte = full;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn pair() -> (Sealer, Sealer) {
        let (ann, ben) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        let secret = ann.shared_secret(&ben.public_key()).unwrap();
        let sealer = |own: &SecretKey, peer: &SecretKey| {
            Sealer::new(&secret, &own.public_key(), &peer.public_key(), [255; 12]).unwrap()
        };
        (sealer(&ann, &ben), sealer(&ben, &ann))
    }

    fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Bytes {
        let mut buffer = BytesMut::from(plain);
        assert!(sealer.seal(&mut buffer, 0));
        buffer.freeze()
    }

    #[test]
    fn what_one_node_seals_the_other_opens() {
        let (mut ann, mut ben) = pair();
        for plain in [&b""[..], b"hello", &[7; 1400]] {
            assert_eq!(ben.open(&sealed(&mut ann, plain)).unwrap(), plain);
            assert_eq!(ann.open(&sealed(&mut ben, plain)).unwrap(), plain);
        }
    }

    #[test]
    fn a_reflected_packet_is_refused() {
        let (mut ann, _) = pair();
        let packet = sealed(&mut ann, b"hello");
        assert_eq!(ann.open(&packet), Err(OpenError::Reflected));
    }

    #[test]
    fn a_changed_or_short_packet_is_refused() {
        let (mut ann, ben) = pair();
        let packet = sealed(&mut ann, b"hello");
        let mut changed = packet.to_vec();
        changed[2] ^= 1;
        assert_eq!(ben.open(&Bytes::from(changed)), Err(OpenError::Forged));
        for length in 0..OVERHEAD {
            assert_eq!(ben.open(&packet.slice(..length)), Err(OpenError::Short));
        }
    }

    #[test]
    fn nonces_count_up_and_the_directions_never_meet() {
        let (mut ann, mut ben) = pair();
        let mut nonces = std::collections::HashSet::new();
        for _ in 0..100 {
            for sealer in [&mut ann, &mut ben] {
                let packet = sealed(sealer, b"");
                assert!(nonces.insert(packet.slice(TAG_LENGTH..)));
            }
        }
    }

    #[test]
    fn the_published_vector_opens() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        let sealer = Sealer {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap()),
            direction: 0,
            start: 0,
            sent: 0,
        };
        let packet = hex("3fdeb4605e773b2d05d50297420ea49e7a1c9218000102030405060708090a0b");
        assert_eq!(sealer.open(&Bytes::from(packet)).unwrap(), hex("01000000"));
    }
}

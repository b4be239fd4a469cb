//! Sealing of packets between two nodes (spec 7.4): AES-256-GCM under the key both nodes share.
//!
//! The idea to know: both directions use one key, and a receiver takes any nonce. So a nonce here is
//! a counter of 95 bits from a random start, new at every process start and for every key, and one
//! bit that tells the two directions apart; two of our own nonces never meet, and ours never meet
//! those of a node that does the same. The counter also answers which nonces were ours: a packet
//! that comes back with one of them was reflected by somebody on the path and is refused.

mod aead;
mod replay;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use threephone_address::PublicKey;

use self::aead::{Aead, RingAes256Gcm};
use self::replay::Replay;
pub use self::replay::ReplayBudget;
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
    /// It was opened before, or is so old that it may have been.
    #[error("the sealed payload was opened before")]
    Replayed,
    /// Wrong key, or changed on the way.
    #[error("the sealed payload does not open")]
    Forged,
}

/// Seals and opens everything between this node and one other; any number of tasks at once.
#[derive(Debug)]
pub struct Sealer {
    cipher: RingAes256Gcm,
    direction: u128,
    start: u128,
    sent: AtomicU64,
    replay: Mutex<Replay>,
}

impl Sealer {
    /// `start` must be fresh random bits at every call. What `budget` still has, the memory of
    /// packets seen may take.
    pub fn new(
        secret: &SharedSecret,
        own: &PublicKey,
        peer: &PublicKey,
        start: [u8; 12],
        budget: Arc<ReplayBudget>,
    ) -> Option<Self> {
        Some(Self {
            cipher: RingAes256Gcm::new(secret.as_bytes())?,
            direction: if own > peer { DIRECTION } else { 0 },
            start: nonce_value(&start) & COUNTER,
            sent: AtomicU64::new(0),
            replay: Mutex::new(Replay::new(budget)),
        })
    }

    /// Seals all of `buffer` from `from` on and appends tag and nonce.
    pub fn seal(&self, buffer: &mut BytesMut, from: usize) -> bool {
        let Some(plain) = buffer.get_mut(from..) else { return false };
        let Some((tag, nonce)) = self.seal_in_place(plain) else { return false };
        buffer.put_slice(&tag);
        buffer.put_slice(&nonce);
        true
    }

    /// Seals a plaintext where it lies; gives the tag and the nonce that have to follow it.
    pub fn seal_in_place(
        &self,
        plain: &mut [u8],
    ) -> Option<([u8; TAG_LENGTH], [u8; NONCE_LENGTH])> {
        // Whoever counts first has the number; nobody else gets it.
        let number = u128::from(self.sent.fetch_add(1, Ordering::Relaxed));
        let nonce = nonce_bytes((self.start.wrapping_add(number) & COUNTER) | self.direction);
        Some((self.cipher.seal(nonce, plain)?, nonce))
    }

    /// The plaintext of a sealed payload, user header first.
    pub fn open(&self, sealed: &Bytes) -> Result<Bytes, OpenError> {
        let mut buffer = sealed.to_vec();
        let length = self.open_in_place(&mut buffer)?;
        buffer.truncate(length);
        Ok(Bytes::from(buffer))
    }

    /// Opens a sealed payload where it lies; gives the length of the plaintext at its front.
    pub fn open_in_place(&self, sealed: &mut [u8]) -> Result<usize, OpenError> {
        let (rest, nonce) =
            sealed.split_last_chunk_mut::<NONCE_LENGTH>().ok_or(OpenError::Short)?;
        if rest.len() < TAG_LENGTH {
            return Err(OpenError::Short);
        }
        let value = nonce_value(nonce);
        if self.is_own(value) {
            return Err(OpenError::Reflected);
        }
        let length = self.cipher.open(*nonce, rest).ok_or(OpenError::Forged)?;
        // Only now: what does not open must not be able to fill the memory of what was seen.
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        if replay.accept(value) { Ok(length) } else { Err(OpenError::Replayed) }
    }

    /// Opens a payload that this node sealed, as an error report quotes it.
    pub(crate) fn open_own(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (rest, nonce) = sealed.split_last_chunk::<NONCE_LENGTH>()?;
        if !self.is_own(nonce_value(nonce)) {
            return None;
        }
        let mut buffer = rest.to_vec();
        let length = self.cipher.open(*nonce, &mut buffer)?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// Whether this sealer made that nonce since it exists. A peer with random nonces hits the range
    /// with a chance of one in 2^96 for every packet we sent.
    fn is_own(&self, nonce: u128) -> bool {
        let number = (nonce & COUNTER).wrapping_sub(self.start) & COUNTER;
        nonce & DIRECTION == self.direction
            && number < u128::from(self.sent.load(Ordering::Relaxed))
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
            let budget = ReplayBudget::new(0);
            Sealer::new(&secret, &own.public_key(), &peer.public_key(), [255; 12], budget).unwrap()
        };
        (sealer(&ann, &ben), sealer(&ben, &ann))
    }

    fn sealed(sealer: &Sealer, plain: &[u8]) -> Bytes {
        let mut buffer = BytesMut::from(plain);
        assert!(sealer.seal(&mut buffer, 0));
        buffer.freeze()
    }

    #[test]
    fn what_one_node_seals_the_other_opens() {
        let (ann, ben) = pair();
        for plain in [&b""[..], b"hello", &[7; 1400]] {
            assert_eq!(ben.open(&sealed(&ann, plain)).unwrap(), plain);
            assert_eq!(ann.open(&sealed(&ben, plain)).unwrap(), plain);
        }
    }

    #[test]
    fn a_reflected_packet_is_refused() {
        let (ann, _) = pair();
        let packet = sealed(&ann, b"hello");
        assert_eq!(ann.open(&packet), Err(OpenError::Reflected));
    }

    #[test]
    fn a_replayed_packet_is_refused() {
        let (ann, ben) = pair();
        let packets: Vec<Bytes> = (0..100).map(|_| sealed(&ann, b"hello")).collect();
        assert!(packets.iter().all(|packet| ben.open(packet).is_ok()));
        assert!(packets.iter().all(|packet| ben.open(packet) == Err(OpenError::Replayed)));
    }

    #[test]
    fn only_what_was_sealed_here_opens_as_our_own() {
        let (ann, ben) = pair();
        let packet = sealed(&ann, b"hello");
        assert_eq!(ann.open_own(&packet).unwrap(), b"hello");
        assert_eq!(ben.open_own(&packet), None);
        assert_eq!(ann.open_own(&sealed(&ben, b"hello")), None);
    }

    #[test]
    fn tasks_that_seal_at_once_never_use_a_nonce_twice() {
        let (ann, _) = pair();
        let seal =
            || -> Vec<_> { (0..5000).map(|_| ann.seal_in_place(&mut []).unwrap().1).collect() };
        let mut nonces: Vec<_> = std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..4).map(|_| scope.spawn(seal)).collect();
            tasks.into_iter().flat_map(|task| task.join().unwrap()).collect()
        });
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 20_000);
    }

    #[test]
    fn a_changed_or_short_packet_is_refused() {
        let (ann, ben) = pair();
        let packet = sealed(&ann, b"hello");
        let mut changed = packet.to_vec();
        changed[2] ^= 1;
        assert_eq!(ben.open(&Bytes::from(changed)), Err(OpenError::Forged));
        for length in 0..OVERHEAD {
            assert_eq!(ben.open(&packet.slice(..length)), Err(OpenError::Short));
        }
    }

    #[test]
    fn nonces_count_up_and_the_directions_never_meet() {
        let (ann, ben) = pair();
        let mut nonces = std::collections::HashSet::new();
        for _ in 0..100 {
            for sealer in [&ann, &ben] {
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
            cipher: RingAes256Gcm::new(&key.try_into().unwrap()).unwrap(),
            direction: 0,
            start: 0,
            sent: AtomicU64::new(0),
            replay: Mutex::new(Replay::new(ReplayBudget::new(0))),
        };
        let packet = hex("3fdeb4605e773b2d05d50297420ea49e7a1c9218000102030405060708090a0b");
        assert_eq!(sealer.open(&Bytes::from(packet)).unwrap(), hex("01000000"));
    }
}

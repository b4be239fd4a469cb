//! The envelope: what travels, and how it is checked before anything in it is believed.
//!
//! Outer CBOR map `{"v": 1, "b": bytes, "k": device key, "s": signature}`. The signature stands over
//! *from node key ‖ to node key ‖ b*, the exact bytes sent, so an envelope cannot be carried to
//! another receiver or passed off as another node's. `b` is the inner map:
//!
//! | key | meaning |
//! | --- | --- |
//! | `i` | 16 random bytes: the id, the same in every repeat |
//! | `n` | the noun, such as `chat/1` |
//! | `q` | sequence: counts the sender's envelopes to this receiver; 0 for acknowledgements |
//! | `l` | lowest sequence that the sender still has open: all below are settled |
//! | `t` | when it was queued, in unix milliseconds; informational |
//! | `d` | the body |
//!
//! Unknown fields are ignored. The version is read by itself first, since a later one may change
//! the shape of everything else.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use threephone_address::PublicKey;
use threephone_identity::{DeviceKey, DevicePublicKey};

use crate::DeliveryError;
use crate::limits::{ENVELOPE_OVERHEAD, MAX_DEPTH, MAX_ENVELOPE_BYTES, MAX_NOUN_BYTES};

/// The version written and the newest one read.
const VERSION: u64 = 1;
const CONTEXT: &str = "threephone envelope 1";

/// Names an envelope, in every repeat of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId([u8; 16]);

impl EnvelopeId {
    /// The id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn generate() -> Result<Self, DeliveryError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| DeliveryError::Random(error.to_string()))?;
        Ok(Self(bytes))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvelopeId({self})")
    }
}

/// Why bytes are no acceptable envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not the CBOR that it should be.
    #[error("the envelope cannot be read")]
    Malformed,
    /// Too long.
    #[error("the envelope is too long")]
    TooLarge,
    /// Of a newer version.
    #[error("the envelope has version {0}; this program knows up to 1: update it")]
    FutureVersion(u64),
    /// The signature does not fit the sender, the receiver and the bytes.
    #[error("the envelope's signature does not fit")]
    BadSignature,
}

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) id: EnvelopeId,
    pub(crate) noun: String,
    pub(crate) seq: u64,
    pub(crate) low: u64,
    pub(crate) queued_at: i64,
    pub(crate) body: Vec<u8>,
}

impl Inner {
    /// What an acknowledgement names: the same in every repeat, whatever `low` has become.
    pub(crate) fn digest(&self) -> [u8; 32] {
        digest(self.id, &self.noun, &self.body)
    }
}

/// BLAKE3 over id, noun with its length, and body.
pub(crate) fn digest(id: EnvelopeId, noun: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0);
    hasher.update(&u64::try_from(noun.len()).unwrap_or(u64::MAX).to_be_bytes());
    hasher.update(noun.as_bytes());
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

/// Signs and encodes. Takes the body over: it may be long, and every copy counts.
pub(crate) fn seal(inner: Inner, device: &DeviceKey, from: &PublicKey, to: &PublicKey) -> Vec<u8> {
    let length = inner.body.len().saturating_add(ENVELOPE_OVERHEAD);
    let (i, d) = (Blob(inner.id.0.to_vec()), Blob(inner.body));
    let wire = WireInner { i, n: inner.noun, q: inner.seq, l: inner.low, t: inner.queued_at, d };
    let body = encode(&wire, length);
    drop(wire);
    let signature = device.sign(CONTEXT, &statement(from, to, &body));
    let (k, s) = (Blob(device.public().as_bytes().to_vec()), Blob(signature.to_vec()));
    encode(&WireOuter { v: VERSION, b: Blob(body), k, s }, length)
}

/// Checks and decodes what came from the node `from` to us, the node `to`.
pub(crate) fn open(
    bytes: &[u8],
    from: &PublicKey,
    to: &PublicKey,
) -> Result<(DevicePublicKey, Inner), WireError> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(WireError::TooLarge);
    }
    match decode::<WireVersion>(bytes)?.v {
        VERSION => {}
        0 => return Err(WireError::Malformed),
        newer => return Err(WireError::FutureVersion(newer)),
    }
    let outer: WireOuter = decode(bytes)?;
    let key = DevicePublicKey::from_bytes(array(&outer.k.0)?);
    let signature: [u8; 64] = array(&outer.s.0)?;
    key.verify(CONTEXT, &statement(from, to, &outer.b.0), &signature)
        .map_err(|_| WireError::BadSignature)?;
    let inner: WireInner = decode(&outer.b.0)?;
    drop(outer);
    if inner.n.len() > MAX_NOUN_BYTES || inner.q > i64::MAX as u64 || inner.l > i64::MAX as u64 {
        return Err(WireError::Malformed);
    }
    let id = EnvelopeId(array(&inner.i.0)?);
    let (noun, seq, low) = (inner.n, inner.q, inner.l);
    Ok((key, Inner { id, noun, seq, low, queued_at: inner.t, body: inner.d.0 }))
}

fn statement(from: &PublicKey, to: &PublicKey, body: &[u8]) -> Vec<u8> {
    [from.as_bytes().as_slice(), to.as_bytes().as_slice(), body].concat()
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Malformed)
}

/// `length` is about how long it will be.
pub(crate) fn encode(value: &impl Serialize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    // Writing plain maps into memory does not fail; were it to, the empty bytes are no envelope.
    if ciborium::into_writer(value, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|_| WireError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(WireError::Malformed) }
}

#[derive(Deserialize)]
struct WireVersion {
    v: u64,
}

#[derive(Serialize, Deserialize)]
struct WireOuter {
    v: u64,
    b: Blob,
    k: Blob,
    s: Blob,
}

#[derive(Serialize, Deserialize)]
struct WireInner {
    i: Blob,
    n: String,
    q: u64,
    l: u64,
    t: i64,
    d: Blob,
}

/// A CBOR byte string; serde's own `Vec<u8>` would be an array of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(E::custom("too long"));
        }
        Ok(Blob(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/wire/envelope-v1.json");

    fn sample() -> (DeviceKey, PublicKey, PublicKey, Inner) {
        let inner = Inner {
            id: EnvelopeId::from_bytes([3; 16]),
            noun: "chat/1".to_owned(),
            seq: 5,
            low: 2,
            queued_at: 1_700_000_000_000,
            body: b"hello".to_vec(),
        };
        let device = DeviceKey::from_seed(&[1; 32]);
        (device, PublicKey::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]), inner)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_golden_envelope_is_written_and_read() {
        let (device, from, to, inner) = sample();
        let bytes = seal(inner.clone(), &device, &from, &to);
        let golden = std::fs::read_to_string(GOLDEN).unwrap();
        for part in [hex(&bytes), hex(&inner.digest())] {
            assert!(golden.contains(&part), "not in the golden file: {part}");
        }
        assert_eq!(open(&bytes, &from, &to), Ok((device.public(), inner)));
    }

    #[test]
    fn an_envelope_holds_only_between_its_two_nodes_and_unchanged() {
        let (device, from, to, inner) = sample();
        let bytes = seal(inner, &device, &from, &to);
        assert_eq!(open(&bytes, &to, &from), Err(WireError::BadSignature));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(open(&changed, &from, &to).is_err(), "byte {at}");
            assert!(open(&bytes[..at], &from, &to).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn deep_nesting_and_huge_announced_lengths_are_errors() {
        let (_, from, to, _) = sample();
        let deep = [vec![0xa2, 0x61, b'x'], vec![0x81; 100_000]].concat();
        assert_eq!(open(&deep, &from, &to), Err(WireError::Malformed));
        let huge = [&[0xa2, 0x61, b'v', 1, 0x61, b'b', 0x5b][..], &[0xff; 8]].concat();
        assert_eq!(open(&huge, &from, &to), Err(WireError::Malformed));
        let long = vec![0; MAX_ENVELOPE_BYTES + 1];
        assert_eq!(open(&long, &from, &to), Err(WireError::TooLarge));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn random_bytes_are_an_error_and_no_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..300
        ) {
            let (device, from, to, inner) = sample();
            prop_assert!(open(&bytes, &from, &to).is_err());
            let mut mixed = seal(inner, &device, &from, &to);
            let at = at.min(mixed.len());
            mixed.splice(at..at, bytes.iter().copied().take(9));
            let _ = open(&mixed, &from, &to);
            let _ = crate::ack::decode_acks(&bytes);
        }
    }
}

//! Acknowledgements: an envelope of the noun `ack/1` whose body lists what was settled.
//!
//! Signed like any envelope, sent after the receiver's commit, never acknowledged itself: when one
//! is lost, the sender's repeat asks for it again.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use serde::{Deserialize, Serialize};

use crate::EnvelopeId;
use crate::envelope::{Blob, WireError, decode, encode};
use crate::limits::MAX_ACKS;

pub(crate) const NOUN: &str = "ack/1";

/// One settled envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) id: EnvelopeId,
    /// Of id, noun and body, see [`crate::envelope::digest`].
    pub(crate) digest: [u8; 32],
    /// 0: applied; else why it was refused.
    pub(crate) code: u16,
}

#[derive(Serialize, Deserialize)]
struct WireAcks {
    a: Vec<WireAck>,
}

#[derive(Serialize, Deserialize)]
struct WireAck(Blob, Blob, u16);

pub(crate) fn encode_acks(acks: &[Ack]) -> Vec<u8> {
    let a = acks
        .iter()
        .map(|ack| WireAck(Blob(ack.id.as_bytes().to_vec()), Blob(ack.digest.to_vec()), ack.code))
        .collect();
    encode(&WireAcks { a }, acks.len().saturating_mul(60))
}

pub(crate) fn decode_acks(bytes: &[u8]) -> Result<Vec<Ack>, WireError> {
    let WireAcks { a } = decode(bytes)?;
    if a.len() > MAX_ACKS {
        return Err(WireError::TooLarge);
    }
    a.into_iter()
        .map(|WireAck(id, digest, code)| {
            let id: [u8; 16] = id.0.try_into().map_err(|_| WireError::Malformed)?;
            let digest = digest.0.try_into().map_err(|_| WireError::Malformed)?;
            Ok(Ack { id: EnvelopeId::from_bytes(id), digest, code })
        })
        .collect()
}

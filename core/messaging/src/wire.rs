//! What travels between two phones: CBOR maps with short keys.
//!
//! Unknown fields are ignored, a later version is refused before its other fields are looked at.
//! The author of a line is not in it: it is the envelope's signer.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_STAMP, MAX_TEXT_BYTES};

/// The noun under which delivery carries lines and receipts.
pub(crate) const NOUN: &str = "chat/1";
const VERSION: u64 = 1;
const MAX_PAYLOAD_BYTES: usize = MAX_TEXT_BYTES + 1024;
// SQLite keeps signed integers.
const MAX_SEQ: u64 = i64::MAX as u64;

/// One payload of [`NOUN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A line of its author.
    Line {
        /// Position in the author's lines of this chat, from 1.
        seq: u64,
        /// Text as typed.
        text: String,
        /// Unix milliseconds by the author's clock.
        sent_at: i64,
        /// Where the author wants it shown: `sent_at`, or after the newest stamp seen.
        stamp: i64,
    },
    /// Every line of the receiver up to this sequence has been read.
    Read {
        /// The last sequence read.
        up_to: u64,
    },
}

/// Why a payload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not a CBOR map of the expected shape.
    #[error("the payload is malformed")]
    Malformed,
    /// Written by a later program.
    #[error("payload version {0} is not known; update this app")]
    Version(u64),
    /// Text is empty.
    #[error("a line needs some text")]
    Empty,
    /// Text or payload is too long.
    #[error("a line holds at most {MAX_TEXT_BYTES} bytes of text; send it in parts")]
    TooLong,
    /// Sequence is zero or beyond what can be stored.
    #[error("the sequence number is out of range")]
    Sequence,
}

#[derive(Deserialize)]
struct Head {
    v: u64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<u64>,
}

/// Encodes a payload after checking the same limits that [`decode`] holds strangers to.
pub(crate) fn encode(payload: &Payload) -> Result<Vec<u8>, WireError> {
    check(payload)?;
    let body = match payload.clone() {
        Payload::Line { seq, text, sent_at, stamp } => Body {
            v: VERSION,
            s: Some(seq),
            b: Some(text),
            t: Some(sent_at),
            o: (stamp != sent_at).then_some(stamp),
            r: None,
        },
        Payload::Read { up_to } => {
            Body { v: VERSION, s: None, b: None, t: None, o: None, r: Some(up_to) }
        }
    };
    let mut bytes = Vec::new();
    ciborium::into_writer(&body, &mut bytes).map_err(|_| WireError::Malformed)?;
    Ok(bytes)
}

/// Decodes a stranger's bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Payload, WireError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(WireError::TooLong);
    }
    let head: Head = ciborium::from_reader(bytes).map_err(|_| WireError::Malformed)?;
    if head.v != VERSION {
        return Err(WireError::Version(head.v));
    }
    let body: Body = ciborium::from_reader(bytes).map_err(|_| WireError::Malformed)?;
    let payload = match (body.s, body.b, body.t, body.r) {
        (Some(seq), Some(text), Some(sent_at), None) => {
            let stamp = body.o.unwrap_or(sent_at).clamp(0, MAX_STAMP);
            Payload::Line { seq, text, sent_at, stamp }
        }
        (None, None, None, Some(up_to)) => Payload::Read { up_to },
        _ => return Err(WireError::Malformed),
    };
    check(&payload)?;
    Ok(payload)
}

fn check(payload: &Payload) -> Result<(), WireError> {
    let seq = match payload {
        Payload::Line { text, .. } if text.is_empty() => return Err(WireError::Empty),
        Payload::Line { text, .. } if text.len() > MAX_TEXT_BYTES => {
            return Err(WireError::TooLong);
        }
        Payload::Line { seq, .. } => *seq,
        Payload::Read { up_to } => *up_to,
    };
    if seq == 0 || seq > MAX_SEQ {
        return Err(WireError::Sequence);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_a_receipt_come_back_as_they_went() {
        for payload in [line(1, "hi", 5, 5), line(2, "hi", 5, 9), Payload::Read { up_to: 7 }] {
            assert_eq!(encode(&payload).and_then(|b| decode(&b)), Ok(payload));
        }
    }

    fn line(seq: u64, text: &str, sent_at: i64, stamp: i64) -> Payload {
        Payload::Line { seq, text: text.into(), sent_at, stamp }
    }

    #[test]
    fn a_text_too_long_or_empty_is_refused_both_ways() {
        assert_eq!(encode(&line(1, "", 5, 5)), Err(WireError::Empty));
        let mut long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert_eq!(encode(&line(1, &long, 5, 5)), Err(WireError::TooLong));
        long.pop();
        let longest = line(1, &long, 5, 5);
        assert_eq!(decode(&encode(&longest).unwrap()), Ok(longest));
        // {"v":1,"s":1,"b":"","t":0}
        assert_eq!(decode(b"\xa4\x61v\x01\x61s\x01\x61b\x60\x61t\x00"), Err(WireError::Empty));
    }

    #[test]
    fn a_stamp_out_of_all_bounds_is_bounded() {
        let wild = encode(&line(1, "hi", i64::MIN, i64::MAX)).unwrap();
        assert_eq!(decode(&wild), Ok(line(1, "hi", i64::MIN, MAX_STAMP)));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_later_version_is_refused_and_an_unknown_field_ignored() {
        // {"v":2} and {"v":1,"r":3,"z":0}
        assert_eq!(decode(b"\xa1\x61v\x02"), Err(WireError::Version(2)));
        let known = decode(b"\xa3\x61v\x01\x61r\x03\x61z\x00");
        assert_eq!(known, Ok(Payload::Read { up_to: 3 }));
    }

    #[test]
    fn sequence_zero_is_refused() {
        assert_eq!(decode(b"\xa2\x61v\x01\x61r\x00"), Err(WireError::Sequence));
    }
}

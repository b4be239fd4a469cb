//! What a fuzzer drives: every decoder of foreign bytes, with the properties that must hold.
//!
//! Each function panics when a property is broken. They are driven by cargo-fuzz where a nightly
//! compiler is at hand, and replayed over `fixtures/fuzz` by a plain test everywhere.

mod bus;
mod router;

use bytes::{Bytes, BytesMut};

pub use self::bus::bus;
pub use self::router::router;

use crate::wire::control::Tlv;
use crate::wire::frame::{Decoder, FrameError, Packet};
use crate::wire::message::MessagePacket;

/// Any bytes as a stream of packets: however the stream is cut into reads, the packets are the
/// same; and every packet encodes to bytes that decode to it again.
pub fn frame(bytes: &[u8]) {
    let whole = decode_in_pieces(bytes, bytes.len().max(1));
    for size in [1, 7] {
        assert_eq!(decode_in_pieces(bytes, size), whole, "cut in pieces of {size}");
    }
    for packet in whole.0 {
        let mut encoded = BytesMut::new();
        match &packet {
            Packet::Data(data) => assert!(data.encode(&mut encoded), "came with a 16-bit length"),
            Packet::Control(tlv) => tlv.encode(&mut encoded),
        }
        let again = decode_in_pieces(&encoded, encoded.len());
        assert_eq!(again, (vec![packet], None, 0));
    }
}

/// Any bytes as one TLV, the first being its type: what decodes survives encoding.
pub fn tlv(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let Ok(Some(tlv)) = Tlv::decode(*kind, body) else { return };
    let mut encoded = BytesMut::new();
    tlv.encode(&mut encoded);
    let again = decode_in_pieces(&encoded, encoded.len());
    assert_eq!(again, (vec![Packet::Control(tlv)], None, 0));
}

/// Any bytes as a message packet: what decodes survives encoding, also with bytes behind it.
pub fn message(bytes: &[u8]) {
    let Ok(packet) = MessagePacket::decode(Bytes::copy_from_slice(bytes)) else { return };
    let mut encoded = BytesMut::new();
    packet.encode(&mut encoded);
    assert_eq!(MessagePacket::decode(encoded.clone().freeze()).as_ref(), Ok(&packet));
    encoded.extend_from_slice(b"more");
    assert_eq!(MessagePacket::decode(encoded.freeze()), Ok(packet), "what follows is ignored");
}

fn decode_in_pieces(bytes: &[u8], size: usize) -> (Vec<Packet>, Option<FrameError>, u64) {
    let mut decoder = Decoder::new();
    let mut packets = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error), decoder.malformed()),
            }
        }
    }
    (packets, None, decoder.malformed())
}

//! Data packets (spec 7.1): a sealed payload between two overlay addresses.

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes, BytesMut};

use super::{TYPE_DATA, VERSION};

/// A sealed packet on its way. The payload is ciphertext, tag, nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPacket {
    /// Hops left.
    pub hop_limit: u8,
    /// Overlay source.
    pub source: Ipv6Addr,
    /// Overlay destination.
    pub destination: Ipv6Addr,
    /// At most 65535 bytes.
    pub payload: Bytes,
}

impl DataPacket {
    /// Bytes before the payload: outer header, data header, two addresses.
    pub const HEADER_LENGTH: usize = 40;

    /// Appends the whole packet. A payload over 65535 bytes has no encoding: then nothing is
    /// appended and the result is false.
    pub fn encode(&self, out: &mut BytesMut) -> bool {
        let Ok(length) = u16::try_from(self.payload.len()) else { return false };
        out.reserve(Self::HEADER_LENGTH.saturating_add(self.payload.len()));
        Self::encode_header(self.hop_limit, self.source, self.destination, length, out);
        out.put_slice(&self.payload);
        true
    }

    /// Appends only what comes before a payload of `length` bytes, for payloads sealed in place.
    pub fn encode_header(
        hop_limit: u8,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        length: u16,
        out: &mut BytesMut,
    ) {
        let [high, low] = length.to_be_bytes();
        out.put_slice(&[VERSION, TYPE_DATA, 0, 0, 0, high, low, hop_limit]);
        out.put_slice(&source.octets());
        out.put_slice(&destination.octets());
    }
}

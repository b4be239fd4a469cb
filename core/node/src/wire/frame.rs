//! Framing of packets on a byte stream (spec section 4).
//!
//! The outer header has no length; it follows from the header inside. A control body is delimited
//! by the Babel length alone, so whatever is wrong inside it costs that TLV and not the link. Only
//! an unknown outer version or type loses the place in the stream for good.

use std::net::Ipv6Addr;

use bytes::{Buf, Bytes, BytesMut};

use super::control::{BABEL_MAGIC, BABEL_VERSION, Tlv};
use super::data::DataPacket;
use super::{TYPE_CONTROL, TYPE_DATA, VERSION, take, take_u8};

/// Outer and Babel header of a control packet.
const CONTROL_HEADER_LENGTH: usize = 8;

/// A packet as it comes off a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A sealed packet.
    Data(DataPacket),
    /// One control TLV.
    Control(Tlv),
}

/// The stream makes no sense from here on: close the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The outer header has a version other than 1.
    #[error("unknown packet version {0}")]
    Version(u8),
    /// The outer header has a type other than data or control.
    #[error("unknown packet type {0}")]
    Type(u8),
}

/// Takes the packet out of a datagram that holds exactly one; what follows it is ignored. Gives how
/// many packets and TLVs were malformed: a datagram without a whole packet counts as one.
pub fn decode_datagram(mut datagram: Bytes, packets: &mut Vec<Packet>) -> u64 {
    match datagram.get(..2) {
        Some([VERSION, TYPE_DATA]) => {}
        Some([VERSION, TYPE_CONTROL]) => return decode_control(&datagram, packets),
        _ => return 1,
    }
    let mut header = &datagram[..];
    let Some((hop_limit, source, destination, length)) = data_header(&mut header) else { return 1 };
    if header.len() < length {
        return 1;
    }
    datagram.advance(DataPacket::HEADER_LENGTH);
    datagram.truncate(length);
    packets.push(Packet::Data(DataPacket { hop_limit, source, destination, payload: datagram }));
    0
}

fn decode_control(datagram: &[u8], packets: &mut Vec<Packet>) -> u64 {
    let mut decoder = Decoder::new();
    decoder.push(datagram);
    let Some(body) = decoder.next_control_body() else { return 1 };
    decoder.body = body;
    packets.extend(std::iter::from_fn(|| decoder.next_tlv().map(Packet::Control)));
    decoder.malformed
}

/// Hop limit, source, destination and payload length of a data packet.
fn data_header(header: &mut &[u8]) -> Option<(u8, Ipv6Addr, Ipv6Addr, usize)> {
    let [_, _, _, _, _, high, low, hop_limit] = *take::<8>(header)?;
    let source = (*take::<16>(header)?).into();
    let destination = (*take::<16>(header)?).into();
    Some((hop_limit, source, destination, usize::from(u16::from_be_bytes([high, low]))))
}

/// Cuts a byte stream into packets. Holds at most the bytes pushed and not yet asked for: who asks
/// until there is no packet left holds less than one packet, that is, under 64 KiB and 40 bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// What is left of the control body being read.
    body: Bytes,
    malformed: u64,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a reader may append received bytes itself, to save a copy.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// How many control packets and TLVs were skipped because they were malformed. Unknown types of
    /// TLV are skipped too, but are nobody's fault and not counted.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Whether bytes of an unfinished packet are waiting: then an end of the stream cuts it.
    pub fn is_inside_packet(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next packet, or none until more bytes are pushed. After an error the decoder is of no
    /// use any more and repeats it.
    #[allow(clippy::should_implement_trait)] // an iterator would end for good at the first none
    pub fn next(&mut self) -> Result<Option<Packet>, FrameError> {
        loop {
            if let Some(tlv) = self.next_tlv() {
                return Ok(Some(Packet::Control(tlv)));
            }
            let mut header = &self.buffer[..];
            match (take_u8(&mut header), take_u8(&mut header)) {
                (Some(version), _) if version != VERSION => {
                    return Err(FrameError::Version(version));
                }
                (_, None) => return Ok(None),
                (_, Some(TYPE_DATA)) => return Ok(self.next_data().map(Packet::Data)),
                (_, Some(TYPE_CONTROL)) => match self.next_control_body() {
                    Some(body) => self.body = body,
                    None => return Ok(None),
                },
                (_, Some(kind)) => return Err(FrameError::Type(kind)),
            }
        }
    }

    fn next_data(&mut self) -> Option<DataPacket> {
        let mut header = &self.buffer[..];
        let (hop_limit, source, destination, length) = data_header(&mut header)?;
        let mut packet = self.cut(DataPacket::HEADER_LENGTH.saturating_add(length))?;
        packet.advance(DataPacket::HEADER_LENGTH);
        Some(DataPacket { hop_limit, source, destination, payload: packet })
    }

    /// The body of the control packet at the front, empty for one that is not to be read.
    fn next_control_body(&mut self) -> Option<Bytes> {
        let mut header = &self.buffer[..];
        let [_, _, _, _, magic, version, high, low] = *take::<8>(&mut header)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let mut packet = self.cut(CONTROL_HEADER_LENGTH.saturating_add(length))?;
        packet.advance(CONTROL_HEADER_LENGTH);
        let foreign = magic != BABEL_MAGIC || version != BABEL_VERSION;
        if foreign || packet.is_empty() {
            self.count_malformed();
            return Some(Bytes::new());
        }
        Some(packet)
    }

    /// The next readable TLV of the current control body.
    fn next_tlv(&mut self) -> Option<Tlv> {
        while !self.body.is_empty() {
            let mut header = &self.body[..];
            let (Some(kind), Some(length)) = (take_u8(&mut header), take_u8(&mut header)) else {
                self.body.clear();
                self.count_malformed();
                return None;
            };
            let end = usize::from(length).saturating_add(2);
            if end > self.body.len() {
                // What follows cannot be told from this TLV's body, so the rest goes with it.
                self.body.clear();
                self.count_malformed();
                return None;
            }
            let mut tlv = self.body.split_to(end);
            tlv.advance(2);
            match Tlv::decode(kind, &tlv) {
                Ok(Some(tlv)) => return Some(tlv),
                Ok(None) => {}
                Err(_) => self.count_malformed(),
            }
        }
        None
    }

    fn cut(&mut self, length: usize) -> Option<Bytes> {
        if self.buffer.len() < length {
            // Room for the whole packet at once instead of by doubling.
            let missing = length.saturating_sub(self.buffer.len());
            self.buffer.reserve(missing);
            return None;
        }
        Some(self.buffer.split_to(length).freeze())
    }

    fn count_malformed(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
    }
}

//! Packets of the message bus (spec 8.1 and 8.2): what follows the 4-byte user header.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{take, take_u8, take_u16, take_u64};

const INIT: u16 = 0x8000;
const DONE: u16 = 0x4000;
const ABORTED: u16 = 0x2000;
const CHUNK: u16 = 0x1000;
const READ: u16 = 0x0800;
const REPLY: u16 = 0x0400;
const ACK: u16 = 0x0100;

/// Id, flags and two bytes without a meaning.
const HEADER_LENGTH: usize = 12;
/// Header, index, offset and size of a chunk.
const CHUNK_HEADER_LENGTH: usize = 36;
/// Header, message length and topic length of an INIT.
const INIT_HEADER_LENGTH: usize = 21;
/// Header, number of chunks and hash.
const DONE_LENGTH: usize = 52;

/// Eight random bytes that name a message; 16 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 8]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One packet of the message protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePacket {
    /// Which message it belongs to.
    pub id: MessageId,
    /// What it says.
    pub body: MessageBody,
}

/// Spec 8.2, one variant per packet kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageBody {
    /// A message begins. `reply` is the REPLY flag.
    Init {
        /// Total bytes.
        length: u64,
        /// At most 255 bytes.
        topic: Bytes,
        /// Whether it answers a message with this id.
        reply: bool,
    },
    /// The INIT arrived; carries the topic's length but not the topic.
    InitAck {
        /// As in the INIT.
        length: u64,
        /// As in the INIT.
        topic_length: u8,
        /// As in the INIT.
        reply: bool,
    },
    /// A piece of the message.
    Chunk {
        /// From 0.
        index: u64,
        /// Byte offset.
        offset: u64,
        /// The piece.
        data: Bytes,
    },
    /// The piece arrived.
    ChunkAck {
        /// As in the CHUNK.
        index: u64,
        /// As in the CHUNK.
        offset: u64,
        /// As in the CHUNK.
        size: u64,
    },
    /// All pieces were sent.
    Done {
        /// How many.
        chunks: u64,
        /// BLAKE3 of the whole.
        hash: [u8; 32],
    },
    /// The message is complete.
    DoneAck {
        /// As in the DONE.
        chunks: u64,
        /// As in the DONE.
        hash: [u8; 32],
    },
    /// An application took the message.
    Read,
    /// The sender gave up.
    Aborted,
}

/// Why bytes are no message packet. All are reasons to drop the packet and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageDecodeError {
    /// The packet ends before its kind allows.
    #[error("the message packet is cut short")]
    Truncated,
    /// No flag says what it is, or it is one that means nothing (READ with ACK).
    #[error("the message packet has no meaning")]
    Meaningless,
}

impl MessagePacket {
    /// Appends the packet, without the user header. Of a topic only the first 255 bytes fit.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.id.0);
        out.put_u16(self.body.flags());
        out.put_u16(0);
        match &self.body {
            MessageBody::Init { length, topic, .. } => {
                let topic = topic.get(..255).unwrap_or(topic);
                out.put_u64(*length);
                out.put_u8(topic.len() as u8);
                out.put_slice(topic);
            }
            MessageBody::InitAck { length, topic_length, .. } => {
                out.put_u64(*length);
                out.put_u8(*topic_length);
            }
            MessageBody::Chunk { index, offset, data } => {
                out.put_u64(*index);
                out.put_u64(*offset);
                out.put_u64(data.len() as u64);
                out.put_slice(data);
            }
            MessageBody::ChunkAck { index, offset, size } => {
                out.put_u64(*index);
                out.put_u64(*offset);
                out.put_u64(*size);
            }
            MessageBody::Done { chunks, hash } | MessageBody::DoneAck { chunks, hash } => {
                out.put_u64(*chunks);
                out.put_slice(hash);
            }
            MessageBody::Read | MessageBody::Aborted => {}
        }
    }

    /// How many bytes [`MessagePacket::encode`] appends.
    pub fn encoded_length(&self) -> usize {
        match &self.body {
            MessageBody::Init { topic, .. } => {
                INIT_HEADER_LENGTH.saturating_add(topic.len().min(255))
            }
            MessageBody::InitAck { .. } => INIT_HEADER_LENGTH,
            MessageBody::Chunk { data, .. } => CHUNK_HEADER_LENGTH.saturating_add(data.len()),
            MessageBody::ChunkAck { .. } => CHUNK_HEADER_LENGTH,
            MessageBody::Done { .. } | MessageBody::DoneAck { .. } => DONE_LENGTH,
            MessageBody::Read | MessageBody::Aborted => HEADER_LENGTH,
        }
    }

    /// Reads a packet without its user header. The first flag set in the order of spec 8.1 decides;
    /// bytes after what that kind needs are ignored. A CHUNK's data is the smaller of what its size
    /// field says and what is there.
    pub fn decode(packet: Bytes) -> Result<Self, MessageDecodeError> {
        let mut header = &packet[..];
        let id = MessageId(*take(&mut header).ok_or(MessageDecodeError::Truncated)?);
        let flags = take_u16(&mut header).ok_or(MessageDecodeError::Truncated)?;
        let _reserved = take_u16(&mut header).ok_or(MessageDecodeError::Truncated)?;
        let body = match Kind::of(flags).ok_or(MessageDecodeError::Meaningless)? {
            Kind::Init => decode_init(packet, flags),
            Kind::InitAck => decode_init_ack(header, flags),
            Kind::Chunk => decode_chunk(packet),
            Kind::ChunkAck => decode_chunk_ack(header),
            Kind::Done => {
                decode_done(header).map(|(chunks, hash)| MessageBody::Done { chunks, hash })
            }
            Kind::DoneAck => {
                decode_done(header).map(|(chunks, hash)| MessageBody::DoneAck { chunks, hash })
            }
            Kind::Read => Some(MessageBody::Read),
            Kind::Aborted => Some(MessageBody::Aborted),
        };
        Ok(Self { id, body: body.ok_or(MessageDecodeError::Truncated)? })
    }
}

impl MessageBody {
    /// Whether only somebody sends this who has got a packet of ours.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::InitAck { .. } | Self::ChunkAck { .. } | Self::DoneAck { .. } | Self::Read
        )
    }

    fn flags(&self) -> u16 {
        let reply_flag = |reply: bool| if reply { REPLY } else { 0 };
        match self {
            Self::Init { reply, .. } => INIT | reply_flag(*reply),
            Self::InitAck { reply, .. } => INIT | ACK | reply_flag(*reply),
            Self::Chunk { .. } => CHUNK,
            Self::ChunkAck { .. } => CHUNK | ACK,
            Self::Done { .. } => DONE,
            Self::DoneAck { .. } => DONE | ACK,
            Self::Read => READ,
            Self::Aborted => ABORTED,
        }
    }
}

enum Kind {
    Init,
    InitAck,
    Chunk,
    ChunkAck,
    Done,
    DoneAck,
    Read,
    Aborted,
}

impl Kind {
    /// The order of spec 8.1.
    fn of(flags: u16) -> Option<Self> {
        let ack = flags & ACK != 0;
        let choose = |with_ack, without| if ack { with_ack } else { without };
        match flags {
            _ if flags & INIT != 0 => Some(choose(Self::InitAck, Self::Init)),
            _ if flags & CHUNK != 0 => Some(choose(Self::ChunkAck, Self::Chunk)),
            _ if flags & DONE != 0 => Some(choose(Self::DoneAck, Self::Done)),
            _ if ack => None,
            _ if flags & READ != 0 => Some(Self::Read),
            _ if flags & ABORTED != 0 => Some(Self::Aborted),
            _ => None,
        }
    }
}

fn decode_init(mut topic: Bytes, flags: u16) -> Option<MessageBody> {
    let mut header = topic.get(HEADER_LENGTH..)?;
    let length = take_u64(&mut header)?;
    let topic_length = usize::from(take_u8(&mut header)?);
    topic.advance(INIT_HEADER_LENGTH);
    if topic.len() < topic_length {
        return None;
    }
    topic.truncate(topic_length);
    Some(MessageBody::Init { length, topic, reply: flags & REPLY != 0 })
}

fn decode_init_ack(mut header: &[u8], flags: u16) -> Option<MessageBody> {
    let length = take_u64(&mut header)?;
    let topic_length = take_u8(&mut header)?;
    Some(MessageBody::InitAck { length, topic_length, reply: flags & REPLY != 0 })
}

fn decode_chunk(mut data: Bytes) -> Option<MessageBody> {
    let mut header = data.get(HEADER_LENGTH..)?;
    let (index, offset, size) =
        (take_u64(&mut header)?, take_u64(&mut header)?, take_u64(&mut header)?);
    data.advance(CHUNK_HEADER_LENGTH);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if let Some(part) = data.get(..size).filter(|part| part.len() < data.len()) {
        // Kept as a slice, a byte would hold a whole packet that nobody counts.
        data = Bytes::copy_from_slice(part);
    }
    Some(MessageBody::Chunk { index, offset, data })
}

fn decode_chunk_ack(mut header: &[u8]) -> Option<MessageBody> {
    let (index, offset, size) =
        (take_u64(&mut header)?, take_u64(&mut header)?, take_u64(&mut header)?);
    Some(MessageBody::ChunkAck { index, offset, size })
}

fn decode_done(mut header: &[u8]) -> Option<(u64, [u8; 32])> {
    Some((take_u64(&mut header)?, *take(&mut header)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_claims_less_than_it_brings_holds_no_more_than_it_claims() {
        let mut out = BytesMut::new();
        let data = Bytes::from_static(&[7; 1300]);
        let body = MessageBody::Chunk { index: 0, offset: 0, data: data.clone() };
        MessagePacket { id: MessageId([1; 8]), body }.encode(&mut out);
        let whole = out.clone().freeze();
        let MessageBody::Chunk { data: kept, .. } = MessagePacket::decode(whole).unwrap().body
        else {
            panic!("a chunk")
        };
        assert_eq!(kept, data);
        out.iter_mut().skip(28).zip(1_u64.to_be_bytes()).for_each(|(byte, new)| *byte = new);
        let packet = Bytes::from(out.to_vec());
        let MessageBody::Chunk { data: kept, .. } =
            MessagePacket::decode(packet.clone()).unwrap().body
        else {
            panic!("a chunk")
        };
        assert_eq!(kept, data.slice(..1));
        assert!(packet.is_unique());
    }
}

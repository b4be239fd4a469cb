//! The bytes on a peer link: framing, control TLVs, data packets, message packets (spec sections
//! 4, 5, 7.1 and 8.1).
//!
//! Everything here is a pure function of bytes. Encoders follow the strict rules for senders (one
//! TLV a packet, exact lengths, IPv6 only), because older nodes lose their place in the stream over
//! anything else. Decoders are tolerant where the position in the stream is certain (unknown TLVs,
//! trailing bytes, several TLVs) and never read outside the length a header announced.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

pub(crate) mod checksum;
pub mod control;
pub mod data;
pub mod frame;
pub mod message;

/// Version in the outer header of every packet.
pub(crate) const VERSION: u8 = 1;
/// Outer packet type of sealed packets.
pub(crate) const TYPE_DATA: u8 = 0;
/// Outer packet type of control packets.
pub(crate) const TYPE_CONTROL: u8 = 1;

/// Cuts the first `N` bytes off `input`; none, and `input` untouched, when it is shorter.
pub(crate) fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(head)
}

/// As [`take`], with a length known only at run time.
pub(crate) fn take_slice<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(head)
}

pub(crate) fn take_u8(input: &mut &[u8]) -> Option<u8> {
    take::<1>(input).map(|[byte]| *byte)
}

pub(crate) fn take_u16(input: &mut &[u8]) -> Option<u16> {
    take(input).map(|bytes| u16::from_be_bytes(*bytes))
}

pub(crate) fn take_u64(input: &mut &[u8]) -> Option<u64> {
    take(input).map(|bytes| u64::from_be_bytes(*bytes))
}

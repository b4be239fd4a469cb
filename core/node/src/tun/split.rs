//! Cuts the large packets of the system into those that travel (spec 7.8).
//!
//! The system hands over up to 64 KiB as one packet of one flow, with a checksum begun and not
//! finished. Each piece gets the headers with its own length, position and checksum.

use std::net::Ipv6Addr;

use super::offload::{Offload, Segments};
use crate::wire::checksum::Sum;

const IP_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RESET: u8 = 0x04;
const PUSH: u8 = 0x08;
const URGENT: u8 = 0x20;
const CONGESTION_REDUCED: u8 = 0x80;
/// IPv6, some extension headers, and TCP with all its options.
const HEADERS: usize = 256;
/// TCP is not cut into less payload than every host must take.
const LEAST_SEGMENT: usize = 512;

/// The packet contradicts its own description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misdescribed;

/// The longest of the packets that `packet` stands for.
pub(crate) fn longest(offload: &Offload, packet: &[u8]) -> usize {
    let headers = |start: usize, size: u16| {
        let upper = packet.get(start..)?;
        let length = if matches!(offload.segments, Segments::Tcp(_)) {
            tcp_header_length(upper)?
        } else {
            UDP_HEADER
        };
        Some((start + length + usize::from(size)).min(packet.len()))
    };
    match (offload.segments, offload.checksum) {
        (Segments::Tcp(size) | Segments::Udp(size), Some((start, _))) => {
            headers(start, size).unwrap_or(packet.len())
        }
        _ => packet.len(),
    }
}

/// The same in packets of at most `most` bytes, where nobody can tell: a TCP stream has no borders.
/// Everything else stays as it is.
pub(crate) fn narrow(offload: Offload, packet: &[u8], most: usize) -> Offload {
    narrowed(offload, packet, most).unwrap_or(offload)
}

fn narrowed(offload: Offload, packet: &[u8], most: usize) -> Option<Offload> {
    let (start, _) = offload.checksum?;
    let size = match offload.segments {
        Segments::Tcp(size) => usize::from(size),
        Segments::One if start == IP_HEADER && packet.get(6) == Some(&TCP) => usize::MAX,
        _ => return None,
    };
    let upper = packet.get(start..)?;
    let room = most.checked_sub(start + tcp_header_length(upper)?)?;
    let is_plain = upper.get(13)? & (SYN | RESET | URGENT) == 0;
    if !is_plain || packet.len() <= most || size <= room || room < LEAST_SEGMENT {
        return None;
    }
    Some(Offload { segments: Segments::Tcp(u16::try_from(room).ok()?), ..offload })
}

/// Gives every packet that `packet` stands for to `emit`, as headers and payload.
pub(crate) fn split(
    offload: &Offload,
    packet: &mut [u8],
    mut emit: impl FnMut(&[u8], &[u8]),
) -> Result<(), Misdescribed> {
    let (size, protocol) = match offload.segments {
        Segments::One => {
            if let Some((start, offset)) = offload.checksum {
                complete(packet, start, offset).ok_or(Misdescribed)?;
            }
            emit(packet, &[]);
            return Ok(());
        }
        Segments::Tcp(size) => (usize::from(size), TCP),
        Segments::Udp(size) => (usize::from(size), UDP),
    };
    let (start, _) = offload.checksum.ok_or(Misdescribed)?;
    cut(packet, start, size, protocol, &mut emit).ok_or(Misdescribed)
}

/// Finishes a checksum that holds the sum of the pseudo header so far.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let sum = Sum::default().with(packet.get(start..)?);
    let checksum = match sum.checksum() {
        [0, 0] => [0xff, 0xff], // in UDP zero means that there is none; in TCP both are the same
        checksum => checksum,
    };
    let place = start.checked_add(offset)?;
    packet.get_mut(place..place.checked_add(2)?)?.copy_from_slice(&checksum);
    Some(())
}

fn cut(
    packet: &[u8],
    start: usize,
    size: usize,
    protocol: u8,
    emit: &mut impl FnMut(&[u8], &[u8]),
) -> Option<()> {
    let ends = packet.get(8..IP_HEADER)?;
    let source = Ipv6Addr::from(*ends.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*ends.last_chunk::<16>()?);
    let upper = packet.get(start..)?;
    let length = if protocol == TCP { tcp_header_length(upper)? } else { UDP_HEADER };
    let (headers, payload) = packet.split_at_checked(start.checked_add(length)?)?;
    let mut buffer = [0; HEADERS];
    let buffer = buffer.get_mut(..headers.len())?;
    if start < IP_HEADER || payload.is_empty() || upper.len() < length {
        return None;
    }
    let count = payload.len().div_ceil(size);
    for (number, piece) in payload.chunks(size).enumerate() {
        buffer.copy_from_slice(headers);
        let total = headers.len() - IP_HEADER + piece.len();
        buffer.get_mut(4..6)?.copy_from_slice(&u16::try_from(total).ok()?.to_be_bytes());
        let (_, upper) = buffer.split_at_mut(start);
        if protocol == TCP {
            let passed = u32::try_from(number * size).ok()?;
            place_tcp(upper, passed, number == 0, number + 1 == count)?;
        } else {
            let length = u16::try_from(UDP_HEADER + piece.len()).ok()?;
            upper.get_mut(4..6)?.copy_from_slice(&length.to_be_bytes());
        }
        let place = if protocol == TCP { 16..18 } else { 6..8 };
        upper.get_mut(place.clone())?.fill(0);
        let sum = Sum::pseudo(source, destination, upper.len() + piece.len(), protocol);
        let checksum = match sum.with(upper).with(piece).checksum() {
            [0, 0] if protocol == UDP => [0xff, 0xff],
            checksum => checksum,
        };
        upper.get_mut(place)?.copy_from_slice(&checksum);
        emit(buffer, piece);
    }
    Some(())
}

/// The bytes of a TCP header with its options.
pub(super) fn tcp_header_length(upper: &[u8]) -> Option<usize> {
    let length = usize::from(upper.get(12)? >> 4) * 4;
    (20..=upper.len()).contains(&length).then_some(length)
}

fn place_tcp(upper: &mut [u8], passed: u32, is_first: bool, is_last: bool) -> Option<()> {
    let place = upper.get_mut(4..8)?;
    let sequence = u32::from_be_bytes(place.try_into().ok()?).wrapping_add(passed);
    place.copy_from_slice(&sequence.to_be_bytes());
    let flags = upper.get_mut(13)?;
    if !is_last {
        *flags &= !(FIN | PUSH);
    }
    if !is_first {
        *flags &= !CONGESTION_REDUCED;
    }
    Some(())
}

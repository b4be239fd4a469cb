//! Puts packets of one flow together again before the system gets them (spec 7.8).
//!
//! One write of 64 KiB costs the system little more than one of 1400 bytes. The rule that older
//! nodes break: all segments have the same size, only the last may be shorter, and nothing follows
//! a shorter one. A packet joins only when its checksum is right, since the system does not check
//! what it gets this way. Packets of one flow keep their order; those of different flows need not.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::offload::{Offload, Segments};
use super::split::tcp_header_length;
use crate::wire::checksum::Sum;

const IP_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
/// What the length field of an IPv6 header can say.
const LONGEST: usize = 65_535;
/// Segments of one packet: what the system takes of UDP.
const MOST_SEGMENTS: usize = 64;
/// Flows looked through for the one a packet belongs to; the batch of one read seldom has more.
const FLOWS: usize = 16;

/// One packet for the system: parts of the buffer that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) header: [u8; Offload::LENGTH],
    pub(crate) parts: Vec<Range<usize>>,
}

/// Collects the packets of one batch, which lie in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    open: Vec<Open>,
    has_udp: bool,
}

#[derive(Debug)]
struct Open {
    first: Range<usize>,
    rest: Vec<Range<usize>>,
    flow: Option<Flow>,
}

/// What the packets of a group have in common, and how far it is.
#[derive(Debug)]
struct Flow {
    protocol: u8,
    headers: usize,
    segment: usize,
    length: usize,
    /// Of TCP: the position that comes next.
    next: u32,
    pushed: bool,
    closed: bool,
}

impl Coalescer {
    /// `has_udp` says whether the system takes several UDP packets as one.
    pub(crate) fn new(has_udp: bool) -> Self {
        Self { open: Vec::new(), has_udp }
    }

    /// Adds the packet that lies at `place`.
    pub(crate) fn add(&mut self, buffer: &[u8], place: Range<usize>) {
        let Some(packet) = buffer.get(place.clone()) else { return };
        let flow = self.flow(packet);
        let earlier = self.open.iter_mut().rev().take(FLOWS).find(|open| {
            let first = buffer.get(open.first.clone());
            first.is_some_and(|first| is_same_flow(first, packet))
        });
        if let Some(earlier) = earlier {
            match (&mut earlier.flow, &flow, buffer.get(earlier.first.clone())) {
                (Some(open), Some(flow), Some(first)) if open.takes(first, flow, packet) => {
                    open.add(flow);
                    return earlier.rest.push(place.start + flow.headers..place.end);
                }
                // Nothing may join what this packet must not overtake.
                (Some(open), ..) => open.closed = true,
                _ => {}
            }
        }
        self.open.push(Open { first: place, rest: Vec::new(), flow });
    }

    /// What to write, in this order; completes the headers in the buffer.
    pub(crate) fn finish(self, buffer: &mut [u8]) -> Vec<Group> {
        let finish = |open: Open| {
            let header = match &open.flow {
                Some(flow) if !open.rest.is_empty() => buffer
                    .get_mut(open.first.clone())
                    .and_then(|first| flow.complete(first))
                    .map_or(Offload::NONE.encode(), |offload| offload.encode()),
                Some(_) => Offload::checked(),
                None => Offload::NONE.encode(),
            };
            Group { header, parts: std::iter::once(open.first).chain(open.rest).collect() }
        };
        self.open.into_iter().map(finish).collect()
    }

    /// What a packet could be joined by; none for one that must stay alone.
    fn flow(&self, packet: &[u8]) -> Option<Flow> {
        let upper = packet.get(IP_HEADER..)?;
        let protocol = *packet.get(6)?;
        let (length, pushed) = match protocol {
            TCP => {
                let flags = *upper.get(13)?;
                if flags & !PUSH != ACK {
                    return None;
                }
                (tcp_header_length(upper)?, flags & PUSH != 0)
            }
            UDP if self.has_udp => {
                let length = u16::from_be_bytes(upper.get(4..6)?.try_into().ok()?);
                if usize::from(length) != upper.len() || upper.get(6..8)? == [0, 0] {
                    return None;
                }
                (UDP_HEADER, false)
            }
            _ => return None,
        };
        let segment = upper.len().checked_sub(length).filter(|segment| *segment > 0)?;
        let (source, destination) = ends(packet)?;
        if !Sum::pseudo(source, destination, upper.len(), protocol).with(upper).is_right() {
            return None;
        }
        let position = if protocol == TCP { upper.get(4..8)?.try_into().ok()? } else { [0; 4] };
        Some(Flow {
            protocol,
            headers: IP_HEADER + length,
            segment,
            length: upper.len(),
            next: u32::from_be_bytes(position).wrapping_add(u32::try_from(segment).ok()?),
            pushed,
            closed: false,
        })
    }
}

impl Flow {
    /// Whether a packet may follow what is here.
    fn takes(&self, first: &[u8], flow: &Flow, packet: &[u8]) -> bool {
        let same = |range: Range<usize>| {
            first.get(range.clone()).is_some_and(|bytes| packet.get(range) == Some(bytes))
        };
        let is_next = match self.protocol {
            TCP => {
                let start = flow.next.wrapping_sub(flow.segment as u32);
                // Acknowledgement, window and options; of the flags only PUSH may differ.
                start == self.next
                    && same(IP_HEADER + 8..IP_HEADER + 13)
                    && same(IP_HEADER + 14..IP_HEADER + 16)
                    && same(IP_HEADER + 18..self.headers)
            }
            _ => true,
        };
        !self.closed
            && !self.pushed
            && self.headers == flow.headers
            && flow.segment <= self.segment
            && self.length + flow.segment <= LONGEST
            && (self.length + IP_HEADER - self.headers) / self.segment < MOST_SEGMENTS
            && is_next
            && same(0..4) // class and flow label
            && same(7..8) // hop limit
    }

    fn add(&mut self, flow: &Flow) {
        self.length += flow.segment;
        self.next = flow.next;
        self.pushed = flow.pushed;
        self.closed = flow.segment < self.segment;
    }

    /// Turns the headers of the first packet into those of the whole.
    fn complete(&self, first: &mut [u8]) -> Option<Offload> {
        let (source, destination) = ends(first)?;
        let length = u16::try_from(self.length).ok()?.to_be_bytes();
        first.get_mut(4..6)?.copy_from_slice(&length);
        let upper = first.get_mut(IP_HEADER..)?;
        let segment = u16::try_from(self.segment).ok()?;
        let (place, segments) = match self.protocol {
            TCP => {
                if self.pushed {
                    *upper.get_mut(13)? |= PUSH;
                }
                (16, Segments::Tcp(segment))
            }
            _ => {
                upper.get_mut(4..6)?.copy_from_slice(&length);
                (6, Segments::Udp(segment))
            }
        };
        let sum = Sum::pseudo(source, destination, self.length, self.protocol).folded();
        upper.get_mut(place..place + 2)?.copy_from_slice(&sum);
        let checksum = Some((IP_HEADER, place));
        Some(Offload { segments, checksum, header_length: self.headers })
    }
}

fn ends(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let ends = packet.get(8..IP_HEADER)?;
    Some(((*ends.first_chunk::<16>()?).into(), (*ends.last_chunk::<16>()?).into()))
}

/// Whether protocol, addresses and ports are the same. For protocols without ports this may say no
/// where it is yes; their packets stay alone and in order anyway.
fn is_same_flow(one: &[u8], other: &[u8]) -> bool {
    one.get(6) == other.get(6) && one.get(8..IP_HEADER + 4) == other.get(8..IP_HEADER + 4)
}

//! Whose data packet leaves next, and whose is dropped when there is no room.
//!
//! Deficit round robin on two levels: every incoming link has its turn, and within a link every
//! source /64. So a flood costs those who share its link and its queue, and a sender that makes up
//! source addresses only divides what its own link gets. When the whole is full, the newest packet
//! of the longest queue of the link that holds most makes room; order within a source is kept.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;

use crate::LinkId;

/// Short packets cost more to hold than their bytes say.
pub(super) const DATA_PACKETS: usize = 8_192;
/// A third of a second on a link of 100 Mbit/s: longer queues only add delay.
pub(super) const DATA_BYTES: usize = 4 * 1024 * 1024;
/// Bytes one source or link sends in a turn: a dozen full packets, which whoever receives them can
/// still hand to its system as one.
const TURN: usize = 16 * 1024;
/// Queues of one link; sources beyond that share them.
const QUEUES: u64 = 256;
/// Where the source /64 stands in a data packet.
const SOURCE: std::ops::Range<usize> = 8..16;

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ingress {
    /// Made here.
    Own,
    /// Brought by a peer.
    Link(LinkId),
    /// Brought by some peer for somebody new: the core forwards the first packets to anybody.
    Core,
}

/// The data packets that wait on one link.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// Those with packets, in the order of their turns. There are few: looking through them costs
    /// less than a table.
    lanes: VecDeque<Lane>,
    bytes: usize,
    packets: usize,
    hasher: RandomState,
}

#[derive(Debug)]
struct Lane {
    ingress: Ingress,
    /// Those with packets, in the order of their turns.
    queues: VecDeque<Queue>,
    bytes: usize,
    credit: usize,
}

#[derive(Debug)]
struct Queue {
    number: u64,
    packets: VecDeque<Bytes>,
    bytes: usize,
    credit: usize,
}

impl FairQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.packets == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a packet. False when that cost a packet, this one or another.
    pub(super) fn push(&mut self, ingress: Ingress, packet: Bytes) -> bool {
        let number = self.queue_of(&packet);
        self.bytes += packet.len();
        self.packets += 1;
        match self.lanes.iter_mut().find(|lane| lane.ingress == ingress) {
            Some(lane) => lane.push(number, packet),
            None => {
                let mut lane = Lane { ingress, queues: VecDeque::new(), bytes: 0, credit: 0 };
                lane.push(number, packet);
                self.lanes.push_back(lane);
            }
        }
        let is_full = self.bytes > DATA_BYTES || self.packets > DATA_PACKETS;
        if is_full {
            self.drop_one();
        }
        !is_full
    }

    fn queue_of(&self, packet: &[u8]) -> u64 {
        self.hasher.hash_one(packet.get(SOURCE).unwrap_or_default()) % QUEUES
    }

    /// The length of the packet whose turn it is.
    pub(super) fn next_length(&mut self) -> Option<usize> {
        loop {
            let lane = self.lanes.front_mut()?;
            let length = lane.next_length()?;
            if lane.credit >= length {
                return Some(length);
            }
            lane.credit += TURN.max(length);
            self.lanes.rotate_left(1);
        }
    }

    /// The packet whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.next_length()?;
        let lane = self.lanes.front_mut()?;
        let packet = lane.pop()?;
        lane.credit = lane.credit.saturating_sub(packet.len());
        if lane.queues.is_empty() {
            self.lanes.pop_front();
        }
        self.bytes -= packet.len();
        self.packets -= 1;
        Some(packet)
    }

    fn drop_one(&mut self) {
        let longest = self.lanes.iter_mut().enumerate().max_by_key(|(_, lane)| lane.bytes);
        let Some((position, lane)) = longest else { return };
        let Some(packet) = lane.drop_one() else { return };
        self.bytes -= packet.len();
        self.packets -= 1;
        if lane.queues.is_empty() {
            self.lanes.remove(position);
        }
    }
}

impl Lane {
    fn push(&mut self, number: u64, packet: Bytes) {
        self.bytes += packet.len();
        let bytes = packet.len();
        match self.queues.iter_mut().find(|queue| queue.number == number) {
            Some(queue) => {
                queue.bytes += bytes;
                queue.packets.push_back(packet);
            }
            None => {
                let packets = VecDeque::from([packet]);
                self.queues.push_back(Queue { number, packets, bytes, credit: 0 });
            }
        }
    }

    fn next_length(&mut self) -> Option<usize> {
        loop {
            let queue = self.queues.front_mut()?;
            let length = queue.packets.front()?.len();
            if queue.credit >= length {
                return Some(length);
            }
            queue.credit += TURN.max(length);
            self.queues.rotate_left(1);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.next_length()?;
        let queue = self.queues.front_mut()?;
        let packet = queue.packets.pop_front()?;
        queue.bytes -= packet.len();
        queue.credit = queue.credit.saturating_sub(packet.len());
        self.bytes -= packet.len();
        if queue.packets.is_empty() {
            self.queues.pop_front();
        }
        Some(packet)
    }

    fn drop_one(&mut self) -> Option<Bytes> {
        let longest = self.queues.iter_mut().enumerate().max_by_key(|(_, queue)| queue.bytes);
        let (position, queue) = longest?;
        let packet = queue.packets.pop_back()?;
        queue.bytes -= packet.len();
        self.bytes -= packet.len();
        if queue.packets.is_empty() {
            self.queues.remove(position);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A data packet of a source, numbered in its payload.
    fn packet(source: u8, length: usize, number: u16) -> Bytes {
        let mut bytes = vec![0; length.max(42)];
        bytes[8] = source;
        bytes[40..42].copy_from_slice(&number.to_be_bytes());
        bytes.into()
    }

    fn link(number: u64) -> Ingress {
        Ingress::Link(LinkId(number))
    }

    #[test]
    fn a_flood_delays_another_link_and_another_source_by_two_turns_at_most() {
        for flood in [(link(1), 2), (link(2), 1)] {
            let mut queue = FairQueue::default();
            while queue.push(flood.0, packet(flood.1, 1472, 0)) {}
            // On the flood's own link it has to be a source that shares no queue with it.
            let flooded = queue.queue_of(&packet(flood.1, 42, 0));
            let is_apart = |source: &u8| {
                flood.0 != link(1) || queue.queue_of(&packet(*source, 42, 0)) != flooded
            };
            let rare = packet((1..).find(is_apart).unwrap(), 200, 7);
            queue.push(link(1), rare.clone());
            let mut before = 0;
            while let Some(packet) = queue.pop() {
                if packet == rare {
                    break;
                }
                before += packet.len();
            }
            assert!(before <= 2 * TURN, "{before} bytes of the flood went first");
        }
    }

    #[test]
    fn a_flood_loses_its_own_packets_and_no_others() {
        let mut queue = FairQueue::default();
        for number in 0..50 {
            assert!(queue.push(link(2), packet(2, 1000, number)));
        }
        for number in 0..20_000 {
            queue.push(link(1), packet(1, 1472, number));
        }
        let left: Vec<Bytes> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(left.iter().filter(|packet| packet[8] == 2).count(), 50);
        assert!(left.iter().map(Bytes::len).sum::<usize>() <= DATA_BYTES);
    }

    #[test]
    fn made_up_sources_divide_what_their_link_gets() {
        let mut queue = FairQueue::default();
        for number in 0..40_000_u16 {
            let mut made_up = packet(0, 100, number).to_vec();
            made_up[9..11].copy_from_slice(&number.to_be_bytes());
            queue.push(link(1), made_up.into());
        }
        let rare = packet(1, 200, 7);
        assert!(!queue.push(link(2), rare.clone()), "one of the flood made room");
        let popped = std::iter::from_fn(|| queue.pop()).take(2 * TURN / 100 + 2);
        assert!(popped.into_iter().any(|packet| packet == rare));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn nothing_is_lost_or_reordered_within_a_source(
            steps in prop::collection::vec((0u64..3, 0u8..4, 42usize..70_000, any::<bool>()), 1..200),
        ) {
            let mut queue = FairQueue::default();
            let (mut pushed, mut popped) = (0, 0);
            let mut last = HashMap::new();
            let mut check = |packet: Bytes| {
                let number = u16::from_be_bytes([packet[40], packet[41]]);
                last.insert((packet[9], packet[8]), number).is_none_or(|before| before < number)
            };
            for (number, (ingress, source, length, pops)) in steps.into_iter().enumerate() {
                let mut bytes = packet(source, length, number as u16).to_vec();
                bytes[9] = ingress as u8;
                pushed += usize::from(queue.push(link(ingress), bytes.into()));
                if pops && let Some(packet) = queue.pop() {
                    popped += 1;
                    prop_assert!(check(packet));
                }
            }
            while let Some(packet) = queue.pop() {
                popped += 1;
                prop_assert!(check(packet));
            }
            prop_assert_eq!(pushed, popped);
            prop_assert!(queue.lanes.is_empty() && queue.bytes == 0);
        }
    }
}

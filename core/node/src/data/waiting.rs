//! Packets that wait for a route, by the /64 they wait for.
//!
//! All wait equally long, so one queue in order of arrival holds every deadline, and dropping what
//! is overdue costs nothing when nothing is. A packet is copied when it starts to wait: as it came,
//! it is a slice of everything its link brought in one read, and would keep all of that.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wire::data::DataPacket;

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A sealed packet on its way, or for this node.
    Sealed(DataPacket),
    /// An IP packet of this host.
    Plain(Bytes),
}

/// How long a packet waits: as long as a lookup takes to fail.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// What a waiting packet costs besides its payload.
const PACKET_COST: usize = 128;

/// A bounded queue per /64.
pub(super) struct Waiting {
    queues: HashMap<u64, VecDeque<(Instant, Held)>>,
    deadlines: VecDeque<(Instant, u64)>,
    count: usize,
    bytes: usize,
    per_subnet: usize,
    total: usize,
    total_bytes: usize,
}

impl Waiting {
    pub(super) fn new(per_subnet: usize, total: usize, total_bytes: usize) -> Self {
        let (queues, deadlines) = (HashMap::new(), VecDeque::new());
        Self { queues, deadlines, count: 0, bytes: 0, per_subnet, total, total_bytes }
    }

    /// Queues a packet; gives it back when there is no room. One /64 has at most an eighth of the
    /// bytes.
    pub(super) fn push(&mut self, subnet: u64, packet: Held, now: Instant) -> Result<(), Held> {
        // Deadlines of packets that left early count too, or they could grow without bound.
        let held = self.count.max(self.deadlines.len() / 2);
        let queue = self.queues.get(&subnet);
        let of_subnet =
            || queue.into_iter().flatten().map(|(_, packet)| cost(packet)).sum::<usize>();
        if held >= self.total
            || queue.map_or(0, VecDeque::len) >= self.per_subnet
            || self.bytes + cost(&packet) > self.total_bytes
            || of_subnet() + cost(&packet) > self.total_bytes / 8
        {
            return Err(packet);
        }
        let packet = match packet {
            Held::Sealed(packet) => {
                let payload = Bytes::copy_from_slice(&packet.payload);
                Held::Sealed(DataPacket { payload, ..packet })
            }
            Held::Plain(packet) => Held::Plain(Bytes::copy_from_slice(&packet)),
        };
        self.count += 1;
        self.bytes += cost(&packet);
        let deadline = now + PATIENCE;
        self.queues.entry(subnet).or_default().push_back((deadline, packet));
        self.deadlines.push_back((deadline, subnet));
        Ok(())
    }

    /// Everything that waits for a /64, oldest first.
    pub(super) fn take(&mut self, subnet: u64) -> impl Iterator<Item = Held> + use<> {
        let queue = self.queues.remove(&subnet).unwrap_or_default();
        for (_, packet) in &queue {
            self.count -= 1;
            self.bytes -= cost(packet);
        }
        queue.into_iter().map(|(_, packet)| packet)
    }

    /// Takes out what has waited long enough.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Held> {
        let mut expired = Vec::new();
        while let Some((_, subnet)) = self.deadlines.pop_front_if(|(at, _)| *at <= now) {
            let Some(queue) = self.queues.get_mut(&subnet) else { continue };
            while let Some((_, packet)) = queue.pop_front_if(|(at, _)| *at <= now) {
                self.count -= 1;
                self.bytes -= cost(&packet);
                expired.push(packet);
            }
            if queue.is_empty() {
                self.queues.remove(&subnet);
            }
        }
        expired
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

fn cost(packet: &Held) -> usize {
    match packet {
        Held::Sealed(packet) => packet.payload.len() + PACKET_COST,
        Held::Plain(packet) => packet.len() + PACKET_COST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(hop_limit: u8, payload: Bytes) -> Held {
        let address = std::net::Ipv6Addr::UNSPECIFIED;
        Held::Sealed(DataPacket { hop_limit, source: address, destination: address, payload })
    }

    #[test]
    fn each_packet_has_its_own_deadline() {
        let start = Instant::now();
        let mut waiting = Waiting::new(10, 10, 10_000);
        waiting.push(1, packet(1, Bytes::new()), start).unwrap();
        waiting.push(1, packet(2, Bytes::new()), start + Duration::from_secs(10)).unwrap();
        assert_eq!(waiting.poll_timeout(), Some(start + PATIENCE));
        assert_eq!(waiting.expire(start + PATIENCE), [packet(1, Bytes::new())]);
        assert_eq!(waiting.take(1).collect::<Vec<_>>(), [packet(2, Bytes::new())]);
        assert_eq!(waiting.expire(start + 2 * PATIENCE), []);
        assert_eq!((waiting.poll_timeout(), waiting.bytes), (None, 0));
    }

    #[test]
    fn all_bounds_hold() {
        let now = Instant::now();
        let mut waiting = Waiting::new(2, 3, 10_000);
        for (subnet, fits) in [(1, true), (1, true), (1, false), (2, true), (3, false)] {
            assert_eq!(waiting.push(subnet, packet(1, Bytes::new()), now).is_ok(), fits);
        }
        assert_eq!(waiting.take(1).count(), 2);
        assert!(waiting.push(3, packet(1, Bytes::new()), now).is_ok());
        let mut waiting = Waiting::new(100, 100, 80_000);
        let large = packet(1, vec![0; 5000].into());
        let pushed = (0..100).filter(|_| waiting.push(1, large.clone(), now).is_ok()).count();
        assert_eq!(pushed, 1, "an eighth of the bytes");
        for subnet in 0..100 {
            let _ = waiting.push(subnet, large.clone(), now); // until they are full
        }
        assert_eq!(waiting.count, 80_000 / 5128);
    }

    #[test]
    fn a_waiting_packet_does_not_hold_the_read_it_came_in() {
        let mut waiting = Waiting::new(10, 10, 100_000);
        let read = Bytes::from(vec![0; 65_536]);
        waiting.push(1, packet(1, read.slice(..10)), Instant::now()).unwrap();
        assert!(read.is_unique());
    }
}

//! Who sends how much to whom: packets and bytes by overlay address, bounded.
//!
//! Senders choose addresses, so the table cannot hold all. A new address takes the place of the one
//! with the fewest packets among a few: whoever sends much stays, made-up addresses replace each
//! other.

use std::collections::HashMap;
use std::net::Ipv6Addr;

/// Addresses looked at for the one that makes room.
const SAMPLE: usize = 64;

/// Packets and bytes of one overlay address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressCount {
    /// Whose.
    pub address: Ipv6Addr,
    /// Data packets.
    pub packets: u64,
    /// Bytes of those with all overlay headers.
    pub bytes: u64,
}

/// Data packets that this node sent, received or forwarded, by their outer addresses. Of the many
/// addresses that made-up packets can name, only some are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketStatistics {
    /// By source, most packets first.
    pub by_source: Vec<AddressCount>,
    /// By destination, most packets first.
    pub by_destination: Vec<AddressCount>,
}

/// Some packets between the same two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Packets of a batch, those that follow each other as one.
#[derive(Debug, Default)]
pub(crate) struct Runs(Vec<Run>);

impl Runs {
    pub(crate) fn add(&mut self, source: Ipv6Addr, destination: Ipv6Addr, bytes: usize) {
        let bytes = bytes as u64;
        match self.0.last_mut() {
            Some(run) if run.source == source && run.destination == destination => {
                run.packets += 1;
                run.bytes += bytes;
            }
            _ => self.0.push(Run { source, destination, packets: 1, bytes }),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The tables being counted.
#[derive(Debug)]
pub(crate) struct Statistics {
    limit: usize,
    by_source: HashMap<Ipv6Addr, (u64, u64)>,
    by_destination: HashMap<Ipv6Addr, (u64, u64)>,
}

impl Statistics {
    /// Remembers `limit` sources and as many destinations.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, by_source: HashMap::new(), by_destination: HashMap::new() }
    }

    pub(crate) fn add_all(&mut self, runs: &Runs) {
        for run in &runs.0 {
            self.add(run);
        }
    }

    pub(crate) fn add(&mut self, run: &Run) {
        add(&mut self.by_source, run.source, run, self.limit);
        add(&mut self.by_destination, run.destination, run, self.limit);
    }

    pub(crate) fn read(&self) -> PacketStatistics {
        let by_source = sorted(&self.by_source);
        PacketStatistics { by_source, by_destination: sorted(&self.by_destination) }
    }
}

fn add(table: &mut HashMap<Ipv6Addr, (u64, u64)>, address: Ipv6Addr, run: &Run, limit: usize) {
    if let Some((packets, bytes)) = table.get_mut(&address) {
        *packets += run.packets;
        *bytes += run.bytes;
        return;
    }
    if table.len() >= limit {
        let sample = table.iter().take(SAMPLE);
        let Some(victim) = sample.min_by_key(|(_, count)| **count).map(|(address, _)| *address)
        else {
            return;
        };
        table.remove(&victim);
    }
    table.insert(address, (run.packets, run.bytes));
}

fn sorted(table: &HashMap<Ipv6Addr, (u64, u64)>) -> Vec<AddressCount> {
    let count = |(address, (packets, bytes)): (&Ipv6Addr, &(u64, u64))| AddressCount {
        address: *address,
        packets: *packets,
        bytes: *bytes,
    };
    let mut counts: Vec<AddressCount> = table.iter().map(count).collect();
    counts.sort_by_key(|count| (std::cmp::Reverse(count.packets), count.address));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: u128, packets: u64) -> Run {
        let destination = Ipv6Addr::LOCALHOST;
        Run { source: Ipv6Addr::from_bits(source), destination, packets, bytes: packets * 100 }
    }

    #[test]
    fn made_up_addresses_replace_each_other_and_not_who_sends_much() {
        let mut statistics = Statistics::new(64);
        (0..32).for_each(|source| statistics.add(&run(source, 1000)));
        (100..100_000).for_each(|source| statistics.add(&run(source, 1)));
        let read = statistics.read();
        assert_eq!(read.by_source.len(), 64);
        let kept = read.by_source.iter().filter(|count| count.packets == 1000).count();
        assert_eq!(kept, 32);
        let all = 32 * 1000 + 99_900;
        assert_eq!(
            read.by_destination,
            [AddressCount { address: Ipv6Addr::LOCALHOST, packets: all, bytes: all * 100 }]
        );
    }
}

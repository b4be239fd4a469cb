//! The route table: what neighbours announced, by prefix, with longest-prefix match (spec 6.1).
//!
//! Nearly every prefix is a /64 and found by its upper half; the few longer ones have a map of their
//! own. Only announced routes are in here. Running lookups are elsewhere, so that asking for a prefix
//! can never hide a working route. A selected entry comes first in its set; retracted ones stay for
//! some seconds so that the key behind a prefix is still known.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::ops::Bound;
use std::time::Duration;

use super::clock::Tick;
use super::destination::{Destination, Entry};
use super::filter::SUBNET_LENGTH;
use super::schedule::Schedule;
use crate::{LinkId, Prefix};

/// A route that no packet took for this long may make room for another.
const IN_USE: Duration = Duration::from_secs(600);
/// Prefixes looked at in search of one to give up: a sample, because looking for the best victim
/// would make an attacker's flood expensive.
const SAMPLE: usize = 16;
/// What ends sooner than this is worth a wake-up of its own; the rest waits for the next one.
const URGENT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct RouteTable {
    subnets: BTreeMap<u64, Destination>,
    longer: BTreeMap<Prefix, Destination>,
    /// How many there are of each length above 64.
    lengths: BTreeMap<u8, usize>,
    by_link: BTreeMap<LinkId, BTreeSet<Prefix>>,
    schedule: Schedule<Prefix>,
    urgent: Option<Tick>,
    entries: usize,
    distances: usize,
}

impl RouteTable {
    pub(super) fn new() -> Self {
        Self {
            subnets: BTreeMap::new(),
            longer: BTreeMap::new(),
            lengths: BTreeMap::new(),
            by_link: BTreeMap::new(),
            schedule: Schedule::new(),
            urgent: None,
            entries: 0,
            distances: 0,
        }
    }

    pub(super) fn get(&self, prefix: Prefix) -> Option<&Destination> {
        match subnet_bits(prefix) {
            Some(bits) => self.subnets.get(&bits),
            None => self.longer.get(&prefix),
        }
    }

    /// For changes that neither add nor remove anything; [`RouteTable::settle`] afterwards.
    pub(super) fn get_mut(&mut self, prefix: Prefix) -> Option<&mut Destination> {
        match subnet_bits(prefix) {
            Some(bits) => self.subnets.get_mut(&bits),
            None => self.longer.get_mut(&prefix),
        }
    }

    pub(super) fn selected(&self, prefix: Prefix) -> Option<&Entry> {
        self.get(prefix)?.selected()
    }

    pub(super) fn set(&self, prefix: Prefix) -> &[Entry] {
        self.get(prefix).map_or(&[], |known| &known.entries)
    }

    /// What covers an address and has routes, longest prefix first.
    pub(super) fn covering(&self, address: Ipv6Addr) -> impl Iterator<Item = (Prefix, &[Entry])> {
        let longer = self.lengths.keys().rev().filter_map(move |length| {
            let prefix = Prefix::new(address, *length)?;
            Some((prefix, self.longer.get(&prefix)?))
        });
        let subnet = Prefix::subnet_of(address);
        let all = longer.chain(self.get(subnet).map(|known| (subnet, known)));
        let sets = all.map(|(prefix, known)| (prefix, known.entries.as_slice()));
        sets.filter(|(_, entries)| !entries.is_empty())
    }

    /// The longest prefix around an address that has a selected route.
    pub(super) fn selected_for(&self, address: Ipv6Addr) -> Option<(Prefix, &Entry)> {
        self.covering(address).find_map(|(prefix, set)| {
            set.first().filter(|entry| entry.selected).map(|entry| (prefix, entry))
        })
    }

    /// Adds an entry that is not in the table yet.
    pub(super) fn insert(&mut self, prefix: Prefix, entry: Entry) {
        let known = match subnet_bits(prefix) {
            Some(bits) => self.subnets.entry(bits).or_insert_with(Destination::new),
            None => self.longer.entry(prefix).or_insert_with(|| {
                *self.lengths.entry(prefix.length()).or_default() += 1;
                Destination::new()
            }),
        };
        if known.entries.is_empty() {
            known.entries.reserve_exact(1); // most prefixes have one route and no more
        }
        known.entries.push(entry);
        self.entries += 1;
        self.by_link.entry(entry.link).or_default().insert(prefix);
    }

    pub(super) fn remove(&mut self, prefix: Prefix, link: LinkId) {
        let Some(known) = self.get_mut(prefix) else { return };
        let before = known.entries.len();
        known.entries.retain(|entry| entry.link != link);
        self.entries -= before - known.entries.len();
        if let Some(prefixes) = self.by_link.get_mut(&link) {
            prefixes.remove(&prefix);
            if prefixes.is_empty() {
                self.by_link.remove(&link);
            }
        }
    }

    /// Notes a route as advertised: see [`Destination::advertised`].
    pub(super) fn advertised(&mut self, prefix: Prefix, route: &Entry, metric: u16, until: Tick) {
        let Some(known) = self.get_mut(prefix) else { return };
        let before = known.distances();
        known.advertised(route, metric, until);
        let after = known.distances();
        self.distances = self.distances + after - before;
    }

    /// After any change: sees to it that what is there is looked at in time, and that nothing is
    /// left of what is gone.
    pub(super) fn settle(&mut self, prefix: Prefix, now: Tick) {
        let Some(known) = self.get_mut(prefix) else { return };
        if known.is_empty() {
            return self.delete(prefix);
        }
        let due = known.due();
        if due >= known.scheduled {
            return;
        }
        known.scheduled = due;
        self.schedule.push(due, prefix);
        if due.since(now) < URGENT {
            self.urgent = Some(self.urgent.map_or(due, |urgent| urgent.min(due)));
        }
        if self.schedule.is_stale(self.subnets.len() + self.longer.len()) {
            let subnets = self.subnets.iter().map(|(bits, known)| (subnet(*bits), known));
            let longer = self.longer.iter().map(|(prefix, known)| (*prefix, known));
            let all = subnets.chain(longer).map(|(prefix, known)| (known.scheduled, prefix));
            self.schedule.rebuild(all);
        }
    }

    /// When something is due that should not wait for the next wake-up, and when anything is.
    pub(super) fn next_due(&self) -> (Option<Tick>, Option<Tick>) {
        (self.urgent, self.schedule.next())
    }

    /// A prefix of which something is due. Its outdated distances are gone already.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Prefix> {
        while let Some((at, prefix)) = self.schedule.pop_due(now) {
            let Some(known) = self.get_mut(prefix).filter(|known| known.scheduled == at) else {
                continue;
            };
            known.scheduled = Tick::NEVER;
            let forgotten = known.forget_distances(now);
            self.distances -= forgotten;
            return Some(prefix);
        }
        if self.urgent.is_some_and(|urgent| urgent <= now) {
            self.urgent = self.schedule.next().filter(|next| next.since(now) < URGENT);
        }
        None
    }

    /// All prefixes with an entry through this neighbour.
    pub(super) fn prefixes_of(&self, link: LinkId) -> Vec<Prefix> {
        self.by_link.get(&link).into_iter().flatten().copied().collect()
    }

    pub(super) fn count_of(&self, link: LinkId) -> usize {
        self.by_link.get(&link).map_or(0, BTreeSet::len)
    }

    /// The neighbour with the most entries.
    pub(super) fn greediest(&self) -> Option<LinkId> {
        self.by_link.iter().max_by_key(|(_, prefixes)| prefixes.len()).map(|(link, _)| *link)
    }

    /// Entries in all.
    pub(super) fn count(&self) -> usize {
        self.entries
    }

    /// Feasibility distances in all.
    pub(super) fn distances(&self) -> usize {
        self.distances
    }

    /// The same, counted anew. Panics where a sum that is kept is wrong.
    pub(super) fn counted_distances(&self) -> usize {
        let known = self.subnets.values().chain(self.longer.values());
        let counted = known.map(Destination::distances).sum();
        assert_eq!(counted, self.distances);
        counted
    }

    /// Times in the schedule beyond those that mean something and the slack.
    pub(super) fn stale_times(&self) -> usize {
        self.schedule.stale(self.subnets.len() + self.longer.len())
    }

    /// A prefix of this neighbour no packet went to for a while, among the few that follow `from`.
    pub(super) fn unused_after(&self, link: LinkId, from: Prefix, now: Tick) -> Option<Prefix> {
        let prefixes = self.by_link.get(&link)?;
        let mut sample = prefixes.range(from..).chain(prefixes.range(..from)).take(SAMPLE);
        sample.find(|prefix| !self.is_used(**prefix, now)).copied()
    }

    /// Whether a packet took the route to this prefix lately.
    pub(super) fn is_used(&self, prefix: Prefix, now: Tick) -> bool {
        let used = self.get(prefix).map_or(Tick::START, |known| known.used);
        used != Tick::START && now.since(used) < IN_USE
    }

    /// Makes room for one more distance: those of prefixes without routes go first.
    pub(super) fn evict_distance(&mut self, from: Prefix, now: Tick) {
        let bits = (from.address().to_bits() >> SUBNET_LENGTH) as u64;
        let around = self.subnets.range(bits..).chain(self.subnets.range(..bits));
        let sample = around.filter(|(_, known)| known.distances() > 0).take(SAMPLE);
        let victim = sample.min_by_key(|(_, known)| (!known.entries.is_empty(), known.due()));
        let victim = victim.map(|(bits, _)| subnet(*bits));
        let Some(victim) = victim.or_else(|| self.longer_with_distances(from)) else { return };
        if let Some(known) = self.get_mut(victim) {
            let forgotten = known.forget_distances(Tick::NEVER);
            self.distances -= forgotten;
        }
        self.settle(victim, now);
    }

    fn longer_with_distances(&self, from: Prefix) -> Option<Prefix> {
        let mut around = self.longer.range(from..).chain(self.longer.range(..from));
        around.find(|(_, known)| known.distances() > 0).map(|(prefix, _)| *prefix)
    }

    pub(super) fn forget_told(&mut self, place: u16) {
        for known in self.subnets.values_mut().chain(self.longer.values_mut()) {
            known.forget_told(place);
        }
    }

    /// The prefix after `prefix`, or the first: all /64s and then the longer ones.
    pub(super) fn after(&self, prefix: Option<Prefix>) -> Option<Prefix> {
        let subnets_after = match prefix {
            None => Some(Bound::Unbounded),
            Some(prefix) => subnet_bits(prefix).map(Bound::Excluded),
        };
        let next =
            subnets_after.and_then(|after| self.subnets.range((after, Bound::Unbounded)).next());
        if let Some((bits, _)) = next {
            return Some(subnet(*bits));
        }
        let after = match prefix.filter(|prefix| subnet_bits(*prefix).is_none()) {
            Some(prefix) => Bound::Excluded(prefix),
            None => Bound::Unbounded,
        };
        self.longer.range((after, Bound::Unbounded)).next().map(|(prefix, _)| *prefix)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &Entry)> {
        let subnets = self.subnets.iter().map(|(bits, known)| (subnet(*bits), known));
        let longer = self.longer.iter().map(|(prefix, known)| (*prefix, known));
        let all = subnets.chain(longer);
        all.flat_map(|(prefix, known)| known.entries.iter().map(move |entry| (prefix, entry)))
    }

    fn delete(&mut self, prefix: Prefix) {
        match subnet_bits(prefix) {
            Some(bits) => drop(self.subnets.remove(&bits)),
            None => {
                self.longer.remove(&prefix);
                if let Some(number) = self.lengths.get_mut(&prefix.length()) {
                    *number -= 1;
                    if *number == 0 {
                        self.lengths.remove(&prefix.length());
                    }
                }
            }
        }
    }
}

/// The upper half of a /64; none for longer prefixes.
fn subnet_bits(prefix: Prefix) -> Option<u64> {
    let bits = (prefix.address().to_bits() >> SUBNET_LENGTH) as u64;
    (prefix.length() == SUBNET_LENGTH).then_some(bits)
}

fn subnet(bits: u64) -> Prefix {
    Prefix::subnet_of(Ipv6Addr::from_bits(u128::from(bits) << SUBNET_LENGTH))
}

//! The route table: what neighbours announced, by prefix, with longest-prefix match (spec 6.1).
//!
//! Nearly every prefix is a /64 and found by its upper half; the few longer ones have a map of their
//! own. Only announced routes are in here. Running lookups are elsewhere, so that asking for a prefix
//! can never hide a working route. A selected entry comes first in its set; retracted ones stay for
//! some seconds so that the key behind a prefix is still known.

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
        let Some(victim) = victim.or_else(|| self.longer.keys().next().copied()) else { return };
        if let Some(known) = self.get_mut(victim) {
            let forgotten = known.forget_distances(Tick::NEVER);
            self.distances -= forgotten;
        }
        self.settle(victim, now);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::clock::Clock;
    use super::*;
    use crate::{PublicKey, RouterId};

    fn entry(link: u64, expires: Tick) -> Entry {
        let router_id = RouterId::new(PublicKey::from_bytes([1; 32]), [0; 6]);
        let (link, doubted) = (LinkId(link), Tick::START);
        Entry { router_id, link, expires, doubted, metric: 1, seqno: 0, selected: false }
    }

    fn select(table: &mut RouteTable, prefix: Prefix, link: u64) {
        table.get_mut(prefix).unwrap().select(Some(LinkId(link)));
    }

    #[test]
    fn the_longest_selected_prefix_wins() {
        let mut table = RouteTable::new();
        let (short, long) = ("400::/64".parse().unwrap(), "400::1/128".parse().unwrap());
        table.insert(short, entry(1, Tick::NEVER));
        table.insert(long, entry(2, Tick::NEVER));
        select(&mut table, short, 1);
        let found = |table: &RouteTable, address: &str| {
            table.selected_for(address.parse().unwrap()).map(|(_, entry)| entry.link)
        };
        assert_eq!(found(&table, "400::1"), Some(LinkId(1)), "nothing leads to the longer one");
        select(&mut table, long, 2);
        assert_eq!(found(&table, "400::1"), Some(LinkId(2)));
        assert_eq!(found(&table, "400::2"), Some(LinkId(1)));
        assert_eq!(found(&table, "401::2"), None);
        table.remove(long, LinkId(2));
        assert_eq!(found(&table, "400::1"), Some(LinkId(1)));
    }

    #[test]
    fn nothing_is_left_of_a_removed_entry() {
        let start = Instant::now();
        let clock = Clock::new(start);
        for prefix in ["400::/64", "400::/72"].map(|text| text.parse().unwrap()) {
            let mut table = RouteTable::new();
            let expires = clock.after(Duration::from_secs(5), start);
            table.insert(prefix, entry(1, expires));
            table.settle(prefix, clock.tick(start));
            assert_eq!(table.next_due(), (Some(expires), Some(expires)));
            table.remove(prefix, LinkId(1));
            table.settle(prefix, clock.tick(start));
            assert!(table.subnets.is_empty() && table.longer.is_empty());
            assert!(table.lengths.is_empty() && table.by_link.is_empty());
            assert_eq!((table.count(), table.pop_due(expires), table.urgent), (0, None, None));
        }
    }

    #[test]
    fn an_entry_moved_back_is_looked_at_once_more_and_one_moved_forward_in_time() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let at = |seconds| clock.after(Duration::from_secs(seconds), start);
        let (mut table, prefix) = (RouteTable::new(), "400::/64".parse().unwrap());
        table.insert(prefix, entry(1, at(100)));
        table.settle(prefix, at(0));
        table.get_mut(prefix).unwrap().entries[0].expires = at(200);
        table.settle(prefix, at(0));
        assert_eq!(table.pop_due(at(100)), Some(prefix));
        table.settle(prefix, at(100));
        assert_eq!(table.pop_due(at(199)), None);
        table.get_mut(prefix).unwrap().entries[0].expires = at(150);
        table.settle(prefix, at(120));
        assert_eq!(table.pop_due(at(150)), Some(prefix));
    }

    #[test]
    fn a_route_in_use_makes_no_room_until_it_is_left_alone() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let mut table = RouteTable::new();
        let prefix = "400::/64".parse().unwrap();
        table.insert(prefix, entry(1, Tick::NEVER));
        assert_eq!(table.unused_after(LinkId(1), prefix, clock.tick(start)), Some(prefix));
        table.get_mut(prefix).unwrap().used = clock.tick(start);
        let at = |wait| clock.after(wait, start);
        assert_eq!(table.unused_after(LinkId(1), prefix, at(IN_USE / 2)), None);
        assert_eq!(table.unused_after(LinkId(1), prefix, at(IN_USE)), Some(prefix));
    }

    #[test]
    fn walking_the_table_meets_every_prefix_once() {
        let mut table = RouteTable::new();
        let mut prefixes: Vec<Prefix> = ["401::/64", "400::/72", "402::/64", "400::1/128"]
            .map(|text| text.parse().unwrap())
            .into();
        for prefix in &prefixes {
            table.insert(*prefix, entry(1, Tick::NEVER));
        }
        let mut found: Vec<Prefix> =
            std::iter::successors(table.after(None), |at| table.after(Some(*at))).collect();
        found.sort();
        prefixes.sort();
        assert_eq!(found, prefixes);
    }
}

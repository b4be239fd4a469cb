//! The route table: what neighbours announced, by prefix, with longest-prefix match (spec 6.1).
//!
//! Only announced routes are in here. Running lookups are elsewhere, so that asking for a prefix
//! can never hide a working route. A selected entry always has a finite metric and comes first in
//! its set; retracted ones stay for some seconds so that the key behind a prefix is still known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::deadline::Deadlines;
use crate::{LinkId, Prefix, RouterId};

/// A route that no packet took for this long may make room for another.
const IN_USE: Duration = Duration::from_secs(600);

/// A route through one neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) link: LinkId,
    pub(super) router_id: RouterId,
    /// As received, without the cost of the link.
    pub(super) metric: u16,
    pub(super) seqno: u16,
    pub(super) selected: bool,
}

#[derive(Debug)]
pub(super) struct RouteTable {
    sets: BTreeMap<Prefix, Vec<Entry>>,
    deadlines: Deadlines<(Prefix, LinkId)>,
    /// How many sets there are of each length: nearly always one length only.
    lengths: BTreeMap<u8, usize>,
    by_link: BTreeMap<LinkId, BTreeSet<Prefix>>,
    /// When packets last took the route of a prefix.
    used: BTreeMap<Prefix, Instant>,
    count: usize,
}

impl RouteTable {
    pub(super) fn new() -> Self {
        Self {
            sets: BTreeMap::new(),
            deadlines: Deadlines::new(),
            lengths: BTreeMap::new(),
            by_link: BTreeMap::new(),
            used: BTreeMap::new(),
            count: 0,
        }
    }

    /// The entries of exactly this prefix, the selected one first.
    pub(super) fn set(&self, prefix: Prefix) -> &[Entry] {
        self.sets.get(&prefix).map_or(&[], Vec::as_slice)
    }

    pub(super) fn selected(&self, prefix: Prefix) -> Option<&Entry> {
        self.set(prefix).first().filter(|entry| entry.selected)
    }

    pub(super) fn entry(&self, prefix: Prefix, link: LinkId) -> Option<&Entry> {
        self.set(prefix).iter().find(|entry| entry.link == link)
    }

    pub(super) fn entry_mut(&mut self, prefix: Prefix, link: LinkId) -> Option<&mut Entry> {
        self.sets.get_mut(&prefix)?.iter_mut().find(|entry| entry.link == link)
    }

    /// The sets that cover an address, longest prefix first.
    pub(super) fn covering(&self, address: Ipv6Addr) -> impl Iterator<Item = (Prefix, &[Entry])> {
        self.lengths.keys().rev().filter_map(move |length| {
            let prefix = Prefix::new(address, *length)?;
            Some((prefix, self.sets.get(&prefix)?.as_slice()))
        })
    }

    /// The longest prefix around an address that has a selected route.
    pub(super) fn selected_for(&self, address: Ipv6Addr) -> Option<(Prefix, &Entry)> {
        self.covering(address).find_map(|(prefix, set)| {
            set.first().filter(|entry| entry.selected).map(|entry| (prefix, entry))
        })
    }

    /// Adds an entry that is not in the table yet.
    pub(super) fn insert(&mut self, prefix: Prefix, entry: Entry, expires: Instant) {
        let set = self.sets.entry(prefix).or_default();
        if set.is_empty() {
            *self.lengths.entry(prefix.length()).or_default() += 1;
        }
        set.push(entry);
        self.count += 1;
        self.by_link.entry(entry.link).or_default().insert(prefix);
        self.deadlines.set((prefix, entry.link), expires);
    }

    pub(super) fn remove(&mut self, prefix: Prefix, link: LinkId) {
        self.deadlines.cancel((prefix, link));
        let Some(set) = self.sets.get_mut(&prefix) else { return };
        let before = set.len();
        set.retain(|entry| entry.link != link);
        self.count -= before - set.len();
        if set.is_empty() {
            self.sets.remove(&prefix);
            self.used.remove(&prefix);
            if let Some(number) = self.lengths.get_mut(&prefix.length()) {
                *number -= 1;
                if *number == 0 {
                    self.lengths.remove(&prefix.length());
                }
            }
        }
        if let Some(prefixes) = self.by_link.get_mut(&link) {
            prefixes.remove(&prefix);
            if prefixes.is_empty() {
                self.by_link.remove(&link);
            }
        }
    }

    /// Selects the entry of this neighbour, or none.
    pub(super) fn select(&mut self, prefix: Prefix, link: Option<LinkId>) {
        let Some(set) = self.sets.get_mut(&prefix) else { return };
        for entry in set.iter_mut() {
            entry.selected = Some(entry.link) == link;
        }
        set.sort_by_key(|entry| !entry.selected);
    }

    pub(super) fn set_expiry(&mut self, prefix: Prefix, link: LinkId, at: Instant) {
        self.deadlines.set((prefix, link), at);
    }

    pub(super) fn expiry(&self, prefix: Prefix, link: LinkId) -> Option<Instant> {
        self.deadlines.at((prefix, link))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<(Prefix, LinkId)> {
        self.deadlines.pop_due(now)
    }

    /// All prefixes with an entry through this neighbour.
    pub(super) fn prefixes_of(&self, link: LinkId) -> Vec<Prefix> {
        self.by_link.get(&link).into_iter().flatten().copied().collect()
    }

    pub(super) fn count_of(&self, link: LinkId) -> usize {
        self.by_link.get(&link).map_or(0, BTreeSet::len)
    }

    /// Entries in all.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn mark_used(&mut self, prefix: Prefix, now: Instant) {
        if self.sets.contains_key(&prefix) {
            self.used.insert(prefix, now);
        }
    }

    /// A prefix of this neighbour no packet went to for a while, among the few that follow `from`: a
    /// sample, because looking for the best victim would make an attacker's flood expensive.
    pub(super) fn unused_after(&self, link: LinkId, from: Prefix, now: Instant) -> Option<Prefix> {
        let prefixes = self.by_link.get(&link)?;
        let sample = prefixes.range(from..).chain(prefixes.range(..from)).take(16);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < IN_USE;
        sample.copied().find(|prefix| !self.used.get(prefix).is_some_and(recent))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &Entry)> {
        self.sets.iter().flat_map(|(prefix, set)| set.iter().map(|entry| (*prefix, entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    fn entry(link: u64) -> Entry {
        let router_id = RouterId::new(PublicKey::from_bytes([1; 32]), [0; 6]);
        Entry { link: LinkId(link), router_id, metric: 1, seqno: 0, selected: false }
    }

    #[test]
    fn the_longest_selected_prefix_wins() {
        let now = Instant::now();
        let mut table = RouteTable::new();
        let (short, long) = ("400::/64".parse().unwrap(), "400::1/128".parse().unwrap());
        table.insert(short, entry(1), now);
        table.insert(long, entry(2), now);
        table.select(short, Some(LinkId(1)));
        let found = |table: &RouteTable, address: &str| {
            table.selected_for(address.parse().unwrap()).map(|(_, entry)| entry.link)
        };
        assert_eq!(found(&table, "400::1"), Some(LinkId(1)), "nothing leads to the longer one");
        table.select(long, Some(LinkId(2)));
        assert_eq!(found(&table, "400::1"), Some(LinkId(2)));
        assert_eq!(found(&table, "400::2"), Some(LinkId(1)));
        assert_eq!(found(&table, "401::2"), None);
        table.remove(long, LinkId(2));
        assert_eq!(found(&table, "400::1"), Some(LinkId(1)));
    }

    #[test]
    fn nothing_is_left_of_a_removed_entry() {
        let now = Instant::now();
        let mut table = RouteTable::new();
        let prefix = "400::/64".parse().unwrap();
        table.insert(prefix, entry(1), now + Duration::from_secs(5));
        table.mark_used(prefix, now);
        table.remove(prefix, LinkId(1));
        assert!(table.sets.is_empty() && table.lengths.is_empty() && table.by_link.is_empty());
        assert!(table.used.is_empty() && table.next_timeout().is_none());
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_route_in_use_makes_no_room_until_it_is_left_alone() {
        let now = Instant::now();
        let mut table = RouteTable::new();
        let prefix = "400::/64".parse().unwrap();
        table.insert(prefix, entry(1), now);
        assert_eq!(table.unused_after(LinkId(1), prefix, now), Some(prefix));
        table.mark_used(prefix, now);
        assert_eq!(table.unused_after(LinkId(1), prefix, now + IN_USE / 2), None);
        assert_eq!(table.unused_after(LinkId(1), prefix, now + IN_USE), Some(prefix));
    }

    #[test]
    fn the_selected_entry_comes_first() {
        let mut table = RouteTable::new();
        let prefix = "400::/64".parse().unwrap();
        for link in 1..=3 {
            table.insert(prefix, entry(link), Instant::now());
        }
        table.select(prefix, Some(LinkId(2)));
        assert_eq!(table.selected(prefix).unwrap().link, LinkId(2));
        assert_eq!(table.set(prefix).iter().filter(|entry| entry.selected).count(), 1);
        table.select(prefix, None);
        assert!(table.selected(prefix).is_none());
    }
}

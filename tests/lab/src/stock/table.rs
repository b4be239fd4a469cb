//! The routing table of the model: sets of entries by prefix, and prefixes that are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use threephone_node::{LinkId, Prefix, RouterId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) link: LinkId,
    pub(super) id: RouterId,
    /// As received.
    pub(super) metric: u16,
    pub(super) seqno: u16,
    pub(super) selected: bool,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    /// The selected entry comes first; an empty set stands for Queried.
    sets: BTreeMap<Prefix, Vec<Entry>>,
    lengths: BTreeSet<u8>,
    pub(super) selections: u64,
}

impl Table {
    /// The entries of exactly this prefix; empty for one that is unknown or looked up.
    pub(super) fn set(&self, prefix: Prefix) -> &[Entry] {
        self.sets.get(&prefix).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_known(&self, prefix: Prefix) -> bool {
        self.sets.contains_key(&prefix)
    }

    pub(super) fn selected(&self, prefix: Prefix) -> Option<Entry> {
        self.set(prefix).first().filter(|entry| entry.selected).copied()
    }

    pub(super) fn entry_mut(&mut self, prefix: Prefix, link: LinkId) -> Option<&mut Entry> {
        self.sets.get_mut(&prefix)?.iter_mut().find(|entry| entry.link == link)
    }

    /// The longest prefix around an address, looked-up ones included.
    pub(super) fn longest(&self, address: Ipv6Addr) -> Option<(Prefix, &[Entry])> {
        self.lengths.iter().rev().find_map(|length| {
            let prefix = Prefix::new(address, *length)?;
            Some((prefix, self.sets.get(&prefix)?.as_slice()))
        })
    }

    pub(super) fn insert(&mut self, prefix: Prefix, entry: Entry) {
        self.lengths.insert(prefix.length());
        self.sets.entry(prefix).or_default().push(entry);
    }

    pub(super) fn remove(&mut self, prefix: Prefix, link: LinkId) {
        let Some(set) = self.sets.get_mut(&prefix) else { return };
        self.selections += u64::from(set.iter().any(|entry| entry.link == link && entry.selected));
        set.retain(|entry| entry.link != link);
        if set.is_empty() {
            self.sets.remove(&prefix);
        }
    }

    pub(super) fn select(&mut self, prefix: Prefix, link: Option<LinkId>) {
        let Some(set) = self.sets.get_mut(&prefix) else { return };
        for entry in set.iter_mut() {
            entry.selected = Some(entry.link) == link;
        }
        set.sort_by_key(|entry| !entry.selected);
    }

    /// Marks a prefix as looked up if nothing is known of it.
    pub(super) fn query(&mut self, prefix: Prefix) {
        self.lengths.insert(prefix.length());
        self.sets.entry(prefix).or_default();
    }

    pub(super) fn unquery(&mut self, prefix: Prefix) {
        if self.set(prefix).is_empty() {
            self.sets.remove(&prefix);
        }
    }

    pub(super) fn queried(&self) -> Vec<Prefix> {
        let empty = self.sets.iter().filter(|(_, set)| set.is_empty());
        empty.map(|(prefix, _)| *prefix).collect()
    }

    pub(super) fn through(&self, link: LinkId) -> Vec<Prefix> {
        let via = |set: &[Entry]| set.iter().any(|entry| entry.link == link);
        self.sets.iter().filter(|(_, set)| via(set)).map(|(prefix, _)| *prefix).collect()
    }

    pub(super) fn selected_entries(&self) -> Vec<(Prefix, Entry)> {
        let selected = |(prefix, set): (&Prefix, &Vec<Entry>)| {
            set.first().filter(|entry| entry.selected).map(|entry| (*prefix, *entry))
        };
        self.sets.iter().filter_map(selected).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.sets.values().map(Vec::len).sum()
    }
}

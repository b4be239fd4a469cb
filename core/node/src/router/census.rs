//! How full every table is, counted anew: what the bounds of [`super::RouterLimits`] are checked
//! against. Costs as much as the tables are large; for fuzzers.

use std::collections::BTreeMap;

use super::Router;
use super::metric::INFINITE;

/// Counts of what a router holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) links: usize,
    pub(crate) entries: usize,
    /// Routes through whichever link has the most.
    pub(crate) entries_of_a_link: usize,
    pub(crate) distances: usize,
    pub(crate) lookups: usize,
    /// Those that peers started.
    pub(crate) lookups_of_others: usize,
    /// Those that whichever peer started the most has running.
    pub(crate) lookups_of_a_peer: usize,
    pub(crate) failures: usize,
    pub(crate) seqno_requests: usize,
    pub(crate) pins: usize,
    pub(crate) timers: usize,
    /// Times in the schedule of the table, stale ones among them, beyond what it allows itself.
    pub(crate) stale_times: usize,
}

impl Router {
    /// Panics where one table says something else than another.
    pub(crate) fn census(&self) -> Census {
        let mut of_links = BTreeMap::<_, usize>::new();
        for (_, entry) in self.table.iter() {
            // One that was lost with its link is kept for a while, without being used.
            let is_there = self.neighbours.contains_key(&entry.link);
            assert!(is_there || (entry.metric == INFINITE && !entry.selected), "{entry:?}");
            *of_links.entry(entry.link).or_default() += 1;
        }
        for (link, count) in &of_links {
            assert_eq!(*count, self.table.count_of(*link));
        }
        let entries = of_links.values().sum();
        assert_eq!(entries, self.table.count());
        assert!(self.busy.iter().all(|link| self.neighbours.contains_key(link)));
        let lookups = self.lookups.census();
        Census {
            links: self.neighbours.len(),
            entries,
            entries_of_a_link: of_links.into_values().max().unwrap_or(0),
            distances: self.table.counted_distances(),
            lookups: lookups.running,
            lookups_of_others: lookups.of_others,
            lookups_of_a_peer: lookups.of_a_peer,
            failures: lookups.failures,
            seqno_requests: self.pending.count(),
            pins: self.pins.count(),
            timers: self.timers.len(),
            stale_times: self.table.stale_times(),
        }
    }
}

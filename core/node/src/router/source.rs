//! The source table: the best this node ever advertised for a source, which is what keeps routes
//! free of loops (spec 6.6). A route is only taken when it is better than that, or newer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::deadline::Deadlines;
use super::metric::INFINITE;
use super::seqno::is_newer;
use crate::{Prefix, RouterId};

const LIFETIME: Duration = Duration::from_secs(1800);

type Source = (Prefix, RouterId);

/// Feasibility distances by source.
#[derive(Debug)]
pub(super) struct SourceTable {
    distances: BTreeMap<Source, (u16, u16)>,
    deadlines: Deadlines<Source>,
    limit: usize,
}

impl SourceTable {
    pub(super) fn new(limit: usize) -> Self {
        Self { distances: BTreeMap::new(), deadlines: Deadlines::new(), limit }
    }

    pub(super) fn is_feasible(&self, source: Source, seqno: u16, metric: u16) -> bool {
        let Some(&(known_seqno, known_metric)) = self.distances.get(&source) else { return true };
        metric == INFINITE
            || is_newer(seqno, known_seqno)
            || (seqno == known_seqno && metric < known_metric)
    }

    /// Notes that a route of this source is advertised with a finite metric.
    pub(super) fn advertised(&mut self, source: Source, seqno: u16, metric: u16, now: Instant) {
        match self.distances.get_mut(&source) {
            Some(known) if is_newer(seqno, known.0) => *known = (seqno, metric),
            Some(known) if seqno == known.0 => known.1 = known.1.min(metric),
            Some(_) => {}
            None => {
                self.make_room();
                self.distances.insert(source, (seqno, metric));
            }
        }
        self.deadlines.set(source, now + LIFETIME);
    }

    /// The sequence number that makes any route of this source feasible again.
    pub(super) fn next_seqno(&self, source: Source) -> u16 {
        self.distances.get(&source).map_or(1, |(seqno, _)| seqno.wrapping_add(1))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(source) = self.deadlines.pop_due(now) {
            self.distances.remove(&source);
        }
    }

    fn make_room(&mut self) {
        // The one idle for longest is the least likely to be part of a loop still forming.
        while self.distances.len() >= self.limit
            && let Some(oldest) = self.deadlines.pop_first()
        {
            self.distances.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    fn source(number: u8) -> Source {
        let key = PublicKey::from_bytes([number; 32]);
        (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]))
    }

    #[test]
    fn a_route_is_feasible_when_newer_or_strictly_better_or_retracted() {
        let mut sources = SourceTable::new(10);
        assert!(sources.is_feasible(source(1), 5, 65_534), "nothing is known of this source");
        sources.advertised(source(1), 5, 100, Instant::now());
        assert!(sources.is_feasible(source(1), 5, 99));
        assert!(!sources.is_feasible(source(1), 5, 100));
        assert!(sources.is_feasible(source(1), 6, 60_000));
        assert!(!sources.is_feasible(source(1), 4, 1));
        assert!(sources.is_feasible(source(1), 4, INFINITE));
        assert!(sources.is_feasible(source(2), 0, 100));
    }

    #[test]
    fn what_is_remembered_is_the_newest_and_then_the_smallest() {
        let now = Instant::now();
        let mut sources = SourceTable::new(10);
        sources.advertised(source(1), 5, 100, now);
        sources.advertised(source(1), 5, 200, now);
        assert!(!sources.is_feasible(source(1), 5, 100));
        sources.advertised(source(1), 6, 300, now);
        assert!(sources.is_feasible(source(1), 6, 299));
        sources.advertised(source(1), 5, 1, now);
        assert!(sources.is_feasible(source(1), 6, 299));
        assert_eq!(sources.next_seqno(source(1)), 7);
        assert_eq!(sources.next_seqno(source(2)), 1);
    }

    #[test]
    fn entries_end_1800_s_after_their_last_use() {
        let now = Instant::now();
        let mut sources = SourceTable::new(10);
        sources.advertised(source(1), 5, 100, now);
        sources.advertised(source(1), 5, 100, now + Duration::from_secs(100));
        sources.expire(now + Duration::from_secs(1899));
        assert!(!sources.is_feasible(source(1), 5, 100));
        sources.expire(now + Duration::from_secs(1900));
        assert!(sources.is_feasible(source(1), 5, 100));
        assert_eq!(sources.next_timeout(), None);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let now = Instant::now();
        let mut sources = SourceTable::new(2);
        for number in 1..=3 {
            sources.advertised(source(number), 5, 100, now + Duration::from_secs(number.into()));
        }
        assert_eq!(sources.distances.len(), 2);
        assert!(sources.is_feasible(source(1), 5, 100));
        assert!(!sources.is_feasible(source(3), 5, 100));
    }
}

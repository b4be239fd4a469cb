//! Which messages were received already, so that their repeats are acknowledged and not delivered.
//!
//! Ids are kept in two generations for each source: eight bytes an id and the air of a hash set, 10 to
//! 21 bytes. The earlier generation goes when its last id is ten minutes old, and then the other
//! takes its place. A repeat moves its id to the newer one, for it shows that the sender has not heard
//! the answer. So an id is remembered for ten minutes after its last packet, and for twenty at most.
//!
//! When a bound is met, the earlier generation goes early, but not before its last id is thirty
//! seconds old, three times the longest pause between repeats. With nothing that old the receiver
//! takes no more: messages wait unacknowledged, and their senders come again. With the default
//! bounds that is 1,500 messages a second, of one source or of all, for the full ten minutes, and up
//! to 30,000 a second of one source with less. To hold 30,000 a second for ten minutes takes 36
//! million ids, 370 MB: there is no way to keep that many apart in much less.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::{Key, REMEMBERED};
use crate::limits::BusLimits;
use crate::wire::message::MessageId;

/// No id is forgotten earlier.
const AT_LEAST: Duration = Duration::from_secs(30);
/// What a source costs besides its ids, in ids.
const SOURCE_COST: usize = 64;

/// Ids of completed messages.
#[derive(Default)]
pub(super) struct Completed {
    sources: HashMap<u64, Source>,
    /// Sources by the last id of their earlier generation. One may be later than it stands here.
    oldest: BTreeSet<(Instant, u64)>,
    held: usize,
}

#[derive(Default)]
struct Source {
    earlier: Generation,
    newer: Generation,
}

#[derive(Default)]
struct Generation {
    ids: HashSet<MessageId>,
    /// When the last of them came.
    last: Option<Instant>,
}

impl Generation {
    fn insert(&mut self, id: MessageId, now: Instant) -> bool {
        self.last = Some(now);
        self.ids.insert(id)
    }

    fn is_older(&self, age: Duration, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= age)
    }
}

impl Source {
    /// Whether no id can be added.
    fn is_full(&self, limits: &BusLimits) -> bool {
        let (earlier, newer) = (self.earlier.ids.len(), self.newer.ids.len());
        let most = limits.completed_per_source;
        newer >= most / 2 || earlier.saturating_add(newer) >= most
    }

    /// Forgets the earlier generation, whose place the other takes. Gives how many ids those were.
    fn advance(&mut self) -> usize {
        std::mem::replace(&mut self.earlier, std::mem::take(&mut self.newer)).ids.len()
    }
}

impl Completed {
    /// Whether a message is complete; if so it is remembered anew.
    pub(super) fn renew(&mut self, key: &Key, now: Instant) -> bool {
        self.expire(now);
        let Some(source) = self.sources.get_mut(&key.0) else { return false };
        if source.newer.ids.contains(&key.1) {
            source.newer.last = Some(now);
            return true;
        }
        let is_known = source.earlier.ids.remove(&key.1);
        if is_known {
            source.newer.insert(key.1, now);
        }
        is_known
    }

    /// Whether another message of that source can be remembered. Forgets the oldest to make room.
    pub(super) fn has_room(&mut self, subnet: u64, limits: &BusLimits, now: Instant) -> bool {
        self.expire(now);
        if let Some(source) = self.sources.get_mut(&subnet) {
            // Twice, for repeats may have moved everything to the newer one.
            for _ in 0..2 {
                if source.is_full(limits) && source.earlier.is_older(AT_LEAST, now) {
                    self.held = self.held.saturating_sub(source.advance());
                }
            }
            if source.is_full(limits) {
                return false;
            }
        }
        let is_full = |held: usize| held.saturating_add(SOURCE_COST) >= limits.completed;
        self.forget(AT_LEAST, now, is_full);
        !is_full(self.held)
    }

    pub(super) fn insert(&mut self, key: Key, now: Instant) {
        let oldest = &mut self.oldest;
        let mut cost: usize = 0;
        let source = self.sources.entry(key.0).or_insert_with(|| {
            oldest.insert((now, key.0));
            cost = SOURCE_COST;
            Source::default()
        });
        cost = cost.saturating_add(source.newer.insert(key.1, now).into());
        self.held = self.held.saturating_add(cost);
    }

    /// Forgets one early.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(source) = self.sources.get_mut(&key.0)
            && (source.newer.ids.remove(&key.1) || source.earlier.ids.remove(&key.1))
        {
            self.held = self.held.saturating_sub(1);
        }
    }

    /// Ids held, with what their keeping costs.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Counts anew. Panics where a bound is not kept or the sum is wrong; for fuzzers.
    pub(super) fn check(&self, limits: &BusLimits) {
        let ids = |source: &Source| source.earlier.ids.len().saturating_add(source.newer.ids.len());
        let counts: Vec<usize> = self.sources.values().map(ids).collect();
        assert!(counts.iter().all(|count| *count <= limits.completed_per_source), "{counts:?}");
        let cost = counts.len().saturating_mul(SOURCE_COST);
        assert_eq!(self.held, counts.iter().sum::<usize>().saturating_add(cost));
        assert!(self.held <= limits.completed, "{} ids", self.held);
        assert_eq!(self.oldest.len(), self.sources.len());
    }

    /// Forgets what is old. No timer of its own: what is not forgotten in time costs nothing more.
    pub(super) fn expire(&mut self, now: Instant) {
        self.forget(REMEMBERED, now, |_| true);
    }

    /// Forgets generations whose last id has that age, oldest first, as long as `wanted` says so.
    fn forget(&mut self, age: Duration, now: Instant, wanted: impl Fn(usize) -> bool) {
        while wanted(self.held)
            && let Some((at, subnet)) = self.oldest.first().copied()
            && now.saturating_duration_since(at) >= age
        {
            self.oldest.remove(&(at, subnet));
            let Some(source) = self.sources.get_mut(&subnet) else { continue };
            if source.earlier.is_older(age, now) {
                self.held = self.held.saturating_sub(source.advance());
            }
            match source.earlier.last.or(source.newer.last) {
                Some(last) => drop(self.oldest.insert((last, subnet))),
                None => {
                    self.sources.remove(&subnet);
                    self.held = self.held.saturating_sub(SOURCE_COST);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: u64, number: u64) -> Key {
        (source, MessageId(number.to_be_bytes()))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn ids_are_remembered_for_ten_minutes_after_their_last_packet() {
        let (mut completed, start) = (Completed::default(), Instant::now());
        completed.insert(key(1, 1), start);
        completed.insert(key(1, 2), start);
        assert!(completed.renew(&key(1, 2), start + seconds(500)));
        assert!(completed.renew(&key(1, 1), start + seconds(599)));
        completed.expire(start + seconds(1200));
        completed.expire(start + seconds(1200));
        assert!(!completed.renew(&key(1, 1), start + seconds(1200)));
        assert!(!completed.renew(&key(2, 2), start + seconds(1200)), "another source's");
        completed.expire(start + seconds(1900));
        assert_eq!((completed.held(), completed.sources.len(), completed.oldest.len()), (0, 0, 0));
    }

    /// One message a second for an hour, and every one asked for again.
    #[test]
    fn none_is_forgotten_within_ten_minutes_and_all_are_after_twenty() {
        let (mut completed, start) = (Completed::default(), Instant::now());
        let limits = BusLimits::default();
        let known = |completed: &mut Completed, number: u64| {
            let source = completed.sources.get(&1).unwrap();
            let (_, id) = key(1, number);
            source.newer.ids.contains(&id) || source.earlier.ids.contains(&id)
        };
        for second in 0..3600 {
            let now = start + seconds(second);
            assert!(completed.has_room(1, &limits, now));
            completed.insert(key(1, second), now);
            assert!(known(&mut completed, second.saturating_sub(599)), "{second}");
            assert!(second < 1202 || !known(&mut completed, second - 1202), "{second}");
            assert!(completed.held() <= 1202 + SOURCE_COST);
        }
    }

    #[test]
    fn a_full_table_forgets_what_is_half_a_minute_old_and_else_takes_no_more() {
        let limits =
            BusLimits { completed_per_source: 200, completed: 400, ..BusLimits::default() };
        let (mut completed, start) = (Completed::default(), Instant::now());
        let fill = |completed: &mut Completed, source, at: Instant| {
            let mut number = at.duration_since(start).as_secs() << 32;
            let first = number;
            while completed.has_room(source, &limits, at) {
                completed.insert(key(source, number), at);
                number += 1;
            }
            (number - first) as usize
        };
        assert_eq!(fill(&mut completed, 1, start), 200, "two generations");
        assert_eq!(fill(&mut completed, 2, start), 400 - 200 - 3 * SOURCE_COST);
        assert_eq!(fill(&mut completed, 1, start + seconds(29)), 0, "too young to go");
        assert!(completed.renew(&key(1, 0), start + seconds(29)));
        assert!(fill(&mut completed, 2, start + seconds(31)) > 0);
        assert!(completed.held() <= 400);
    }

    /// A repeat moves its id to the newer generation, which so may be larger than the earlier.
    #[test]
    fn whoever_repeats_everything_gets_no_more_room_for_that() {
        let limits = BusLimits { completed_per_source: 8, ..BusLimits::default() };
        let (mut completed, start) = (Completed::default(), Instant::now());
        for number in 0..200 {
            let now = start + seconds(20 * number);
            if completed.has_room(1, &limits, now) {
                completed.insert(key(1, number), now);
            }
            for earlier in 0..number {
                completed.renew(&key(1, earlier), now);
            }
            completed.check(&limits);
        }
    }

    /// The bounds let one source bring what the bus must carry, for as long as it likes.
    #[test]
    fn thirty_thousand_a_second_never_wait() {
        let (mut completed, start) = (Completed::default(), Instant::now());
        let default = BusLimits::default();
        // A thousandth of everything.
        let limits = BusLimits {
            completed_per_source: default.completed_per_source / 1000,
            completed: default.completed / 1000,
            ..default
        };
        for number in 0..30 * 600 {
            let now = start + Duration::from_micros(number * 1_000_000 / 30);
            assert!(completed.has_room(1, &limits, now), "{number}");
            completed.insert(key(1, number), now);
            let (_, id) = key(1, number.saturating_sub(30 * 30));
            let source = completed.sources.get(&1).unwrap();
            assert!(source.newer.ids.contains(&id) || source.earlier.ids.contains(&id));
        }
    }
}

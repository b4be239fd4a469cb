//! Which messages were received already, so that their repeats are acknowledged and not delivered.
//!
//! Ids are kept in generations of twenty seconds for each source: eight bytes an id and the air of a
//! hash set, 10 to 21 bytes. A repeat moves its id to the newest generation, for it shows that the
//! sender has not heard the answer. So an id is remembered for ten minutes after its last packet,
//! except where a bound is met: then the oldest generation goes early, but none that is younger than
//! thirty seconds, three times the longest pause between repeats. With nothing that old the
//! receiver takes no more: messages wait unacknowledged, and their senders come again. With the
//! default bounds that is 1,660 messages a second of one source for the full ten minutes, and up to
//! 33,000 a second with less.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::{Key, REMEMBERED};
use crate::limits::BusLimits;
use crate::wire::message::MessageId;

/// How long one generation takes in ids.
const GENERATION: Duration = Duration::from_secs(20);
/// No id is forgotten earlier.
const AT_LEAST: Duration = Duration::from_secs(30);
/// What a generation costs besides its ids, in ids.
const GENERATION_COST: usize = 32;

/// Ids of completed messages.
#[derive(Default)]
pub(super) struct Completed {
    sources: HashMap<u64, Source>,
    /// The oldest generation of each source, by when it was begun.
    oldest: BTreeSet<(Instant, u64)>,
    held: usize,
}

#[derive(Default)]
struct Source {
    generations: VecDeque<(Instant, HashSet<MessageId>)>,
    held: usize,
}

impl Source {
    fn find(&mut self, id: &MessageId) -> Option<&mut HashSet<MessageId>> {
        let ids = self.generations.iter_mut().map(|(_, ids)| ids);
        ids.rev().find(|ids| ids.contains(id))
    }
}

impl Completed {
    /// Whether a message is complete; if so it is remembered anew.
    pub(super) fn renew(&mut self, key: &Key, now: Instant) -> bool {
        let Some(source) = self.sources.get_mut(&key.0) else { return false };
        let is_new = source.generations.back().is_some_and(|(begun, ids)| {
            ids.contains(&key.1) && now.saturating_duration_since(*begun) < GENERATION
        });
        if is_new {
            return true;
        }
        let Some(ids) = source.find(&key.1) else { return false };
        ids.remove(&key.1);
        source.held = source.held.saturating_sub(1);
        self.held = self.held.saturating_sub(1);
        self.insert(*key, now);
        true
    }

    /// Whether another message of that source can be remembered. Forgets the oldest to make room.
    pub(super) fn has_room(&mut self, subnet: u64, limits: &BusLimits, now: Instant) -> bool {
        self.expire(now);
        while self.sources.get(&subnet).is_some_and(|of| of.held >= limits.completed_per_source) {
            if !self.forget_oldest_of(subnet, AT_LEAST, now) {
                return false;
            }
        }
        while self.held >= limits.completed {
            let Some((_, subnet)) = self.oldest.first().copied() else { return false };
            if !self.forget_oldest_of(subnet, AT_LEAST, now) {
                return false;
            }
        }
        true
    }

    pub(super) fn insert(&mut self, key: Key, now: Instant) {
        let source = self.sources.entry(key.0).or_default();
        let is_over =
            |(begun, _): &(Instant, _)| now.saturating_duration_since(*begun) >= GENERATION;
        if source.generations.back().is_none_or(is_over) {
            if source.generations.is_empty() {
                self.oldest.insert((now, key.0));
            }
            source.generations.push_back((now, HashSet::new()));
            source.held = source.held.saturating_add(GENERATION_COST);
            self.held = self.held.saturating_add(GENERATION_COST);
        }
        if let Some((_, ids)) = source.generations.back_mut()
            && ids.insert(key.1)
        {
            source.held = source.held.saturating_add(1);
            self.held = self.held.saturating_add(1);
        }
    }

    /// Forgets one early.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(source) = self.sources.get_mut(&key.0)
            && source.find(&key.1).is_some_and(|ids| ids.remove(&key.1))
        {
            source.held = source.held.saturating_sub(1);
            self.held = self.held.saturating_sub(1);
        }
    }

    /// Ids held, with what their keeping costs.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Forgets what is old. No timer of its own: what is not forgotten in time costs nothing more.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, subnet)) = self.oldest.first().copied()
            && self.forget_oldest_of(subnet, REMEMBERED, now)
        {}
    }

    /// Forgets the oldest generation of a source if its youngest id has that age.
    fn forget_oldest_of(&mut self, subnet: u64, age: Duration, now: Instant) -> bool {
        let Some(source) = self.sources.get_mut(&subnet) else { return false };
        let Some((begun, _)) = source.generations.front() else { return false };
        let begun = *begun;
        if now.saturating_duration_since(begun) < age.saturating_add(GENERATION) {
            return false;
        }
        let ids = source.generations.pop_front().map_or(0, |(_, ids)| ids.len());
        let held = ids.saturating_add(GENERATION_COST);
        source.held = source.held.saturating_sub(held);
        self.held = self.held.saturating_sub(held);
        self.oldest.remove(&(begun, subnet));
        match source.generations.front() {
            Some((begun, _)) => drop(self.oldest.insert((*begun, subnet))),
            None => drop(self.sources.remove(&subnet)),
        }
        true
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
        completed.expire(start + seconds(621));
        assert!(!completed.renew(&key(1, 1), start + seconds(621)));
        assert!(completed.renew(&key(1, 2), start + seconds(1000)));
        assert!(!completed.renew(&key(2, 2), start + seconds(1000)), "another source's");
        completed.expire(start + seconds(1621));
        assert_eq!((completed.held(), completed.sources.len(), completed.oldest.len()), (0, 0, 0));
    }

    #[test]
    fn a_full_table_forgets_what_is_half_a_minute_old_and_else_takes_no_more() {
        let limits =
            BusLimits { completed_per_source: 200, completed: 300, ..BusLimits::default() };
        let (mut completed, start) = (Completed::default(), Instant::now());
        let fill = |completed: &mut Completed, source, at: Instant| {
            let mut number = 0;
            while completed.has_room(source, &limits, at) {
                completed.insert(key(source, number), at);
                number += 1;
            }
            number as usize
        };
        assert_eq!(fill(&mut completed, 1, start), 200 - GENERATION_COST);
        assert_eq!(fill(&mut completed, 2, start), 100 - GENERATION_COST);
        assert_eq!(fill(&mut completed, 1, start + seconds(49)), 0, "too young to go");
        assert!(completed.renew(&key(1, 0), start + seconds(49)));
        assert!(fill(&mut completed, 1, start + seconds(51)) > 0);
        assert!(completed.held() <= 300);
    }
}

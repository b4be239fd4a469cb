//! Which messages were received already, so that their repeats are acknowledged and not delivered.
//!
//! Bounded by time, in all and for each source. A source that completes more than its share within
//! the time (109 messages a second for ten minutes) is remembered for less long: at 1000 a second
//! for 65 s, longer than any acknowledgement takes. A repeat that comes later still, and whole from
//! its INIT on, is delivered twice; who cannot bear that tells repeats apart by what is in them.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::{Key, REMEMBERED};
use crate::limits::BusLimits;
use crate::wire::message::MessageId;

/// Ids of completed messages.
#[derive(Default)]
pub(super) struct Completed {
    keys: HashSet<Key>,
    /// In order of completion; some were forgotten early.
    aging: VecDeque<(Instant, Key)>,
    sources: HashMap<u64, VecDeque<MessageId>>,
}

impl Completed {
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn insert(&mut self, key: Key, limits: &BusLimits, now: Instant) {
        let of_source = self.sources.entry(key.0).or_default();
        of_source.push_back(key.1);
        if of_source.len() > limits.completed_per_source
            && let Some(oldest) = of_source.pop_front()
        {
            self.keys.remove(&(key.0, oldest));
        }
        self.keys.insert(key);
        self.aging.push_back((now.checked_add(REMEMBERED).unwrap_or(now), key));
        while self.aging.len() > limits.completed {
            self.forget_oldest();
        }
    }

    /// Forgets one early.
    pub(super) fn remove(&mut self, key: &Key) {
        if self.keys.remove(key)
            && let Some(of_source) = self.sources.get_mut(&key.0)
        {
            of_source.retain(|id| *id != key.1);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.aging.front().map(|(at, _)| *at)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.aging.front().is_some_and(|(at, _)| *at <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.aging.pop_front() else { return };
        if self.keys.remove(&key)
            && let Some(of_source) = self.sources.get_mut(&key.0)
        {
            of_source.pop_front(); // both are in order of completion
            if of_source.is_empty() {
                self.sources.remove(&key.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(source: u64, number: u8) -> Key {
        (source, MessageId([number; 8]))
    }

    #[test]
    fn ids_are_remembered_for_ten_minutes_within_both_bounds() {
        let limits = BusLimits { completed_per_source: 3, completed: 5, ..BusLimits::default() };
        let (mut completed, now) = (Completed::default(), Instant::now());
        for number in 0..4 {
            completed.insert(key(1, number), &limits, now);
        }
        let known = |completed: &Completed, source| {
            (0..10).filter(|number| completed.contains(&key(source, *number))).collect::<Vec<_>>()
        };
        assert_eq!(known(&completed, 1), [1, 2, 3], "its own oldest made room");
        for number in 0..3 {
            completed.insert(key(2, number), &limits, now + Duration::from_secs(1));
        }
        assert_eq!((known(&completed, 1), known(&completed, 2)), (vec![2, 3], vec![0, 1, 2]));
        completed.expire(now + REMEMBERED);
        assert_eq!((known(&completed, 1), known(&completed, 2)), (vec![], vec![0, 1, 2]));
        completed.expire(now + REMEMBERED + Duration::from_secs(1));
        assert!(completed.sources.is_empty() && completed.poll_timeout().is_none());
    }
}

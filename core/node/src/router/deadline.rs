//! A set of deadlines with one instant per key, so that nothing has to scan a table for what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Deadlines by key; setting one again moves it.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(super) fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, key: K, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    pub(super) fn cancel(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    pub(super) fn at(&self, key: K) -> Option<Instant> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest, due or not.
    pub(super) fn pop_first(&mut self) -> Option<K> {
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        (self.next()? <= now).then(|| self.pop_first()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_they_fall_due_in_order() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::new();
        deadlines.set('a', at(1));
        deadlines.set('b', at(2));
        deadlines.set('a', at(3));
        deadlines.set('c', at(1));
        deadlines.cancel('c');
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.pop_due(at(1)), None);
        assert_eq!(deadlines.pop_due(at(5)), Some('b'));
        assert_eq!(deadlines.pop_due(at(5)), Some('a'));
        assert_eq!(deadlines.pop_due(at(5)), None);
    }
}

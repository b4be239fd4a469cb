//! What falls due when: one heap for a whole table, instead of a timer per entry.
//!
//! Moving a deadline back costs nothing: the old time stays in the heap, and whoever takes it out
//! looks at the entry. So the heap may hold times that mean nothing any more; it says itself when
//! they are too many, and is then made anew from what the table holds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clock::Tick;

/// Stale times that are not worth clearing away.
const SLACK: usize = 1024;

/// Keys by the time they are to be looked at.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    heap: BinaryHeap<Reverse<(Tick, K)>>,
}

impl<K: Ord> Schedule<K> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, at: Tick, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        (self.next()? <= now).then(|| self.heap.pop()).flatten().map(|Reverse(item)| item)
    }

    /// Whether there are twice as many times as keys, and more.
    pub(super) fn is_stale(&self, keys: usize) -> bool {
        self.stale(keys) > 0
    }

    /// How many more.
    pub(super) fn stale(&self, keys: usize) -> usize {
        self.heap.len().saturating_sub(2 * keys + SLACK)
    }

    pub(super) fn rebuild(&mut self, items: impl Iterator<Item = (Tick, K)>) {
        self.heap = items.map(Reverse).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn times_come_out_in_order_and_only_when_due() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let at = |seconds| clock.after(Duration::from_secs(seconds), start);
        let mut schedule = Schedule::new();
        for (seconds, key) in [(3, 'c'), (1, 'a'), (2, 'b')] {
            schedule.push(at(seconds), key);
        }
        assert_eq!(schedule.pop_due(at(0)), None);
        assert_eq!(schedule.pop_due(at(2)), Some((at(1), 'a')));
        assert_eq!(schedule.pop_due(at(2)), Some((at(2), 'b')));
        assert_eq!(schedule.pop_due(at(2)), None);
        assert_eq!(schedule.next(), Some(at(3)));
    }

    #[test]
    fn stale_times_are_noticed_and_cleared() {
        let mut schedule = Schedule::new();
        for number in 0..SLACK + 3 {
            schedule.push(Tick::NEVER, number);
        }
        assert!(schedule.is_stale(1) && !schedule.is_stale(2));
        schedule.rebuild([(Tick::NEVER, 0)].into_iter());
        assert!(!schedule.is_stale(0));
    }
}

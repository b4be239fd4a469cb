//! Packets that wait for a route, by the /64 they wait for.
//!
//! All wait equally long, so one queue in order of arrival holds every deadline, and dropping what
//! is overdue costs nothing when nothing is.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a packet waits: as long as a lookup takes to fail.
const PATIENCE: Duration = Duration::from_secs(15);

/// A bounded queue per /64.
pub(super) struct Waiting<T> {
    queues: HashMap<u64, VecDeque<(Instant, T)>>,
    deadlines: VecDeque<(Instant, u64)>,
    count: usize,
    per_subnet: usize,
    total: usize,
}

impl<T> Waiting<T> {
    pub(super) fn new(per_subnet: usize, total: usize) -> Self {
        let (queues, deadlines) = (HashMap::new(), VecDeque::new());
        Self { queues, deadlines, count: 0, per_subnet, total }
    }

    /// Queues a packet; gives it back when there is no room.
    pub(super) fn push(&mut self, subnet: u64, item: T, now: Instant) -> Result<(), T> {
        // Deadlines of packets that left early count too, or they could grow without bound.
        let queued = self.queues.get(&subnet).map_or(0, VecDeque::len);
        if self.count.max(self.deadlines.len() / 2) >= self.total || queued >= self.per_subnet {
            return Err(item);
        }
        let deadline = now + PATIENCE;
        self.queues.entry(subnet).or_default().push_back((deadline, item));
        self.deadlines.push_back((deadline, subnet));
        self.count += 1;
        Ok(())
    }

    /// Everything that waits for a /64, oldest first.
    pub(super) fn take(&mut self, subnet: u64) -> impl Iterator<Item = T> + use<T> {
        let queue = self.queues.remove(&subnet).unwrap_or_default();
        self.count -= queue.len();
        queue.into_iter().map(|(_, item)| item)
    }

    /// Drops what has waited long enough; says how many that were.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.count;
        while self.deadlines.front().is_some_and(|(deadline, _)| *deadline <= now) {
            let Some((_, subnet)) = self.deadlines.pop_front() else { break };
            let Some(queue) = self.queues.get_mut(&subnet) else { continue };
            while queue.front().is_some_and(|(deadline, _)| *deadline <= now) {
                queue.pop_front();
                self.count -= 1;
            }
            if queue.is_empty() {
                self.queues.remove(&subnet);
            }
        }
        before - self.count
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_has_its_own_deadline() {
        let start = Instant::now();
        let mut waiting = Waiting::new(10, 10);
        waiting.push(1, 'a', start).unwrap();
        waiting.push(1, 'b', start + Duration::from_secs(10)).unwrap();
        assert_eq!(waiting.poll_timeout(), Some(start + PATIENCE));
        assert_eq!(waiting.expire(start + PATIENCE), 1);
        assert_eq!(waiting.take(1).collect::<String>(), "b");
        assert_eq!(waiting.expire(start + 2 * PATIENCE), 0);
        assert_eq!(waiting.poll_timeout(), None);
    }

    #[test]
    fn both_bounds_hold() {
        let now = Instant::now();
        let mut waiting = Waiting::new(2, 3);
        for (subnet, fits) in [(1, true), (1, true), (1, false), (2, true), (3, false)] {
            assert_eq!(waiting.push(subnet, (), now).is_ok(), fits);
        }
        assert_eq!(waiting.take(1).count(), 2);
        assert!(waiting.push(3, (), now).is_ok());
    }
}

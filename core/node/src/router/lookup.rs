//! Running and failed lookups (spec 6.10), kept apart from the route table.
//!
//! An entry lives 15 s from the request that made it, whether or not an answer comes, and serves as
//! the memory of who was asked already. One timer per prefix, however often it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::QueryInfo;
use super::deadline::Deadlines;
use crate::{LinkId, Prefix};

const TIMEOUT: Duration = Duration::from_secs(15);
/// For our own lookups. Longer than [`RELAYED_FAILURE`], so that a node on the way has forgotten
/// the first attempt when the second one arrives.
const OWN_FAILURE: Duration = Duration::from_secs(5);
const RELAYED_FAILURE: Duration = Duration::from_secs(3);

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    This,
    Peer,
}

#[derive(Debug)]
struct Running {
    asker: Asker,
    generation: u8,
    answered: bool,
    asked: BTreeSet<LinkId>,
}

#[derive(Debug)]
pub(super) struct Lookups {
    running: BTreeMap<Prefix, Running>,
    deadlines: Deadlines<Prefix>,
    failures: Deadlines<Prefix>,
    limit: usize,
    failure_limit: usize,
}

impl Lookups {
    pub(super) fn new(limit: usize, failure_limit: usize) -> Self {
        Self {
            running: BTreeMap::new(),
            deadlines: Deadlines::new(),
            failures: Deadlines::new(),
            limit,
            failure_limit,
        }
    }

    /// Whether an answer for this prefix is still awaited. If this node wants it too from now on,
    /// it will hear of a failure.
    pub(super) fn join(&mut self, prefix: Prefix, asker: Asker) -> bool {
        let Some(running) = self.running.get_mut(&prefix).filter(|running| !running.answered)
        else {
            return false;
        };
        if asker == Asker::This {
            running.asker = Asker::This;
        }
        true
    }

    /// Whether an answer is still awaited, for whomever.
    pub(super) fn is_awaited(&self, prefix: Prefix) -> bool {
        self.running.get(&prefix).is_some_and(|running| !running.answered)
    }

    /// Every prefix for which an answer is still awaited.
    pub(super) fn awaited(&self) -> impl Iterator<Item = QueryInfo> + '_ {
        let open = self.running.iter().filter(|(_, running)| !running.answered);
        open.filter_map(|(prefix, _)| {
            Some(QueryInfo { prefix: *prefix, expires: self.deadlines.at(*prefix)? })
        })
    }

    /// Starts a lookup and tells whom of `links` to ask; none when it may not be started, because
    /// it failed just now or too many run.
    pub(super) fn start(
        &mut self,
        prefix: Prefix,
        asker: Asker,
        generation: u8,
        links: BTreeSet<LinkId>,
        now: Instant,
    ) -> Option<Vec<LinkId>> {
        // Half of the room is for this node alone: strangers must not be able to stop its lookups.
        let limit = if asker == Asker::This { self.limit } else { self.limit / 2 };
        let earlier = self.running.get(&prefix);
        if self.failures.at(prefix).is_some() || (earlier.is_none() && self.running.len() >= limit)
        {
            return None;
        }
        let skipped = earlier.filter(|earlier| generation >= earlier.generation);
        let targets = links
            .iter()
            .filter(|link| skipped.is_none_or(|earlier| !earlier.asked.contains(link)))
            .copied()
            .collect();
        self.running.insert(prefix, Running { asker, generation, answered: false, asked: links });
        self.deadlines.set(prefix, now + TIMEOUT);
        Some(targets)
    }

    /// Notes that a route was found. Whether anyone waited for it.
    pub(super) fn answer(&mut self, prefix: Prefix) -> bool {
        self.failures.cancel(prefix);
        let Some(running) = self.running.get_mut(&prefix) else { return false };
        !std::mem::replace(&mut running.answered, true)
    }

    /// What a new peer should be asked: every prefix still awaited, with its generation. It may
    /// know what the others did not, so failures are forgotten too.
    pub(super) fn ask_also(&mut self, link: LinkId) -> Vec<(Prefix, u8)> {
        while self.failures.pop_first().is_some() {}
        let open = self.running.iter_mut().filter(|(_, running)| !running.answered);
        open.map(|(prefix, running)| {
            running.asked.insert(link);
            (*prefix, running.generation)
        })
        .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next().into_iter().chain(self.failures.next()).min()
    }

    /// The next lookup of this node that failed.
    pub(super) fn pop_failed(&mut self, now: Instant) -> Option<Prefix> {
        while self.failures.pop_due(now).is_some() {}
        while let Some(prefix) = self.deadlines.pop_due(now) {
            let Some(running) = self.running.remove(&prefix).filter(|running| !running.answered)
            else {
                continue;
            };
            self.remember_failure(prefix, running.asker, now);
            if running.asker == Asker::This {
                return Some(prefix);
            }
        }
        None
    }

    fn remember_failure(&mut self, prefix: Prefix, asker: Asker, now: Instant) {
        if self.failure_limit == 0 {
            return;
        }
        while self.failures.len() >= self.failure_limit {
            self.failures.pop_first();
        }
        let memory = if asker == Asker::This { OWN_FAILURE } else { RELAYED_FAILURE };
        self.failures.set(prefix, now + memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(number: u16) -> Prefix {
        format!("400:{number:x}::/64").parse().unwrap()
    }

    fn links(numbers: &[u64]) -> BTreeSet<LinkId> {
        numbers.iter().copied().map(LinkId).collect()
    }

    #[test]
    fn peers_asked_within_15_s_are_not_asked_again_unless_the_request_is_closer() {
        let now = Instant::now();
        let mut lookups = Lookups::new(10, 10);
        let mut start = |generation, numbers: &[u64]| {
            lookups.start(prefix(1), Asker::Peer, generation, links(numbers), now).unwrap()
        };
        assert_eq!(start(3, &[1, 2]), [LinkId(1), LinkId(2)]);
        assert_eq!(start(3, &[1, 2, 3]), [LinkId(3)]);
        assert_eq!(start(2, &[1]), [LinkId(1)]);
    }

    #[test]
    fn a_failed_lookup_is_told_once_and_remembered_for_some_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lookups = Lookups::new(10, 10);
        lookups.start(prefix(1), Asker::This, 0, links(&[1]), start).unwrap();
        assert!(lookups.join(prefix(1), Asker::This));
        assert_eq!(lookups.pop_failed(at(14)), None);
        assert_eq!(lookups.pop_failed(at(15)), Some(prefix(1)));
        assert_eq!(lookups.pop_failed(at(15)), None);
        assert!(lookups.start(prefix(1), Asker::This, 0, links(&[1]), at(19)).is_none());
        assert_eq!(lookups.pop_failed(at(20)), None);
        assert!(lookups.start(prefix(1), Asker::This, 0, links(&[1]), at(20)).is_some());
    }

    #[test]
    fn an_answered_lookup_does_not_fail() {
        let now = Instant::now();
        let mut lookups = Lookups::new(10, 10);
        lookups.start(prefix(1), Asker::This, 0, links(&[1]), now).unwrap();
        assert!(lookups.answer(prefix(1)) && !lookups.answer(prefix(1)));
        assert_eq!(lookups.pop_failed(now + TIMEOUT), None);
        assert_eq!(lookups.next_timeout(), None);
    }

    #[test]
    fn strangers_take_half_of_the_room_at_most() {
        let now = Instant::now();
        let mut lookups = Lookups::new(4, 2);
        for number in 0..4 {
            let started = lookups.start(prefix(number), Asker::Peer, 1, links(&[1]), now);
            assert_eq!(started.is_some(), number < 2);
        }
        for number in 10..14 {
            let started = lookups.start(prefix(number), Asker::This, 0, links(&[1]), now);
            assert_eq!(started.is_some(), number < 12);
        }
        while lookups.pop_failed(now + TIMEOUT).is_some() {}
        assert_eq!(lookups.failures.len(), 2);
    }
}

//! Running and failed lookups (spec 6.10), kept apart from the route table.
//!
//! An entry lives 15 s from the request that made it, whether or not an answer comes, and serves as
//! the memory of who was asked already and of who asked. One timer per prefix, however often it is
//! asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::QueryInfo;
use super::deadline::Deadlines;
use super::links::LinkSet;
use crate::Prefix;

const TIMEOUT: Duration = Duration::from_secs(15);
/// For our own lookups. Longer than [`RELAYED_FAILURE`], so that a node on the way has forgotten
/// the first attempt when the second one arrives.
const OWN_FAILURE: Duration = Duration::from_secs(5);
const RELAYED_FAILURE: Duration = Duration::from_secs(3);

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    This,
    /// The peer at this place.
    Peer(u8),
}

#[derive(Debug)]
struct Running {
    /// Whether this node wants to know.
    is_own: bool,
    /// The peer whose request started it, and pays for it.
    starter: Option<u8>,
    /// The peers that get the answer.
    askers: LinkSet,
    asked: LinkSet,
    generation: u8,
    answered: bool,
}

#[derive(Debug)]
pub(super) struct Lookups {
    running: BTreeMap<Prefix, Running>,
    deadlines: Deadlines<Prefix>,
    failures: Deadlines<Prefix>,
    /// How many of those running each peer started.
    started: BTreeMap<u8, usize>,
    limits: LookupLimits,
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookupLimits {
    pub(super) running: usize,
    pub(super) per_peer: usize,
    pub(super) failures: usize,
}

impl Lookups {
    pub(super) fn new(limits: LookupLimits) -> Self {
        Self {
            running: BTreeMap::new(),
            deadlines: Deadlines::new(),
            failures: Deadlines::new(),
            started: BTreeMap::new(),
            limits,
        }
    }

    /// Whether an answer for this prefix is still awaited. If so, this asker hears of it too.
    pub(super) fn join(&mut self, prefix: Prefix, asker: Asker) -> bool {
        let Some(running) = self.running.get_mut(&prefix).filter(|running| !running.answered)
        else {
            return false;
        };
        match asker {
            Asker::This => running.is_own = true,
            Asker::Peer(place) => running.askers.insert(place),
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

    /// Starts a lookup and tells who of `links` was asked just now and need not be asked again; none
    /// when it may not be started, because it failed just now or too many run.
    pub(super) fn start(
        &mut self,
        prefix: Prefix,
        asker: Asker,
        generation: u8,
        links: LinkSet,
        now: Instant,
    ) -> Option<LinkSet> {
        let earlier = self.running.get(&prefix);
        let failed = self.failures.at(prefix).is_some_and(|until| now < until);
        if failed || (earlier.is_none() && !self.has_room(asker)) {
            return None;
        }
        let skipped = earlier.filter(|earlier| generation >= earlier.generation);
        let skipped = skipped.map_or_else(LinkSet::default, |earlier| earlier.asked);
        let starter = match asker {
            Asker::This => None,
            Asker::Peer(place) => Some(place),
        };
        self.finish(prefix);
        let mut askers = LinkSet::default();
        if let Some(place) = starter {
            askers.insert(place);
            *self.started.entry(place).or_default() += 1;
        }
        let mut asked = links;
        asked.union(&skipped);
        let running = Running {
            is_own: asker == Asker::This,
            starter,
            askers,
            asked,
            generation,
            answered: false,
        };
        self.running.insert(prefix, running);
        self.deadlines.set(prefix, now + TIMEOUT);
        Some(skipped)
    }

    /// Half of the room is for this node alone, and of the rest each peer has a share: strangers
    /// must not be able to stop its lookups, nor those of others.
    fn has_room(&self, asker: Asker) -> bool {
        match asker {
            Asker::This => self.running.len() < self.limits.running,
            Asker::Peer(place) => {
                let started = self.started.get(&place).copied().unwrap_or(0);
                self.running.len() < self.limits.running / 2 && started < self.limits.per_peer
            }
        }
    }

    /// Notes that a route was found, and tells which peers wait for it.
    pub(super) fn answer(&mut self, prefix: Prefix) -> LinkSet {
        self.failures.cancel(prefix);
        let Some(running) = self.running.get_mut(&prefix) else { return LinkSet::default() };
        running.answered = true;
        std::mem::take(&mut running.askers)
    }

    /// The route that was found is lost: the next lookup asks everybody anew.
    pub(super) fn renew(&mut self, prefix: Prefix) {
        if self.running.get(&prefix).is_some_and(|running| running.answered) {
            self.finish(prefix);
            self.deadlines.cancel(prefix);
        }
    }

    /// What a new peer should be asked: every prefix still awaited, with its generation. It may
    /// know what the others did not, so failures are forgotten too.
    pub(super) fn ask_also(&mut self, place: u8) -> Vec<(Prefix, u8)> {
        while self.failures.pop_first().is_some() {}
        let open = self.running.iter_mut().filter(|(_, running)| !running.answered);
        open.map(|(prefix, running)| {
            running.asked.insert(place);
            (*prefix, running.generation)
        })
        .collect()
    }

    /// Forgets a peer, whose place another may take.
    pub(super) fn link_down(&mut self, place: u8) {
        for running in self.running.values_mut() {
            running.askers.remove(place);
            running.asked.remove(place);
            if running.starter == Some(place) {
                running.starter = None;
            }
        }
        self.started.remove(&place);
    }

    /// Failures need no wake-up: they are only looked at.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next lookup of this node that failed.
    pub(super) fn pop_failed(&mut self, now: Instant) -> Option<Prefix> {
        while self.failures.pop_due(now).is_some() {}
        while let Some(prefix) = self.deadlines.pop_due(now) {
            let Some(running) = self.finish(prefix).filter(|running| !running.answered) else {
                continue;
            };
            let memory = if running.is_own { OWN_FAILURE } else { RELAYED_FAILURE };
            self.remember_failure(prefix, now + memory);
            if running.is_own {
                return Some(prefix);
            }
        }
        None
    }

    fn finish(&mut self, prefix: Prefix) -> Option<Running> {
        let running = self.running.remove(&prefix)?;
        if let Some(started) = running.starter.and_then(|place| self.started.get_mut(&place)) {
            *started = started.saturating_sub(1);
        }
        Some(running)
    }

    fn remember_failure(&mut self, prefix: Prefix, until: Instant) {
        if self.limits.failures == 0 {
            return;
        }
        while self.failures.len() >= self.limits.failures {
            self.failures.pop_first();
        }
        self.failures.set(prefix, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LookupLimits = LookupLimits { running: 10, per_peer: 10, failures: 10 };

    fn prefix(number: u16) -> Prefix {
        format!("400:{number:x}::/64").parse().unwrap()
    }

    fn links(places: &[u8]) -> LinkSet {
        let mut set = LinkSet::default();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    #[test]
    fn peers_asked_within_15_s_are_not_asked_again_unless_the_request_is_closer() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        let mut start = |generation, places: &[u8]| {
            lookups.start(prefix(1), Asker::Peer(9), generation, links(places), now).unwrap()
        };
        assert_eq!(start(3, &[1, 2]), links(&[]));
        assert_eq!(start(3, &[1, 2, 3]), links(&[1, 2]));
        assert_eq!(start(2, &[1]), links(&[]));
    }

    #[test]
    fn everyone_who_asked_gets_the_answer_once() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::Peer(1), 1, links(&[3]), now).unwrap();
        assert!(lookups.join(prefix(1), Asker::Peer(2)));
        assert_eq!(lookups.answer(prefix(1)), links(&[1, 2]));
        assert!(!lookups.join(prefix(1), Asker::Peer(4)), "there is a route to answer with");
        assert_eq!(lookups.answer(prefix(1)), links(&[]));
    }

    #[test]
    fn a_failed_lookup_is_told_once_and_remembered_for_some_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::This, 0, links(&[1]), start).unwrap();
        assert!(lookups.join(prefix(1), Asker::This));
        assert_eq!(lookups.pop_failed(at(14)), None);
        assert_eq!(lookups.pop_failed(at(15)), Some(prefix(1)));
        assert_eq!(lookups.pop_failed(at(15)), None);
        assert!(lookups.start(prefix(1), Asker::This, 0, links(&[1]), at(19)).is_none());
        assert!(lookups.start(prefix(1), Asker::This, 0, links(&[1]), at(20)).is_some());
    }

    #[test]
    fn after_a_found_route_is_lost_everybody_is_asked_anew() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        let start =
            |lookups: &mut Lookups| lookups.start(prefix(1), Asker::This, 0, links(&[1]), now);
        start(&mut lookups);
        lookups.answer(prefix(1));
        assert_eq!(start(&mut lookups), Some(links(&[1])), "asked just now");
        lookups.answer(prefix(1));
        lookups.renew(prefix(1));
        assert_eq!(start(&mut lookups), Some(links(&[])));
    }

    #[test]
    fn an_answered_lookup_does_not_fail() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::This, 0, links(&[1]), now).unwrap();
        lookups.answer(prefix(1));
        assert_eq!(lookups.pop_failed(now + TIMEOUT), None);
        assert_eq!(lookups.next_timeout(), None);
    }

    #[test]
    fn strangers_take_half_of_the_room_and_each_its_share_at_most() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LookupLimits { running: 8, per_peer: 3, failures: 2 });
        let mut start =
            |number, asker| lookups.start(prefix(number), asker, 1, links(&[1]), now).is_some();
        assert_eq!((0..10).filter(|number| start(*number, Asker::Peer(1))).count(), 3);
        assert_eq!((10..20).filter(|number| start(*number, Asker::Peer(2))).count(), 1);
        assert_eq!((20..30).filter(|number| start(*number, Asker::This)).count(), 4);
        while lookups.pop_failed(now + TIMEOUT).is_some() {}
        assert_eq!(lookups.failures.len(), 2);
        let again = lookups.start(prefix(40), Asker::Peer(1), 1, links(&[1]), now + TIMEOUT);
        assert!(again.is_some(), "what has ended is not counted");
    }
}

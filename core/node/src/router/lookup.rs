//! Running and failed lookups (spec 6.10), kept apart from the route table.
//!
//! An entry lives 15 s from the request that made it, whether or not an answer comes, and serves as
//! the memory of who was asked already and of who asked. One timer per prefix, however often it is
//! asked for, and none at all for what only others look for: their entries are old when they are
//! looked at, and gone with the next wake-up.
//!
//! Most nodes of a large network are leaves of one router, which have no answer but about
//! themselves. So those that never spoke for anybody else are asked only when the others brought no
//! answer at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::QueryInfo;
use super::deadline::Deadlines;
use super::links::LinkSet;
use crate::Prefix;

const TIMEOUT: Duration = Duration::from_secs(15);
/// How long the answer may take before everybody is asked: some round trips over a few links.
const SECOND_ROUND: Duration = Duration::from_millis(300);
/// For our own lookups. Longer than [`RELAYED_FAILURE`], so that a node on the way has forgotten
/// the first attempt when the second one arrives.
const OWN_FAILURE: Duration = Duration::from_secs(5);
const RELAYED_FAILURE: Duration = Duration::from_secs(3);

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    This,
    /// The peer at this place.
    Peer(u16),
    /// A packet that it brought needs to know: nobody is told of the answer.
    Packet(u16),
}

/// Who is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rounds {
    /// At once.
    pub(super) first: LinkSet,
    /// When that brought no answer within [`SECOND_ROUND`].
    pub(super) second: LinkSet,
}

/// Questions that are to go out now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) prefix: Prefix,
    pub(super) generation: u8,
    pub(super) to: LinkSet,
}

#[derive(Debug)]
struct Running {
    /// Whether this node wants to know.
    is_own: bool,
    /// The peer whose request started it, and pays for it.
    starter: Option<u16>,
    /// The peers that get the answer.
    askers: LinkSet,
    asked: LinkSet,
    /// Who has not been asked yet.
    second: LinkSet,
    generation: u8,
    answered: bool,
}

#[derive(Debug)]
pub(super) struct Lookups {
    running: BTreeMap<Prefix, Running>,
    deadlines: Deadlines<Prefix>,
    /// The same of those whose failure this node waits for.
    own: Deadlines<Prefix>,
    second_rounds: Deadlines<Prefix>,
    failures: Deadlines<Prefix>,
    /// Own ones that failed, to be told.
    failed: VecDeque<Prefix>,
    /// How many of those running each peer started.
    started: BTreeMap<u16, usize>,
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
            own: Deadlines::new(),
            second_rounds: Deadlines::new(),
            failures: Deadlines::new(),
            failed: VecDeque::new(),
            started: BTreeMap::new(),
            limits,
        }
    }

    /// Whether an answer for this prefix is still awaited. If so, this asker hears of it too.
    pub(super) fn join(&mut self, prefix: Prefix, asker: Asker, now: Instant) -> bool {
        self.expire(now);
        let Some(running) = self.running.get_mut(&prefix).filter(|running| !running.answered)
        else {
            return false;
        };
        match asker {
            Asker::This => {
                running.is_own = true;
                if let Some(at) = self.deadlines.at(prefix) {
                    self.own.set(prefix, at);
                }
            }
            Asker::Peer(place) => running.askers.insert(place),
            Asker::Packet(_) => {}
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

    /// Starts a lookup and tells whom to ask now, which is not who was asked just before; none when
    /// it may not be started, because it failed just now or too many run.
    pub(super) fn start(
        &mut self,
        prefix: Prefix,
        asker: Asker,
        generation: u8,
        rounds: Rounds,
        now: Instant,
    ) -> Option<LinkSet> {
        self.expire(now);
        let earlier = self.running.get(&prefix);
        let failed = self.failures.at(prefix).is_some_and(|until| now < until);
        if failed || (earlier.is_none() && !self.has_room(asker)) {
            return None;
        }
        let asked = earlier.filter(|earlier| generation >= earlier.generation);
        let mut asked = asked.map_or_else(LinkSet::default, |earlier| earlier.asked.clone());
        self.finish(prefix);
        let Rounds { mut first, mut second } = rounds;
        first.subtract(&asked);
        second.subtract(&asked);
        if first.is_empty() {
            std::mem::swap(&mut first, &mut second);
        }
        asked.union(&first);
        if !second.is_empty() {
            self.second_rounds.set(prefix, now + SECOND_ROUND);
        }
        self.deadlines.set(prefix, now + TIMEOUT);
        let (mut askers, mut starter) = (LinkSet::default(), None);
        if let Asker::Peer(place) = asker {
            askers.insert(place);
        }
        match asker {
            Asker::This => self.own.set(prefix, now + TIMEOUT),
            Asker::Peer(place) | Asker::Packet(place) => {
                starter = Some(place);
                *self.started.entry(place).or_default() += 1;
            }
        }
        let is_own = asker == Asker::This;
        let running =
            Running { is_own, starter, askers, asked, second, generation, answered: false };
        self.running.insert(prefix, running);
        Some(first)
    }

    /// The next lookup that got no answer from those asked first.
    pub(super) fn pop_second_round(&mut self, now: Instant) -> Option<Question> {
        let prefix = self.second_rounds.pop_due(now)?;
        let running = self.running.get_mut(&prefix)?;
        let to = std::mem::take(&mut running.second);
        running.asked.union(&to);
        Some(Question { prefix, generation: running.generation, to })
    }

    /// Half of the room is for this node alone, and of the rest each peer has a share: strangers
    /// must not be able to stop its lookups, nor those of others.
    fn has_room(&self, asker: Asker) -> bool {
        match asker {
            Asker::This => self.running.len() < self.limits.running,
            Asker::Peer(place) | Asker::Packet(place) => {
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
        running.second = LinkSet::default();
        self.own.cancel(prefix);
        self.second_rounds.cancel(prefix);
        std::mem::take(&mut running.askers)
    }

    /// The route that was found is lost: the next lookup asks everybody anew.
    pub(super) fn renew(&mut self, prefix: Prefix) {
        if self.running.get(&prefix).is_some_and(|running| running.answered) {
            self.finish(prefix);
        }
    }

    /// What a new peer should be asked: every prefix still awaited, with its generation. It may
    /// know what the others did not, so failures are forgotten too.
    pub(super) fn ask_also(&mut self, place: u16, now: Instant) -> Vec<(Prefix, u8)> {
        self.expire(now);
        while self.failures.pop_first().is_some() {}
        let open = self.running.iter_mut().filter(|(_, running)| !running.answered);
        open.map(|(prefix, running)| {
            running.asked.insert(place);
            (*prefix, running.generation)
        })
        .collect()
    }

    /// Forgets a peer, whose place another may take.
    pub(super) fn link_down(&mut self, place: u16) {
        for running in self.running.values_mut() {
            running.askers.remove(place);
            running.asked.remove(place);
            running.second.remove(place);
            if running.starter == Some(place) {
                running.starter = None;
            }
        }
        self.started.remove(&place);
    }

    /// When [`Lookups::pop_second_round`] or [`Lookups::pop_failed`] have something. All else needs no
    /// wake-up: it is only looked at.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.own.next().into_iter().chain(self.second_rounds.next()).min()
    }

    /// The next lookup of this node that failed.
    pub(super) fn pop_failed(&mut self, now: Instant) -> Option<Prefix> {
        self.expire(now);
        self.failed.pop_front()
    }

    /// Ends what is due.
    fn expire(&mut self, now: Instant) {
        while self.failures.pop_due(now).is_some() {}
        while let Some(due) = self.deadlines.next()
            && let Some(prefix) = self.deadlines.pop_due(now)
        {
            let Some(running) = self.finish(prefix).filter(|running| !running.answered) else {
                continue;
            };
            let memory = if running.is_own { OWN_FAILURE } else { RELAYED_FAILURE };
            if now < due + memory {
                self.remember_failure(prefix, due + memory);
            }
            if running.is_own {
                self.failed.push_back(prefix);
            }
        }
    }

    fn finish(&mut self, prefix: Prefix) -> Option<Running> {
        for deadlines in [&mut self.deadlines, &mut self.own, &mut self.second_rounds] {
            deadlines.cancel(prefix);
        }
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

    fn links(places: &[u16]) -> LinkSet {
        let mut set = LinkSet::default();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    fn all(places: &[u16]) -> Rounds {
        Rounds { first: links(places), second: LinkSet::default() }
    }

    #[test]
    fn peers_asked_within_15_s_are_not_asked_again_unless_the_request_is_closer() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        let mut start = |generation, places: &[u16]| {
            lookups.start(prefix(1), Asker::Peer(9), generation, all(places), now).unwrap()
        };
        assert_eq!(start(3, &[1, 2]), links(&[1, 2]));
        assert_eq!(start(3, &[1, 2, 3]), links(&[3]));
        assert_eq!(start(2, &[1]), links(&[1]));
    }

    #[test]
    fn everyone_who_asked_gets_the_answer_once() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::Peer(1), 1, all(&[3]), now).unwrap();
        assert!(lookups.join(prefix(1), Asker::Peer(2), now));
        assert_eq!(lookups.answer(prefix(1)), links(&[1, 2]));
        assert!(!lookups.join(prefix(1), Asker::Peer(4), now), "there is a route to answer with");
        assert_eq!(lookups.answer(prefix(1)), links(&[]));
    }

    #[test]
    fn a_failed_lookup_is_told_once_and_remembered_for_some_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::This, 0, all(&[1]), start).unwrap();
        assert!(lookups.join(prefix(1), Asker::This, start));
        assert_eq!(lookups.pop_failed(at(14)), None);
        assert_eq!(lookups.pop_failed(at(15)), Some(prefix(1)));
        assert_eq!(lookups.pop_failed(at(15)), None);
        assert!(lookups.start(prefix(1), Asker::This, 0, all(&[1]), at(19)).is_none());
        assert!(lookups.start(prefix(1), Asker::This, 0, all(&[1]), at(20)).is_some());
    }

    #[test]
    fn after_a_found_route_is_lost_everybody_is_asked_anew() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        let start =
            |lookups: &mut Lookups| lookups.start(prefix(1), Asker::This, 0, all(&[1]), now);
        start(&mut lookups);
        lookups.answer(prefix(1));
        assert_eq!(start(&mut lookups), Some(links(&[])), "asked just now");
        lookups.answer(prefix(1));
        lookups.renew(prefix(1));
        assert_eq!(start(&mut lookups), Some(links(&[1])));
    }

    #[test]
    fn an_answered_lookup_does_not_fail() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::This, 0, all(&[1]), now).unwrap();
        lookups.answer(prefix(1));
        assert_eq!(lookups.pop_failed(now + TIMEOUT), None);
        assert_eq!(lookups.next_timeout(), None);
    }

    #[test]
    fn strangers_take_half_of_the_room_and_each_its_share_at_most() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LookupLimits { running: 8, per_peer: 3, failures: 2 });
        let mut start =
            |number, asker| lookups.start(prefix(number), asker, 1, all(&[1]), now).is_some();
        assert_eq!((0..10).filter(|number| start(*number, Asker::Peer(1))).count(), 3);
        assert_eq!((10..20).filter(|number| start(*number, Asker::Peer(2))).count(), 1);
        assert_eq!((20..30).filter(|number| start(*number, Asker::This)).count(), 4);
        while lookups.pop_failed(now + TIMEOUT).is_some() {}
        assert_eq!(lookups.failures.len(), 2);
        let again = lookups.start(prefix(40), Asker::Peer(1), 1, all(&[1]), now + TIMEOUT);
        assert!(again.is_some(), "what has ended is not counted");
    }

    #[test]
    fn those_who_never_spoke_for_others_are_asked_when_the_rest_brings_nothing() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        let rounds = || Rounds { first: links(&[1]), second: links(&[2, 3]) };
        let start = |lookups: &mut Lookups, number| {
            lookups.start(prefix(number), Asker::Peer(9), 1, rounds(), now).unwrap()
        };
        assert_eq!(start(&mut lookups, 1), links(&[1]));
        assert_eq!(start(&mut lookups, 2), links(&[1]));
        lookups.answer(prefix(1));
        lookups.link_down(3);
        assert_eq!(lookups.next_timeout(), Some(now + SECOND_ROUND));
        let question = Question { prefix: prefix(2), generation: 1, to: links(&[2]) };
        assert_eq!(lookups.pop_second_round(now + SECOND_ROUND), Some(question));
        assert_eq!(lookups.pop_second_round(now + SECOND_ROUND), None);
        lookups.answer(prefix(2));
        assert_eq!(start(&mut lookups, 2), links(&[3]), "all the others were asked just now");
        let nobody = Rounds { first: links(&[]), second: links(&[4]) };
        let asked = lookups.start(prefix(3), Asker::This, 0, nobody, now);
        assert_eq!(asked, Some(links(&[4])), "nobody is waited for");
    }

    #[test]
    fn what_others_look_for_wakes_nobody_and_is_over_in_time() {
        let now = Instant::now();
        let mut lookups = Lookups::new(LIMITS);
        lookups.start(prefix(1), Asker::Peer(1), 1, all(&[2]), now).unwrap();
        assert_eq!(lookups.next_timeout(), None);
        assert!(lookups.join(prefix(1), Asker::Peer(2), now + TIMEOUT / 2));
        assert!(!lookups.join(prefix(1), Asker::Peer(2), now + TIMEOUT));
        let again = |lookups: &mut Lookups, at| {
            lookups.start(prefix(1), Asker::Peer(1), 1, all(&[2]), at).is_some()
        };
        assert!(!again(&mut lookups, now + TIMEOUT), "it failed just now");
        assert!(again(&mut lookups, now + TIMEOUT + RELAYED_FAILURE));
        assert!(lookups.join(prefix(1), Asker::This, now + TIMEOUT + RELAYED_FAILURE));
        assert_eq!(lookups.next_timeout(), Some(now + 2 * TIMEOUT + RELAYED_FAILURE));
    }
}

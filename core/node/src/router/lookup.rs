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

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::QueryInfo;
use super::deadline::Deadlines;
use super::links::LinkSet;
use crate::Prefix;

const TIMEOUT: Duration = Duration::from_secs(15);
/// How long the answer may take before everybody is asked: some round trips over a few links.
const SECOND_ROUND: Duration = Duration::from_millis(300);
/// How long an idle node's one peer may take, with the whole network behind it, until others are
/// worth a try.
const UNANSWERED: Duration = Duration::from_secs(1);
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
    /// When it is news that own ones are open still.
    watched: Deadlines<Prefix>,
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

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookupCensus {
    pub(super) running: usize,
    pub(super) of_others: usize,
    pub(super) of_a_peer: usize,
    pub(super) failures: usize,
}

impl Lookups {
    pub(super) fn new(limits: LookupLimits) -> Self {
        Self {
            running: BTreeMap::new(),
            deadlines: Deadlines::new(),
            own: Deadlines::new(),
            second_rounds: Deadlines::new(),
            watched: Deadlines::new(),
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
        let starter = match (asker, earlier) {
            (Asker::This, _) => None,
            (Asker::Peer(place) | Asker::Packet(place), None) => Some(place),
            // One that is there already stays with who paid for it, unless there is room for both.
            (Asker::Peer(place) | Asker::Packet(place), Some(earlier)) => {
                earlier.starter.or_else(|| self.has_room(asker).then_some(place))
            }
        };
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
        let mut askers = LinkSet::default();
        match asker {
            Asker::This => self.own.set(prefix, now + TIMEOUT),
            Asker::Peer(place) => askers.insert(place),
            Asker::Packet(_) => {}
        }
        if let Some(place) = starter {
            *self.started.entry(place).or_default() += 1;
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

    /// Tells by [`Lookups::pop_unanswered`] if a lookup that was just started or joined stays open.
    pub(super) fn watch(&mut self, prefix: Prefix, now: Instant) {
        if self.is_awaited(prefix) && self.watched.at(prefix).is_none() {
            self.watched.set(prefix, now + UNANSWERED);
        }
    }

    /// The next of those watched that is open still.
    pub(super) fn pop_unanswered(&mut self, now: Instant) -> Option<Prefix> {
        self.watched.pop_due(now)
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
        for deadlines in [&mut self.own, &mut self.second_rounds, &mut self.watched] {
            deadlines.cancel(prefix);
        }
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

    /// When [`Lookups::pop_second_round`], [`Lookups::pop_unanswered`] or [`Lookups::pop_failed`]
    /// have something. All else needs no
    /// wake-up: it is only looked at.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let timeouts = [self.own.next(), self.second_rounds.next(), self.watched.next()];
        timeouts.into_iter().flatten().min()
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

    /// Counts what there is anew. Panics where two tables differ.
    pub(super) fn census(&self) -> LookupCensus {
        let mut of_peers = BTreeMap::<_, usize>::new();
        for starter in self.running.values().filter_map(|running| running.starter) {
            *of_peers.entry(starter).or_default() += 1;
        }
        let noted = self.started.iter().filter(|(_, count)| **count > 0);
        assert!(noted.eq(of_peers.iter()), "who started what");
        assert_eq!(self.deadlines.len(), self.running.len(), "each ends");
        for prefixes in [&self.own, &self.second_rounds] {
            assert!(prefixes.keys().all(|prefix| self.running.contains_key(prefix)));
        }
        LookupCensus {
            running: self.running.len(),
            of_others: of_peers.values().sum(),
            of_a_peer: of_peers.into_values().max().unwrap_or(0),
            failures: self.failures.len(),
        }
    }

    fn finish(&mut self, prefix: Prefix) -> Option<Running> {
        for deadlines in
            [&mut self.deadlines, &mut self.own, &mut self.second_rounds, &mut self.watched]
        {
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

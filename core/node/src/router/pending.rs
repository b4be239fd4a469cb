//! Seqno requests that are on their way: who was asked, and who wants the answer (spec 6.9).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::deadline::Deadlines;
use super::links::LinkSet;
use super::seqno::is_newer;
use crate::{Prefix, RouterId};

const LIFETIME: Duration = Duration::from_secs(60);
/// A peer asked this recently is not asked the same again.
const RECENT: Duration = Duration::from_secs(4);

/// Prefix, source and sequence number asked for.
pub(super) type Wanted = (Prefix, RouterId, u16);

/// Why a peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A route was lost, or somebody asked.
    Want,
    /// The peer has just told of a route that is not feasible. It may not have had one when it was
    /// asked before, so it is asked once more.
    Offer,
}

#[derive(Debug)]
struct Request {
    /// Whom it went to since `asked_at`.
    targets: LinkSet,
    /// Which of those after they had offered a route.
    offered: LinkSet,
    asked_at: Instant,
    requesters: LinkSet,
}

#[derive(Debug)]
pub(super) struct SeqnoRequests {
    requests: BTreeMap<Wanted, Request>,
    deadlines: Deadlines<Wanted>,
    limit: usize,
}

impl SeqnoRequests {
    pub(super) fn new(limit: usize) -> Self {
        Self { requests: BTreeMap::new(), deadlines: Deadlines::new(), limit }
    }

    /// Whether this request may go to that peer now: it was not sent there just before on such an
    /// occasion, and does not come from there.
    pub(super) fn may_ask(
        &self,
        wanted: Wanted,
        place: u16,
        occasion: Occasion,
        now: Instant,
    ) -> bool {
        self.requests.get(&wanted).is_none_or(|request| {
            let recent = now.saturating_duration_since(request.asked_at) < RECENT;
            let asked = match occasion {
                Occasion::Want => &request.targets,
                Occasion::Offer => &request.offered,
            };
            let was_asked = recent && asked.contains(place);
            !was_asked && !request.requesters.contains(place)
        })
    }

    /// Notes that the peer is asked because it offered a route: see [`SeqnoRequests::sent`].
    pub(super) fn sent_for_offer(&mut self, wanted: Wanted, target: u16, now: Instant) {
        self.sent(wanted, target, None, now);
        if let Some(request) = self.requests.get_mut(&wanted) {
            request.offered.insert(target);
        }
    }

    /// Notes a request as sent to `target`, on behalf of `requester` if there is one.
    pub(super) fn sent(
        &mut self,
        wanted: Wanted,
        target: u16,
        requester: Option<u16>,
        now: Instant,
    ) {
        if !self.requests.contains_key(&wanted) {
            while self.requests.len() >= self.limit
                && let Some(oldest) = self.deadlines.pop_first()
            {
                self.requests.remove(&oldest);
            }
            self.deadlines.set(wanted, now + LIFETIME);
        }
        let request = self.requests.entry(wanted).or_insert_with(|| Request {
            targets: LinkSet::default(),
            offered: LinkSet::default(),
            asked_at: now,
            requesters: LinkSet::default(),
        });
        if now.saturating_duration_since(request.asked_at) >= RECENT {
            (request.targets, request.offered) = (LinkSet::default(), LinkSet::default());
            request.asked_at = now;
        }
        request.targets.insert(target);
        if let Some(place) = requester {
            request.requesters.insert(place);
        }
    }

    /// When the same request is on its way already, the requester waits for it too.
    pub(super) fn join(&mut self, wanted: Wanted, requester: u16) {
        if let Some(request) = self.requests.get_mut(&wanted) {
            request.requesters.insert(requester);
        }
    }

    /// How many there are. Panics unless each of them ends.
    pub(super) fn count(&self) -> usize {
        assert!(self.deadlines.keys().eq(self.requests.keys()));
        self.requests.len()
    }

    /// Ends all requests that a route with this sequence number answers, and tells who asked.
    pub(super) fn answer(&mut self, prefix: Prefix, id: RouterId, seqno: u16) -> LinkSet {
        let mut requesters = LinkSet::default();
        if self.requests.is_empty() {
            return requesters;
        }
        let range = (prefix, id, 0)..=(prefix, id, u16::MAX);
        let open = self.requests.range(range).map(|(wanted, _)| *wanted);
        let answered: Vec<Wanted> =
            open.filter(|(_, _, wanted)| !is_newer(*wanted, seqno)).collect();
        for wanted in answered {
            self.deadlines.cancel(wanted);
            if let Some(request) = self.requests.remove(&wanted) {
                requesters.union(&request.requesters);
            }
        }
        requesters
    }

    /// Forgets a peer, whose place another may take. A request that only it could answer is
    /// forgotten too, so that it can be sent another way.
    pub(super) fn link_down(&mut self, place: u16) {
        let deadlines = &mut self.deadlines;
        self.requests.retain(|wanted, request| {
            request.requesters.remove(place);
            let was_asked = request.targets.contains(place);
            request.targets.remove(place);
            request.offered.remove(place);
            let lost = was_asked && request.targets.is_empty();
            if lost {
                deadlines.cancel(*wanted);
            }
            !lost
        });
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(wanted) = self.deadlines.pop_due(now) {
            self.requests.remove(&wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    fn wanted(seqno: u16) -> Wanted {
        let key = PublicKey::from_bytes([1; 32]);
        (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]), seqno)
    }

    #[test]
    fn nobody_is_asked_the_same_twice_in_four_seconds_nor_asked_back() {
        let now = Instant::now();
        let mut requests = SeqnoRequests::new(10);
        requests.sent(wanted(5), 1, Some(2), now);
        let may_ask = |requests: &SeqnoRequests, number, place, occasion, at| {
            requests.may_ask(wanted(number), place, occasion, at)
        };
        use Occasion::{Offer, Want};
        assert!(!may_ask(&requests, 5, 1, Want, now));
        assert!(!may_ask(&requests, 5, 2, Want, now + RECENT));
        assert!(may_ask(&requests, 5, 1, Want, now + RECENT));
        assert!(may_ask(&requests, 6, 1, Want, now));
        // Who could not answer then and has a route now is asked once more.
        assert!(may_ask(&requests, 5, 1, Offer, now));
        requests.sent_for_offer(wanted(5), 1, now);
        assert!(!may_ask(&requests, 5, 1, Offer, now));
        assert!(may_ask(&requests, 5, 1, Offer, now + RECENT));
    }

    #[test]
    fn a_newer_number_answers_everyone_who_asked_for_an_older_one() {
        let now = Instant::now();
        let mut requests = SeqnoRequests::new(10);
        for seqno in [5, 6, 7] {
            requests.sent(wanted(seqno), 1, Some(seqno), now);
        }
        let (prefix, id, _) = wanted(0);
        let answered = requests.answer(prefix, id, 6);
        assert_eq!([5, 6, 7].map(|place| answered.contains(place)), [true, true, false]);
        requests.join(wanted(6), 9);
        requests.join(wanted(7), 9);
        let late = requests.answer(prefix, id, 7);
        assert!(late.contains(7) && late.contains(9));
        assert!(requests.requests.is_empty() && requests.deadlines.len() == 0);
    }

    #[test]
    fn a_request_is_forgotten_with_the_peer_it_went_to_or_after_a_minute() {
        let now = Instant::now();
        let mut requests = SeqnoRequests::new(2);
        requests.sent(wanted(5), 1, None, now);
        requests.link_down(1);
        assert!(requests.requests.is_empty() && requests.deadlines.len() == 0);
        for seqno in 0..3 {
            requests.sent(wanted(seqno), 1, None, now);
        }
        assert_eq!(requests.requests.len(), 2);
        requests.expire(now + LIFETIME);
        assert!(requests.requests.is_empty());
    }
}

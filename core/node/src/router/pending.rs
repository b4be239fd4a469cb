//! Seqno requests that are on their way: who was asked, and who wants the answer (spec 6.9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::deadline::Deadlines;
use super::seqno::is_newer;
use crate::{LinkId, Prefix, RouterId};

const LIFETIME: Duration = Duration::from_secs(60);
/// A peer asked this recently is not asked the same again.
const RECENT: Duration = Duration::from_secs(4);

/// Prefix, source and sequence number asked for.
pub(super) type Wanted = (Prefix, RouterId, u16);

#[derive(Debug, Default)]
struct Request {
    targets: BTreeMap<LinkId, Instant>,
    requesters: BTreeSet<LinkId>,
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

    /// Whether this request may go to that peer now: it was not sent there just before, and does
    /// not come from there.
    pub(super) fn may_ask(&self, wanted: Wanted, link: LinkId, now: Instant) -> bool {
        self.requests.get(&wanted).is_none_or(|request| {
            let asked = request.targets.get(&link);
            let recent = asked.is_some_and(|at| now.saturating_duration_since(*at) < RECENT);
            !recent && !request.requesters.contains(&link)
        })
    }

    /// Notes a request as sent to `target`, on behalf of `requester` if there is one.
    pub(super) fn sent(
        &mut self,
        wanted: Wanted,
        target: LinkId,
        requester: Option<LinkId>,
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
        let request = self.requests.entry(wanted).or_default();
        request.targets.insert(target, now);
        request.requesters.extend(requester);
    }

    /// Whether the same request is on its way already; if so, the requester waits for it too.
    pub(super) fn join(&mut self, wanted: Wanted, requester: LinkId) -> bool {
        let Some(request) = self.requests.get_mut(&wanted) else { return false };
        request.requesters.insert(requester);
        true
    }

    /// Ends all requests that a route with this sequence number answers, and tells who asked.
    pub(super) fn answer(&mut self, prefix: Prefix, id: RouterId, seqno: u16) -> BTreeSet<LinkId> {
        let range = (prefix, id, 0)..=(prefix, id, u16::MAX);
        let answered: Vec<Wanted> = self
            .requests
            .range(range)
            .map(|(wanted, _)| *wanted)
            .filter(|(_, _, wanted)| !is_newer(*wanted, seqno))
            .collect();
        let mut requesters = BTreeSet::new();
        for wanted in answered {
            self.deadlines.cancel(wanted);
            let request = self.requests.remove(&wanted);
            requesters.extend(request.into_iter().flat_map(|request| request.requesters));
        }
        requesters
    }

    /// Forgets a peer. A request that only it could answer is forgotten too, so that it can be
    /// sent another way.
    pub(super) fn link_down(&mut self, link: LinkId) {
        self.requests.retain(|wanted, request| {
            request.requesters.remove(&link);
            let lost = request.targets.remove(&link).is_some() && request.targets.is_empty();
            if lost {
                self.deadlines.cancel(*wanted);
            }
            !lost
        });
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
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
        requests.sent(wanted(5), LinkId(1), Some(LinkId(2)), now);
        assert!(!requests.may_ask(wanted(5), LinkId(1), now));
        assert!(!requests.may_ask(wanted(5), LinkId(2), now + RECENT));
        assert!(requests.may_ask(wanted(5), LinkId(1), now + RECENT));
        assert!(requests.may_ask(wanted(6), LinkId(1), now));
    }

    #[test]
    fn a_newer_number_answers_everyone_who_asked_for_an_older_one() {
        let now = Instant::now();
        let mut requests = SeqnoRequests::new(10);
        for seqno in [5, 6, 7] {
            requests.sent(wanted(seqno), LinkId(1), Some(LinkId(seqno.into())), now);
        }
        let (prefix, id, _) = wanted(0);
        assert_eq!(requests.answer(prefix, id, 6), [LinkId(5), LinkId(6)].into());
        assert!(requests.join(wanted(7), LinkId(9)) && !requests.join(wanted(6), LinkId(9)));
    }

    #[test]
    fn a_request_is_forgotten_with_the_peer_it_went_to_or_after_a_minute() {
        let now = Instant::now();
        let mut requests = SeqnoRequests::new(2);
        requests.sent(wanted(5), LinkId(1), None, now);
        requests.link_down(LinkId(1));
        assert_eq!(requests.next_timeout(), None);
        for seqno in 0..3 {
            requests.sent(wanted(seqno), LinkId(1), None, now);
        }
        assert_eq!(requests.requests.len(), 2);
        requests.expire(now + LIFETIME);
        assert!(requests.requests.is_empty());
    }
}

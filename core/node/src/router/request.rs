//! Requests for routes and for newer sequence numbers, in and out (spec 6.9 and 6.10).

use std::time::{Duration, Instant};

use super::destination::Entry;
use super::filter::{self, SUBNET_LENGTH};
use super::links::LinkSet;
use super::lookup::Asker;
use super::metric::INFINITE;
use super::seqno::{is_newer, is_older};
use super::{LookupState, Router};
use crate::wire::control::{RouteRequest, SeqnoRequest, Tlv};
use crate::{LinkId, Prefix, RouterId};

/// A request may be sent with this generation, and not be forwarded any more.
const MAX_GENERATION: u8 = 15;
/// Older nodes wrap this to 0, so it must not reach them again.
const WRAPPING_GENERATION: u8 = u8::MAX;
const HOP_COUNT: u8 = 64;
/// Between two increments of the own sequence number.
const BUMP_INTERVAL: Duration = Duration::from_secs(4);

impl Router {
    pub(super) fn handle_route_request(
        &mut self,
        link: LinkId,
        request: RouteRequest,
        now: Instant,
    ) {
        let neighbour = self.neighbours.get_mut(&link);
        if !neighbour.is_some_and(|neighbour| neighbour.buckets.route_requests.take(now)) {
            self.counters.route_requests_over_rate += 1;
            return;
        }
        let Some(prefix) = request.prefix.filter(|_| request.generation != WRAPPING_GENERATION)
        else {
            return self.answer_wildcard(link, request, now);
        };
        if !filter::is_announceable(&prefix) {
            self.counters.requests_refused += 1;
            return;
        }
        if self.config.prefix.covers(&prefix) {
            return self.queue_static(link);
        }
        let covering = self.table.covering(prefix.address());
        let mut routes =
            covering.filter(|(found, _)| found.covers(&prefix)).filter_map(|(found, set)| {
                set.first().filter(|entry| entry.selected).map(|entry| (found, entry.link))
            });
        let route = routes.next();
        drop(routes);
        match route {
            // The next hop knows more than this node does.
            Some((_, next_hop)) if next_hop == link => {}
            Some((found, _)) => self.queue_update(link, found),
            None if prefix.length() == SUBNET_LENGTH => {
                self.relay_lookup(link, prefix, request.generation, now);
            }
            None => self.counters.requests_refused += 1,
        }
    }

    fn answer_wildcard(&mut self, link: LinkId, request: RouteRequest, now: Instant) {
        let neighbour = self.neighbours.get_mut(&link);
        if request.generation == WRAPPING_GENERATION {
            self.counters.requests_refused += 1;
        } else if neighbour.is_some_and(|neighbour| neighbour.buckets.wildcards.take(now)) {
            self.queue_table(link);
        } else {
            self.counters.route_requests_over_rate += 1;
        }
    }

    fn relay_lookup(&mut self, from: LinkId, prefix: Prefix, generation: u8, now: Instant) {
        let Some(place) = self.place(from) else { return };
        if generation >= MAX_GENERATION {
            self.counters.requests_refused += 1;
            return;
        }
        if self.lookups.join(prefix, Asker::Peer(place)) {
            return;
        }
        let mut others = self.all_places();
        others.remove(place);
        self.start_lookup(prefix, Asker::Peer(place), generation + 1, others, now);
    }

    pub(super) fn start_own_lookup(&mut self, prefix: Prefix, now: Instant) -> LookupState {
        if self.lookups.join(prefix, Asker::This) {
            return LookupState::Running;
        }
        if !self.start_lookup(prefix, Asker::This, 0, self.all_places(), now) {
            return LookupState::RecentlyFailed;
        }
        // Those that know the prefix but have no way there say nothing to a route request.
        let first = self.table.set(prefix).first().filter(|entry| !entry.selected).copied();
        if let Some(entry) = first {
            self.request_seqno(prefix, entry.router_id, None, now);
        }
        LookupState::Started
    }

    fn start_lookup(
        &mut self,
        prefix: Prefix,
        asker: Asker,
        generation: u8,
        links: LinkSet,
        now: Instant,
    ) -> bool {
        let Some(skipped) = self.lookups.start(prefix, asker, generation, links, now) else {
            self.counters.lookups_refused += 1;
            return false;
        };
        let asked =
            |(link, place)| (links.contains(place) && !skipped.contains(place)).then_some(link);
        let targets: Vec<LinkId> = self.places().filter_map(asked).collect();
        for link in targets {
            let request = RouteRequest { generation, prefix: Some(prefix) };
            self.send(link, Tlv::RouteRequest(request));
        }
        true
    }

    /// Asks for a sequence number that makes routes of a source feasible again: one peer, or
    /// without a target all that have a route, or when nobody has, everyone.
    pub(super) fn request_seqno(
        &mut self,
        prefix: Prefix,
        router_id: RouterId,
        target: Option<LinkId>,
        now: Instant,
    ) {
        let known = self.table.get(prefix);
        let seqno = known.map_or(1, |known| known.next_seqno(&router_id));
        let set = self.table.set(prefix);
        let targets = match target {
            Some(link) => vec![link],
            None => {
                let alive =
                    |entry: &&Entry| entry.metric != INFINITE && !self.is_silent(entry.link);
                let links: Vec<_> = set.iter().filter(alive).map(|entry| entry.link).collect();
                if links.is_empty() { self.links() } else { links }
            }
        };
        let request = SeqnoRequest { seqno, hop_count: HOP_COUNT, router_id, prefix };
        let wanted = (prefix, router_id, seqno);
        for link in targets {
            let Some(place) = self.place(link) else { continue };
            if self.pending.may_ask(wanted, place, now) {
                self.pending.sent(wanted, place, None, now);
                self.send(link, Tlv::SeqnoRequest(request));
            }
        }
    }

    pub(super) fn handle_seqno_request(
        &mut self,
        from: LinkId,
        request: SeqnoRequest,
        now: Instant,
    ) {
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        let place = neighbour.place;
        if !neighbour.buckets.seqno_requests.take(now) {
            self.counters.seqno_requests_over_rate += 1;
            return;
        }
        if !filter::is_announceable(&request.prefix) {
            self.counters.requests_refused += 1;
            return;
        }
        if request.prefix == self.config.prefix {
            return self.answer_own_seqno(from, request, now);
        }
        let route = self.table.selected(request.prefix);
        if route.is_some_and(|route| {
            route.router_id != request.router_id || !is_older(route.seqno, request.seqno)
        }) {
            return self.queue_update(from, request.prefix);
        }
        let wanted = (request.prefix, request.router_id, request.seqno);
        // One that is on its way already goes on to whoever has not been asked just now.
        self.pending.join(wanted, place);
        if request.hop_count >= 2
            && let Some((link, target)) = self.next_asked(from, request, now)
        {
            self.pending.sent(wanted, target, Some(place), now);
            let hop_count = request.hop_count - 1;
            self.send(link, Tlv::SeqnoRequest(SeqnoRequest { hop_count, ..request }));
        }
    }

    /// A request for the own prefix. One for an earlier life of this node, or for a number it has
    /// reached already, is answered as well: the requester has missed something.
    fn answer_own_seqno(&mut self, from: LinkId, request: SeqnoRequest, now: Instant) {
        let wants_newer =
            request.router_id == self.config.router_id && is_newer(request.seqno, self.seqno);
        if wants_newer {
            self.bump_wanted = true;
            self.bump_if_due(now);
        } else {
            self.queue_static(from);
        }
    }

    /// Increments the own sequence number and announces it, at most every 4 s. A request that comes
    /// too early is answered when the time has passed, rather than leaving the requester starving.
    pub(super) fn bump_if_due(&mut self, now: Instant) {
        if self.bump_wanted && self.next_bump() <= now {
            self.bump_wanted = false;
            self.bumped = now;
            self.seqno = self.seqno.wrapping_add(1);
            for link in self.links() {
                self.send_static(link);
            }
        }
    }

    pub(super) fn next_bump(&self) -> Instant {
        self.bumped + BUMP_INTERVAL
    }

    /// The one neighbour a seqno request is passed on to: a feasible route first, else any.
    fn next_asked(
        &self,
        from: LinkId,
        request: SeqnoRequest,
        now: Instant,
    ) -> Option<(LinkId, u8)> {
        let wanted = (request.prefix, request.router_id, request.seqno);
        let known = self.table.get(request.prefix)?;
        let candidates = known.entries.iter().filter_map(|entry| {
            let place = self.place(entry.link)?;
            let usable = entry.link != from
                && entry.metric != INFINITE
                && !self.is_silent(entry.link)
                && self.pending.may_ask(wanted, place, now);
            usable.then_some((entry, place))
        });
        let feasible = |(entry, _): &(&Entry, u8)| {
            known.is_feasible(&entry.router_id, entry.seqno, entry.metric)
        };
        let mut candidates = candidates;
        let first = candidates.next()?;
        let best = std::iter::once(first).chain(candidates).find(feasible).unwrap_or(first);
        Some((best.0.link, best.1))
    }
}

//! Requests for routes and for newer sequence numbers, in and out (spec 6.9 and 6.10).

use std::net::Ipv6Addr;
use std::time::Instant;

use super::destination::Entry;
use super::filter::{self, SUBNET_LENGTH};
use super::lookup::{Asker, Question, Rounds};
use super::metric::INFINITE;
use super::pending::Occasion;
use super::seqno::is_older;
use super::{LookupState, Router};
use crate::wire::control::{RouteRequest, SeqnoRequest, Tlv};
use crate::{LinkId, Prefix, RouterId};

/// A request may be sent with this generation, and not be forwarded any more.
const MAX_GENERATION: u8 = 15;
/// Older nodes wrap this to 0, so it must not reach them again.
const WRAPPING_GENERATION: u8 = u8::MAX;
/// Of a request that nobody has passed on yet.
pub(super) const HOP_COUNT: u8 = 64;
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
        if !self.lookups.join(prefix, Asker::Peer(place), now) {
            self.start_lookup(prefix, Asker::Peer(place), generation + 1, now);
        }
    }

    pub(super) fn start_own_lookup(&mut self, prefix: Prefix, now: Instant) -> LookupState {
        if self.lookups.join(prefix, Asker::This, now) {
            self.watch_lookup(prefix, now);
            return LookupState::Running;
        }
        if !self.start_lookup(prefix, Asker::This, 0, now) {
            return LookupState::RecentlyFailed;
        }
        self.watch_lookup(prefix, now);
        // Those that know the prefix but have no way there say nothing to a route request.
        let first = self.table.set(prefix).first().filter(|entry| !entry.selected).copied();
        if let Some(entry) = first {
            self.request_seqno(prefix, (entry.router_id, entry.seqno), None, now);
        }
        LookupState::Started
    }

    /// An idle node has few peers, and others could be asked.
    fn watch_lookup(&mut self, prefix: Prefix, now: Instant) {
        if self.is_idle {
            self.lookups.watch(prefix, now);
        }
    }

    /// Looks for a node that a packet names which this peer brought: at the peer's expense, since it
    /// may have made the address up.
    pub fn lookup_for(&mut self, from: LinkId, destination: Ipv6Addr, now: Instant) {
        let prefix = Prefix::subnet_of(destination);
        let Some(place) = self.place(from) else { return };
        if !filter::is_announceable(&prefix) || self.config.prefix == prefix {
            return;
        }
        let asker = Asker::Packet(place);
        if self.lookups.join(prefix, asker, now) {
            return;
        }
        let neighbour = self.neighbours.get_mut(&from);
        if !neighbour.is_some_and(|neighbour| neighbour.buckets.route_requests.take(now)) {
            self.counters.route_requests_over_rate += 1;
            return;
        }
        self.start_lookup(prefix, asker, 0, now);
        self.flush(now);
    }

    fn start_lookup(&mut self, prefix: Prefix, asker: Asker, generation: u8, now: Instant) -> bool {
        let rounds = self.rounds(asker);
        let Some(to) = self.lookups.start(prefix, asker, generation, rounds, now) else {
            self.counters.lookups_refused += 1;
            return false;
        };
        self.ask(Question { prefix, generation, to });
        true
    }

    /// Everybody but who asks: those first that were heard to speak for others, or that the owner
    /// of this node chose.
    fn rounds(&self, asker: Asker) -> Rounds {
        let mut rounds = Rounds::default();
        for neighbour in self.neighbours.values() {
            if asker != Asker::Peer(neighbour.place) {
                let is_first = neighbour.speaks_for_others || neighbour.is_trusted;
                let round = if is_first { &mut rounds.first } else { &mut rounds.second };
                round.insert(neighbour.place);
            }
        }
        rounds
    }

    pub(super) fn ask(&mut self, question: Question) {
        let Question { prefix, generation, to } = question;
        for link in self.links_at(&to) {
            let request = RouteRequest { generation, prefix: Some(prefix) };
            self.send(link, Tlv::RouteRequest(request));
        }
    }

    /// Asks for a sequence number that makes routes of a source, at the life that had the given one,
    /// feasible again: one peer, or
    /// without a target all that have a route, or when nobody has, everyone.
    pub(super) fn request_seqno(
        &mut self,
        prefix: Prefix,
        (router_id, seqno): (RouterId, u16),
        target: Option<LinkId>,
        now: Instant,
    ) {
        let known = self.table.get(prefix);
        let seqno = known.map_or(1, |known| known.next_seqno(&router_id, seqno));
        let set = self.table.set(prefix);
        let (targets, occasion) = match target {
            Some(link) => (vec![link], Occasion::Offer),
            None => {
                let alive =
                    |entry: &&Entry| entry.metric != INFINITE && !self.is_silent(entry.link);
                let links: Vec<_> = set.iter().filter(alive).map(|entry| entry.link).collect();
                (if links.is_empty() { self.links() } else { links }, Occasion::Want)
            }
        };
        let request = SeqnoRequest { seqno, hop_count: HOP_COUNT, router_id, prefix };
        let wanted = (prefix, router_id, seqno);
        for link in targets {
            let Some(place) = self.place(link) else { continue };
            if self.pending.may_ask(wanted, place, occasion, now) {
                match occasion {
                    Occasion::Want => self.pending.sent(wanted, place, None, now),
                    Occasion::Offer => self.pending.sent_for_offer(wanted, place, now),
                }
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

    /// The one neighbour a seqno request is passed on to: a feasible route first, else any.
    fn next_asked(
        &self,
        from: LinkId,
        request: SeqnoRequest,
        now: Instant,
    ) -> Option<(LinkId, u16)> {
        let wanted = (request.prefix, request.router_id, request.seqno);
        let known = self.table.get(request.prefix)?;
        let candidates = known.entries.iter().filter_map(|entry| {
            let place = self.place(entry.link)?;
            let usable = entry.link != from
                && entry.metric != INFINITE
                && !self.is_silent(entry.link)
                && self.pending.may_ask(wanted, place, Occasion::Want, now);
            usable.then_some((entry, place))
        });
        let feasible = |(entry, _): &(&Entry, u16)| {
            known.is_feasible(&entry.router_id, entry.seqno, entry.metric)
        };
        let mut candidates = candidates;
        let first = candidates.next()?;
        let best = std::iter::once(first).chain(candidates).find(feasible).unwrap_or(first);
        Some((best.0.link, best.1))
    }
}

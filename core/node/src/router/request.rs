//! Requests for routes and for newer sequence numbers, in and out (spec 6.9 and 6.10).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::filter::{self, SUBNET_LENGTH};
use super::lookup::Asker;
use super::metric::INFINITE;
use super::seqno::{is_newer, is_older};
use super::table::Entry;
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
        if request.generation == WRAPPING_GENERATION || !self.may_request(link, now) {
            return;
        }
        let Some(prefix) = request.prefix else { return self.send_table(link, now) };
        if !filter::is_announceable(&prefix) {
            return;
        }
        if self.config.prefix.covers(&prefix) {
            return self.send_static(link);
        }
        let covering = self.table.covering(prefix.address());
        let known: Vec<(Prefix, Option<Entry>)> = covering
            .filter(|(found, _)| found.covers(&prefix))
            .map(|(found, set)| (found, set.first().filter(|entry| entry.selected).copied()))
            .collect();
        if let Some((found, route)) = known.iter().find_map(|(p, route)| Some((*p, (*route)?))) {
            if route.link != link {
                self.send_route(link, found, &route, now);
            }
        } else if known.is_empty() && prefix.length() == SUBNET_LENGTH {
            self.relay_lookup(link, prefix, request.generation, now);
        }
    }

    /// The answer to a wildcard request.
    fn send_table(&mut self, link: LinkId, now: Instant) {
        let neighbour = self.neighbours.get_mut(&link);
        if !neighbour.is_some_and(|neighbour| neighbour.wildcards.take(now)) {
            return;
        }
        let selected = self.table.iter().filter(|(_, entry)| entry.selected && entry.link != link);
        // More than this a link takes at once only from a peer that reads fast.
        let most = self.config.limits.prefixes_per_link;
        let routes: Vec<(Prefix, Entry)> =
            selected.take(most).map(|(p, entry)| (p, *entry)).collect();
        for (prefix, route) in routes {
            self.send_route(link, prefix, &route, now);
        }
        self.send_static(link);
    }

    fn relay_lookup(&mut self, from: LinkId, prefix: Prefix, generation: u8, now: Instant) {
        if generation >= MAX_GENERATION || self.lookups.join(prefix, Asker::Peer) {
            return;
        }
        let others = self.links().into_iter().filter(|link| *link != from).collect();
        self.start_lookup(prefix, Asker::Peer, generation + 1, others, now);
    }

    pub(super) fn start_own_lookup(&mut self, prefix: Prefix, now: Instant) -> LookupState {
        if self.lookups.join(prefix, Asker::This) {
            return LookupState::Running;
        }
        let links = self.links().into_iter().collect();
        if !self.start_lookup(prefix, Asker::This, 0, links, now) {
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
        links: BTreeSet<LinkId>,
        now: Instant,
    ) -> bool {
        let Some(targets) = self.lookups.start(prefix, asker, generation, links, now) else {
            return false;
        };
        for link in targets {
            let request = RouteRequest { generation, prefix: Some(prefix) };
            self.send(link, Tlv::RouteRequest(request));
        }
        true
    }

    /// Asks for a sequence number that makes routes of a source feasible again: one peer, or
    /// without a target all that announced the prefix, or when nobody did, everyone.
    pub(super) fn request_seqno(
        &mut self,
        prefix: Prefix,
        router_id: RouterId,
        target: Option<LinkId>,
        now: Instant,
    ) {
        let seqno = self.sources.next_seqno((prefix, router_id));
        let set = self.table.set(prefix);
        let targets = match target {
            Some(link) => vec![link],
            None if set.is_empty() => self.links(),
            None => set.iter().map(|entry| entry.link).collect(),
        };
        let request = SeqnoRequest { seqno, hop_count: HOP_COUNT, router_id, prefix };
        for link in targets {
            let wanted = (prefix, router_id, seqno);
            if self.neighbours.contains_key(&link) && self.pending.may_ask(wanted, link, now) {
                self.pending.sent(wanted, link, None, now);
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
        if !filter::is_announceable(&request.prefix) || !self.may_request(from, now) {
            return;
        }
        if request.prefix == self.config.prefix {
            return self.answer_own_seqno(from, request, now);
        }
        let route = self.table.selected(request.prefix).copied();
        if let Some(route) = route
            && (route.router_id != request.router_id || !is_older(route.seqno, request.seqno))
        {
            return self.send_route(from, request.prefix, &route, now);
        }
        let wanted = (request.prefix, request.router_id, request.seqno);
        if request.hop_count >= 2
            && !self.pending.join(wanted, from)
            && let Some(link) = self.next_asked(from, request, now)
        {
            self.pending.sent(wanted, link, Some(from), now);
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
            self.send_static(from);
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
    fn next_asked(&self, from: LinkId, request: SeqnoRequest, now: Instant) -> Option<LinkId> {
        let wanted = (request.prefix, request.router_id, request.seqno);
        let usable = |entry: &&Entry| {
            entry.link != from
                && entry.metric != INFINITE
                && self.neighbours.contains_key(&entry.link)
                && self.pending.may_ask(wanted, entry.link, now)
        };
        let set = self.table.set(request.prefix);
        let feasible = |entry: &&Entry| {
            let source = (request.prefix, entry.router_id);
            self.sources.is_feasible(source, entry.seqno, entry.metric)
        };
        let mut candidates = set.iter().filter(usable);
        candidates.clone().find(feasible).or_else(|| candidates.next()).map(|entry| entry.link)
    }

    fn may_request(&mut self, link: LinkId, now: Instant) -> bool {
        self.neighbours.get_mut(&link).is_some_and(|neighbour| neighbour.requests.take(now))
    }
}

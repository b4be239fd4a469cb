//! Requests of the model: spec 6.9 and 6.10.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use threephone_node::wire::control::{RouteRequest, SeqnoRequest, Tlv};
use threephone_node::{LinkId, Prefix, RouterId};

use super::table::Entry;
use super::{Asked, INFINITE, SeqnoSearch, Stock, Timer, is_newer, is_older};

const QUERY_TIMEOUT: Duration = Duration::from_secs(15);
const RECENT: Duration = Duration::from_secs(4);
const SEARCH_LIFETIME: Duration = Duration::from_secs(60);
const MAX_GENERATION: u8 = 16;

impl Stock {
    /// Looks for the /64 of an address if nothing at all is known of it.
    pub(crate) fn lookup(&mut self, destination: Ipv6Addr, now: Instant) {
        match self.table.longest(destination) {
            None => self.start_lookup(Prefix::subnet_of(destination), now),
            Some((prefix, set)) => {
                if let Some(first) = set.first().filter(|first| !first.selected).copied() {
                    self.ask_seqno(prefix, first.id, None, now);
                }
            }
        }
    }

    pub(super) fn start_lookup(&mut self, prefix: Prefix, now: Instant) {
        self.query(prefix, now);
        let skipped = self.live_request(prefix, now).filter(|(generation, _)| *generation == 0);
        let skipped = skipped.map(|(_, links)| links.clone()).unwrap_or_default();
        for link in self.links().into_iter().filter(|link| !skipped.contains(link)) {
            self.ask_route(link, prefix, 0);
        }
        self.requests.insert(prefix, (0, self.links().into_iter().collect(), now));
    }

    fn query(&mut self, prefix: Prefix, now: Instant) {
        self.table.query(prefix);
        if !self.timers.is_set(Timer::Lookup(prefix)) {
            self.timers.set(Timer::Lookup(prefix), now + QUERY_TIMEOUT);
        }
    }

    fn live_request(&self, prefix: Prefix, now: Instant) -> Option<(u8, &BTreeSet<LinkId>)> {
        let (generation, links, at) = self.requests.get(&prefix)?;
        (now - *at <= QUERY_TIMEOUT).then_some((*generation, links))
    }

    pub(super) fn ask_route(&mut self, link: LinkId, prefix: Prefix, generation: u8) {
        self.say(link, Tlv::RouteRequest(RouteRequest { generation, prefix: Some(prefix) }));
    }

    pub(super) fn handle_route_request(
        &mut self,
        from: LinkId,
        request: RouteRequest,
        now: Instant,
    ) {
        let Some(prefix) = request.prefix else {
            for (prefix, entry) in self.table.selected_entries() {
                if entry.link != from {
                    self.send_entry(from, prefix, entry, entry.link, now);
                }
            }
            return self.send_static(from);
        };
        if self.prefix.covers(&prefix) {
            return self.send_static(from);
        }
        if self.table.is_known(prefix) {
            if let Some(route) = self.table.selected(prefix).filter(|route| route.link != from) {
                self.send_entry(from, prefix, route, route.link, now);
            }
            return;
        }
        let generation = request.generation.wrapping_add(1);
        if generation >= MAX_GENERATION {
            return;
        }
        self.query(prefix, now);
        let skipped = self.live_request(prefix, now).filter(|(cached, _)| generation >= *cached);
        let skipped = skipped.map(|(_, links)| links.clone()).unwrap_or_default();
        let links = self.links().into_iter();
        for link in links.filter(|link| *link != from && !skipped.contains(link)) {
            self.ask_route(link, prefix, generation);
        }
        self.requests.insert(prefix, (generation, self.links().into_iter().collect(), now));
    }

    /// Originates a Seqno Request: to one peer, or in broadcast form.
    pub(super) fn ask_seqno(
        &mut self,
        prefix: Prefix,
        router_id: RouterId,
        target: Option<LinkId>,
        now: Instant,
    ) {
        let known = self.sources.get(&(prefix, router_id));
        let seqno = known.map_or(1, |(seqno, _)| seqno.wrapping_add(1));
        let asked = (prefix, router_id, seqno);
        let set = self.table.set(prefix);
        let targets: Vec<LinkId> = match target {
            Some(link) => vec![link],
            None if set.is_empty() => self.links(),
            None => {
                let links = set.iter().map(|entry| entry.link);
                links.filter(|link| !self.was_asked(asked, *link, now)).collect()
            }
        };
        let search = self.searches.get(&asked);
        let requesters = search.map(|search| search.requesters.clone()).unwrap_or_default();
        let request = SeqnoRequest { seqno, hop_count: 64, router_id, prefix };
        for link in targets.into_iter().filter(|link| !requesters.contains(link)) {
            self.ask(asked, request, link, None, now);
        }
    }

    fn was_asked(&self, asked: Asked, link: LinkId, now: Instant) -> bool {
        self.searches
            .get(&asked)
            .and_then(|search| search.targets.get(&link))
            .is_some_and(|at| now - *at < RECENT)
    }

    fn ask(
        &mut self,
        asked: Asked,
        request: SeqnoRequest,
        link: LinkId,
        requester: Option<LinkId>,
        now: Instant,
    ) {
        if !self.peers.contains_key(&link) {
            return;
        }
        let search = self.searches.entry(asked).or_insert_with(|| SeqnoSearch {
            first: now,
            last: now,
            targets: BTreeMap::new(),
            requesters: BTreeSet::new(),
        });
        search.last = now;
        search.targets.insert(link, now);
        search.requesters.extend(requester);
        self.say(link, Tlv::SeqnoRequest(request));
    }

    pub(super) fn handle_seqno_request(
        &mut self,
        from: LinkId,
        request: SeqnoRequest,
        now: Instant,
    ) {
        let asked = (request.prefix, request.router_id, request.seqno);
        let search = self.searches.get(&asked);
        if search.is_some_and(|search| now - search.last <= SEARCH_LIFETIME) {
            return;
        }
        if let Some(route) = self.table.selected(request.prefix)
            && route.metric != INFINITE
            && (route.id != request.router_id || !is_older(route.seqno, request.seqno))
        {
            return self.send_entry(from, request.prefix, route, from, now);
        }
        let is_own = request.router_id == self.id;
        if is_own && request.prefix == self.prefix && is_newer(request.seqno, self.seqno) {
            if now - self.bumped >= RECENT {
                self.bumped = now;
                self.seqno = self.seqno.wrapping_add(1);
                self.announce_static();
            }
            return;
        }
        if request.hop_count < 2 || is_own {
            return;
        }
        let request = SeqnoRequest { hop_count: request.hop_count - 1, ..request };
        if let Some(link) = self.next_asked(asked, from, now) {
            self.ask(asked, request, link, Some(from), now);
        }
    }

    fn next_asked(&self, asked: Asked, from: LinkId, now: Instant) -> Option<LinkId> {
        let usable = |entry: &&Entry| {
            entry.link != from
                && entry.metric != INFINITE
                && self.peers.contains_key(&entry.link)
                && !self.was_asked(asked, entry.link, now)
        };
        let feasible = |entry: &&Entry| {
            let source = self.sources.get(&(asked.0, entry.id));
            source.is_none_or(|(seqno, metric)| {
                is_newer(entry.seqno, *seqno) || (entry.seqno == *seqno && entry.metric < *metric)
            })
        };
        let set = self.table.set(asked.0);
        let found = set.iter().filter(usable).find(feasible);
        found.or_else(|| set.iter().find(usable)).map(|entry| entry.link)
    }
}

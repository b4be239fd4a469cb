//! The routing protocol (spec section 6) as a pure state machine: TLVs and time in, TLVs out.
//!
//! It is the network's variant of Babel: loop-free by feasibility distances (the source table), on
//! demand by lookups that travel through the network. Nothing here reads a clock or a random source:
//! `now` and a seed come in. Call [`Router::poll_output`] until empty after every call, and
//! [`Router::handle_timeout`] when [`Router::poll_timeout`] says so.
//!
//! Peers are not believed further than the protocol demands: lookups never shadow routes, only /64
//! requests travel, tables are bounded ([`RouterLimits`]), keys without a secret are refused, and what
//! a peer is told waits until it has read what it was told before. Links that take packets and bring
//! nothing are avoided within seconds.

mod announce;
mod beat;
mod bucket;
mod census;
mod clock;
mod counters;
mod deadline;
mod delivery;
mod destination;
mod distance;
mod filter;
mod limits;
mod links;
mod lookup;
mod metric;
mod neighbour;
mod output;
mod own;
mod pace;
mod pending;
mod request;
mod schedule;
mod select;
mod seqno;
mod silence;
mod table;
#[cfg(test)]
mod tests;
mod update;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

pub(crate) use census::Census;
pub use counters::RouterCounters;
pub(crate) use filter::is_low_order;
pub use limits::RouterLimits;
pub use output::{CloseReason, LookupState, QueryInfo, RouteInfo, RouteLookup, RouterOutput};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use self::beat::ANNOUNCEMENT_INTERVAL;
use self::clock::Clock;
use self::deadline::Deadlines;
use self::delivery::Pins;
pub(crate) use self::links::PLACES;
use self::lookup::{LookupLimits, Lookups};
use self::neighbour::Neighbour;
use self::pending::SeqnoRequests;
use self::table::RouteTable;
use crate::wire::control::{RouteRequest, Tlv};
use crate::{LinkId, Prefix, PublicKey, RouterId};

/// What a router is made from.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Own router id, new at every start; the router itself takes another if it must.
    pub router_id: RouterId,
    /// Own /64.
    pub prefix: Prefix,
    /// Where all jitter comes from.
    pub seed: [u8; 32],
    /// Bounds of the tables.
    pub limits: RouterLimits,
}

/// What falls due besides the entries of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Hello(LinkId),
    Death(LinkId),
    /// A data packet may have been unanswered for too long.
    Silence(LinkId),
    /// A peer may be asked again whether it has read what was sent.
    Flush(LinkId),
    Announcement,
}

/// A route in use that ends sooner than this is looked up again.
const ALMOST_EXPIRED: Duration = Duration::from_secs(15);
/// How long the end of a route may wait for a wake-up that happens anyway, such as the next Hello.
const LAZY: Duration = Duration::from_secs(20);

/// The routing state of one node.
pub struct Router {
    config: RouterConfig,
    clock: Clock,
    seqno: u16,
    bumped: Instant,
    bump_wanted: bool,
    /// When the present life began, unless it is the first.
    born: Option<Instant>,
    is_idle: bool,
    neighbours: BTreeMap<LinkId, Neighbour>,
    table: RouteTable,
    pins: Pins,
    pending: SeqnoRequests,
    lookups: Lookups,
    timers: Deadlines<Timer>,
    /// Links to which something may be sent now.
    busy: BTreeSet<LinkId>,
    outputs: VecDeque<RouterOutput>,
    random: ChaCha8Rng,
    /// See [`Router::selections`].
    selections: u64,
    counters: RouterCounters,
}

impl Router {
    /// A router without links.
    pub fn new(config: RouterConfig, now: Instant) -> Self {
        let limits = &config.limits;
        let lookups = LookupLimits {
            running: limits.lookups,
            per_peer: limits.lookups_per_link,
            failures: limits.failures,
        };
        let mut timers = Deadlines::new();
        timers.set(Timer::Announcement, now + ANNOUNCEMENT_INTERVAL);
        Self {
            clock: Clock::new(now),
            seqno: 0,
            bumped: now,
            bump_wanted: false,
            born: None,
            is_idle: false,
            neighbours: BTreeMap::new(),
            table: RouteTable::new(),
            pins: Pins::default(),
            pending: SeqnoRequests::new(limits.seqno_requests),
            lookups: Lookups::new(lookups),
            timers,
            busy: BTreeSet::new(),
            outputs: VecDeque::new(),
            random: ChaCha8Rng::from_seed(config.seed),
            selections: 0,
            counters: RouterCounters::default(),
            config,
        }
    }

    /// A link is up. `static_cost` is that of its transport (spec 2.7). The peer gets the own
    /// route, the first Hello, and every question that is still open.
    pub fn link_up(&mut self, link: LinkId, static_cost: u16, now: Instant) {
        if self.neighbours.contains_key(&link) {
            return;
        }
        let Some(place) = self.free_place() else {
            let reason = CloseReason::TooManyLinks;
            return self.output(RouterOutput::Close { link, reason });
        };
        let neighbour = Neighbour::new(place, static_cost, &self.config.limits, now);
        self.neighbours.insert(link, neighbour);
        self.timers.set(Timer::Death(link), now + self.dead_after());
        self.send_static(link);
        self.send_hello(link, now);
        for (prefix, generation) in self.lookups.ask_also(place, now) {
            let request = RouteRequest { generation, prefix: Some(prefix) };
            self.send(link, Tlv::RouteRequest(request));
        }
        self.flush(now);
    }

    /// The owner of this node chose the peer of this link: where routes conflict, its count more.
    pub fn trust(&mut self, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&link) {
            neighbour.is_trusted = true;
        }
    }

    /// A link is gone. Its routes are given up at once, the other peers are told.
    pub fn link_down(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.remove(&link) else { return };
        for timer in [Timer::Hello, Timer::Death, Timer::Silence, Timer::Flush] {
            self.timers.cancel(timer(link));
        }
        self.busy.remove(&link);
        self.pending.link_down(neighbour.place);
        self.lookups.link_down(neighbour.place);
        if neighbour.was_told {
            self.table.forget_told(neighbour.place);
        }
        for prefix in self.table.prefixes_of(link) {
            self.lose_entry(prefix, link, now);
        }
        self.flush(now);
    }

    /// A TLV arrived. Those of unknown links are dropped.
    pub fn handle_tlv(&mut self, link: LinkId, tlv: Tlv, now: Instant) {
        self.note_heard(link);
        if let Some(neighbour) = self.neighbours.get_mut(&link) {
            neighbour.note_place_in_network(&tlv);
        }
        match tlv {
            Tlv::Hello(_) => self.handle_hello(link, now),
            Tlv::Ihu(_) => self.handle_ihu(link, now),
            _ if !self.neighbours.contains_key(&link) => {}
            Tlv::Update(update) => self.handle_update(link, &update, now),
            Tlv::RouteRequest(request) => self.handle_route_request(link, request, now),
            Tlv::SeqnoRequest(request) => self.handle_seqno_request(link, request, now),
        }
        self.flush(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hello(link) => self.send_hello(link, now),
                Timer::Death(link) => {
                    self.output(RouterOutput::Close { link, reason: CloseReason::Dead });
                    self.link_down(link, now);
                }
                Timer::Silence(link) => self.judge_silence(link, now),
                Timer::Flush(link) => drop(self.busy.insert(link)),
                Timer::Announcement => self.announce_own(now),
            }
        }
        while let Some(prefix) = self.table.pop_due(self.clock.tick(now)) {
            self.end_entries(prefix, now);
        }
        while let Some(question) = self.lookups.pop_second_round(now) {
            self.ask(question);
        }
        while let Some(prefix) = self.lookups.pop_unanswered(now) {
            self.output(RouterOutput::LookupUnanswered { prefix });
        }
        while let Some(prefix) = self.lookups.pop_failed(now) {
            self.counters.lookups_failed += 1;
            self.output(RouterOutput::LookupFailed { prefix });
        }
        self.pending.expire(now);
        self.bump_if_due(now);
        self.flush(now);
    }

    /// When to call [`Router::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (urgent, any) = self.table.next_due();
        let timeouts = [
            self.timers.next(),
            urgent.map(|at| self.clock.instant(at)),
            any.map(|at| self.clock.instant(at) + LAZY),
            self.lookups.next_timeout(),
            self.bump_wanted.then(|| self.next_bump()),
        ];
        timeouts.into_iter().flatten().min()
    }

    /// The next thing to do; call until none.
    pub fn poll_output(&mut self) -> Option<RouterOutput> {
        self.outputs.pop_front()
    }

    /// Tells that a packet took the route to `destination`: one in use is kept and refreshed.
    pub fn use_route(&mut self, destination: Ipv6Addr, now: Instant) {
        let Some((prefix, entry)) = self.table.selected_for(destination) else { return };
        let (tick, expires) = (self.clock.tick(now), entry.expires);
        if let Some(known) = self.table.get_mut(prefix) {
            known.used = tick;
        }
        if expires.since(tick) < ALMOST_EXPIRED {
            self.start_own_lookup(Prefix::subnet_of(destination), now);
            self.flush(now);
        }
    }

    /// Looks for a route to the /64 of `destination`. A failure is told after 15 s; then some
    /// seconds must pass before the next attempt, as for destinations that no node can have.
    pub fn lookup(&mut self, destination: Ipv6Addr, now: Instant) -> LookupState {
        let prefix = Prefix::subnet_of(destination);
        if !filter::is_announceable(&prefix) || self.config.prefix == prefix {
            return LookupState::RecentlyFailed;
        }
        let state = self.start_own_lookup(prefix, now);
        self.flush(now);
        state
    }

    /// Drops every route of a key, e.g. one that shares no secret.
    pub fn forget(&mut self, key: &PublicKey, now: Instant) {
        // Whatever a key may announce contains its address.
        let sets = self.table.covering(key.address());
        let entries = sets.flat_map(|(prefix, set)| set.iter().map(move |entry| (prefix, entry)));
        let of_key = entries.filter(|(_, entry)| entry.router_id.public_key() == *key);
        let entries: Vec<(Prefix, LinkId)> = of_key.map(|(p, entry)| (p, entry.link)).collect();
        for (prefix, link) in entries {
            self.drop_entry(prefix, link, now);
        }
        self.flush(now);
    }

    fn output(&mut self, output: RouterOutput) {
        self.outputs.push_back(output);
    }
}

/// The numbers that every implementation of the protocol must agree on.
#[cfg(test)]
fn vectors() -> serde_json::Value {
    let text = include_str!("../../../fixtures/wire/mycelium-vectors.json");
    serde_json::from_str(text).unwrap()
}

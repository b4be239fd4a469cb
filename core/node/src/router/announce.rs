//! What others are told, when and how fast (spec 6.11, with what 11.3 recommends).
//!
//! A new route goes to the peers that asked for it or had the prefix from this node before, and a
//! retraction to those that had it: in a large network nearly nobody needs to hear of a given node.
//! Changes are not sent but noted, per peer and prefix, and what is sent is the state at the time
//! there is room for it ([`super::pace`]).

use std::time::{Duration, Instant};

use super::destination::{DISTANCE_LIFETIME, Entry};
use super::links::LinkSet;
use super::metric::{self, INFINITE};
use super::neighbour::Purpose;
use super::pace::{MOST, ToTell, WINDOW, Walk};
use super::{Router, RouterOutput, Timer};
use crate::wire::control::{Hello, Tlv, Update};
use crate::{LinkId, Prefix};

/// Advertised in every Update, in centiseconds.
pub(super) const UPDATE_INTERVAL: u16 = 30_000;
/// Advertised in every Hello, in centiseconds.
pub(super) const HELLO_INTERVAL: u16 = 2_000;
/// A peer is not asked more often whether it has read what was sent: it may limit its answers.
const QUESTION_INTERVAL: Duration = Duration::from_millis(50);

impl Router {
    /// Notes that all who had this prefix from here are to hear of its new state.
    pub(super) fn announce(&mut self, prefix: Prefix) {
        let Some(known) = self.table.get(prefix) else { return };
        let mut told = known.told();
        if let Some(place) = known.selected().and_then(|route| self.place(route.link)) {
            told.remove(place); // it knows better
        }
        self.queue_updates(prefix, &told);
    }

    /// The route goes through this peer now. If it had the prefix from here it must not come back for
    /// it: two nodes that lose their own ways at once would take each other for the way.
    pub(super) fn poison(&mut self, prefix: Prefix, next_hop: LinkId) {
        let Some(place) = self.place(next_hop) else { return };
        if self.table.get(prefix).is_some_and(|known| known.is_told(place)) {
            self.queue_update(next_hop, prefix);
        }
    }

    /// Notes that these peers are to hear of the state of a prefix.
    pub(super) fn queue_updates(&mut self, prefix: Prefix, places: &LinkSet) {
        for link in self.links_at(places) {
            self.queue_update(link, prefix);
        }
    }

    /// Notes that a peer is to hear of the state of a prefix, now and whenever it changes.
    pub(super) fn queue_update(&mut self, link: LinkId, prefix: Prefix) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if let Some(known) = self.table.get_mut(prefix) {
            known.tell(neighbour.place);
        }
        neighbour.was_told = true;
        neighbour.pace.change(prefix);
        self.busy.insert(link);
    }

    /// Notes that a peer is to hear of the own prefix.
    pub(super) fn queue_static(&mut self, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&link) {
            neighbour.pace.own = true;
            self.busy.insert(link);
        }
    }

    /// Notes that a peer is to hear of everything.
    pub(super) fn queue_table(&mut self, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&link) {
            neighbour.was_told = true;
            neighbour.pace.tell_all();
        }
        self.queue_static(link);
    }

    /// Sends what there is room for. Called at the end of everything that may have noted something.
    pub(super) fn flush(&mut self, now: Instant) {
        while let Some(link) = self.busy.pop_first() {
            self.flush_link(link, now);
        }
    }

    fn flush_link(&mut self, link: LinkId, now: Instant) {
        while self.has_room(link) && self.send_next(link, now) {}
        let Some(neighbour) = self.neighbours.get(&link) else { return };
        if neighbour.pace.is_done() && self.has_room(link) || neighbour.is_hello_open() {
            return; // nothing more to do until the peer answers
        }
        let next = neighbour.last_hello().map_or(now, |last| last + QUESTION_INTERVAL);
        if now < next {
            self.timers.set(Timer::Flush(link), next);
        } else {
            self.ask_hello(link, Purpose::Question, now);
        }
    }

    fn has_room(&self, link: LinkId) -> bool {
        self.neighbours.get(&link).is_some_and(|neighbour| neighbour.pace.outstanding() < WINDOW)
    }

    /// Sends the next of what is noted. Whether there was something.
    fn send_next(&mut self, link: LinkId, now: Instant) -> bool {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return false };
        if std::mem::take(&mut neighbour.pace.own) {
            self.send_static(link);
        } else if let Some(prefix) = neighbour.pace.next_change() {
            self.tell(link, prefix, now);
        } else if let Some(walk) = neighbour.pace.walk() {
            self.step_walk(link, walk, now);
        } else {
            return false;
        }
        true
    }

    fn step_walk(&mut self, link: LinkId, walk: Walk, now: Instant) {
        let next = self.table.after(walk.after);
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        let place = neighbour.place;
        neighbour.pace.set_walk(next.map(|prefix| Walk { after: Some(prefix), ..walk }));
        let Some(prefix) = next else { return };
        let Some(known) = self.table.get_mut(prefix) else { return };
        let is_told = known.is_told(place);
        let is_next_hop = known.selected().is_some_and(|route| route.link == link);
        let is_new =
            walk.to_tell == ToTell::All && known.selected().is_some_and(|route| route.link != link);
        if is_new {
            known.tell(place);
        }
        if (is_told && !is_next_hop) || is_new {
            self.tell(link, prefix, now);
        }
    }

    /// Sends the state of a prefix: its route, or that there is none, which for the next hop of the
    /// route is the same.
    fn tell(&mut self, link: LinkId, prefix: Prefix, now: Instant) {
        match self.table.selected(prefix).copied() {
            Some(route) if route.link == link => self.send_retraction(link, prefix),
            Some(route) => self.send_route(link, prefix, &route, now),
            None => self.send_retraction(link, prefix),
        }
    }

    /// Advertises a route, and never again a worse one of the same sequence number as feasible.
    fn send_route(&mut self, link: LinkId, prefix: Prefix, route: &Entry, now: Instant) {
        let metric = metric::add(route.metric, self.cost(route.link));
        let (seqno, router_id) = (route.seqno, route.router_id);
        if metric != INFINITE {
            let until = self.clock.after(DISTANCE_LIFETIME, now);
            self.table.advertised(prefix, route, metric, until);
            self.table.settle(prefix, self.clock.tick(now));
            if self.table.distances() > self.config.limits.sources {
                let from = self.random_prefix();
                self.table.evict_distance(from, self.clock.tick(now));
            }
        }
        let interval = UPDATE_INTERVAL;
        self.send(link, Tlv::Update(Update { interval, seqno, metric, prefix, router_id }));
    }

    /// Tells that this node has no route any more. No feasibility distance: it is not a route.
    fn send_retraction(&mut self, link: LinkId, prefix: Prefix) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: INFINITE,
            prefix,
            router_id: self.config.router_id,
        };
        self.send(link, Tlv::Update(update));
    }

    pub(super) fn send_static(&mut self, link: LinkId) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: 0,
            prefix: self.config.prefix,
            router_id: self.config.router_id,
        };
        self.send(link, Tlv::Update(update));
    }

    /// Sends a Hello, unless one is unanswered.
    pub(super) fn ask_hello(&mut self, link: LinkId, purpose: Purpose, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if let Some(seqno) = neighbour.next_hello(purpose, now) {
            self.send(link, Tlv::Hello(Hello { seqno, interval: HELLO_INTERVAL }));
        }
    }

    /// Hands a TLV out. Requests to a peer that reads nothing are dropped: all else is either sent
    /// only when there is room, or what the life of the link depends on, and the peer cannot make
    /// that grow.
    pub(super) fn send(&mut self, link: LinkId, tlv: Tlv) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        let is_request = matches!(tlv, Tlv::RouteRequest(_) | Tlv::SeqnoRequest(_));
        if is_request && neighbour.pace.outstanding() > MOST {
            self.counters.held_back += 1;
            return;
        }
        neighbour.pace.note_sent(tlv.packet_length());
        if is_request && neighbour.pace.outstanding() >= WINDOW {
            self.busy.insert(link); // to hear when it has read them
        }
        self.outputs.push_back(RouterOutput::Send { link, tlv });
    }
}

//! A model of what can be seen of a stock node (0.7.10): its timers and update rules, written from
//! spec sections 6 and 7.2.
//!
//! It keeps to the text where our router does better: triggered Updates and retractions go to all,
//! lookups shadow nothing but are swallowed while one runs, death is noticed every ten seconds,
//! every lost prefix leaves a source entry. What it does not model: several TLV types being worked
//! on at once, its queues of a million, and messages; IP packets it sends and takes.

mod data;
mod request;
mod table;
mod update;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use threephone_node::engine::{Action, Class, CloseReason};
use threephone_node::wire::control::{Hello, Ihu, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::Packet;
use threephone_node::{LinkId, Prefix, RouterId};

use self::table::{Entry, Table};
use crate::timers::Timers;

const INFINITE: u16 = u16::MAX;
const UPDATE_INTERVAL: u16 = 30_000;
const HELLO_EVERY: Duration = Duration::from_secs(20);
const DEATH_CHECK_EVERY: Duration = Duration::from_secs(10);
const DEAD_AFTER: Duration = Duration::from_secs(43);
const ANNOUNCE_EVERY: Duration = Duration::from_secs(300);

/// Prefix, source, number.
type Asked = (Prefix, RouterId, u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Hello,
    Deaths,
    Announcement,
    Entry(Prefix, LinkId),
    Source(Prefix, RouterId),
    Lookup(Prefix),
}

#[derive(Debug)]
struct Peer {
    static_cost: u16,
    smoothed: u16,
    hello_seqno: u16,
    /// When the last Hello was sent, or the link came up.
    asked: Instant,
    heard: Instant,
}

impl Peer {
    fn cost(&self) -> u16 {
        add(self.smoothed, self.static_cost)
    }
}

/// A Seqno Request on its way.
#[derive(Debug)]
struct SeqnoSearch {
    first: Instant,
    last: Instant,
    targets: BTreeMap<LinkId, Instant>,
    requesters: BTreeSet<LinkId>,
}

#[derive(Debug)]
pub(crate) struct Stock {
    id: RouterId,
    prefix: Prefix,
    seqno: u16,
    bumped: Instant,
    peers: BTreeMap<LinkId, Peer>,
    table: Table,
    /// The best that was ever advertised, by source: number and metric.
    sources: BTreeMap<(Prefix, RouterId), (u16, u16)>,
    searches: BTreeMap<Asked, SeqnoSearch>,
    /// Who got the last Route Request for a prefix: its generation, them, and when.
    requests: BTreeMap<Prefix, (u8, BTreeSet<LinkId>, Instant)>,
    outbound: BTreeMap<Prefix, Vec<DataPacket>>,
    inbound: BTreeMap<Prefix, Vec<DataPacket>>,
    timers: Timers<Timer>,
    outputs: VecDeque<Action>,
    pub(crate) delivered: u64,
    pub(crate) no_route: u64,
}

/// A whole control packet.
pub(crate) fn encoded(tlv: &Tlv) -> Bytes {
    let mut bytes = BytesMut::new();
    tlv.encode(&mut bytes);
    bytes.freeze()
}

/// Infinity stays, other sums stop below it.
fn add(a: u16, b: u16) -> u16 {
    if a == INFINITE || b == INFINITE { INFINITE } else { a.saturating_add(b).min(INFINITE - 1) }
}

fn is_newer(a: u16, b: u16) -> bool {
    b.wrapping_sub(a) > 0x8000
}

fn is_older(a: u16, b: u16) -> bool {
    a != b && b.wrapping_sub(a) < 0x8000
}

impl Stock {
    /// `phase` says where in their periods its timers start.
    pub(crate) fn new(id: RouterId, phase: u16, now: Instant) -> Self {
        let mut timers = Timers::new();
        let part = |whole: Duration| whole.mul_f64(f64::from(phase) / 65_536.0);
        timers.set(Timer::Hello, now + part(HELLO_EVERY));
        timers.set(Timer::Deaths, now + part(DEATH_CHECK_EVERY));
        timers.set(Timer::Announcement, now + ANNOUNCE_EVERY);
        Self {
            prefix: Prefix::subnet_of(id.public_key().address()),
            id,
            seqno: 0,
            bumped: now,
            peers: BTreeMap::new(),
            table: Table::default(),
            sources: BTreeMap::new(),
            searches: BTreeMap::new(),
            requests: BTreeMap::new(),
            outbound: BTreeMap::new(),
            inbound: BTreeMap::new(),
            timers,
            outputs: VecDeque::new(),
            delivered: 0,
            no_route: 0,
        }
    }

    pub(crate) fn link_up(&mut self, link: LinkId, static_cost: u16, now: Instant) {
        let peer = Peer { static_cost, smoothed: 1000, hello_seqno: 0, asked: now, heard: now };
        self.peers.insert(link, peer);
        self.send_static(link);
        for prefix in self.table.queried() {
            self.ask_route(link, prefix, 0);
        }
    }

    pub(crate) fn link_down(&mut self, link: LinkId, now: Instant) {
        if self.peers.remove(&link).is_some() {
            self.lose_peer(link, now);
        }
    }

    pub(crate) fn handle(&mut self, link: LinkId, packet: Packet, now: Instant) {
        let Some(peer) = self.peers.get_mut(&link) else { return };
        match packet {
            Packet::Control(Tlv::Hello(_)) => {
                let ihu = Ihu { rxcost: peer.cost(), interval: 6000 };
                self.say(link, Tlv::Ihu(ihu));
            }
            Packet::Control(Tlv::Ihu(_)) => {
                let rtt = (now - peer.asked).as_millis() as u16; // cut to 16 bits, as there
                let smoothed = (9 * u32::from(peer.smoothed) + u32::from(rtt)) / 10;
                peer.smoothed = u16::try_from(smoothed).unwrap_or(u16::MAX);
                peer.heard = now;
            }
            Packet::Control(Tlv::Update(update)) => self.handle_update(link, update, now),
            Packet::Control(Tlv::RouteRequest(request)) => {
                self.handle_route_request(link, request, now);
            }
            Packet::Control(Tlv::SeqnoRequest(request)) => {
                self.handle_seqno_request(link, request, now);
            }
            Packet::Data(packet) => self.handle_data(packet, now),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hello => self.greet(now),
                Timer::Deaths => self.bury(now),
                Timer::Announcement => {
                    self.timers.set(Timer::Announcement, now + ANNOUNCE_EVERY);
                    self.announce_static();
                }
                Timer::Entry(prefix, link) => self.expire(prefix, link, now),
                Timer::Source(prefix, id) => {
                    self.sources.remove(&(prefix, id));
                }
                Timer::Lookup(prefix) => {
                    self.table.unquery(prefix);
                    self.drop_waiting(prefix);
                }
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.outputs.pop_front()
    }

    pub(crate) fn way(&self, destination: Ipv6Addr) -> Option<(LinkId, RouterId)> {
        let (_, entries) = self.table.longest(destination)?;
        entries.first().filter(|entry| entry.selected).map(|entry| (entry.link, entry.id))
    }

    pub(crate) fn ways(&self) -> Vec<(Prefix, LinkId, RouterId)> {
        let selected = self.table.selected_entries().into_iter();
        selected.map(|(prefix, entry)| (prefix, entry.link, entry.id)).collect()
    }

    pub(crate) fn route_count(&self) -> usize {
        self.table.count()
    }

    pub(crate) fn selections(&self) -> u64 {
        self.table.selections
    }

    pub(crate) fn set_seqno(&mut self, seqno: u16) {
        self.seqno = seqno;
    }

    fn greet(&mut self, now: Instant) {
        self.timers.set(Timer::Hello, now + HELLO_EVERY);
        let mut hellos = Vec::new();
        for (link, peer) in &mut self.peers {
            peer.asked = now;
            hellos.push((*link, Hello { seqno: peer.hello_seqno, interval: 2000 }));
            peer.hello_seqno = peer.hello_seqno.wrapping_add(1);
        }
        for (link, hello) in hellos {
            self.say(link, Tlv::Hello(hello));
        }
    }

    fn bury(&mut self, now: Instant) {
        self.timers.set(Timer::Deaths, now + DEATH_CHECK_EVERY);
        // The sweeps of its caches are more frequent than this, which nobody can see.
        self.requests.retain(|_, (_, _, at)| now - *at <= Duration::from_secs(15));
        self.searches.retain(|_, search| now - search.first <= Duration::from_secs(60));
        let is_dead = |peer: &&Peer| now - peer.heard > DEAD_AFTER;
        let dead: Vec<LinkId> =
            self.peers.iter().filter(|(_, peer)| is_dead(peer)).map(|(link, _)| *link).collect();
        for link in dead {
            self.peers.remove(&link);
            self.outputs.push_back(Action::Close { link, reason: CloseReason::Dead });
            self.lose_peer(link, now);
        }
    }

    fn cost(&self, link: LinkId) -> u16 {
        self.peers.get(&link).map_or(INFINITE, Peer::cost)
    }

    fn links(&self) -> Vec<LinkId> {
        self.peers.keys().copied().collect()
    }

    fn say(&mut self, link: LinkId, tlv: Tlv) {
        if self.peers.contains_key(&link) {
            let (class, bytes) = (Class::Control, encoded(&tlv));
            self.outputs.push_back(Action::Transmit { link, class, bytes });
        }
    }

    fn send_static(&mut self, link: LinkId) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: 0,
            prefix: self.prefix,
            router_id: self.id,
        };
        self.say(link, Tlv::Update(update));
    }

    fn announce_static(&mut self) {
        for link in self.links() {
            self.send_static(link);
        }
    }

    /// An Update about somebody else's prefix; its metric is `entry`'s plus that of the link `over`.
    fn send_entry(&mut self, to: LinkId, prefix: Prefix, entry: Entry, over: LinkId, now: Instant) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: entry.seqno,
            metric: add(entry.metric, self.cost(over)),
            prefix,
            router_id: entry.id,
        };
        self.advertised(&update, now);
        self.say(to, Tlv::Update(update));
    }
}

//! A node of the laboratory: one of ours, the model of a stock one, or a hostile peer.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::Bytes;
use threephone_node::engine::{Action, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::frame::Packet;
use threephone_node::{LinkId, Prefix, PublicKey, RouterId, SecretKey};

use crate::counters::Counters;
use crate::hostile::Hostile;
use crate::stock::Stock;
use crate::world::CableId;

/// What sort of node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our engine.
    Ours,
    /// A model of a stock node.
    Stock,
    /// A peer that keeps its links alive and otherwise says what a test has it say.
    Hostile,
}

/// What decides.
pub(crate) enum Brain {
    Ours(Box<Engine>),
    Stock(Box<Stock>),
    Hostile(Box<Hostile>),
}

/// Whether a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Its links stay up, but it neither reads nor writes.
    Frozen,
    Stopped,
}

/// Where packets to a prefix go next, and to which life of its node.
type Way = (Prefix, LinkId, RouterId);

/// What waits for a frozen node.
#[derive(Debug)]
pub(crate) enum Waiting {
    Packet(LinkId, Bytes),
    Up(LinkId, u16),
    Down(LinkId),
}

pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) brain: Brain,
    pub(crate) secret: [u8; 32],
    pub(crate) key: PublicKey,
    pub(crate) address: Ipv6Addr,
    pub(crate) limits: Limits,
    pub(crate) state: State,
    /// How often it was started.
    pub(crate) life: u32,
    /// Where each link leads: a cable, and which end of it is here.
    pub(crate) links: BTreeMap<LinkId, (CableId, usize)>,
    pub(crate) cables: Vec<CableId>,
    pub(crate) scheduled: Option<Instant>,
    pub(crate) inbox: VecDeque<Waiting>,
    pub(crate) inbox_data: usize,
    pub(crate) counters: Counters,
    pub(crate) last_wake: Option<Instant>,
    pub(crate) selections: u64,
    /// Next hops by prefix when all were looked at last.
    ways: Vec<Way>,
    /// When IP packets for this node arrived.
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) delivered: u64,
}

impl Node {
    pub(crate) fn new(
        kind: Kind,
        secret: [u8; 32],
        limits: Limits,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let key = SecretKey::from_bytes(secret).public_key();
        let brain = Brain::new(kind, secret, &limits, seed, now);
        Self {
            kind,
            brain,
            secret,
            key,
            address: key.address(),
            limits,
            state: State::Up,
            life: 0,
            links: BTreeMap::new(),
            cables: Vec::new(),
            scheduled: None,
            inbox: VecDeque::new(),
            inbox_data: 0,
            counters: Counters::default(),
            last_wake: None,
            selections: 0,
            ways: Vec::new(),
            arrivals: Vec::new(),
            delivered: 0,
        }
    }

    pub(crate) fn woke(&mut self, timer: bool, now: Instant) {
        if self.last_wake != Some(now) {
            self.last_wake = Some(now);
            self.counters.wakeups += 1;
            self.counters.timer_wakeups += u64::from(timer);
        }
    }
}

impl Node {
    /// Prefixes whose next hop is another than when this was asked last.
    pub(crate) fn changed_ways(&mut self) -> Vec<Prefix> {
        let now = self.brain.ways();
        let before = std::mem::replace(&mut self.ways, now);
        let gone = before.iter().filter(|way| self.ways.binary_search(way).is_err());
        let new = self.ways.iter().filter(|way| before.binary_search(way).is_err());
        let mut changed: Vec<Prefix> = gone.chain(new).map(|way| way.0).collect();
        changed.dedup();
        changed
    }
}

impl Brain {
    pub(crate) fn new(
        kind: Kind,
        secret: [u8; 32],
        limits: &Limits,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let mut router_random = [0; 6];
        router_random.copy_from_slice(&seed[..6]);
        match kind {
            Kind::Ours => {
                let (secret, limits) = (SecretKey::from_bytes(secret), limits.clone());
                let config = EngineConfig { secret, router_random, seed, limits };
                Self::Ours(Box::new(Engine::new(config, now)))
            }
            Kind::Stock => {
                let key = SecretKey::from_bytes(secret).public_key();
                let phase = u16::from_be_bytes([seed[6], seed[7]]);
                Self::Stock(Box::new(Stock::new(RouterId::new(key, router_random), phase, now)))
            }
            Kind::Hostile => Self::Hostile(Box::default()),
        }
    }

    pub(crate) fn link_up(&mut self, link: LinkId, static_cost: u16, now: Instant) {
        match self {
            Self::Ours(engine) => engine.link_up(link, static_cost, now),
            Self::Stock(stock) => stock.link_up(link, static_cost, now),
            Self::Hostile(_) => {}
        }
    }

    pub(crate) fn link_down(&mut self, link: LinkId, now: Instant) {
        match self {
            Self::Ours(engine) => engine.link_down(link, now),
            Self::Stock(stock) => stock.link_down(link, now),
            Self::Hostile(_) => {}
        }
    }

    pub(crate) fn handle(&mut self, link: LinkId, packet: Packet, now: Instant) {
        match self {
            Self::Ours(engine) => engine.handle_packet(link, packet, now),
            Self::Stock(stock) => stock.handle(link, packet, now),
            Self::Hostile(hostile) => hostile.handle(link, packet),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Ours(engine) => engine.handle_timeout(now),
            Self::Stock(stock) => stock.handle_timeout(now),
            Self::Hostile(_) => {}
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Ours(engine) => engine.poll_timeout(),
            Self::Stock(stock) => stock.poll_timeout(),
            Self::Hostile(_) => None,
        }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        match self {
            Self::Ours(engine) => engine.poll_action(),
            Self::Stock(stock) => stock.poll_action(),
            Self::Hostile(hostile) => hostile.outputs.pop_front(),
        }
    }

    /// The next hop of packets to an address, and the life of the node they go to.
    pub(crate) fn way(&self, destination: Ipv6Addr) -> Option<(LinkId, RouterId)> {
        match self {
            Self::Ours(engine) => {
                engine.selected_route(destination).map(|route| (route.link, route.router_id))
            }
            Self::Stock(stock) => stock.way(destination),
            Self::Hostile(_) => None,
        }
    }

    /// All selected routes, in order.
    fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<Way> = match self {
            Self::Ours(engine) => {
                let routes = engine.routes().filter(|route| route.selected);
                routes.map(|route| (route.prefix, route.link, route.router_id)).collect()
            }
            Self::Stock(stock) => stock.ways(),
            Self::Hostile(_) => Vec::new(),
        };
        ways.sort_unstable();
        ways
    }

    /// All route entries.
    pub(crate) fn route_count(&self) -> usize {
        match self {
            Self::Ours(engine) => engine.routes().count(),
            Self::Stock(stock) => stock.route_count(),
            Self::Hostile(_) => 0,
        }
    }

    pub(crate) fn selections(&self) -> u64 {
        match self {
            Self::Ours(engine) => engine.selections(),
            Self::Stock(stock) => stock.selections(),
            Self::Hostile(_) => 0,
        }
    }

    /// IP packets that arrived at this node.
    pub(crate) fn delivered(&self) -> u64 {
        match self {
            Self::Ours(engine) => engine.data_counters().l3,
            Self::Stock(stock) => stock.delivered,
            Self::Hostile(hostile) => hostile.data,
        }
    }

    pub(crate) fn lookup(&mut self, destination: Ipv6Addr, now: Instant) {
        match self {
            Self::Ours(engine) => {
                engine.lookup(destination, now);
            }
            Self::Stock(stock) => stock.lookup(destination, now),
            Self::Hostile(_) => {}
        }
    }
}

//! The world: a clock, one queue of events, nodes and cables, and `step()`.
//!
//! Everything follows from the seed: the same calls on two worlds of one seed give the same
//! [`World::digest`]. Nothing waits; time goes to whatever happens next.

mod fault;
mod find;
mod link;
mod run;
mod traffic;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use threephone_node::limits::Limits;
use threephone_node::{MessageId, PublicKey};

use crate::cable::{Cable, Wire};
use crate::counters::Counters;
use crate::judge::{Judge, Verdict};
use crate::node::{Kind, Node, State};

pub use self::find::Ending;

/// A node of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A cable of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CableId(pub usize);

/// What happens at an instant.
#[derive(Debug)]
enum Event {
    /// A packet reaches an end of a cable.
    Packet { cable: CableId, end: usize, generation: u32, bytes: Bytes },
    /// An end hears that the other has closed.
    Hangup { cable: CableId, end: usize, generation: u32 },
    /// A node has something to do.
    Timeout { node: NodeId, life: u32 },
    /// The first end of a cable tries to connect again.
    Redial { cable: CableId },
}

/// In order of time, then of making.
struct Queued {
    at: Instant,
    number: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A network in virtual time.
pub struct World {
    seed: u64,
    start: Instant,
    now: Instant,
    queue: BinaryHeap<Reverse<Queued>>,
    number: u64,
    next_link: u64,
    nodes: Vec<Node>,
    cables: Vec<Cable>,
    random: ChaCha8Rng,
    judge: Judge,
    digest: u64,
    events: u64,
    /// Events in a row at one instant, to notice what never ends.
    crowd: u64,
    /// When messages on their way were sent, and by whom.
    letters: BTreeMap<(NodeId, MessageId), Instant>,
    /// From handing a message over to its taking by the receiver, in order of arrival.
    delays: Vec<Duration>,
    aborted: u64,
}

impl World {
    /// An empty world at its beginning.
    pub fn new(seed: u64) -> Self {
        Self::after(seed, Duration::ZERO)
    }

    /// An empty world whose clock shows `age` already.
    pub fn after(seed: u64, age: Duration) -> Self {
        let start = Instant::now();
        Self {
            seed,
            start,
            now: start + age,
            queue: BinaryHeap::new(),
            number: 0,
            next_link: 0,
            nodes: Vec::new(),
            cables: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            judge: Judge::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            events: 0,
            crowd: 0,
            letters: BTreeMap::new(),
            delays: Vec::new(),
            aborted: 0,
        }
    }

    /// Adds a running node.
    pub fn add(&mut self, kind: Kind) -> NodeId {
        self.add_limited(kind, Limits::default())
    }

    /// Adds a running node with bounds of its own.
    pub fn add_limited(&mut self, kind: Kind, limits: Limits) -> NodeId {
        let id = NodeId(self.nodes.len());
        let seed = self.derive("seed", id, 0);
        let secret = self.derive("secret", id, 0);
        self.nodes.push(Node::new(kind, secret, limits, seed, self.now));
        self.reschedule(id);
        id
    }

    /// Joins two nodes.
    pub fn connect(&mut self, a: NodeId, b: NodeId, wire: Wire) -> CableId {
        let id = CableId(self.cables.len());
        self.cables.push(Cable::new([a, b], wire, self.now));
        self.nodes[a.0].cables.push(id);
        self.nodes[b.0].cables.push(id);
        self.dial(id);
        id
    }

    /// Random numbers of this world.
    pub fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// A random number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.random.next_u32() as usize % limit.max(1)
    }

    /// What the world was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What the clock shows.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Time since the beginning.
    pub fn age(&self) -> Duration {
        self.now - self.start
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A number over all that happened, the same for the same calls and seed.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// All cables.
    pub fn cables(&self) -> impl Iterator<Item = CableId> + use<> {
        (0..self.cables.len()).map(CableId)
    }

    /// The nodes at the ends of a cable.
    pub fn ends(&self, cable: CableId) -> [NodeId; 2] {
        self.cables[cable.0].ends
    }

    /// What sort of node it is.
    pub fn kind(&self, node: NodeId) -> Kind {
        self.nodes[node.0].kind
    }

    /// A node's address.
    pub fn address(&self, node: NodeId) -> Ipv6Addr {
        self.nodes[node.0].address
    }

    /// A node's key.
    pub fn key(&self, node: NodeId) -> PublicKey {
        self.nodes[node.0].key
    }

    /// What a node did.
    pub fn counters(&self, node: NodeId) -> Counters {
        self.nodes[node.0].counters
    }

    /// What all nodes did together.
    pub fn total(&self) -> Counters {
        let mut total = Counters::default();
        for node in &self.nodes {
            total.add(&node.counters);
        }
        total
    }

    /// When IP packets arrived at a node.
    pub fn arrivals(&self, node: NodeId) -> &[Instant] {
        &self.nodes[node.0].arrivals
    }

    /// All route entries of a node.
    pub fn route_count(&self, node: NodeId) -> usize {
        self.nodes[node.0].brain.route_count()
    }

    /// How long the messages that arrived took, in order of arrival.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// Messages that were given up by their senders.
    pub fn aborted(&self) -> u64 {
        self.aborted
    }

    /// What was found out about loops up to now.
    pub fn verdict(&mut self) -> Verdict {
        let ways = Ways(&self.nodes, &self.cables);
        self.judge.verdict(&ways, self.now)
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.nodes[node.0].state == State::Up
    }

    fn derive(&self, what: &str, node: NodeId, life: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(what.as_bytes());
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&(node.0 as u64).to_le_bytes());
        hasher.update(&life.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Queued { at, number: self.number, event }));
    }

    /// Mixes something that happened into the digest (FNV-1a).
    fn note(&mut self, values: [u64; 3]) {
        for value in values {
            self.digest = (self.digest ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Who leads where, for those who follow routes.
pub(crate) struct Ways<'a>(pub(crate) &'a [Node], pub(crate) &'a [Cable]);

impl Ways<'_> {
    /// The node that packets to `destination` go to next, and under which router id.
    pub(crate) fn next(
        &self,
        at: NodeId,
        destination: Ipv6Addr,
    ) -> Option<(NodeId, threephone_node::RouterId)> {
        let node = &self.0[at.0];
        if node.state == State::Stopped {
            return None;
        }
        let (link, id) = node.brain.way(destination)?;
        let (cable, end) = node.links.get(&link)?;
        Some((self.1[cable.0].ends[1 - end], id))
    }
}

//! A network of routers in one thread: a clock, a queue of TLVs on their way, and `step()`.
//!
//! Everything follows from the seed. Links have a delay and keep the order; they can be cut with
//! both ends told, or silently, as when a cable is pulled.
#![allow(dead_code)] // each test file uses its own part

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use threephone_node::router::{RouteLookup, Router, RouterConfig, RouterLimits, RouterOutput};
use threephone_node::wire::control::Tlv;
use threephone_node::{LinkId, Prefix, PublicKey, RouterId};

pub(crate) fn key(number: usize) -> PublicKey {
    let mut bytes = [0x55; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    PublicKey::from_bytes(bytes)
}

pub(crate) fn router(number: usize, limits: RouterLimits, now: Instant) -> Router {
    let router_id = RouterId::new(key(number), [1; 6]);
    let prefix = Prefix::subnet_of(key(number).address());
    let seed = [number as u8; 32];
    Router::new(RouterConfig { router_id, prefix, seed, limits }, now)
}

struct Cable {
    ends: [usize; 2],
    delay: Duration,
    links: Option<[LinkId; 2]>,
    cut: bool,
}

pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Router>,
    pub(crate) sent: BTreeMap<&'static str, usize>,
    pub(crate) outputs: Vec<(usize, RouterOutput)>,
    cables: Vec<Cable>,
    /// Where a link of a node leads: cable and end.
    ends: BTreeMap<(usize, LinkId), (usize, usize)>,
    queue: BTreeMap<(Instant, u64), (usize, LinkId, Tlv)>,
    counter: u64,
    pub(crate) random: ChaCha8Rng,
}

impl Network {
    pub(crate) fn new(nodes: usize, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            nodes: (0..nodes).map(|n| router(n, RouterLimits::default(), now)).collect(),
            sent: BTreeMap::new(),
            outputs: Vec::new(),
            cables: Vec::new(),
            ends: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A random tree and some cables more, so that there are ways around failures.
    pub(crate) fn random(seed: u64) -> Self {
        let mut network = Self::new(0, seed);
        let count = 3 + network.below(12);
        network.nodes =
            (0..count).map(|number| router(number, RouterLimits::default(), network.now)).collect();
        for node in 1..count {
            let other = network.below(node);
            network.add_cable(node, other);
        }
        for _ in 0..network.below(count) {
            let (a, b) = (network.below(count), network.below(count));
            if a != b {
                network.add_cable(a, b);
            }
        }
        network
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.random.next_u32() as usize % limit
    }

    pub(crate) fn add_cable(&mut self, a: usize, b: usize) -> usize {
        let delay = Duration::from_millis(1 + self.below(100) as u64);
        self.cables.push(Cable { ends: [a, b], delay, links: None, cut: false });
        let cable = self.cables.len() - 1;
        self.connect(cable);
        cable
    }

    pub(crate) fn cable_count(&self) -> usize {
        self.cables.len()
    }

    pub(crate) fn connect(&mut self, cable: usize) {
        self.counter += 2;
        let links = [LinkId(self.counter), LinkId(self.counter + 1)];
        self.cables[cable].links = Some(links);
        self.cables[cable].cut = false;
        for (end, link) in links.into_iter().enumerate() {
            let node = self.cables[cable].ends[end];
            self.ends.insert((node, link), (cable, end));
            self.nodes[node].link_up(link, 10, self.now);
            self.collect(node);
        }
    }

    /// Cuts a cable. Told, both ends close their link at once; else they find out by themselves.
    pub(crate) fn cut(&mut self, cable: usize, told: bool) {
        self.cables[cable].cut = true;
        if !told {
            return;
        }
        for end in 0..2 {
            if let Some(links) = self.cables[cable].links {
                let node = self.cables[cable].ends[end];
                self.nodes[node].link_down(links[end], self.now);
                self.ends.remove(&(node, links[end]));
                self.collect(node);
            }
        }
        self.cables[cable].links = None;
    }

    fn collect(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].poll_output() {
            match output {
                RouterOutput::Send { link, tlv } => self.transmit(node, link, tlv),
                other => {
                    if let RouterOutput::Close { link, .. } = &other {
                        self.ends.remove(&(node, *link));
                    }
                    self.outputs.push((node, other));
                }
            }
        }
    }

    fn transmit(&mut self, node: usize, link: LinkId, tlv: Tlv) {
        let kind = match &tlv {
            Tlv::Hello(_) => "hello",
            Tlv::Ihu(_) => "ihu",
            Tlv::Update(_) => "update",
            Tlv::RouteRequest(_) => "route request",
            Tlv::SeqnoRequest(_) => "seqno request",
        };
        *self.sent.entry(kind).or_default() += 1;
        let Some((cable, end)) = self.ends.get(&(node, link)) else { return };
        let cable = &self.cables[*cable];
        if cable.cut {
            return;
        }
        let Some(links) = cable.links else { return };
        self.counter += 1;
        let place = (self.now + cable.delay, self.counter);
        self.queue.insert(place, (cable.ends[1 - end], links[1 - end], tlv));
    }

    /// Goes to whatever happens next, unless that is after `end`. Whether something happened.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let timeouts = self.nodes.iter().enumerate();
        let timeout = timeouts.filter_map(|(n, node)| Some((node.poll_timeout()?, n))).min();
        let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
        let next = arrival.into_iter().chain(timeout.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        let node = if arrival == Some(next)
            && let Some((_, (node, link, tlv))) = self.queue.pop_first()
        {
            if self.ends.contains_key(&(node, link)) {
                self.nodes[node].handle_tlv(link, tlv, self.now);
            }
            node
        } else if let Some((_, node)) = timeout {
            self.nodes[node].handle_timeout(self.now);
            node
        } else {
            return false;
        };
        self.collect(node);
        true
    }

    pub(crate) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.step(end) {}
    }

    pub(crate) fn lookup(&mut self, node: usize, destination: Ipv6Addr) {
        self.nodes[node].lookup(destination, self.now);
        self.collect(node);
    }

    /// Nodes that cables in place connect with this one, itself included.
    pub(crate) fn component(&self, node: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([node]);
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            for cable in self.cables.iter().filter(|cable| !cable.cut && cable.ends.contains(&at)) {
                open.extend(cable.ends.into_iter().filter(|end| found.insert(*end)));
            }
        }
        found
    }

    /// The nodes a packet passes, until it arrives, is lost, or goes round in a circle.
    pub(crate) fn path(&self, from: usize, to: usize) -> Result<Vec<usize>, String> {
        let mut path = vec![from];
        let mut at = from;
        while at != to {
            let route = self.nodes[at].route(key(to).address());
            let RouteLookup::Selected { link, .. } = route else {
                return Err(format!("{path:?} to {to} ends: {route:?}"));
            };
            let Some((cable, end)) = self.ends.get(&(at, link)) else {
                return Err(format!("{path:?} to {to} takes a closed link"));
            };
            if self.cables[*cable].cut {
                return Err(format!("{path:?} to {to} takes a cut cable"));
            }
            at = self.cables[*cable].ends[1 - end];
            if path.contains(&at) {
                return Err(format!("{path:?} to {to} loops at {at}"));
            }
            path.push(at);
        }
        Ok(path)
    }

    /// Has every node look for all it cannot reach, some times over, as applications would.
    pub(crate) fn converge(&mut self) {
        for _ in 0..6 {
            let mut missing = false;
            for from in 0..self.nodes.len() {
                for to in self.component(from) {
                    let known = self.nodes[from].route(key(to).address());
                    if from != to && !matches!(known, RouteLookup::Selected { .. }) {
                        missing = true;
                        self.lookup(from, key(to).address());
                    }
                }
            }
            if !missing {
                return;
            }
            self.run(21);
        }
    }

    /// Everyone reaches everyone they are connected with, and has no route to anyone else.
    pub(crate) fn check(&self) -> Result<(), String> {
        for from in 0..self.nodes.len() {
            let component = self.component(from);
            for to in 0..self.nodes.len() {
                let route = self.nodes[from].route(key(to).address());
                if component.contains(&to) {
                    self.path(from, to)?;
                } else if let RouteLookup::Selected { .. } = route {
                    return Err(format!("{from} believes in a way to {to}"));
                }
            }
        }
        Ok(())
    }
}

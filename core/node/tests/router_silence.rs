//! Links that take packets and bring nothing are noticed in seconds and routed around; slow and lossy
//! ones are left alone, and idle ones are not even asked.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking, and tells figures

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use threephone_node::engine::{Action, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::router::{Router, RouterConfig, RouterCounters, RouterLimits, RouterOutput};
use threephone_node::wire::control::Tlv;
use threephone_node::wire::frame::Decoder;
use threephone_node::{LinkId, Prefix, PublicKey, RouterId, SecretKey, Target};

const SECOND: Duration = Duration::from_secs(1);

/// Engines on links with a fixed delay. A frozen one takes what arrives and does nothing with it.
struct Mesh {
    now: Instant,
    engines: Vec<Engine>,
    frozen: BTreeSet<usize>,
    delay: Duration,
    wire: BTreeMap<(Instant, u64), (usize, LinkId, Bytes)>,
    number: u64,
}

/// The link of a node that leads to another.
fn link(to: usize) -> LinkId {
    LinkId(to as u64 + 1)
}

impl Mesh {
    fn new(count: u8, links: &[(usize, usize)], delay: Duration) -> Self {
        let now = Instant::now();
        let engine = |number: u8| {
            let secret = SecretKey::from_bytes([number + 1; 32]);
            let (router_random, seed) = ([number; 6], [number; 32]);
            let limits = Limits::default();
            Engine::new(EngineConfig { secret, router_random, seed, limits }, now)
        };
        let mut engines: Vec<Engine> = (0..count).map(engine).collect();
        for (a, b) in links {
            engines[*a].link_up(link(*b), 10, now);
            engines[*b].link_up(link(*a), 10, now);
        }
        Self { now, engines, frozen: BTreeSet::new(), delay, wire: BTreeMap::new(), number: 0 }
    }

    fn settle(&mut self) {
        for from in (0..self.engines.len()).filter(|index| !self.frozen.contains(index)) {
            while let Some(action) = self.engines[from].poll_action() {
                if let Action::Transmit { link: over, bytes, .. } = action {
                    self.number += 1;
                    let to = over.0 as usize - 1;
                    self.wire.insert((self.now + self.delay, self.number), (to, link(from), bytes));
                }
            }
        }
    }

    fn step(&mut self, end: Instant) -> bool {
        self.settle();
        let awake = self.engines.iter().enumerate().filter(|(n, _)| !self.frozen.contains(n));
        let timeouts = awake.filter_map(|(_, engine)| engine.poll_timeout());
        let awaited = self.wire.iter().filter(|(_, (to, ..))| !self.frozen.contains(to));
        let arrival = awaited.map(|((at, _), _)| *at).next();
        let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        let due: Vec<_> = self.wire.range(..=(self.now, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            let (to, over, bytes) = self.wire[&key].clone();
            if self.frozen.contains(&to) {
                continue; // it waits in the buffers of its system
            }
            self.wire.remove(&key);
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            while let Some(packet) = decoder.next().unwrap() {
                self.engines[to].handle_packet(over, packet, self.now);
            }
        }
        for (index, engine) in self.engines.iter_mut().enumerate() {
            let due = engine.poll_timeout().is_some_and(|at| at <= self.now);
            if due && !self.frozen.contains(&index) {
                engine.handle_timeout(self.now);
            }
        }
        true
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Sends a message every tenth of a second, and tells the longest time without an arrival.
    fn stream(&mut self, from: usize, to: usize, time: Duration) -> Duration {
        let (end, mut arrived, mut gap) = (self.now + time, self.now, Duration::ZERO);
        let to_key = Target::Key(self.engines[to].public_key());
        while self.now < end {
            let payload = Bytes::from_static(b"are you there?");
            let now = self.now;
            self.engines[from].send_message(to_key, Bytes::new(), payload, now).unwrap();
            let next = self.now + Duration::from_millis(100);
            while self.step(next) {
                while self.engines[to].take(&|_| true, self.now).is_some() {
                    gap = gap.max(self.now - arrived);
                    arrived = self.now;
                }
            }
        }
        gap.max(self.now - arrived)
    }

    fn next_hop(&self, from: usize, to: usize) -> usize {
        let route = self.engines[from].selected_route(self.engines[to].address()).unwrap();
        route.link.0 as usize - 1
    }
}

/// 0 and 3 with 1 and 2 between them.
const DIAMOND: [(usize, usize); 4] = [(0, 1), (0, 2), (1, 3), (2, 3)];

#[test]
fn a_frozen_next_hop_costs_less_than_three_seconds_of_delivery() {
    for delay in [1, 20, 100, 250].map(Duration::from_millis) {
        let mut mesh = Mesh::new(4, &DIAMOND, delay);
        mesh.run(SECOND);
        let gap = mesh.stream(0, 3, 20 * SECOND);
        assert!(gap < 2 * SECOND, "before anything happens: {gap:?}");
        let frozen = mesh.next_hop(0, 3);
        mesh.frozen.insert(frozen);
        let gap = mesh.stream(0, 3, 20 * SECOND);
        println!("delivery gap of {gap:?} with {delay:?} a link");
        assert!(gap <= 3 * SECOND, "{gap:?} with {delay:?} a link");
        assert_ne!(mesh.next_hop(0, 3), frozen);
        // It wakes up before it is given up: its link is there still, and works again.
        mesh.frozen.clear();
        let gap = mesh.stream(0, 3, 20 * SECOND);
        assert!(gap <= SECOND, "{gap:?} while it wakes up");
        let after_thaw = mesh.engines[0].link_cost(link(frozen));
        assert!(after_thaw.is_some());
    }
}

#[test]
fn what_wakes_up_again_is_used_again() {
    let mut mesh = Mesh::new(3, &[(0, 1), (1, 2)], Duration::from_millis(5));
    mesh.run(SECOND);
    mesh.stream(0, 2, 5 * SECOND);
    mesh.frozen.insert(1);
    mesh.stream(0, 2, 10 * SECOND);
    assert!(mesh.engines[0].selected_route(mesh.engines[2].address()).is_none());
    mesh.frozen.clear();
    mesh.stream(0, 2, 10 * SECOND);
    assert_eq!(mesh.next_hop(0, 2), 1);
    let counters = mesh.engines[0].router_counters();
    assert_eq!(counters.silences, 1);
}

#[test]
fn an_idle_node_asks_nobody_and_is_not_woken_for_it() {
    let mut mesh = Mesh::new(4, &DIAMOND, Duration::from_millis(5));
    mesh.run(SECOND);
    mesh.stream(0, 3, 5 * SECOND);
    mesh.run(120 * SECOND); // what was under way ends
    let before = mesh.engines.iter().map(|engine| engine.router_counters().probes).max();
    mesh.run(3600 * SECOND);
    let after = mesh.engines.iter().map(|engine| engine.router_counters().probes).max();
    assert_eq!(before, after);
}

/// Two routers on one link of which each packet is late or, when lost, sent again by the transport.
struct Pair {
    random: ChaCha8Rng,
    now: Instant,
    routers: [Router; 2],
    wire: BTreeMap<(Instant, u64), (usize, Tlv)>,
    number: u64,
    delay: Duration,
    lost_percent: u32,
    /// The transport delivers in order, so nothing overtakes what had to be sent again.
    last: [Instant; 2],
}

const LINK: LinkId = LinkId(1);

impl Pair {
    fn new(seed: u64, delay: Duration, lost_percent: u32) -> Self {
        let now = Instant::now();
        let router = |number: u8| {
            let key = PublicKey::from_bytes([number; 32]);
            let (router_id, prefix) =
                (RouterId::new(key, [1; 6]), Prefix::subnet_of(key.address()));
            let (seed, limits) = ([number; 32], RouterLimits::default());
            Router::new(RouterConfig { router_id, prefix, seed, limits }, now)
        };
        let mut routers = [router(7), router(8)];
        routers.iter_mut().for_each(|router| router.link_up(LINK, 10, now));
        let (random, wire) = (ChaCha8Rng::seed_from_u64(seed), BTreeMap::new());
        Self { random, now, routers, wire, number: 0, delay, lost_percent, last: [now; 2] }
    }

    fn collect(&mut self) {
        for from in 0..2 {
            while let Some(output) = self.routers[from].poll_output() {
                let RouterOutput::Send { tlv, .. } = output else { continue };
                let mut took = self.delay;
                let mut again = (2 * self.delay).max(Duration::from_millis(200));
                while self.random.next_u32() % 100 < self.lost_percent {
                    took += again;
                    again *= 2;
                }
                let at = (self.now + took).max(self.last[1 - from]);
                self.last[1 - from] = at;
                self.number += 1;
                self.wire.insert((at, self.number), (1 - from, tlv));
            }
        }
    }

    fn run(&mut self, end: Instant) {
        loop {
            self.collect();
            let timeouts = self.routers.iter().filter_map(Router::poll_timeout);
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= self.now) {
                let (to, tlv) = entry.remove();
                self.routers[to].handle_tlv(LINK, tlv, self.now);
            }
            for router in &mut self.routers {
                if router.poll_timeout().is_some_and(|at| at <= self.now) {
                    router.handle_timeout(self.now);
                }
            }
        }
        self.now = end;
    }

    /// Nothing arrives any more: that is noticed after more than two seconds and at most so many.
    fn fall_silent(&mut self, most: Duration) {
        let before = self.routers[0].counters().silences;
        self.delay = 1000 * SECOND;
        let begun = self.now;
        while self.routers[0].counters().silences == before {
            self.routers[0].note_traffic(LINK, 1, 0, self.now);
            self.run(self.now + Duration::from_millis(20));
        }
        let took = self.now - begun;
        assert!(took > 2 * SECOND && took < most, "{took:?}");
    }

    /// Packets at random moments, one way: nothing but IHUs ever comes back.
    fn stream(&mut self, time: Duration) -> RouterCounters {
        let end = self.now + time;
        while self.now < end {
            self.routers[0].note_traffic(LINK, 1 + self.random.next_u32() % 20, 0, self.now);
            let pause = Duration::from_millis(u64::from(self.random.next_u32() % 400));
            self.run(self.now + pause);
        }
        self.routers[0].counters()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_slow_link_that_carries_traffic_one_way_is_not_taken_for_a_dead_one(
        seed: u64, delay in 1..=500_u64,
    ) {
        let mut pair = Pair::new(seed, Duration::from_millis(delay), 0);
        let counters = pair.stream(120 * SECOND);
        prop_assert_eq!(counters.silences, 0);
        prop_assert!(counters.probes > 40, "{}", counters.probes);
    }

    #[test]
    fn a_link_that_loses_one_in_twenty_packets_flaps_next_to_never(
        seed: u64, delay in 1..=100_u64,
    ) {
        let mut pair = Pair::new(seed, Duration::from_millis(delay), 5);
        // A Hello and its IHU have to be lost three or four times together to be late.
        prop_assert!(pair.stream(120 * SECOND).silences <= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_link_is_judged_in_time_whatever_the_rate_and_the_moment_it_falls_silent(
        seed: u64, pause in 1..=2_000_u64, delay in 1..=200_u64, at in 5_000..10_000_u64, both: bool,
    ) {
        let [pause, delay, at] = [pause, delay, at].map(Duration::from_millis);
        let mut pair = Pair::new(seed, delay, 0);
        let begun = pair.now;
        let send = |pair: &mut Pair, until: Instant| {
            pair.routers[0].note_traffic(LINK, 1, 0, pair.now);
            pair.run((pair.now + pause).min(until));
        };
        while pair.now < begun + at {
            send(&mut pair, begun + at);
            if both {
                pair.routers[0].note_traffic(LINK, 0, 1, pair.now);
            }
        }
        pair.delay = 1000 * SECOND;
        let silent = pair.now;
        while pair.routers[0].counters().silences == 0 {
            send(&mut pair, silent + 60 * SECOND);
            prop_assert!(pair.now < silent + 60 * SECOND, "never noticed");
        }
        // The last answer comes in, the next packet goes out, and that one is waited for.
        let most = 2 * delay + pause + Duration::from_millis(2300) + pause;
        prop_assert!(pair.now - silent <= most, "{:?} instead of {most:?}", pair.now - silent);
    }
}

#[test]
fn a_link_is_judged_two_to_three_seconds_after_it_fell_silent() {
    let mut pair = Pair::new(1, Duration::from_millis(10), 0);
    pair.stream(10 * SECOND);
    pair.fall_silent(Duration::from_millis(2600));
}

#[test]
fn a_link_that_stood_still_for_long_is_judged_as_fast_the_next_time() {
    let mut pair = Pair::new(1, Duration::from_millis(10), 0);
    pair.stream(10 * SECOND);
    for _ in 0..3 {
        pair.fall_silent(Duration::from_millis(2600));
        pair.run(pair.now + 20 * SECOND);
        // Everything arrives at last, the answer to a Hello of long ago among it.
        pair.delay = Duration::from_millis(10);
        let (late, now) = (std::mem::take(&mut pair.wire), pair.now);
        pair.wire = late.into_iter().map(|((_, n), packet)| ((now, n), packet)).collect();
        pair.last = [now; 2];
        pair.run(now + SECOND);
        pair.stream(SECOND);
    }
}

//! Whole engines on virtual links: neighbours and nodes with a router between them.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{
    LinkId, MessageId, Prefix, PublicKey, RouterId, SecretKey, SendError, SendState, Target,
};

/// A line of engines; link 1 leads to the left, link 2 to the right. Control takes a millisecond and
/// keeps its order, as on a real link; data may be lost, doubled, and overtaken, as over several.
struct Line {
    now: Instant,
    engines: Vec<Engine>,
    wire: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, (usize, LinkId, Bytes)>,
    number: u64,
    random: u64,
    path: Path,
    control: Vec<Bytes>,
    states: Vec<(MessageId, SendState)>,
}

/// Per mille of data packets, and the longest delay of one.
#[derive(Clone, Copy)]
struct Path {
    lost: u64,
    doubled: u64,
    delay: Duration,
}

const CLEAN: Path = Path { lost: 0, doubled: 0, delay: Duration::from_millis(1) };
const LOSSY: Path = Path { lost: 100, ..CLEAN };
const BAD: Path = Path { lost: 50, doubled: 100, delay: Duration::from_millis(40) };

const LEFT: LinkId = LinkId(1);
const RIGHT: LinkId = LinkId(2);

impl Line {
    fn new(count: u8, seed: u64, path: Path) -> Self {
        let now = Instant::now();
        let engine = |number: u8| {
            let config = EngineConfig {
                secret: SecretKey::from_bytes([number + 1; 32]),
                router_random: [number; 6],
                seed: [number ^ seed as u8; 32],
                limits: Limits::default(),
            };
            Engine::new(config, now)
        };
        let mut engines: Vec<_> = (0..count).map(engine).collect();
        for index in 1..engines.len() {
            engines[index - 1].link_up(RIGHT, 10, now);
            engines[index].link_up(LEFT, 10, now);
        }
        Self {
            now,
            engines,
            wire: BinaryHeap::new(),
            packets: BTreeMap::new(),
            number: 0,
            random: seed.wrapping_mul(2) + 1,
            path,
            control: Vec::new(),
            states: Vec::new(),
        }
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn post(&mut self, to: usize, over: LinkId, bytes: Bytes) {
        let is_data = bytes.get(1) == Some(&0);
        if !is_data {
            self.control.push(bytes.clone());
        }
        let (path, millisecond) = (self.path, Duration::from_millis(1));
        let copies = match self.draw() % 1000 {
            draw if is_data && draw < path.lost => 0,
            draw if is_data && draw < path.lost + path.doubled => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let micros = self.draw() % path.delay.as_micros() as u64;
            let is_jittery = is_data && path.delay > millisecond;
            let delay = if is_jittery { Duration::from_micros(micros) } else { millisecond };
            self.number += 1;
            self.wire.push(Reverse((self.now + delay, self.number)));
            self.packets.insert(self.number, (to, over, bytes.clone()));
        }
    }

    fn settle(&mut self) {
        for index in 0..self.engines.len() {
            while let Some(action) = self.engines[index].poll_action() {
                match action {
                    Action::Transmit { link: LEFT, bytes, .. } => {
                        self.post(index - 1, RIGHT, bytes)
                    }
                    Action::Transmit { bytes, .. } => self.post(index + 1, LEFT, bytes),
                    Action::MessageState { id, state } => self.states.push((id, state)),
                    _ => {}
                }
            }
        }
    }

    fn step(&mut self) {
        self.settle();
        let timeouts = self.engines.iter().filter_map(Engine::poll_timeout);
        let arrival = self.wire.peek().map(|Reverse((at, _))| *at);
        let Some(next) = timeouts.chain(arrival).min() else { return };
        self.now = self.now.max(next);
        for engine in &mut self.engines {
            if engine.poll_timeout().is_some_and(|at| at <= self.now) {
                engine.handle_timeout(self.now);
            }
        }
        while self.wire.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Reverse((_, number)) = self.wire.pop().unwrap();
            let (to, over, bytes) = self.packets.remove(&number).unwrap();
            for packet in packets(&bytes) {
                self.engines[to].handle_packet(over, packet, self.now);
            }
        }
    }

    fn run(&mut self, limit: Duration, mut until: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !until(self) {
            if self.now > end {
                return false;
            }
            self.step();
        }
        true
    }

    fn received(&self) -> usize {
        self.states.iter().filter(|(_, state)| *state == SendState::Received).count()
    }
}

fn packets(bytes: &Bytes) -> Vec<Packet> {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    std::iter::from_fn(|| decoder.next().unwrap()).collect()
}

fn payload(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn carry(count: u8, seed: u64, path: Path, sizes: &[usize]) {
    let mut line = Line::new(count, seed, path);
    let last = usize::from(count) - 1;
    let to = Target::Address(line.engines[last].address());
    for size in sizes {
        let now = line.now;
        line.engines[0].send_message(to, Bytes::from_static(b"t"), payload(*size), now).unwrap();
    }
    let all = sizes.len();
    assert!(line.run(Duration::from_secs(290), |line| line.received() == all), "seed {seed}");
    let mut expected = sizes.to_vec();
    while let Some(message) = line.engines[last].take(&|_| true, line.now) {
        let size = message.payload.len();
        assert_eq!(message.payload, payload(size), "seed {seed}");
        assert_eq!(message.source_key, line.engines[0].public_key());
        let position = expected.iter().position(|other| *other == size);
        expected.remove(position.unwrap_or_else(|| panic!("seed {seed}: {size} twice")));
    }
    assert!(expected.is_empty(), "seed {seed}: {expected:?} missing");
}

#[test]
fn neighbours_exchange_messages_of_all_sizes() {
    carry(2, 1, CLEAN, &[0, 1, 249, 1300, 1310, 1549, 2601, 5000, 100_000, 1_366_549]);
}

#[test]
fn messages_go_through_a_router() {
    carry(3, 1, CLEAN, &[0, 1, 1310, 5000, 1_366_549]);
}

#[test]
fn messages_go_through_a_router_whatever_is_lost() {
    for seed in 0..20 {
        carry(3, seed, LOSSY, &[0, 1, 249, 1300, 1310, 1549, 2601, 5000]);
    }
}

#[test]
fn messages_go_through_a_router_once_whatever_is_lost_doubled_and_overtaken() {
    for seed in 0..20 {
        carry(3, seed, BAD, &[0, 1, 249, 1300, 1310, 1549, 2601, 5000, 50_000]);
    }
}

/// An engine alone in the world.
fn alone(name: u8, limits: Limits) -> (Engine, Instant) {
    let now = Instant::now();
    let secret = SecretKey::from_bytes([name; 32]);
    (Engine::new(EngineConfig { secret, router_random: [1; 6], seed: [1; 32], limits }, now), now)
}

fn actions(engine: &mut Engine) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll_action()).collect()
}

#[test]
fn a_message_to_oneself_arrives_without_leaving() {
    let (mut engine, now) = alone(1, Limits::default());
    engine.link_up(LEFT, 10, now);
    actions(&mut engine);
    let (own, key) = (engine.address(), engine.public_key());
    for (to, size) in
        [(Target::Address(own), 0), (Target::Key(key), 10), (Target::Address(own), 1_366_549)]
    {
        let id = engine.send_message(to, Bytes::from_static(b"t"), payload(size), now).unwrap();
        let done = actions(&mut engine);
        assert!(done.contains(&Action::MessageState { id, state: SendState::Received }), "{size}");
        assert!(!done.iter().any(|action| matches!(action, Action::Transmit { .. })), "{size}");
        let message = engine.take(&|_| true, now).unwrap();
        assert_eq!((message.id, message.source, message.source_key), (id, own, key));
        assert_eq!(message.payload, payload(size));
        actions(&mut engine);
        assert_eq!(engine.message_state(id), Some(SendState::Read));
    }
}

#[test]
fn a_key_without_a_secret_gets_no_message() {
    let (mut engine, now) = alone(1, Limits::default());
    let to = Target::Key(PublicKey::from_bytes([0; 32]));
    let sent = engine.send_message(to, Bytes::new(), Bytes::new(), now);
    assert_eq!(sent, Err(SendError::BadKey));
}

/// Route Requests among what was sent.
fn requests(line: &Line) -> usize {
    line.control.iter().filter(|bytes| bytes.get(8) == Some(&9)).count()
}

#[test]
fn an_address_that_nobody_has_costs_few_requests_and_ends_after_five_minutes() {
    let mut line = Line::new(2, 1, CLEAN);
    let nobody = SecretKey::from_bytes([99; 32]).public_key().address();
    let start = line.now;
    let mut ids = Vec::new();
    for _ in 0..1000 {
        let to = Target::Address(nobody);
        ids.push(line.engines[0].send_message(to, Bytes::new(), payload(100), start).unwrap());
    }
    assert!(line.run(Duration::from_secs(304), |line| line.states.len() == 1000));
    // Found out when it is next looked for.
    assert!((300..=303).contains(&(line.now - start).as_secs()), "{:?}", line.now - start);
    assert!(line.states.iter().all(|(_, state)| *state == SendState::Aborted));
    // After 0, 21, 63, 123, 183 and 243 seconds.
    assert_eq!(requests(&line), 6);
    // An application that keeps trying gets no more than one in 21 seconds.
    line.control.clear();
    let again = line.now;
    for second in 0..100 {
        let now = again + Duration::from_secs(second);
        let to = Target::Address(nobody);
        line.engines[0].send_message(to, Bytes::new(), payload(100), now).unwrap();
        line.run(Duration::from_secs(1), |line| line.now >= now + Duration::from_secs(1));
    }
    assert!(requests(&line) <= 6, "{}", requests(&line));
}

#[test]
fn a_new_link_is_asked_at_once_for_what_messages_wait_for() {
    let (mut engine, mut now) = alone(1, Limits::default());
    let nobody = SecretKey::from_bytes([99; 32]).public_key().address();
    engine.send_message(Target::Address(nobody), Bytes::new(), payload(1), now).unwrap();
    actions(&mut engine);
    let end = now + Duration::from_secs(100);
    while let Some(next) = engine.poll_timeout().filter(|next| *next < end) {
        now = next;
        engine.handle_timeout(now);
        actions(&mut engine);
    }
    engine.link_up(LEFT, 10, end);
    let asked = actions(&mut engine).into_iter().filter(
        |action| matches!(action, Action::Transmit { bytes, .. } if bytes.get(8) == Some(&9)),
    );
    assert_eq!(asked.count(), 1);
}

fn data(engine: &mut Engine) -> usize {
    let is_data = |action: &Action| matches!(action, Action::Transmit { class: Class::Data, .. });
    actions(engine).iter().filter(|action| is_data(action)).count()
}

#[test]
fn a_route_to_a_part_of_a_subnet_carries_the_messages_that_go_there() {
    let (mut engine, now) = alone(1, Limits::default());
    engine.link_up(LEFT, 10, now);
    let key = SecretKey::from_bytes([2; 32]).public_key();
    engine.send_message(Target::Key(key), Bytes::new(), payload(1), now).unwrap();
    actions(&mut engine);
    let prefix = Prefix::new(key.address(), 72).unwrap();
    let router_id = RouterId::new(key, [0; 6]);
    let update = Update { interval: 30_000, seqno: 0, metric: 0, prefix, router_id };
    engine.handle_packet(LEFT, Packet::Control(Tlv::Update(update)), now);
    assert_eq!(data(&mut engine), 3, "INIT, chunk and DONE");
    // The way to the rest of the subnet comes and goes, which is not theirs.
    for metric in [0, u16::MAX] {
        let prefix = Prefix::subnet_of(key.address());
        let update = Update { prefix, metric, ..update };
        engine.handle_packet(LEFT, Packet::Control(Tlv::Update(update)), now);
        assert_eq!(data(&mut engine), 0);
    }
    engine.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(data(&mut engine), 1, "INIT once more");
}

#[test]
fn a_packet_that_claims_our_own_source_is_dropped() {
    let mut line = Line::new(2, 1, CLEAN);
    let own: Ipv6Addr = line.engines[0].address();
    let packet = threephone_node::wire::data::DataPacket {
        hop_limit: 64,
        source: own,
        destination: own,
        payload: Bytes::from_static(&[0; 64]),
    };
    let now = line.now;
    line.engines[0].handle_packet(RIGHT, Packet::Data(packet), now);
    assert_eq!(line.engines[0].data_counters().malformed, 1);
}

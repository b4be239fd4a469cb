//! Whole engines on virtual links: neighbours and nodes with a router between them.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::engine::{Action, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{LinkId, MessageId, SecretKey, SendState, Target};

/// A line of engines; link 1 leads to the left, link 2 to the right. Packets take a millisecond.
struct Line {
    now: Instant,
    engines: Vec<Engine>,
    wire: VecDeque<(Instant, usize, LinkId, Bytes)>,
    random: u64,
    lost_per_mille: u64,
    states: Vec<(MessageId, SendState)>,
}

const LEFT: LinkId = LinkId(1);
const RIGHT: LinkId = LinkId(2);

impl Line {
    fn new(count: u8, seed: u64, lost_per_mille: u64) -> Self {
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
        let random = seed.wrapping_mul(2) + 1;
        Self { now, engines, wire: VecDeque::new(), random, lost_per_mille, states: Vec::new() }
    }

    fn is_lost(&mut self, bytes: &Bytes) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        bytes.get(1) == Some(&0) && self.random % 1000 < self.lost_per_mille
    }

    fn settle(&mut self) {
        for index in 0..self.engines.len() {
            while let Some(action) = self.engines[index].poll_action() {
                match action {
                    Action::Transmit { link, bytes, .. } if !self.is_lost(&bytes) => {
                        let (to, over) =
                            if link == LEFT { (index - 1, RIGHT) } else { (index + 1, LEFT) };
                        let at = self.now + Duration::from_millis(1);
                        self.wire.push_back((at, to, over, bytes));
                    }
                    Action::MessageState { id, state } => self.states.push((id, state)),
                    _ => {}
                }
            }
        }
    }

    fn step(&mut self) {
        self.settle();
        let timeouts = self.engines.iter().filter_map(Engine::poll_timeout);
        let arrival = self.wire.front().map(|(at, ..)| *at);
        let Some(next) = timeouts.chain(arrival).min() else { return };
        self.now = self.now.max(next);
        for engine in &mut self.engines {
            if engine.poll_timeout().is_some_and(|at| at <= self.now) {
                engine.handle_timeout(self.now);
            }
        }
        while self.wire.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, to, over, bytes) = self.wire.pop_front().unwrap();
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

fn carry(count: u8, seed: u64, lost_per_mille: u64, sizes: &[usize]) {
    let mut line = Line::new(count, seed, lost_per_mille);
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
    carry(2, 1, 0, &[0, 1, 249, 1300, 1310, 1549, 2601, 5000, 100_000, 1_366_549]);
}

#[test]
fn messages_go_through_a_router() {
    carry(3, 1, 0, &[0, 1, 1310, 5000, 1_366_549]);
}

#[test]
fn messages_go_through_a_router_whatever_is_lost() {
    for seed in 0..20 {
        carry(3, seed, 100, &[0, 1, 249, 1300, 1310, 1549, 2601, 5000]);
    }
}

#[test]
fn a_packet_that_claims_our_own_source_is_dropped() {
    let mut line = Line::new(2, 1, 0);
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

//! Sender against receiver over a path that loses, doubles, delays and reorders, in virtual time.

mod legacy;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use threephone_address::Target;

use super::{Draft, Event, Origin, Outgoing, Receiver, Route, Sender, Wanted};
use crate::SecretKey;
use crate::limits::BusLimits;
use crate::message::{LONGEST_DEADLINE, MessageId, ReceivedMessage, SendState};
use crate::wire::message::{MessageBody, MessagePacket};

const ANN: Ipv6Addr = Ipv6Addr::new(0x400, 1, 1, 1, 0, 0, 0, 1);
const BEN: Ipv6Addr = Ipv6Addr::new(0x400, 2, 2, 2, 0, 0, 0, 2);
const ANY: Wanted<'static> = Wanted::Passing(&|_| true);
const MALLORY: Ipv6Addr = Ipv6Addr::new(0x400, 3, 3, 3, 0, 0, 0, 3);

/// Per mille of packets, and the longest delay.
#[derive(Clone, Copy)]
struct Path {
    lost: u32,
    doubled: u32,
    delay: Duration,
}

const CLEAN: Path = Path { lost: 0, doubled: 0, delay: Duration::from_millis(1) };
const BAD: Path = Path { lost: 150, doubled: 100, delay: Duration::from_millis(80) };

struct World {
    now: Instant,
    start: Instant,
    random: ChaCha20Rng,
    path: Path,
    sender: Sender,
    receiver: Receiver,
    /// (arrival, number) to packet; true when it goes to Ben.
    wire: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, (bool, Bytes)>,
    number: u64,
    sent: u64,
    taken: Vec<ReceivedMessage>,
    states: BTreeMap<MessageId, SendState>,
    takes: bool,
    /// Stands in for Ben's receiver.
    old: Option<legacy::OldReceiver>,
}

impl World {
    fn new(seed: u64, path: Path) -> Self {
        Self::with_limits(seed, path, BusLimits::default())
    }

    fn with_limits(seed: u64, path: Path, limits: BusLimits) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            random: ChaCha20Rng::seed_from_u64(seed),
            path,
            sender: Sender::new(limits.clone(), ChaCha20Rng::seed_from_u64(!seed)),
            receiver: Receiver::new(limits),
            wire: BinaryHeap::new(),
            packets: BTreeMap::new(),
            number: 0,
            sent: 0,
            taken: Vec::new(),
            states: BTreeMap::new(),
            takes: true,
            old: None,
        }
    }

    fn send(&mut self, payload: Vec<u8>) -> MessageId {
        self.sender.send(draft(b"topic", payload), Route::Exists, self.now).unwrap()
    }

    fn post(&mut self, to_ben: bool, packet: &MessagePacket) {
        self.sent += 1;
        let copies = if self.random.next_u32() % 1000 < self.path.lost {
            0
        } else if self.random.next_u32() % 1000 < self.path.doubled {
            2
        } else {
            1
        };
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes);
        let bytes = bytes.freeze();
        for _ in 0..copies {
            let micros = self.random.next_u64() % (self.path.delay.as_micros() as u64);
            // A clean path keeps the order.
            let delay = if self.path.doubled == 0 { 500 } else { micros };
            self.number += 1;
            self.wire.push(Reverse((self.now + Duration::from_micros(delay), self.number)));
            self.packets.insert(self.number, (to_ben, bytes.clone()));
        }
    }

    fn settle(&mut self) {
        self.sender.pump(self.now);
        if self.takes {
            while let Some(message) = self.receiver.take(&ANY, self.now) {
                self.taken.push(message);
            }
        }
        while let Some(Outgoing { packet, .. }) = self.sender.poll_packet() {
            self.post(true, &packet);
        }
        if let Some(old) = &mut self.old {
            if self.takes {
                old.take();
            }
            for packet in old.packets() {
                self.post(false, &packet);
            }
        }
        while let Some(Outgoing { packet, .. }) = self.receiver.poll_packet() {
            self.post(false, &packet);
        }
        while let Some(event) = self.sender.poll_event() {
            if let Event::State { id, state } = event {
                self.states.insert(id, state);
            }
        }
    }

    /// False when nothing will ever happen again, or not within `limit` of the start.
    fn step(&mut self, limit: Duration) -> bool {
        self.settle();
        let arrival = self.wire.peek().map(|Reverse((at, _))| *at);
        let timeouts = [arrival, self.sender.poll_timeout(), self.receiver.poll_timeout()];
        let Some(next) = timeouts.into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        if self.now > self.start + limit {
            return false;
        }
        self.sender.handle_timeout(self.now);
        self.receiver.handle_timeout(self.now);
        while self.wire.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Reverse((_, number)) = self.wire.pop().unwrap();
            let (to_ben, bytes) = self.packets.remove(&number).unwrap();
            let packet = MessagePacket::decode(bytes).unwrap();
            if to_ben && let Some(old) = &mut self.old {
                old.handle(packet);
            } else if to_ben {
                self.receiver.handle(origin(ANN), packet, self.now);
            } else {
                self.sender.handle(BEN, &packet, self.now);
            }
        }
        true
    }

    fn is_over(&self, count: usize) -> bool {
        self.states.values().filter(|state| **state != SendState::Pending).count() == count
    }

    fn run(&mut self, count: usize) {
        while !self.is_over(count) && self.step(Duration::from_secs(400)) {}
        self.settle();
    }
}

fn draft(topic: &'static [u8], payload: Vec<u8>) -> Draft {
    Draft {
        to: Target::Address(BEN),
        topic: Bytes::from_static(topic),
        payload: payload.into(),
        reply: None,
        patience: LONGEST_DEADLINE,
    }
}

fn origin(source: Ipv6Addr) -> Origin {
    let key = SecretKey::from_bytes([1; 32]).public_key();
    Origin { source, destination: BEN, key }
}

fn payload(length: usize, salt: u8) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8 ^ salt).collect()
}

fn assert_each_once(world: &World, sent: &BTreeMap<MessageId, Vec<u8>>, seed: u64) {
    let mut missing = sent.clone();
    for message in &world.taken {
        let expected = missing.remove(&message.id);
        let expected = expected.unwrap_or_else(|| panic!("seed {seed}: {} twice", message.id));
        assert!(message.payload == expected, "seed {seed}: {} differs", message.id);
    }
    assert!(missing.is_empty(), "seed {seed}: {} missing", missing.len());
    for (id, state) in &world.states {
        let good = matches!(state, SendState::Received | SendState::Read);
        assert!(good, "seed {seed}: {id} is {state:?}");
    }
}

const SIZES: [usize; 8] = [0, 1, 249, 1300, 1310, 1549, 2601, 5000];

#[test]
fn every_message_arrives_once_over_a_bad_path() {
    for seed in 0..200 {
        let mut world = World::new(seed, BAD);
        let sent: BTreeMap<_, _> = SIZES
            .iter()
            .enumerate()
            .map(|(salt, size)| {
                (world.send(payload(*size, salt as u8)), payload(*size, salt as u8))
            })
            .collect();
        world.run(SIZES.len());
        assert_each_once(&world, &sent, seed);
    }
}

#[test]
fn large_messages_arrive_once_over_a_bad_path() {
    for (seed, size) in [(1, 100_000), (2, 100_000), (3, 1_366_549)] {
        let mut world = World::new(seed, BAD);
        let sent = BTreeMap::from([(world.send(payload(size, 0)), payload(size, 0))]);
        world.run(1);
        assert_each_once(&world, &sent, seed);
    }
}

#[test]
fn a_short_message_goes_out_whole_at_once() {
    let mut world = World::new(1, CLEAN);
    world.send(payload(2601, 0));
    world.sender.pump(world.now);
    let kinds: Vec<_> = std::iter::from_fn(|| world.sender.poll_packet())
        .map(|out| std::mem::discriminant(&out.packet.body))
        .collect();
    assert_eq!(kinds.len(), 5, "INIT, three chunks, DONE");
}

#[test]
fn a_clean_path_carries_each_packet_once() {
    let mut world = World::new(1, CLEAN);
    world.send(payload(1_366_549, 0));
    world.run(1);
    // INIT, 1052 chunks and DONE, each answered, and READ.
    assert_eq!(world.sent, 2 * (1 + 1052 + 1) + 1);
}

#[test]
fn ten_thousand_messages_go_through_with_little_work() {
    let mut world = World::new(1, CLEAN);
    let count = 10_000;
    let began = Instant::now();
    for salt in 0..count {
        world.send(payload(100, salt as u8));
    }
    world.run(count);
    assert_eq!(world.taken.len(), count);
    assert_eq!(world.sent, 7 * count as u64);
    println!("{:?} real, {:?} virtual", began.elapsed(), world.now - world.start);
}

#[test]
fn done_is_not_acknowledged_without_room_in_the_queue() {
    let limits = BusLimits { ready_per_source: 2, ..BusLimits::default() };
    let mut world = World::with_limits(1, CLEAN, limits);
    world.takes = false;
    let sent: BTreeMap<_, _> =
        (0..4).map(|salt| (world.send(payload(10, salt)), payload(10, salt))).collect();
    while world.step(Duration::from_secs(20)) {}
    assert_eq!(world.states.len(), 2);
    world.takes = true;
    world.run(4);
    assert_each_once(&world, &sent, 1);
}

#[test]
fn topics_that_nobody_reserved_leave_room_for_those_somebody_did() {
    let limits = BusLimits { ready: 10, ..BusLimits::default() };
    let (mut receiver, now) = (Receiver::new(limits), Instant::now());
    receiver.reserve(Bytes::from_static(b"chat"));
    let mut send = |number: u8, topic: &'static str| {
        let hash = *blake3::hash(b"").as_bytes();
        let topic = Bytes::from_static(topic.as_bytes());
        for body in [
            MessageBody::Init { length: 0, topic, reply: false },
            MessageBody::Done { chunks: 0, hash },
        ] {
            receiver.handle(origin(ANN), MessagePacket { id: MessageId([number; 8]), body }, now);
        }
        std::iter::from_fn(|| receiver.poll_packet()).count() == 2
    };
    assert_eq!((0..20).filter(|number| send(*number, "spam")).count(), 5);
    assert_eq!((20..40).filter(|number| send(*number, "chat")).count(), 5);
    let chat = Bytes::from_static(b"chat");
    assert_eq!(receiver.take(&Wanted::Topic(&chat), now).unwrap().id, MessageId([20; 8]));
}

#[test]
fn greedy_sources_cannot_lock_others_out() {
    let limits = BusLimits { pending: 100, pending_per_source: 50, ..BusLimits::default() };
    let (mut receiver, now) = (Receiver::new(limits), Instant::now());
    let mut begin = |from: u16, number: u8| {
        let source = Ipv6Addr::new(0x400, from, 0, 0, 0, 0, 0, 1);
        let packet = MessagePacket { id: MessageId([number; 8]), body: init(5000) };
        receiver.handle(origin(source), packet, now);
        receiver.poll_packet().is_some()
    };
    let greedy = (1..=4).map(|from| (0..200).filter(|number| begin(from, *number)).count());
    // The last two push others out only as long as they have little themselves.
    assert_eq!(greedy.collect::<Vec<_>>(), [50, 50, 16, 16]);
    assert!(begin(9, 1), "a newcomer finds a place");
    assert!(receiver.pending.len() <= 100);
}

#[test]
fn a_repeated_init_goes_alone_and_everything_follows_its_answer() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(payload(2601, 0));
    let pump = |sender: &mut Sender, now| {
        sender.pump(now);
        std::iter::from_fn(|| sender.poll_packet()).count()
    };
    assert_eq!(pump(&mut world.sender, world.now), 5);
    let later = world.now + Duration::from_secs(1);
    world.sender.handle_timeout(later);
    assert_eq!(pump(&mut world.sender, later), 1);
    let body = MessageBody::InitAck { length: 2601, topic_length: 5, reply: false };
    world.sender.handle(BEN, &MessagePacket { id, body }, later);
    assert_eq!(pump(&mut world.sender, later), 4);
}

#[test]
fn a_receiver_without_room_is_asked_rarely() {
    let limits = BusLimits { ready_per_source: 0, ..BusLimits::default() };
    let mut world = World::with_limits(1, CLEAN, limits);
    let id = world.send(payload(5000, 0));
    world.run(1);
    assert_eq!(world.states[&id], SendState::Aborted);
    assert!(world.sent < 500, "{} packets in five minutes", world.sent);
}

#[test]
fn when_all_is_said_nothing_wakes_up_any_more() {
    let mut world = World::new(1, CLEAN);
    for salt in 0..50 {
        world.send(payload(3000, salt));
    }
    world.run(50);
    while world.step(Duration::from_secs(1)) {}
    assert_eq!((world.sender.poll_timeout(), world.receiver.poll_timeout()), (None, None));
}

/// A message that starts over while the window is full has no turn before its deadline.
#[test]
fn a_deadline_that_passes_before_a_message_had_its_turn_does_not_stop_the_clock() {
    let mut world = World::new(1, Path { lost: 1000, ..CLEAN });
    let ben = crate::data::subnet_bits(BEN);
    let ids: Vec<_> = (0..300).map(|salt| world.send(payload(5000, salt as u8))).collect();
    for round in 0..40 {
        world.sender.pump(world.now);
        while world.sender.poll_packet().is_some() {}
        if round % 8 == 3 {
            world.sender.set_route(ben, Route::None, world.now);
            world.now += Duration::from_secs(2);
            world.sender.handle_timeout(world.now);
            world.sender.set_route(ben, Route::Exists, world.now);
        }
        world.now = world.now.max(world.sender.poll_timeout().unwrap());
        world.sender.handle_timeout(world.now);
        assert!(world.sender.poll_timeout().unwrap() > world.now);
    }
    assert_eq!(world.sender.state(ids[0]), Some(SendState::Pending));
}

#[test]
fn messages_given_up_leave_nothing_behind() {
    let mut world = World::new(1, CLEAN);
    let stuck = world.send(b"stuck".to_vec());
    world.sender.set_route(crate::data::subnet_bits(BEN), Route::None, world.now);
    for _ in 0..10_000 {
        let draft = draft(b"", b"given up".to_vec());
        let id = world.sender.send(draft, Route::None, world.now).unwrap();
        world.sender.cancel(id, world.now);
        assert!(world.sender.held() < 2000, "{}", world.sender.held());
    }
    assert_eq!(world.sender.state(stuck), Some(SendState::Pending));
}

fn packet(body: MessageBody) -> MessagePacket {
    MessagePacket { id: MessageId([7; 8]), body }
}

fn init(length: u64) -> MessageBody {
    MessageBody::Init { length, topic: Bytes::new(), reply: false }
}

fn chunk(index: u64, offset: u64, data: &'static [u8]) -> MessageBody {
    MessageBody::Chunk { index, offset, data: Bytes::from_static(data) }
}

fn answers(bodies: Vec<(Ipv6Addr, MessageBody)>) -> (Receiver, Vec<MessageBody>) {
    let mut receiver = Receiver::new(BusLimits::default());
    let now = Instant::now();
    for (from, body) in bodies {
        receiver.handle(origin(from), packet(body), now);
    }
    let answers =
        std::iter::from_fn(|| receiver.poll_packet()).map(|out| out.packet.body).collect();
    (receiver, answers)
}

#[test]
fn an_announcement_of_2_to_the_60_bytes_costs_nothing() {
    let (receiver, answers) = answers(vec![(ANN, init(1 << 60))]);
    assert!(answers.is_empty());
    assert_eq!(receiver.poll_timeout(), None, "nothing is kept");
}

#[test]
fn a_chunk_out_of_bounds_is_dropped() {
    for (index, offset) in [(u64::MAX, 0), (1, 0), (0, u64::MAX), (0, 1)] {
        let (_, answers) = answers(vec![(ANN, init(5)), (ANN, chunk(index, offset, b"hello"))]);
        assert_eq!(answers.len(), 1, "only the INIT is answered: {index} {offset}");
    }
}

#[test]
fn a_wrong_hash_or_count_is_not_acknowledged_and_a_right_one_then_is() {
    let hash = *blake3::hash(b"hello").as_bytes();
    let done = |chunks, hash| (ANN, MessageBody::Done { chunks, hash });
    let begun = || vec![(ANN, init(5)), (ANN, chunk(0, 0, b"hello"))];
    for wrong in [done(1, [0; 32]), done(2, hash), done(0, hash), done(u64::MAX, hash)] {
        let mut bodies = begun();
        bodies.push(wrong);
        assert_eq!(answers(bodies.clone()).1.len(), 2);
        bodies.push(done(1, hash));
        assert_eq!(answers(bodies).1.last(), Some(&MessageBody::DoneAck { chunks: 1, hash }));
    }
}

#[test]
fn nobody_else_can_write_into_or_abort_a_message() {
    let hash = *blake3::hash(b"hello").as_bytes();
    let done = MessageBody::Done { chunks: 1, hash };
    let (mut receiver, answers) = answers(vec![
        (ANN, init(5)),
        (MALLORY, chunk(0, 0, b"HELLO")),
        (MALLORY, MessageBody::Aborted),
        (MALLORY, done.clone()),
        (ANN, chunk(0, 0, b"hello")),
        (ANN, done),
    ]);
    assert_eq!(answers.len(), 3);
    assert_eq!(receiver.take(&ANY, Instant::now()).unwrap().payload, "hello");
}

#[test]
fn repeats_of_a_completed_message_are_acknowledged_for_ten_minutes_and_not_delivered() {
    let (mut receiver, now) = (Receiver::new(BusLimits::default()), Instant::now());
    let hash = *blake3::hash(b"hello").as_bytes();
    let bodies = [init(5), chunk(0, 0, b"hello"), MessageBody::Done { chunks: 1, hash }];
    for at in [now, now + Duration::from_secs(599)] {
        receiver.handle_timeout(at);
        for body in bodies.clone() {
            receiver.handle(origin(ANN), packet(body), at);
        }
        assert_eq!(std::iter::from_fn(|| receiver.poll_packet()).count(), 3);
        if at == now {
            assert!(receiver.take(&ANY, at).is_some());
            assert!(matches!(receiver.poll_packet().unwrap().packet.body, MessageBody::Read));
        }
    }
    assert!(receiver.take(&ANY, now).is_none());
}

#[test]
fn foreign_acknowledgements_are_ignored() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(b"hello".to_vec());
    world.sender.pump(world.now);
    let hash = *blake3::hash(b"hello").as_bytes();
    let body = MessageBody::DoneAck { chunks: 1, hash };
    world.sender.handle(MALLORY, &MessagePacket { id, body: body.clone() }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Pending));
    let wild = MessageBody::ChunkAck { index: u64::MAX, offset: 0, size: 0 };
    world.sender.handle(BEN, &MessagePacket { id, body: wild }, world.now);
    let wrong = MessageBody::DoneAck { chunks: 1, hash: [0; 32] };
    world.sender.handle(BEN, &MessagePacket { id, body: wrong }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Pending));
    world.sender.handle(BEN, &MessagePacket { id, body }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Received));
}

#[test]
fn a_message_without_a_route_waits_goes_when_there_is_one_and_ends_after_five_minutes() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(b"hello".to_vec());
    let ben = crate::data::subnet_bits(BEN);
    world.sender.set_route(ben, Route::None, world.now);
    while world.step(Duration::from_secs(100)) {}
    assert_eq!(world.sent, 0);
    world.sender.set_route(ben, Route::Exists, world.now);
    world.run(1);
    assert_eq!(world.taken.len(), 1);
    assert_eq!(world.sender.state(id), Some(SendState::Read));

    let mut world = World::new(1, Path { lost: 1000, ..CLEAN });
    let id = world.send(b"hello".to_vec());
    while world.sender.state(id) == Some(SendState::Pending) && world.step(Duration::from_secs(301))
    {
    }
    assert_eq!(world.sender.state(id), Some(SendState::Aborted));
    assert_eq!(world.now, world.start + Duration::from_secs(300));
}

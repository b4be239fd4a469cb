//! A sender and a receiver with a path between them that loses, doubles, delays and reorders, in
//! virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// Per mille of packets, and the longest delay.
#[derive(Clone, Copy)]
pub(super) struct Path {
    pub(super) lost: u32,
    pub(super) doubled: u32,
    pub(super) delay: Duration,
}

pub(super) const CLEAN: Path = Path { lost: 0, doubled: 0, delay: Duration::from_millis(1) };
pub(super) const BAD: Path = Path { lost: 150, doubled: 100, delay: Duration::from_millis(80) };

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) random: ChaCha20Rng,
    pub(super) path: Path,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// (arrival, number) to packet; true when it goes to Ben.
    wire: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, (bool, Bytes)>,
    number: u64,
    pub(super) sent: u64,
    pub(super) taken: Vec<ReceivedMessage>,
    pub(super) states: BTreeMap<MessageId, SendState>,
    pub(super) takes: bool,
    /// Ben drops what belongs to this message, as an answer that he does not wait for.
    pub(super) unwanted: Option<MessageId>,
    /// Stands in for Ben's receiver.
    pub(super) old: Option<legacy::OldReceiver>,
}

impl World {
    pub(super) fn new(seed: u64, path: Path) -> Self {
        Self::with_limits(seed, path, BusLimits::default())
    }

    pub(super) fn with_limits(seed: u64, path: Path, limits: BusLimits) -> Self {
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
            unwanted: None,
            old: None,
        }
    }

    pub(super) fn send(&mut self, payload: Vec<u8>) -> MessageId {
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

    pub(super) fn settle(&mut self) {
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
    pub(super) fn step(&mut self, limit: Duration) -> bool {
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
            if to_ben && self.unwanted == Some(packet.id) {
                continue;
            } else if to_ben && let Some(old) = &mut self.old {
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

    pub(super) fn run(&mut self, count: usize) {
        while !self.is_over(count) && self.step(Duration::from_secs(400)) {}
        self.settle();
    }
}

pub(super) fn assert_each_once(world: &World, sent: &BTreeMap<MessageId, Vec<u8>>, seed: u64) {
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

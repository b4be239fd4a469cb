//! The message bus under sequences of valid and invalid packets, calls and steps of time.
//!
//! The bytes are a program. Three sources bring packets of four messages each, whole, wrong or raw;
//! time goes by; an application takes, peeks, sends and gives up. What must hold is checked after
//! each step: that nothing is delivered twice or acknowledged and lost, and every bound. The program
//! runs twice, the second time where so few ids are remembered that their bound is met.
#![allow(clippy::expect_used)] // it panics when a property is broken

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use threephone_address::Target;

use crate::SecretKey;
use crate::bus::{Draft, Event, Origin, Receiver, Route, Sender, Wanted};
use crate::data::subnet_bits;
use crate::limits::BusLimits;
use crate::message::{LONGEST_DEADLINE, MessageId, SendState};
use crate::wire::message::{MessageBody, MessagePacket};

/// How long ids are remembered after the last packet, where there is room.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long where there is little.
const AT_LEAST: Duration = Duration::from_secs(30);
/// What one step may make a node say at most: all it has under way.
const ANSWERS: usize = 10_000;

type Key = (u64, MessageId);

/// What became of a message.
struct Known {
    heard: Instant,
    delivered: u32,
    /// Once, and once more whenever it may have been forgotten.
    allowed: u32,
}

struct Bus {
    now: Instant,
    limits: BusLimits,
    /// How long an id is remembered at least.
    remembered: Duration,
    receiver: Receiver,
    sender: Sender,
    origin: Origin,
    /// Messages whose DONE was acknowledged.
    acknowledged: BTreeMap<Key, Known>,
    sent: BTreeMap<MessageId, u64>,
    /// Who said that it has or read one of ours.
    confirmed: BTreeSet<Key>,
}

/// Runs the program.
pub fn bus(bytes: &[u8]) {
    run(bytes, Bus::new(limits(), REMEMBERED));
    // Two ids in each generation of a source, and the three sources are more than there is room for.
    let few = BusLimits { completed_per_source: 4, completed: 3 * 64 + 4, ended: 2, ..limits() };
    run(bytes, Bus::new(few, AT_LEAST));
}

fn limits() -> BusLimits {
    BusLimits {
        message_bytes: 4000,
        pending_per_source: 3,
        pending: 6,
        pending_bytes_per_source: 4000,
        pending_bytes: 9000,
        ready_per_source: 3,
        ready_bytes_per_source: 4000,
        ready: 6,
        ready_bytes: 9000,
        outgoing: 20,
        outgoing_bytes: 20_000,
        ..BusLimits::default()
    }
}

fn run(bytes: &[u8], mut bus: Bus) {
    let mut program = bytes.iter().copied();
    while let Some(step) = program.next() {
        let mut next = || program.next().unwrap_or(0);
        match step % 8 {
            0 => bus.wait(Duration::from_millis(u64::from(next()) * 50)),
            1 => bus.wait(Duration::from_secs(u64::from(next()) * 5)),
            2..=4 => {
                let (from, kind, more) = (next(), next(), next());
                bus.packet(from, kind, more);
            }
            5 => {
                let (from, length) = (next(), next());
                let raw: Bytes = (0..length).map(|_| next()).collect();
                if let Ok(packet) = MessagePacket::decode(raw) {
                    bus.hand_in(address(from), packet);
                }
            }
            6 => bus.read(next()),
            _ => bus.send(next()),
        }
        bus.check();
    }
    while bus.take() {}
    for (key, known) in &bus.acknowledged {
        assert!(known.delivered > 0, "acknowledged and not kept: {key:?}");
    }
}

fn address(from: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x400, u16::from(from % 3) + 1, 0, 0, 0, 0, 0, u16::from(from))
}

/// The message that belongs to an id: 0 to 2 chunks.
fn content(id: u8) -> Bytes {
    Bytes::from(vec![id; usize::from(id % 4) * 700])
}

impl Bus {
    fn new(limits: BusLimits, remembered: Duration) -> Self {
        let key = SecretKey::from_bytes([1; 32]).public_key();
        Self {
            now: Instant::now(),
            receiver: Receiver::new(limits.clone()),
            sender: Sender::new(limits.clone(), ChaCha20Rng::from_seed([7; 32])),
            limits,
            remembered,
            origin: Origin { source: address(0), destination: key.address(), key },
            acknowledged: BTreeMap::new(),
            sent: BTreeMap::new(),
            confirmed: BTreeSet::new(),
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timeouts = [self.sender.poll_timeout(), self.receiver.poll_timeout()];
            let next = timeouts.into_iter().flatten().min().filter(|next| *next <= end);
            self.now = self.now.max(next.unwrap_or(end));
            self.sender.handle_timeout(self.now);
            self.receiver.handle_timeout(self.now);
            self.check();
            if next.is_none() {
                return;
            }
        }
    }

    /// A packet of a known message, right or wrong.
    fn packet(&mut self, from: u8, kind: u8, more: u8) {
        let number = more % 4;
        let mut id = MessageId([number; 8]);
        if more & 0x10 != 0
            && let Some(of_ours) = self.sent.keys().nth(usize::from(number))
        {
            id = *of_ours;
        }
        let (whole, wrong) = (content(number), more >= 0xc0);
        let count = whole.len().div_ceil(1300);
        let index = usize::from(more >> 5) % count.max(1);
        let parts = crate::bus::range(whole.len(), count, index);
        let hash = if wrong { [0; 32] } else { *blake3::hash(&whole).as_bytes() };
        let (length, chunks) = (whole.len() as u64 + u64::from(wrong), count as u64);
        let (index, offset) = (index as u64 + u64::from(wrong), parts.start as u64);
        let size = parts.len() as u64;
        let body = match kind % 9 {
            0 | 8 => MessageBody::Init { length, topic: Bytes::new(), reply: kind >= 0xc0 },
            1 => MessageBody::Chunk { index, offset, data: whole.slice(parts) },
            2 => MessageBody::Done { chunks, hash },
            3 => MessageBody::InitAck { length, topic_length: 0, reply: false },
            4 => MessageBody::ChunkAck { index, offset, size },
            5 => self.done_ack(id, wrong),
            6 => MessageBody::Read,
            _ => MessageBody::Aborted,
        };
        self.hand_in(address(from), MessagePacket { id, body });
    }

    fn done_ack(&self, id: MessageId, wrong: bool) -> MessageBody {
        let length = self.sender.info(id).map_or(0, |info| info.length);
        let hash = if wrong { [0; 32] } else { *blake3::hash(&vec![1; length]).as_bytes() };
        MessageBody::DoneAck { chunks: length.div_ceil(1300) as u64, hash }
    }

    fn hand_in(&mut self, source: Ipv6Addr, packet: MessagePacket) {
        let key = (subnet_bits(source), packet.id);
        if matches!(packet.body, MessageBody::DoneAck { .. } | MessageBody::Read) {
            self.confirmed.insert(key);
        }
        if let Some(known) = self.acknowledged.get_mut(&key) {
            known.allowed += u32::from(self.now.duration_since(known.heard) >= self.remembered);
            known.heard = self.now;
        }
        self.sender.handle(source, &packet, self.now);
        let is_unasked = matches!(packet.body, MessageBody::Init { reply: true, .. })
            && !self.sender.has_sent(packet.id, key.0);
        if !is_unasked {
            self.receiver.handle(Origin { source, ..self.origin }, packet, self.now);
        }
    }

    fn read(&mut self, how: u8) {
        if how.is_multiple_of(2) {
            self.take();
        } else {
            self.receiver.peek(&Wanted::Passing(&|_| true));
        }
    }

    fn take(&mut self) -> bool {
        let taken = self.receiver.take(&Wanted::Passing(&|_| true), self.now);
        if let Some(message) = &taken {
            let key = (subnet_bits(message.source), message.id);
            let known = self.acknowledged.get_mut(&key).expect("acknowledged before it is taken");
            known.delivered += 1;
            assert!(known.delivered <= known.allowed, "delivered too often: {key:?}");
        }
        self.listen();
        taken.is_some()
    }

    fn send(&mut self, what: u8) {
        if what.is_multiple_of(4)
            && let Some(id) = self.sent.keys().nth(usize::from(what >> 2)).copied()
        {
            return self.sender.cancel(id, self.now);
        }
        let (destination, payload) = (address(what), vec![1; usize::from(what) * 15].into());
        let (to, topic, patience) = (Target::Address(destination), Bytes::new(), LONGEST_DEADLINE);
        let draft = Draft { to, destination, topic, payload, reply: None, patience };
        if let Ok(id) = self.sender.send(draft, Route::Exists, self.now) {
            self.sent.insert(id, subnet_bits(address(what)));
        }
    }

    /// Hears what the bus says.
    fn listen(&mut self) {
        self.sender.pump(self.now);
        let mut count = 0;
        while self.sender.poll_packet().is_some() {
            count += 1;
        }
        while let Some(out) = self.receiver.poll_packet() {
            count += 1;
            if matches!(out.packet.body, MessageBody::DoneAck { .. }) {
                let key = (subnet_bits(out.destination), out.packet.id);
                let new = Known { heard: self.now, delivered: 0, allowed: 1 };
                self.acknowledged.entry(key).or_insert(new);
            }
        }
        assert!(count <= ANSWERS, "{count} packets at once");
        while let Some(event) = self.sender.poll_event() {
            let Event::State { id, state } = event else { continue };
            let of = self.sent.get(&id).copied().unwrap_or_default();
            if matches!(state, SendState::Received | SendState::Read) {
                assert!(self.confirmed.contains(&(of, id)), "{id} was confirmed by nobody");
            }
        }
        while self.receiver.poll_ready().is_some() {}
    }

    fn check(&mut self) {
        self.listen();
        self.receiver.check(&self.limits);
        self.sender.check();
        self.sender.handle_timeout(self.now);
        let next = self.sender.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "a deadline that does not pass");
    }
}

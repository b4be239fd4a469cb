//! One outgoing message: which of its packets were sent, and which answered.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::Bytes;
use threephone_address::Target;

use super::Draft;
use super::flow::Flow;
use crate::PublicKey;
use crate::bus::{Info, Outgoing, split};
use crate::data::subnet_bits;
use crate::message::{Progress, SendState};
use crate::wire::message::{MessageBody, MessageId, MessagePacket};

/// A chunk is lost when one sent this much later was acknowledged.
const REORDERING: u32 = 16;
/// DONEs that stay unanswered before the message starts over.
const DONES: u32 = 4;

/// Repeats of chunks without any answer, over some ten seconds, before the message starts over.
const SILENCE: u32 = 6;

/// Why a message is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Its deadline may have passed.
    ByDeadline,
    /// The route is new: waiting has no use.
    Now,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Unsent,
    Flying,
    Lost,
    Acked,
}

#[derive(Clone, Copy)]
struct Chunk {
    state: ChunkState,
    /// Position of its last sending among all of the message.
    sequence: u32,
    sent: Instant,
    was_repeated: bool,
}

pub(super) struct Message {
    to: Target,
    pub(super) destination: Ipv6Addr,
    pub(super) subnet: u64,
    pub(super) key: Option<PublicKey>,
    pub(super) payload: Bytes,
    created: Instant,
    /// When it is given up.
    pub(super) expires: Instant,
    is_reply: bool,
    pub(super) deadline: Instant,
    pub(super) timer: Option<Instant>,
    pub(super) is_ready: bool,
    topic: Bytes,
    hash: [u8; 32],
    count: usize,
    chunks: Vec<Chunk>,
    next: usize,
    acked: usize,
    in_flight: usize,
    lost: VecDeque<usize>,
    /// Sendings in order, for seeing losses.
    order: VecDeque<(u32, usize)>,
    sequence: u32,
    init: Option<Instant>,
    has_restarted: bool,
    /// Whether anything was answered since the INIT.
    heard: bool,
    done_due: bool,
    dones: u32,
    /// How often it started over because of that.
    restarts: u32,
    repeats: u32,
}

impl Message {
    pub(super) fn new(draft: Draft, now: Instant) -> Self {
        Self {
            to: draft.to,
            destination: draft.to.address(),
            subnet: subnet_bits(draft.to.address()),
            key: draft.to.key(),
            created: now,
            expires: now + draft.patience,
            is_reply: draft.reply.is_some(),
            count: split::count(draft.payload.len()),
            payload: draft.payload,
            deadline: now,
            timer: None,
            is_ready: false,
            topic: draft.topic,
            hash: [0; 32],
            chunks: Vec::new(),
            next: 0,
            acked: 0,
            in_flight: 0,
            lost: VecDeque::new(),
            order: VecDeque::new(),
            sequence: 0,
            init: None,
            has_restarted: false,
            heard: false,
            done_due: true,
            dones: 0,
            restarts: 0,
            repeats: 0,
        }
    }

    /// What costs time and memory is left until the message has its turn.
    pub(super) fn activate(&mut self) {
        self.hash = *blake3::hash(&self.payload).as_bytes();
    }

    pub(super) fn info(&self, state: SendState) -> Info {
        let is_whole = matches!(state, SendState::Received | SendState::Read);
        let (acked, sent) = if is_whole { (self.count, 0) } else { (self.acked, self.in_flight) };
        Info {
            to: self.to,
            state,
            progress: Progress { pending: self.count.saturating_sub(acked + sent), sent, acked },
            created: self.created,
            deadline: self.expires,
            length: self.payload.len(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn has_begun(&self) -> bool {
        self.init.is_some() || self.has_restarted
    }

    pub(super) fn has_unsent(&self) -> bool {
        let has_more = self.next < self.count || !self.lost.is_empty() || self.done_due;
        self.init.is_none() || (has_more && !self.awaits_init_ack())
    }

    /// A repeated INIT makes an old receiver forget the chunks it has, also those that overtook the
    /// INIT and were acknowledged. So after a repeat nothing follows before the answer.
    fn awaits_init_ack(&self) -> bool {
        self.has_restarted && !self.heard
    }

    pub(super) fn is_done(&self, chunks: u64, hash: &[u8; 32]) -> bool {
        self.has_begun() && chunks == self.count as u64 && *hash == self.hash
    }

    /// Sends up to `budget` chunks and what belongs around them.
    pub(super) fn write(
        &mut self,
        id: MessageId,
        budget: usize,
        flow: &mut Flow,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) {
        if self.init.is_none() {
            self.init = Some(now);
            let unsent =
                Chunk { state: ChunkState::Unsent, sequence: 0, sent: now, was_repeated: false };
            self.chunks = vec![unsent; self.count];
            let (length, topic) = (self.payload.len() as u64, self.topic.clone());
            self.push(id, MessageBody::Init { length, topic, reply: self.is_reply }, out);
        }
        self.deadline = now + flow.timeout(self.repeats);
        if self.awaits_init_ack() {
            return;
        }
        for _ in 0..budget {
            let Some(index) = self.next_chunk() else { break };
            self.write_chunk(id, index, out, now);
            flow.in_flight += 1;
        }
        if self.done_due && self.next >= self.count && self.lost.is_empty() {
            self.write_done(id, out);
        }
    }

    fn next_chunk(&mut self) -> Option<usize> {
        while let Some(index) = self.lost.pop_front() {
            if self.chunks.get(index).is_some_and(|chunk| chunk.state == ChunkState::Lost) {
                return Some(index);
            }
        }
        (self.next < self.count).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    fn write_chunk(
        &mut self,
        id: MessageId,
        index: usize,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) {
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        self.sequence += 1;
        chunk.was_repeated = chunk.state == ChunkState::Lost || self.has_restarted;
        chunk.state = ChunkState::Flying;
        chunk.sequence = self.sequence;
        chunk.sent = now;
        self.order.push_back((self.sequence, index));
        self.in_flight += 1;
        let range = split::range(self.payload.len(), self.count, index);
        let (index, offset) = (index as u64, range.start as u64);
        self.push(id, MessageBody::Chunk { index, offset, data: self.payload.slice(range) }, out);
    }

    fn write_done(&mut self, id: MessageId, out: &mut VecDeque<Outgoing>) {
        self.done_due = false;
        let body = MessageBody::Done { chunks: self.count as u64, hash: self.hash };
        self.push(id, body, out);
    }

    fn push(&self, id: MessageId, body: MessageBody, out: &mut VecDeque<Outgoing>) {
        out.push_back(Outgoing {
            source: None,
            destination: self.destination,
            key: self.key,
            packet: MessagePacket { id, body },
        });
    }

    pub(super) fn init_acked(&mut self, flow: &mut Flow, now: Instant) {
        let Some(sent) = self.init else { return };
        if !self.heard && !self.has_restarted {
            flow.measure(now.saturating_duration_since(sent));
        }
        self.heard_something(flow, now);
    }

    pub(super) fn chunk_acked(&mut self, index: u64, flow: &mut Flow, now: Instant) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        match chunk.state {
            ChunkState::Flying => {
                self.in_flight = self.in_flight.saturating_sub(1);
                flow.grow(); // before it leaves the count, which says how full the window is
                flow.in_flight = flow.in_flight.saturating_sub(1);
            }
            ChunkState::Lost => {}
            ChunkState::Unsent | ChunkState::Acked => return,
        }
        chunk.state = ChunkState::Acked;
        let sequence = chunk.sequence;
        if !chunk.was_repeated {
            flow.measure(now.saturating_duration_since(chunk.sent));
        }
        self.acked += 1;
        self.heard_something(flow, now);
        self.find_lost(sequence, flow, now);
    }

    fn heard_something(&mut self, flow: &Flow, now: Instant) {
        self.heard = true;
        // One that has all of it and does not say so most likely has no room: it is asked rarely.
        let is_done_awaited = self.acked == self.count;
        self.repeats = if is_done_awaited { self.restarts.saturating_mul(2) } else { 0 };
        self.deadline = now + flow.timeout(self.repeats);
    }

    /// Everything sent well before `sequence`, which arrived, and still unanswered.
    fn find_lost(&mut self, sequence: u32, flow: &mut Flow, now: Instant) {
        while let Some((sent, index)) = self.order.front().copied() {
            let Some(chunk) = self.chunks.get(index) else { break };
            let flying = chunk.state == ChunkState::Flying && chunk.sequence == sent;
            if flying && sent.saturating_add(REORDERING) >= sequence {
                break;
            }
            self.order.pop_front();
            if flying {
                self.lose(index, flow);
                flow.shrink(now);
            }
        }
    }

    fn lose(&mut self, index: usize, flow: &mut Flow) {
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        chunk.state = ChunkState::Lost;
        self.lost.push_back(index);
        self.in_flight = self.in_flight.saturating_sub(1);
        flow.in_flight = flow.in_flight.saturating_sub(1);
        self.done_due = true;
    }

    /// Answers stayed out too long.
    pub(super) fn repeat(
        &mut self,
        id: MessageId,
        due: Due,
        flow: &mut Flow,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) {
        if self.init.is_none() {
            return; // has not had its turn
        }
        if due == Due::Now {
            self.repeats = 0;
        } else {
            self.repeats += 1;
        }
        // One that was heard and then is silent for long may be an old receiver that has all of it,
        // and does not answer for a complete message; that, and the news, was lost.
        let is_silent = self.in_flight > 0 && self.repeats >= SILENCE;
        if !self.heard || is_silent {
            flow.shrink(now);
            self.restart(flow);
        } else if self.in_flight > 0 {
            flow.shrink(now);
            while let Some((sent, index)) = self.order.pop_front() {
                let flying = self.chunks.get(index).is_some_and(|chunk| {
                    chunk.state == ChunkState::Flying && chunk.sequence == sent
                });
                if flying {
                    self.lose(index, flow);
                }
            }
        } else if self.acked == self.count {
            self.dones += 1;
            if self.dones.is_multiple_of(DONES) {
                self.restarts += 1;
                self.restart(flow);
            } else {
                self.write_done(id, out);
            }
        }
        self.deadline = now + flow.timeout(self.repeats);
    }

    /// From the INIT on, since the receiver may have forgotten everything, or will at the INIT.
    fn restart(&mut self, flow: &mut Flow) {
        flow.in_flight = flow.in_flight.saturating_sub(self.in_flight);
        self.in_flight = 0;
        self.chunks.clear();
        self.order.clear();
        self.lost.clear();
        (self.next, self.acked) = (0, 0);
        self.init = None;
        self.has_restarted = true;
        self.heard = false;
        self.done_due = true;
    }
}

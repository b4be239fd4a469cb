//! One outgoing message: which of its packets were sent, and which answered.
//!
//! Here is how it is written; `recovery` is what answers and silence do to it.

mod recovery;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::Bytes;
use threephone_address::Target;

pub(super) use self::recovery::Due;
use super::Draft;
use super::flow::{Flow, Sent};
use super::path::Stamp;
use crate::PublicKey;
use crate::bus::{Info, Outgoing, split};
use crate::data::subnet_bits;
use crate::message::{Progress, SendState};
use crate::wire::message::{MessageBody, MessageId, MessagePacket};

/// What a chunk costs on a link besides its bytes: headers of packet, chunk and seal.
const CHUNK_OVERHEAD: usize = 108;

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
    was_repeated: bool,
    stamp: Option<Stamp>,
}

const UNSENT: Chunk =
    Chunk { state: ChunkState::Unsent, sequence: 0, was_repeated: false, stamp: None };

pub(super) struct Message {
    to: Target,
    pub(super) destination: Ipv6Addr,
    pub(super) subnet: u64,
    pub(super) key: Option<PublicKey>,
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    created: Instant,
    /// When it is given up.
    pub(super) expires: Instant,
    pub(super) is_reply: bool,
    pub(super) deadline: Instant,
    pub(super) timer: Option<Instant>,
    pub(super) is_ready: bool,
    hash: [u8; 32],
    count: usize,
    /// Bytes on a link for each chunk.
    cost: u64,
    chunks: Vec<Chunk>,
    next: usize,
    acked: usize,
    in_flight: usize,
    lost: VecDeque<usize>,
    sequence: u32,
    init: Option<Instant>,
    has_restarted: bool,
    /// Chunks sent before it was started over: who answers those now may mean the earlier ones.
    sent_before: usize,
    /// Whether anything was answered since the INIT.
    heard: bool,
    done_due: bool,
    dones: u32,
    /// How often it started over because DONE stayed unanswered.
    restarts: u32,
    repeats: u32,
}

impl Message {
    pub(super) fn new(draft: Draft, now: Instant) -> Self {
        let count = split::count(draft.payload.len());
        let size = draft.payload.len().div_ceil(count.max(1));
        Self {
            to: draft.to,
            destination: draft.destination,
            subnet: subnet_bits(draft.destination),
            key: draft.to.key(),
            created: now,
            expires: now + draft.patience,
            is_reply: draft.reply.is_some(),
            count,
            cost: (size + CHUNK_OVERHEAD) as u64,
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
            sequence: 0,
            init: None,
            has_restarted: false,
            sent_before: 0,
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

    /// Sends up to `most` chunks, as many as the path takes, and what belongs around them. Gives how
    /// many chunks those were, and how many of them for another time.
    pub(super) fn write(
        &mut self,
        id: MessageId,
        most: usize,
        flow: &mut Flow,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) -> (u64, u64) {
        let mut counts = (0, 0);
        if self.init.is_none() {
            self.init = Some(now);
            self.chunks = vec![UNSENT; self.count];
            let (length, topic) = (self.payload.len() as u64, self.topic.clone());
            self.push(id, MessageBody::Init { length, topic, reply: self.is_reply }, out);
        }
        self.deadline = now + flow.path.timeout(self.repeats);
        if self.awaits_init_ack() {
            return counts;
        }
        for _ in 0..most {
            if !flow.path.has_room() || flow.path.next_send(now).is_some() {
                break;
            }
            let Some(index) = self.next_chunk() else { break };
            counts.0 += 1;
            counts.1 += u64::from(self.write_chunk(id, index, flow, out, now));
        }
        if self.done_due && self.next >= self.count && self.lost.is_empty() {
            self.write_done(id, out);
        }
        counts
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

    /// Whether it was sent before.
    fn write_chunk(
        &mut self,
        id: MessageId,
        index: usize,
        flow: &mut Flow,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) -> bool {
        let Some(chunk) = self.chunks.get_mut(index) else { return false };
        self.sequence += 1;
        chunk.was_repeated = chunk.state == ChunkState::Lost || index < self.sent_before;
        let was_repeated = chunk.was_repeated;
        chunk.state = ChunkState::Flying;
        chunk.sequence = self.sequence;
        chunk.stamp = Some(flow.path.sent(self.cost, now));
        flow.log.push_back(Sent { at: now, id, index, sequence: self.sequence });
        self.in_flight += 1;
        let range = split::range(self.payload.len(), self.count, index);
        let (index, offset) = (index as u64, range.start as u64);
        self.push(id, MessageBody::Chunk { index, offset, data: self.payload.slice(range) }, out);
        was_repeated
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
}

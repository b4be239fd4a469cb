//! The receiving side: from packets to whole messages, in bounded memory.
//!
//! The one idea: a DONE is acknowledged exactly when the message sits in the ready queue, or sat
//! there within the last ten minutes. While that queue is full the message stays pending with its
//! DONE, unacknowledged, and moves as soon as there is room. Everything is keyed by the /64 of the
//! source, which the seal has proved, and the id; what a message announces costs nothing, only bytes
//! that have come count.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

mod begin;
mod census;
mod complete;
mod completed;
mod hand;
mod pending;
mod ready;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::completed::Completed;
use self::pending::Pending;
use self::ready::Ready;
pub(crate) use self::ready::Wanted;
use super::{BusCounters, Outgoing, TopicPolicy};
use crate::PublicKey;
use crate::data::subnet_bits;
use crate::limits::BusLimits;
use crate::message::ReceivedMessage;
use crate::wire::message::{MessageBody, MessageId, MessagePacket};

/// Senders give up after five minutes, so nothing of interest comes after ten.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The smallest piece a message is cut into, but for one: it bounds the chunk index.
const SMALLEST_CHUNK: u64 = 250;
/// Memory a stored chunk costs besides its bytes.
const CHUNK_COST: usize = 128;

/// A source with fewer messages under way is modest, see [`Receiver::make_room`]; in bytes, one with
/// less than this part of what a source may have.
const FEW: usize = 16;

pub(super) type Key = (u64, MessageId);

/// Where a packet came from, as the data plane knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) key: PublicKey,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    pending: usize,
    pending_bytes: usize,
    ready: usize,
    ready_bytes: usize,
}

impl Source {
    fn is_idle(&self) -> bool {
        self.pending == 0 && self.ready == 0
    }
}

/// All incoming messages of a node.
pub(crate) struct Receiver {
    limits: BusLimits,
    pub(super) pending: HashMap<Key, Pending>,
    pending_bytes: usize,
    /// Pending messages in the order they began; some have ended since.
    aging: VecDeque<(Instant, Key)>,
    /// Complete, but without room in the ready queue.
    blocked: VecDeque<Key>,
    sources: HashMap<u64, Source>,
    completed: Completed,
    ready: Ready,
    policy: TopicPolicy,
    /// Messages of ours to which somebody here waits for a reply.
    requests: HashSet<Key>,
    /// Whole replies to those.
    replies: VecDeque<ReceivedMessage>,
    /// Only what is counted since the start.
    counters: BusCounters,
    news: VecDeque<Bytes>,
    out: VecDeque<Outgoing>,
}

impl Receiver {
    pub(crate) fn new(limits: BusLimits) -> Self {
        Self {
            limits,
            pending: HashMap::new(),
            pending_bytes: 0,
            aging: VecDeque::new(),
            blocked: VecDeque::new(),
            sources: HashMap::new(),
            completed: Completed::default(),
            ready: Ready::default(),
            policy: TopicPolicy::default(),
            requests: HashSet::new(),
            replies: VecDeque::new(),
            counters: BusCounters::default(),
            news: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// The next packet to send.
    pub(crate) fn poll_packet(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// The topic of a message that became ready.
    pub(crate) fn poll_ready(&mut self) -> Option<Bytes> {
        self.news.pop_front()
    }

    /// The next reply that somebody waits for.
    pub(crate) fn poll_reply(&mut self) -> Option<ReceivedMessage> {
        self.replies.pop_front()
    }

    /// Who may send on which topic, for messages that begin from now on.
    pub(crate) fn set_policy(&mut self, policy: TopicPolicy) {
        self.policy = policy;
    }

    /// Somebody waits for a reply to `id` from the /64 of `from`.
    pub(crate) fn open_request(&mut self, id: MessageId, from: Ipv6Addr) {
        self.requests.insert((subnet_bits(from), id));
    }

    /// Nobody waits any more.
    pub(crate) fn close_request(&mut self, id: MessageId, from: Ipv6Addr) {
        self.requests.remove(&(subnet_bits(from), id));
    }

    /// INIT, CHUNK, DONE and ABORTED; anything else is not for this side. A reply is to be handed
    /// in only if this node has sent the message it answers to where it comes from.
    pub(crate) fn handle(&mut self, origin: Origin, packet: MessagePacket, now: Instant) {
        let id = packet.id;
        let key = (subnet_bits(origin.source), id);
        if matches!(packet.body, MessageBody::Init { reply: true, .. })
            && self.requests.contains(&key)
        {
            // Only from this node to itself is the message it answers one that came from there.
            self.completed.remove(&key);
        }
        let repeated = !self.pending.contains_key(&key) && self.completed.renew(&key, now);
        self.counters.repeated = self.counters.repeated.saturating_add(repeated.into());
        match packet.body {
            MessageBody::Init { length, topic, reply } => {
                let topic_length = topic.len() as u8; // as decoded, from one byte
                if repeated || self.begin(key, origin, (length, reply), topic, now) {
                    self.answer(origin, id, MessageBody::InitAck { length, topic_length, reply });
                }
            }
            MessageBody::Chunk { index, offset, data } => {
                let size = data.len() as u64;
                if repeated || self.store(key, index, offset, data) {
                    self.answer(origin, id, MessageBody::ChunkAck { index, offset, size });
                    self.try_complete(key, now);
                }
            }
            MessageBody::Done { chunks, hash } => {
                if repeated {
                    self.answer(origin, id, MessageBody::DoneAck { chunks, hash });
                } else if let Some(pending) = self.pending.get_mut(&key) {
                    pending.done = Some((chunks, hash));
                    self.try_complete(key, now);
                }
            }
            MessageBody::Aborted => self.forget_pending(key),
            MessageBody::InitAck { .. }
            | MessageBody::ChunkAck { .. }
            | MessageBody::DoneAck { .. }
            | MessageBody::Read => {}
        }
    }

    /// Somebody waits for messages of this topic: they have room when those of others have none.
    pub(crate) fn reserve(&mut self, topic: Bytes) {
        self.ready.reserve(topic);
    }

    /// Adds what this side counts.
    pub(crate) fn count(&self, counters: &mut BusCounters) {
        let own = &self.counters;
        counters.completed = own.completed;
        counters.refused_by_policy = own.refused_by_policy;
        counters.refused_as_too_large = own.refused_as_too_large;
        counters.refused_without_room = own.refused_without_room;
        counters.repeated = own.repeated;
        counters.pending = self.pending.len() as u64;
        counters.pending_bytes = self.pending_bytes as u64;
        (counters.ready, counters.ready_bytes) = self.ready.held();
        counters.blocked = self.blocked.len() as u64;
        counters.remembered = self.completed.held() as u64;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.aging.front().map(|(at, _)| *at)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, key)) = self.aging.pop_front_if(|(at, _)| *at <= now) {
            let old =
                |pending: &Pending| now.saturating_duration_since(pending.begun) >= REMEMBERED;
            if self.pending.get(&key).is_some_and(old) {
                self.forget_pending(key);
            }
        }
        self.completed.expire(now);
    }

    fn answer(&mut self, origin: Origin, id: MessageId, body: MessageBody) {
        self.out.push_back(Outgoing {
            source: Some(origin.destination),
            destination: origin.source,
            key: None,
            packet: MessagePacket { id, body },
        });
    }
}

fn tally(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

//! The receiving side: from packets to whole messages, in bounded memory.
//!
//! The one idea: a DONE is acknowledged exactly when the message sits in the ready queue, or sat
//! there within the last ten minutes. While that queue is full the message stays pending with its
//! DONE, unacknowledged, and moves as soon as there is room. Everything is keyed by the /64 of the
//! source, which the seal has proved, and the id; what a message announces costs nothing, only bytes
//! that have come count.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

mod completed;
mod pending;
mod ready;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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

#[derive(Default)]
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

    /// Takes the oldest message that is wanted, and tells its sender.
    pub(crate) fn take(&mut self, wanted: &Wanted<'_>, now: Instant) -> Option<ReceivedMessage> {
        let message = self.take_untold(wanted, now)?;
        self.tell_read(&message);
        Some(message)
    }

    /// A copy of what [`Receiver::take`] would take; its sender is told all the same.
    pub(crate) fn peek(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
        let message = self.ready.peek(wanted)?.clone();
        self.tell_read(&message);
        Some(message)
    }

    /// Tells the sender of a message that an application has it.
    pub(crate) fn tell_read(&mut self, message: &ReceivedMessage) {
        let (source, destination) = (message.source, message.destination);
        let origin = Origin { source, destination, key: message.source_key };
        self.answer(origin, message.id, MessageBody::Read);
    }

    /// Takes the oldest message that is wanted; its sender is told only that it arrived.
    pub(crate) fn take_untold(
        &mut self,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<ReceivedMessage> {
        let message = self.ready.take(wanted)?;
        let size = message.payload.len();
        let subnet = subnet_bits(message.source);
        if let Some(source) = self.sources.get_mut(&subnet) {
            source.ready = source.ready.saturating_sub(1);
            source.ready_bytes = source.ready_bytes.saturating_sub(size);
        }
        self.drop_idle(subnet);
        self.unblock(now);
        Some(message)
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

    /// Opens a pending message; false when it is refused. A repeat changes nothing: its chunks are
    /// those that came already.
    fn begin(
        &mut self,
        key: Key,
        origin: Origin,
        (length, reply): (u64, bool),
        topic: Bytes,
        now: Instant,
    ) -> bool {
        if length > self.limits.message_bytes as u64 {
            tally(&mut self.counters.refused_as_too_large);
            return false;
        }
        // Only what somebody waits for is beyond the policy: a flag alone opens no door.
        let is_awaited = reply && self.requests.contains(&key);
        if !is_awaited && !self.allows(&topic, origin.source) {
            tally(&mut self.counters.refused_by_policy);
            return false;
        }
        if let Some(pending) = self.pending.get(&key) {
            if pending.length == length && pending.topic == topic && pending.reply == reply {
                return true;
            }
            self.forget_pending(key);
        }
        if self.pending.len() >= self.limits.pending && !self.make_room(key.0) {
            tally(&mut self.counters.refused_without_room);
            return false;
        }
        let source = self.sources.entry(key.0).or_default();
        if source.pending >= self.limits.pending_per_source {
            tally(&mut self.counters.refused_without_room);
            return false;
        }
        source.pending = source.pending.saturating_add(1);
        let (chunks, topic) = (BTreeMap::new(), Bytes::copy_from_slice(&topic));
        let (bytes, done, begun, blocked) = (0, None, now, false);
        let pending = Pending { origin, length, topic, reply, chunks, bytes, done, begun, blocked };
        self.pending.insert(key, pending);
        if self.aging.len() > self.pending.len().saturating_mul(2).saturating_add(1024) {
            let live = &self.pending;
            self.aging.retain(|(_, key)| live.contains_key(key)); // pays for the many that ended
        }
        self.aging.push_back((now.checked_add(REMEMBERED).unwrap_or(now), key));
        true
    }

    /// What somebody here subscribed to is meant to come, unless its own rule says otherwise.
    fn allows(&self, topic: &Bytes, source: Ipv6Addr) -> bool {
        let has_rule = self.policy.topics.contains_key(topic);
        (!has_rule && self.ready.is_reserved(topic)) || self.policy.allows(topic, source)
    }

    /// All places are taken. The oldest message goes, whosever it is, for one of a source that has
    /// little under way itself: so a few greedy sources cannot lock everybody else out. Its sender
    /// starts it over.
    fn make_room(&mut self, newcomer: u64) -> bool {
        let modest = self.sources.get(&newcomer).is_none_or(|source| {
            source.pending < FEW
                && source.pending_bytes <= self.limits.pending_bytes_per_source / FEW
        });
        while modest && let Some((_, key)) = self.aging.pop_front() {
            if self.pending.contains_key(&key) {
                self.forget_pending(key);
                return true;
            }
        }
        false
    }

    /// Keeps a chunk; false when it is refused.
    fn store(&mut self, key: Key, index: u64, offset: u64, data: Bytes) -> bool {
        if self.pending_bytes.saturating_add(data.len().saturating_add(CHUNK_COST))
            > self.limits.pending_bytes
        {
            self.make_room(key.0);
        }
        let Some(pending) = self.pending.get_mut(&key) else { return false };
        let Some(source) = self.sources.get_mut(&key.0) else { return false };
        let size = data.len() as u64;
        let fits = offset.checked_add(size).is_some_and(|end| end <= pending.length);
        let largest = pending.length.div_ceil(SMALLEST_CHUNK).max(1).saturating_sub(1);
        if !fits || index > largest {
            return false;
        }
        if pending.chunks.get(&index).is_some_and(|stored| *stored == data) {
            return true;
        }
        let cost = data.len().saturating_add(CHUNK_COST);
        if source.pending_bytes.saturating_add(cost) > self.limits.pending_bytes_per_source
            || self.pending_bytes.saturating_add(cost) > self.limits.pending_bytes
        {
            return false;
        }
        source.pending_bytes = source.pending_bytes.saturating_add(cost);
        self.pending_bytes = self.pending_bytes.saturating_add(cost);
        pending.bytes = pending.bytes.saturating_add(size);
        if let Some(old) = pending.chunks.insert(index, data) {
            let cost = old.len().saturating_add(CHUNK_COST);
            source.pending_bytes = source.pending_bytes.saturating_sub(cost);
            self.pending_bytes = self.pending_bytes.saturating_sub(cost);
            pending.bytes = pending.bytes.saturating_sub(old.len() as u64);
        }
        true
    }

    /// Moves a message to the ready queue and acknowledges its DONE, if it is whole and has room.
    fn try_complete(&mut self, key: Key, now: Instant) {
        let Some(pending) = self.pending.get(&key) else { return };
        let Some((chunks, hash)) = pending.done else { return };
        let last = pending.chunks.last_key_value().map_or(0, |(index, _)| index.saturating_add(1));
        let count = pending.chunks.len() as u64;
        if count != chunks || last != chunks || pending.bytes != pending.length {
            return;
        }
        let is_awaited = pending.reply && self.requests.contains(&key);
        if pending.reply && !is_awaited && !self.allows(&pending.topic, pending.origin.source) {
            self.forget_pending(key); // whoever waited has gone meanwhile
            return;
        }
        let size = usize::try_from(pending.length).unwrap_or(usize::MAX);
        let has_room = (is_awaited || self.has_room(key.0, &pending.topic, size))
            && self.completed.has_room(key.0, &self.limits, now);
        if !has_room {
            let few = self.blocked.len() < self.limits.pending;
            if let Some(pending) = self.pending.get_mut(&key)
                && few
                && !pending.blocked
            {
                pending.blocked = true;
                self.blocked.push_back(key);
            }
            return;
        }
        let Some(payload) = pending.whole(&hash) else {
            if let Some(pending) = self.pending.get_mut(&key) {
                pending.done = None; // the next DONE may come with better chunks
            }
            return;
        };
        let origin = pending.origin;
        let message = ReceivedMessage {
            id: key.1,
            topic: pending.topic.clone(),
            source: origin.source,
            source_key: origin.key,
            destination: origin.destination,
            payload,
            reply: pending.reply,
        };
        self.forget_pending(key);
        self.completed.insert(key, now);
        tally(&mut self.counters.completed);
        if is_awaited {
            self.requests.remove(&key);
            self.replies.push_back(message);
        } else {
            self.make_ready(key, message);
        }
        self.answer(origin, key.1, MessageBody::DoneAck { chunks, hash });
    }

    fn make_ready(&mut self, key: Key, message: ReceivedMessage) {
        let source = self.sources.entry(key.0).or_default();
        source.ready = source.ready.saturating_add(1);
        source.ready_bytes = source.ready_bytes.saturating_add(message.payload.len());
        self.news.push_back(message.topic.clone());
        self.ready.push(message);
    }

    fn has_room(&self, subnet: u64, topic: &Bytes, size: usize) -> bool {
        let (ready, bytes) =
            self.sources.get(&subnet).map_or((0, 0), |source| (source.ready, source.ready_bytes));
        let most_bytes = self.limits.ready_bytes_per_source;
        let fits = bytes == 0 || bytes.saturating_add(size) <= most_bytes;
        ready < self.limits.ready_per_source
            && fits
            && self.ready.has_room(topic, size, &self.limits)
    }

    /// Gives messages that waited for room another try, oldest first.
    fn unblock(&mut self, now: Instant) {
        let mut tries = self.blocked.len().min(16); // a full source must not cost all others much
        while tries > 0 {
            let Some(key) = self.blocked.pop_front() else { return };
            if let Some(pending) = self.pending.get_mut(&key) {
                pending.blocked = false;
            }
            self.try_complete(key, now); // queues itself again when there is no room
            tries = tries.saturating_sub(1);
        }
    }

    fn forget_pending(&mut self, key: Key) {
        let Some(pending) = self.pending.remove(&key) else { return };
        let cost = pending.cost();
        self.pending_bytes = self.pending_bytes.saturating_sub(cost);
        if let Some(source) = self.sources.get_mut(&key.0) {
            source.pending = source.pending.saturating_sub(1);
            source.pending_bytes = source.pending_bytes.saturating_sub(cost);
        }
        self.drop_idle(key.0);
        // What has ended needs no timer.
        while self.aging.front().is_some_and(|(_, key)| !self.pending.contains_key(key)) {
            self.aging.pop_front();
        }
    }

    fn drop_idle(&mut self, subnet: u64) {
        if self.sources.get(&subnet).is_some_and(Source::is_idle) {
            self.sources.remove(&subnet);
        }
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

//! What comes of a message that has begun: from chunks to a whole message in the ready queue, or one that waits for room there.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::time::Instant;

use bytes::Bytes;

use super::{CHUNK_COST, Key, Receiver, SMALLEST_CHUNK, tally};
use crate::message::ReceivedMessage;
use crate::wire::message::MessageBody;

impl Receiver {
    /// Keeps a chunk; false when it is refused.
    pub(super) fn store(&mut self, key: Key, index: u64, offset: u64, data: Bytes) -> bool {
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
    pub(super) fn try_complete(&mut self, key: Key, now: Instant) {
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
    pub(super) fn unblock(&mut self, now: Instant) {
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
}

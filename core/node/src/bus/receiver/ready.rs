//! Whole messages that nobody has taken yet.
//!
//! Strangers choose the topics. What comes on topics that nobody here reserved may sit for ever, so
//! it has at most half of the room: it can fill up without stopping what somebody waits for.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use crate::data::subnet_bits;
use crate::limits::BusLimits;
use crate::message::ReceivedMessage;

/// Which message is wanted.
pub(crate) enum Wanted<'a> {
    /// The oldest of this topic.
    Topic(&'a Bytes),
    /// The oldest whose topic passes.
    Passing(&'a dyn Fn(&Bytes) -> bool),
}

/// A queue for each topic.
#[derive(Default)]
pub(super) struct Ready {
    queues: HashMap<Bytes, VecDeque<(u64, ReceivedMessage)>>,
    reserved: HashSet<Bytes>,
    count: usize,
    bytes: usize,
    next: u64,
}

impl Ready {
    pub(super) fn reserve(&mut self, topic: Bytes) {
        self.reserved.insert(topic);
    }

    pub(super) fn is_reserved(&self, topic: &Bytes) -> bool {
        self.reserved.contains(topic)
    }

    pub(super) fn has_room(&self, topic: &Bytes, size: usize, limits: &BusLimits) -> bool {
        let part = if self.reserved.contains(topic) { 1 } else { 2 };
        let most = limits.ready.div_ceil(part);
        let most_bytes = limits.ready_bytes.div_ceil(part);
        // One message alone fits, however large the others may be.
        let fits = self.bytes == 0 || self.bytes.saturating_add(size) <= most_bytes;
        self.count < most && fits
    }

    /// Messages and their bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.count as u64, self.bytes as u64)
    }

    /// The /64 and the bytes of each.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let all = self.queues.values().flatten();
        all.map(|(_, message)| (subnet_bits(message.source), message.payload.len()))
    }

    pub(super) fn push(&mut self, message: ReceivedMessage) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.payload.len());
        let queue = self.queues.entry(message.topic.clone()).or_default();
        queue.push_back((self.next, message));
        self.next = self.next.saturating_add(1);
    }

    /// The message that [`Ready::take`] would take.
    pub(super) fn peek(&self, wanted: &Wanted<'_>) -> Option<&ReceivedMessage> {
        let (_, message) = self.queues.get(&self.find(wanted)?)?.front()?;
        Some(message)
    }

    pub(super) fn take(&mut self, wanted: &Wanted<'_>) -> Option<ReceivedMessage> {
        let topic = self.find(wanted)?;
        let queue = self.queues.get_mut(&topic)?;
        let (_, message) = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&topic);
        }
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(message.payload.len());
        Some(message)
    }

    /// The topic of the oldest message that is wanted.
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes> {
        match wanted {
            Wanted::Topic(topic) => Some(Bytes::clone(topic)),
            Wanted::Passing(passes) => {
                let passing = self.queues.iter().filter(|(topic, _)| passes(topic));
                let number = |queue: &VecDeque<(u64, _)>| queue.front().map(|(number, _)| *number);
                passing.min_by_key(|(_, queue)| number(queue)).map(|(topic, _)| topic.clone())
            }
        }
    }
}

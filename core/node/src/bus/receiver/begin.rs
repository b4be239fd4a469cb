//! Which messages begin, and which give way: bounds by source and in all, and the topic policy.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::Bytes;

use super::pending::Pending;
use super::{FEW, Key, Origin, REMEMBERED, Receiver, Source, tally};

impl Receiver {
    /// Opens a pending message; false when it is refused. A repeat changes nothing: its chunks are
    /// those that came already.
    pub(super) fn begin(
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
    pub(super) fn allows(&self, topic: &Bytes, source: Ipv6Addr) -> bool {
        let has_rule = self.policy.topics.contains_key(topic);
        (!has_rule && self.ready.is_reserved(topic)) || self.policy.allows(topic, source)
    }

    /// All places are taken. The oldest message goes, whosever it is, for one of a source that has
    /// little under way itself: so a few greedy sources cannot lock everybody else out. Its sender
    /// starts it over.
    pub(super) fn make_room(&mut self, newcomer: u64) -> bool {
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

    pub(super) fn forget_pending(&mut self, key: Key) {
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

    pub(super) fn drop_idle(&mut self, subnet: u64) {
        if self.sources.get(&subnet).is_some_and(Source::is_idle) {
            self.sources.remove(&subnet);
        }
    }
}

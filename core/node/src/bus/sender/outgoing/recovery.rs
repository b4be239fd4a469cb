//! What answers and silence do to a message.
//!
//! Only chunks that are missed are sent again: those whose answer stayed out while later ones were
//! answered, and those that had their time. A message starts over from its INIT only when the
//! receiver may have forgotten it: an older one forgets at a repeated INIT, and does not answer for a
//! message that is complete.

use std::collections::VecDeque;
use std::time::Instant;

use super::{ChunkState, Message};
use crate::bus::Outgoing;
use crate::bus::sender::flow::{Flow, Sent};
use crate::wire::message::MessageId;

/// DONEs that stay unanswered before the message starts over.
const DONES: u32 = 4;
/// Repeats of a message without any answer, over two seconds, before others begin beside it.
const UNANSWERED: u32 = 3;
/// Repeats of chunks without any answer, over some ten seconds, before the message starts over.
const SILENCE: u32 = 6;

/// Why a message is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bus::sender) enum Due {
    /// Its deadline may have passed.
    ByDeadline,
    /// The route is new: waiting has no use.
    Now,
}

impl Message {
    pub(in crate::bus::sender) fn init_acked(&mut self, flow: &mut Flow, now: Instant) {
        let Some(sent) = self.init else { return };
        if !self.heard && !self.has_restarted {
            flow.path.measure(now.saturating_duration_since(sent), now);
        }
        self.heard_something(flow, now);
    }

    pub(in crate::bus::sender) fn chunk_acked(
        &mut self,
        index: u64,
        flow: &mut Flow,
        now: Instant,
    ) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let flying = match chunk.state {
            ChunkState::Flying => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.cost
            }
            ChunkState::Lost => 0,
            ChunkState::Unsent | ChunkState::Acked => return,
        };
        chunk.state = ChunkState::Acked;
        if let Some(stamp) = chunk.stamp.take() {
            flow.path.arrived(&stamp, self.cost, flying, !chunk.was_repeated, now);
        }
        self.acked += 1;
        self.heard_something(flow, now);
    }

    fn heard_something(&mut self, flow: &Flow, now: Instant) {
        self.heard = true;
        // One that has all of it and does not say so most likely has no room: it is asked rarely.
        let is_done_awaited = self.acked == self.count;
        self.repeats = if is_done_awaited { self.restarts.saturating_mul(2) } else { 0 };
        self.deadline = now + flow.path.timeout(self.repeats);
    }

    /// Whether that sending of a chunk still waits for its answer.
    pub(in crate::bus::sender) fn is_flying(&self, sent: &Sent) -> bool {
        self.chunks.get(sent.index).is_some_and(|chunk| {
            chunk.state == ChunkState::Flying && chunk.sequence == sent.sequence
        })
    }

    pub(in crate::bus::sender) fn lose(&mut self, index: usize, flow: &mut Flow) {
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        chunk.state = ChunkState::Lost;
        self.lost.push_back(index);
        self.in_flight = self.in_flight.saturating_sub(1);
        flow.path.lost(self.cost);
        self.done_due = true;
    }

    /// Bytes that count as on the way.
    pub(in crate::bus::sender) fn flying_bytes(&self) -> u64 {
        self.in_flight as u64 * self.cost
    }

    /// Answers stayed out too long.
    pub(in crate::bus::sender) fn repeat(
        &mut self,
        id: MessageId,
        due: Due,
        flow: &mut Flow,
        out: &mut VecDeque<Outgoing>,
        now: Instant,
    ) {
        if self.init.is_none() {
            // Has not had its turn. A deadline that has passed must not be set again.
            self.deadline = now + flow.path.timeout(self.repeats);
            return;
        }
        let patience = flow.path.timeout(self.repeats);
        if due == Due::Now {
            self.repeats = 0;
        } else {
            self.repeats += 1;
        }
        // One that was heard and then is silent for long may be an old receiver that has all of it,
        // and does not answer for a complete message; that, and the news, was lost.
        let is_silent = self.in_flight > 0 && self.repeats >= SILENCE;
        if !self.heard || is_silent {
            flow.path.silent();
            self.restart(flow);
            if self.repeats >= UNANSWERED {
                // A reply that nobody waits for is never answered; others must not wait for it.
                flow.park(id, &self.topic, self.payload.len());
            }
        } else if self.in_flight > 0 {
            self.repeat_chunks(due, patience, flow, now);
        } else if self.acked == self.count {
            self.dones += 1;
            flow.park(id, &self.topic, self.payload.len());
            if self.dones.is_multiple_of(DONES) {
                self.restarts += 1;
                self.restart(flow);
            } else {
                self.write_done(id, out);
            }
        }
        self.deadline = now + flow.path.timeout(self.repeats);
    }

    /// Gives up waiting for chunks that had their time.
    fn repeat_chunks(
        &mut self,
        due: Due,
        patience: std::time::Duration,
        flow: &mut Flow,
        now: Instant,
    ) {
        flow.path.silent();
        let is_over = |sent: Instant| now.saturating_duration_since(sent) >= patience;
        for index in 0..self.chunks.len().min(self.next) {
            let Some(chunk) = self.chunks.get(index) else { return };
            let sent = chunk.stamp.map(|stamp| stamp.sent);
            let had_its_time = due == Due::Now || sent.is_none_or(is_over);
            if chunk.state == ChunkState::Flying && had_its_time {
                self.lose(index, flow);
            }
        }
    }

    /// From the INIT on, since the receiver may have forgotten everything, or will at the INIT.
    fn restart(&mut self, flow: &mut Flow) {
        flow.path.forget(self.flying_bytes());
        self.in_flight = 0;
        self.sent_before = self.sent_before.max(self.next);
        self.chunks.clear();
        self.lost.clear();
        (self.next, self.acked) = (0, 0);
        self.init = None;
        self.has_restarted = true;
        self.heard = false;
        self.done_due = true;
    }
}

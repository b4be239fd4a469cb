//! Sending what windows and pace allow, and seeing what was lost.

use std::cmp::Reverse;
use std::time::Instant;

use super::flow::{Flow, Route};
use super::outgoing::{Due, Message};
use super::{Sender, Timer};
use crate::wire::message::MessageId;

/// Chunks a message may send before the next one has its turn.
const QUANTUM: usize = 8;

impl Sender {
    /// Sends what the windows allow.
    pub(crate) fn pump(&mut self, now: Instant) {
        for subnet in std::mem::take(&mut self.dirty) {
            if let Some(flow) = self.flows.get_mut(&subnet) {
                flow.is_dirty = false;
                self.find_lost(subnet, now);
                self.pump_flow(subnet, now);
            }
        }
    }

    fn pump_flow(&mut self, subnet: u64, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        if flow.route == Route::None {
            return;
        }
        flow.path.wake(now);
        loop {
            begin_waiting(flow, &mut self.messages);
            if !flow.path.has_room() {
                return;
            }
            let Some(id) = flow.ready.front().copied() else {
                flow.path.note_limited();
                return;
            };
            if let Some(at) = flow.path.next_send(now) {
                if flow.timer.is_none_or(|timer| timer > at) {
                    flow.timer = Some(at);
                    self.timers.push(Reverse((at, Timer::Pace(subnet))));
                }
                return;
            }
            flow.ready.pop_front();
            let Some(message) = self.messages.get_mut(&id) else { continue };
            message.is_ready = false;
            let (sent, repeated) = message.write(id, QUANTUM, flow, &mut self.out, now);
            self.counters.chunks_sent += sent;
            self.counters.chunks_repeated += repeated;
            if message.has_unsent() {
                flow.make_ready(id, &mut message.is_ready);
            }
            arm(&mut self.timers, id, message);
        }
    }

    /// Chunks whose answer stayed out while others, sent later, were answered.
    fn find_lost(&mut self, subnet: u64, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        while let Some(sent) = flow.log.front().copied() {
            let message =
                self.messages.get_mut(&sent.id).filter(|message| message.is_flying(&sent));
            if message.is_some() && !flow.path.is_lost(sent.at, now) {
                return;
            }
            flow.log.pop_front();
            if let Some(message) = message {
                message.lose(sent.index, flow);
                flow.make_ready(sent.id, &mut message.is_ready);
            }
        }
    }

    /// Nothing was heard for too long, or a route came back: repeats what is unanswered.
    pub(super) fn expire_message(&mut self, id: MessageId, now: Instant, due: Due) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let subnet = message.subnet;
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        if flow.route == Route::None {
            return; // the route coming back starts everything again
        }
        // A deadline in the past is always looked at, or it would be set again for ever.
        if due == Due::Now || message.deadline <= now {
            message.repeat(id, due, flow, &mut self.out, now);
            if message.has_unsent() {
                flow.make_ready(id, &mut message.is_ready);
            }
        }
        arm(&mut self.timers, id, message);
        self.mark(subnet);
    }
}

/// Lets messages begin that have not yet.
fn begin_waiting(flow: &mut Flow, messages: &mut super::Messages) {
    while let Some(id) = flow.next_waiting() {
        if let Some(message) = messages.get_mut(&id) {
            if !flow.begin(id, message.payload.len()) {
                return;
            }
            message.activate();
            flow.make_ready(id, &mut message.is_ready);
        } // else cancelled
        flow.waiting.pop();
    }
}

/// Wakes the sender at the message's deadline, at the latest.
fn arm(timers: &mut super::Timers, id: MessageId, message: &mut Message) {
    if message.timer.is_none_or(|at| at > message.deadline) {
        message.timer = Some(message.deadline);
        timers.push(Reverse((message.deadline, Timer::Message(id))));
    }
}

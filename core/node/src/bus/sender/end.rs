//! The end of a message, whatever it is: what counted it, and what waited because of it.

use std::cmp::Reverse;
use std::time::Instant;

use super::{Event, IDLE_FLOWS, Route, Sender, Timer};
use crate::bus::Outgoing;
use crate::message::SendState;
use crate::wire::message::{MessageBody, MessageId, MessagePacket};

impl Sender {
    /// Gives a message up.
    pub(crate) fn cancel(&mut self, id: MessageId, now: Instant) {
        self.abort(id, now);
    }

    pub(super) fn abort(&mut self, id: MessageId, now: Instant) {
        let Some(message) = self.messages.get(&id) else { return };
        let flow = self.flows.get(&message.subnet);
        if message.has_begun() && flow.is_some_and(|flow| flow.route == Route::Exists) {
            self.out.push_back(Outgoing {
                source: None,
                destination: message.destination,
                key: message.key,
                packet: MessagePacket { id, body: MessageBody::Aborted },
            });
        }
        self.end(id, SendState::Aborted, now);
    }

    pub(super) fn end(&mut self, id: MessageId, state: SendState, now: Instant) {
        let Some(message) = self.messages.remove(&id) else { return };
        match state {
            SendState::Aborted => self.counters.aborted += 1,
            _ => self.counters.delivered += 1,
        }
        if state == SendState::Received && message.is_reply {
            self.answered.insert(message.subnet, id, now);
        }
        self.expiry.remove(&(message.expires, id));
        let length = message.payload.len();
        self.bytes = self.bytes.saturating_sub(length);
        if let Some(flow) = self.flows.get_mut(&message.subnet) {
            flow.path.forget(message.flying_bytes());
            flow.end(id, &message.topic, length);
        }
        self.mark(message.subnet);
        if self.flows.len() > IDLE_FLOWS
            && self.flows.get(&message.subnet).is_some_and(|flow| flow.messages == 0)
        {
            self.flows.remove(&message.subnet);
        }
        self.sweep(message.subnet);
        self.ended.expire(now);
        self.ended.insert(id, message.info(state), message.subnet, now);
        self.events.push_back(Event::State { id, state });
    }

    /// What is left of ended messages in queues goes when most of a queue is leftovers, so that it
    /// costs little for each.
    fn sweep(&mut self, subnet: u64) {
        let messages = &self.messages;
        // A timer of what has ended wakes nobody.
        let is_stale =
            |timer: Timer| matches!(timer, Timer::Message(id) if !messages.contains_key(&id));
        while self.timers.peek().is_some_and(|Reverse((_, timer))| is_stale(*timer)) {
            self.timers.pop();
        }
        if let Some(flow) = self.flows.get_mut(&subnet)
            && flow.waiting.len() > flow.messages * 2 + 64
        {
            flow.waiting.retain(|id| messages.contains_key(id));
        }
    }
}

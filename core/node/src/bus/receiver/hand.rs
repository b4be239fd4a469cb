//! Handing whole messages out.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::time::Instant;

use super::{Origin, Receiver, Wanted};
use crate::data::subnet_bits;
use crate::message::ReceivedMessage;
use crate::wire::message::MessageBody;

impl Receiver {
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
}

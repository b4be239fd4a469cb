//! What receivers say of messages.

use std::net::Ipv6Addr;
use std::time::Instant;

use super::outgoing::Message;
use super::{Event, Sender};
use crate::data::subnet_bits;
use crate::message::SendState;
use crate::wire::message::{MessageBody, MessageId, MessagePacket};

impl Sender {
    /// Acknowledgements and READ from `source`; anything else is not for this side.
    pub(crate) fn handle(&mut self, source: Ipv6Addr, packet: &MessagePacket, now: Instant) {
        let (id, subnet) = (packet.id, subnet_bits(source));
        if matches!(packet.body, MessageBody::Read) {
            return self.handle_read(id, subnet, now);
        }
        let Some(message) = self.messages.get_mut(&id) else { return };
        if message.subnet != subnet {
            return; // an acknowledgement from somebody else
        }
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        match &packet.body {
            MessageBody::InitAck { .. } => message.init_acked(flow, now),
            MessageBody::ChunkAck { index, .. } => message.chunk_acked(*index, flow, now),
            MessageBody::DoneAck { chunks, hash } => {
                if message.is_done(*chunks, hash) {
                    self.end(id, SendState::Received, now);
                }
            }
            _ => return,
        }
        if let Some(message) = self.messages.get_mut(&id)
            && let Some(flow) = self.flows.get_mut(&subnet)
            && message.has_unsent()
        {
            flow.make_ready(id, &mut message.is_ready);
        }
        self.mark(subnet);
    }

    /// Whoever has taken a message has received it, also when the acknowledgement was lost: an old
    /// receiver does not repeat that.
    fn handle_read(&mut self, id: MessageId, subnet: u64, now: Instant) {
        let begun = |message: &Message| message.subnet == subnet && message.has_begun();
        if self.messages.get(&id).is_some_and(begun) {
            self.end(id, SendState::Received, now);
        }
        if self.ended.read(id, subnet) {
            self.events.push_back(Event::State { id, state: SendState::Read });
        }
    }
}

//! Messages: sending, answering, taking, looking.

use std::time::Duration;

use bytes::Bytes;
use threephone_node::{
    MessageId, OutgoingMessage, Progress, ReceivedMessage, SendState, Target, TopicFilter,
};

use super::{Api, unix_seconds};
use crate::error::ApiError;
use crate::parse::Base64;
use crate::shape::{MessageIdReply, MessageInfo, MessageReceiveInfo, MessageState};

/// What came of a message for which a reply was wanted.
pub(crate) enum Sent {
    /// It is on its way, and nobody answered in time.
    Id(MessageIdReply),
    /// The answer.
    Reply(MessageReceiveInfo),
}

impl Api {
    /// Sends a message. With `reply_within` the answer is waited for that long.
    pub(crate) async fn send(
        &self,
        to: Target,
        topic: Bytes,
        payload: Bytes,
        reply_within: Option<Duration>,
    ) -> Result<Sent, ApiError> {
        if self.is_reserved(&topic) {
            return Err(ApiError::ReservedTopic);
        }
        let message = OutgoingMessage { to, topic, payload, deadline: None };
        let (id, reply) = match reply_within {
            None => (self.node.send_draft(message).await?, None),
            Some(patience) => {
                let answered = self.node.send_for_reply(message, patience);
                self.unless_closing(answered).await??
            }
        };
        Ok(match reply {
            Some(reply) => Sent::Reply(self.received(reply)),
            None => Sent::Id(MessageIdReply { id: id.to_string() }),
        })
    }

    /// Answers a message.
    pub(crate) async fn reply(
        &self,
        to: Target,
        id: MessageId,
        payload: Bytes,
    ) -> Result<(), ApiError> {
        Ok(self.node.reply(to, id, payload).await?)
    }

    /// The oldest message, of `topic` if one is given, waited for at most `timeout`.
    pub(crate) async fn receive(
        &self,
        topic: Option<Bytes>,
        taking: Taking,
        timeout: Duration,
    ) -> Result<Option<MessageReceiveInfo>, ApiError> {
        let filter = topic.map_or(TopicFilter::Any, TopicFilter::Is);
        let message = match taking {
            Taking::Take => self.unless_closing(self.node.receive(filter, timeout)).await?,
            Taking::Peek => self.unless_closing(self.node.peek(filter, timeout)).await?,
        };
        Ok(message.map(|message| self.received(message)))
    }

    pub(crate) async fn message_info(&self, id: MessageId) -> Result<MessageInfo, ApiError> {
        let info = self.node.message_info(id).await.ok_or(ApiError::UnknownMessage)?;
        Ok(MessageInfo {
            dst: info.to.address(),
            state: state(info.state, info.progress),
            created: unix_seconds(info.created),
            deadline: unix_seconds(info.deadline),
            msg_len: info.length,
        })
    }

    pub(super) fn is_reserved(&self, topic: &Bytes) -> bool {
        self.reserved.contains(topic)
    }

    fn received(&self, message: ReceivedMessage) -> MessageReceiveInfo {
        MessageReceiveInfo {
            id: message.id.to_string(),
            src_ip: message.source,
            src_pk: message.source_key.to_string(),
            dst_ip: message.destination,
            // Whatever address of ours it was sent to, it was sealed for this key.
            dst_pk: self.node.public_key().to_string(),
            topic: (!message.topic.is_empty()).then_some(Base64(message.topic)),
            payload: Base64(message.payload),
        }
    }
}

/// Whether a message that is given out stays for the next reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    Take,
    Peek,
}

impl Taking {
    /// What the interfaces call `peek`.
    pub(crate) fn peek(peek: Option<bool>) -> Self {
        if peek == Some(true) { Self::Peek } else { Self::Take }
    }
}

/// The reference knows two kinds of pending: nothing is under way yet, and chunks are.
fn state(state: SendState, progress: Progress) -> MessageState {
    let Progress { pending, sent, acked } = progress;
    match state {
        SendState::Pending if sent + acked == 0 => MessageState::Pending,
        SendState::Pending => MessageState::Sending { pending, sent, acked },
        SendState::Received => MessageState::Received,
        SendState::Read => MessageState::Read,
        SendState::Aborted => MessageState::Aborted,
    }
}

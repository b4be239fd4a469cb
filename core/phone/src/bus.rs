//! The message bus as people use it: every topic but the product's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use threephone_address::{Target, same_subnet};
use threephone_node::{
    HeldMessage, MessageId, MessageInfo, Node, OutgoingMessage, ReceivedMessage, SendState,
    TopicFilter, TopicPolicy,
};

use crate::{PhoneError, TOPIC};

/// Sends and takes messages of any bytes, of none to 16 MiB.
#[derive(Clone)]
pub struct Bus {
    node: Arc<Node>,
}

impl Bus {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Queues a message in the node, with or without a route; it is tried for five minutes.
    ///
    /// # Errors
    /// [`PhoneError::ReservedTopic`], [`PhoneError::ToSelf`], or why the node did not take it.
    pub async fn send(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
    ) -> Result<MessageId, PhoneError> {
        self.may_send(to, topic)?;
        Ok(self.node.send(to, topic, payload).await?)
    }

    /// Sends a message and waits at most `timeout` for the reply of whoever gets it.
    ///
    /// # Errors
    /// As [`Bus::send`].
    pub async fn send_for_reply(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
        timeout: Duration,
    ) -> Result<(MessageId, Option<ReceivedMessage>), PhoneError> {
        self.may_send(to, topic)?;
        let topic = Bytes::copy_from_slice(topic);
        let message = OutgoingMessage { to, topic, payload, deadline: None };
        Ok(self.node.send_for_reply(message, timeout).await?)
    }

    /// Replies to the message `id` of `to`, where somebody may be waiting for it.
    ///
    /// # Errors
    /// [`PhoneError::ToSelf`], or why the node did not take it.
    pub async fn reply(&self, to: Target, id: MessageId, payload: Bytes) -> Result<(), PhoneError> {
        self.may_send(to, b"")?;
        Ok(self.node.reply(to, id, payload).await?)
    }

    fn may_send(&self, to: Target, topic: &[u8]) -> Result<(), PhoneError> {
        not_reserved(topic)?;
        if same_subnet(to.address(), self.node.address()) {
            return Err(PhoneError::ToSelf);
        }
        Ok(())
    }

    /// Waits at most `timeout` for the receipt of a message; gives how far it is then.
    pub async fn wait(&self, id: MessageId, timeout: Duration) -> SendState {
        self.node.wait(id, timeout).await
    }

    /// How far an outgoing message is; none when it is forgotten or never was.
    pub async fn info(&self, id: MessageId) -> Option<MessageInfo> {
        self.node.message_info(id).await
    }

    /// Gives an outgoing message up and tells its receiver so; one that has ended stays as it is.
    pub async fn cancel(&self, id: MessageId) {
        self.node.cancel(id).await;
    }

    /// Who may send on which topic.
    pub async fn topic_policy(&self) -> TopicPolicy {
        self.node.topic_policy().await
    }

    /// Changes who may send on which topic, for messages that begin from now on and until the node
    /// stops. The product's own topic stays open.
    ///
    /// # Errors
    /// [`PhoneError::ReservedTopic`] for a rule about that one.
    pub async fn set_topic_policy(&self, policy: TopicPolicy) -> Result<(), PhoneError> {
        if policy.topics.contains_key(TOPIC.as_bytes()) {
            return Err(PhoneError::ReservedTopic(TOPIC.into()));
        }
        self.node.set_topic_policy(policy).await;
        Ok(())
    }

    /// Takes the oldest message, of `topic` if one is given, waiting at most `timeout` for it.
    ///
    /// # Errors
    /// [`PhoneError::ReservedTopic`].
    pub async fn receive(
        &self,
        topic: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Option<ReceivedMessage>, PhoneError> {
        Ok(self.node.receive(filter(topic)?, timeout).await)
    }

    /// As [`Bus::receive`], but dropped untaken the message is the next to be received.
    ///
    /// # Errors
    /// [`PhoneError::ReservedTopic`].
    pub async fn hold(
        &self,
        topic: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Option<HeldMessage>, PhoneError> {
        Ok(self.node.hold(filter(topic)?, timeout).await)
    }

    /// As [`Bus::receive`], but the message stays for whoever receives next.
    ///
    /// # Errors
    /// [`PhoneError::ReservedTopic`].
    pub async fn peek(
        &self,
        topic: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Option<ReceivedMessage>, PhoneError> {
        Ok(self.node.peek(filter(topic)?, timeout).await)
    }
}

fn filter(topic: Option<&[u8]>) -> Result<TopicFilter, PhoneError> {
    let Some(topic) = topic else { return Ok(TopicFilter::Any) };
    not_reserved(topic)?;
    Ok(TopicFilter::Is(Bytes::copy_from_slice(topic)))
}

fn not_reserved(topic: &[u8]) -> Result<(), PhoneError> {
    if topic == TOPIC.as_bytes() {
        return Err(PhoneError::ReservedTopic(TOPIC.into()));
    }
    Ok(())
}

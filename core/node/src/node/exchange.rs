//! Messages out and in.

use std::time::Duration;

use bytes::Bytes;
use threephone_address::Target;
use tokio::sync::oneshot;

use super::{HeldMessage, Node, Subscription};
use crate::driver::command::{Command, Handover, Patience, ReleaseGuard, Released, Taking};
use crate::message::{
    MessageId, MessageInfo, OutgoingMessage, ReceivedMessage, SendError, SendState, TopicFilter,
};

impl Node {
    /// Queues a message in the node, with or without a route. It is tried for five minutes.
    /// Cancelled before it gives the id, it sends nothing.
    pub async fn send(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        let topic = Bytes::copy_from_slice(topic);
        self.send_draft(OutgoingMessage { to, topic, payload, deadline: None }).await
    }

    /// As [`Node::send`], given up when its own deadline has passed.
    pub async fn send_draft(&self, message: OutgoingMessage) -> Result<MessageId, SendError> {
        let answer = self.ask(|reply| Command::Send { message, reply }).await;
        answer.unwrap_or(Err(SendError::Closed))
    }

    /// Sends a message and waits at most `timeout` for the other application's reply, which goes to
    /// nobody else and is no matter of the topic policy. Gives the id, and the reply if one came; the
    /// message goes on until its deadline, and a reply that comes later is a message like others.
    pub async fn send_for_reply(
        &self,
        message: OutgoingMessage,
        timeout: Duration,
    ) -> Result<(MessageId, Option<ReceivedMessage>), SendError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.ask(|reply| Command::Request { message, reply, answer }).await;
        let id = sent.unwrap_or(Err(SendError::Closed))?;
        let _guard = ReleaseGuard::new(Released::Request(id), self.released.clone());
        let answer = tokio::time::timeout(timeout, answered).await;
        Ok((id, answer.ok().and_then(Result::ok).and_then(Handover::take)))
    }

    /// Answers a message with its id, as the other application may be waiting for it: no topic.
    ///
    /// # Errors
    /// [`SendError::IdInUse`] while an answer to it is on its way, [`SendError::Answered`] for twenty
    /// minutes after it arrived (of the last 65,536 answers); otherwise as [`Node::send`].
    pub async fn reply(&self, to: Target, id: MessageId, payload: Bytes) -> Result<(), SendError> {
        let answer = self.ask(|reply| Command::Respond { to, id, payload, reply }).await;
        answer.unwrap_or(Err(SendError::Closed))
    }

    /// What is known of an outgoing message; none when it is forgotten or never was.
    pub async fn message_info(&self, id: MessageId) -> Option<MessageInfo> {
        self.ask(|reply| Command::Info { id, reply }).await.flatten()
    }

    /// Waits until the other node has the message, or it was given up, at most `timeout`;
    /// gives the state then. A forgotten or unknown id counts as aborted, and so does every
    /// message once the node is closed.
    pub async fn wait(&self, id: MessageId, timeout: Duration) -> SendState {
        let answer = self.ask(|reply| Command::Wait { id, reply });
        match tokio::time::timeout(timeout, answer).await {
            Ok(state) => state.unwrap_or(SendState::Aborted),
            Err(_) => SendState::Pending,
        }
    }

    /// [`Node::send`] and [`Node::wait`] in one. When the time is over (then the state is still
    /// pending), or this future is dropped, the message is given up.
    pub async fn send_and_wait(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
        timeout: Duration,
    ) -> Result<SendState, SendError> {
        let id = self.send(to, topic, payload).await?;
        let mut guard = ReleaseGuard::new(Released::Outgoing(id), self.released.clone());
        let state = self.wait(id, timeout).await;
        if state != SendState::Pending {
            guard.disarm();
        }
        Ok(state)
    }

    /// Gives up an outgoing message and tells the receiver so.
    pub async fn cancel(&self, id: MessageId) {
        let _ = self.commands.send(Command::Cancel { id }).await; // closed: given up already
    }

    /// Takes the oldest waiting message that `filter` lets through, waiting at most `timeout`.
    /// Topics that somebody subscribed to are never let through. Cancelling loses nothing.
    pub async fn receive(&self, filter: TopicFilter, timeout: Duration) -> Option<ReceivedMessage> {
        self.read(filter, Taking::Take, timeout).await
    }

    /// As [`Node::receive`], but the message stays where it is and the next reader gets it again.
    /// Its sender is told that it was read all the same, as by older nodes.
    pub async fn peek(&self, filter: TopicFilter, timeout: Duration) -> Option<ReceivedMessage> {
        self.read(filter, Taking::Peek, timeout).await
    }

    /// As [`Node::receive`], for readers that hand it on and learn only later whether it arrived.
    pub async fn hold(&self, filter: TopicFilter, timeout: Duration) -> Option<HeldMessage> {
        HeldMessage::new(self.hand_over(filter, Taking::Take, timeout).await?)
    }

    async fn read(
        &self,
        filter: TopicFilter,
        taking: Taking,
        timeout: Duration,
    ) -> Option<ReceivedMessage> {
        self.hand_over(filter, taking, timeout).await?.take()
    }

    async fn hand_over(
        &self,
        filter: TopicFilter,
        taking: Taking,
        timeout: Duration,
    ) -> Option<Handover> {
        let ask = |wait| {
            let filter = filter.clone();
            self.ask(move |reply| Command::Receive { filter, taking, wait, reply })
        };
        // Asked without patience first: an answer takes its time even when nothing is to be
        // waited for, and must not lose against a timeout of zero.
        if let Some(handover) = ask(Patience::None).await? {
            return Some(handover);
        }
        if timeout.is_zero() {
            return None;
        }
        tokio::time::timeout(timeout, ask(Patience::Waits)).await.ok()??
    }

    /// Reserves a topic: its messages go only to the subscription. While nobody takes them, the
    /// node's bounded queue fills, and then senders are not acknowledged and try again.
    /// A second subscription of a topic replaces the first. On a closed node it ends at once.
    pub async fn subscribe(&self, topic: &[u8]) -> Subscription {
        let topic = Bytes::copy_from_slice(topic);
        let answer = self.ask(|reply| Command::Subscribe { topic, reply }).await;
        answer.unwrap_or_else(|| Subscription::ended(self.released.clone()))
    }
}

//! The network as delivery wants it, on top of the node: envelopes travel as bus messages of the
//! product's own topic.
//!
//! The adapter adds nothing: what is queued, retried and acknowledged is the node's matter below and
//! delivery's above. A message is taken from the node's bounded queue only when delivery asks for
//! it, so a store that is slow slows the senders down instead of filling memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use threephone_address::{PublicKey, Target};
use threephone_delivery::{BoxFuture, Link, LinkError, LinkEvent, Sent};
use threephone_node::{
    Events, MessageId, Node, NodeEvent, ReceivedMessage, SendError, SendState, Subscription,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// The bus topic of everything that services send; taken out of `bus receive`.
pub const TOPIC: &str = "threephone";

/// The node's own bound on a message; delivery's on an envelope is half of it.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long one look at an outgoing message lasts; the node itself gives it up after five minutes.
const LOOK: Duration = Duration::from_secs(60);
/// How long a route lookup may take: an answer crosses the network in well under a second, and the
/// node repeats the question within this time.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);

/// A node as delivery's link.
pub(crate) struct NodeLink {
    node: Arc<Node>,
    inbox: Mutex<Inbox>,
}

struct Inbox {
    messages: Subscription,
    events: Events,
}

impl NodeLink {
    pub(crate) async fn new(node: Arc<Node>) -> Self {
        let messages = node.subscribe(TOPIC.as_bytes()).await;
        let events = node.events();
        Self { node, inbox: Mutex::new(Inbox { messages, events }) }
    }

    async fn hand_over(&self, to: Target, bytes: Bytes) -> Result<Sent, LinkError> {
        let id = self.node.send(to, TOPIC.as_bytes(), bytes).await.map_err(link_error)?;
        let mut given_up = CancelOnDrop::new(&self.node, id);
        let state = loop {
            match self.node.wait(id, LOOK).await {
                SendState::Pending => {}
                state => break state,
            }
        };
        given_up.disarm();
        if state == SendState::Aborted {
            return Err(LinkError::TimedOut);
        }
        let key = match to.key() {
            Some(key) => key,
            // Known: the message has just gone there.
            None => self.key_of(to).await?,
        };
        Ok(Sent { key })
    }

    async fn key_of(&self, to: Target) -> Result<PublicKey, LinkError> {
        match to.key() {
            Some(key) => Ok(key),
            None => {
                let found = self.node.resolve(to.address(), RESOLVE_WITHIN).await;
                found.ok_or(LinkError::NoRoute)
            }
        }
    }
}

impl Link for NodeLink {
    fn send(&self, to: Target, bytes: Bytes) -> BoxFuture<'_, Result<Sent, LinkError>> {
        Box::pin(self.hand_over(to, bytes))
    }

    fn resolve(&self, to: Target) -> BoxFuture<'_, Result<PublicKey, LinkError>> {
        Box::pin(self.key_of(to))
    }

    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
        Box::pin(async {
            let mut inbox = self.inbox.lock().await;
            let Inbox { messages, events } = &mut *inbox;
            loop {
                tokio::select! {
                    message = messages.next() => return message.map(received),
                    event = events.next() => match event? {
                        NodeEvent::Reachable { key, .. } => {
                            return Some(LinkEvent::Reachable { address: key.address(), key });
                        }
                        _ => continue,
                    },
                }
            }
        })
    }

    fn max_bytes(&self) -> usize {
        MAX_MESSAGE_BYTES
    }
}

fn received(message: ReceivedMessage) -> LinkEvent {
    LinkEvent::Received {
        from: message.source,
        from_key: message.source_key,
        bytes: message.payload,
    }
}

fn link_error(error: SendError) -> LinkError {
    match error {
        SendError::TooLarge { .. } | SendError::TopicTooLong(_) => LinkError::TooLarge,
        SendError::Closed => LinkError::Closed,
        SendError::NotInOverlay | SendError::BadKey => LinkError::NoRoute,
        // Others go first; the sender comes again.
        SendError::QueueFull | SendError::IdInUse | SendError::Answered => LinkError::TimedOut,
    }
}

/// Gives a message up when whoever sent it no longer wants it.
struct CancelOnDrop(Option<(Arc<Node>, MessageId)>);

impl CancelOnDrop {
    fn new(node: &Arc<Node>, id: MessageId) -> Self {
        Self(Some((node.clone(), id)))
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((node, id)) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { node.cancel(id).await });
        }
    }
}

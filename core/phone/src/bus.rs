//! The message bus as people use it: every topic but the product's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use threephone_address::{Target, same_subnet};
use threephone_node::{MessageId, Node, ReceivedMessage, SendState, TopicFilter};

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
        not_reserved(topic)?;
        if same_subnet(to.address(), self.node.address()) {
            return Err(PhoneError::ToSelf);
        }
        Ok(self.node.send(to, topic, payload).await?)
    }

    /// Waits at most `timeout` for the receipt of a message; gives how far it is then.
    pub async fn wait(&self, id: MessageId, timeout: Duration) -> SendState {
        self.node.wait(id, timeout).await
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
        let filter = match topic {
            None => TopicFilter::Any,
            Some(topic) => {
                not_reserved(topic)?;
                TopicFilter::Is(Bytes::copy_from_slice(topic))
            }
        };
        Ok(self.node.receive(filter, timeout).await)
    }
}

fn not_reserved(topic: &[u8]) -> Result<(), PhoneError> {
    if topic == TOPIC.as_bytes() {
        return Err(PhoneError::ReservedTopic(TOPIC.into()));
    }
    Ok(())
}

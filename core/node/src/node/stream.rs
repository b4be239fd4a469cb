//! What a node hands out one by one: messages, those of a topic, and events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::NodeEvent;
use crate::driver::command::{Handover, Released};
use crate::message::ReceivedMessage;

/// Receives the messages of one topic, in the order they were completed.
pub struct Subscription {
    pub(crate) receiver: mpsc::Receiver<ReceivedMessage>,
    /// Set by the core when it holds messages back because this side is full.
    pub(crate) starved: Arc<AtomicBool>,
    pub(crate) released: mpsc::UnboundedSender<Released>,
}

impl Subscription {
    /// The next message; none once the node is closed. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<ReceivedMessage> {
        let message = self.receiver.recv().await?;
        // Not for each single place: the core then comes once for many.
        let has_room = self.receiver.len() <= self.receiver.max_capacity() / 2;
        if has_room && self.starved.swap(false, Ordering::SeqCst) {
            let _ = self.released.send(Released::Room); // a closed node has nothing more to give
        }
        Some(message)
    }

    pub(super) fn ended(released: mpsc::UnboundedSender<Released>) -> Self {
        Self { receiver: mpsc::channel(1).1, starved: Arc::default(), released }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The peers were told that these arrived; whoever subscribes next gets them.
        self.receiver.close();
        while let Ok(message) = self.receiver.try_recv() {
            let _ = self.released.send(Released::Message(message)); // closed: nobody can receive
        }
    }
}

/// A message that somebody reads who may yet fail to pass it on. Nobody else is given it meanwhile;
/// dropped untaken, it is the next to be received. Its sender has heard that it was read.
pub struct HeldMessage {
    message: ReceivedMessage,
    handover: Handover,
}

impl HeldMessage {
    pub(super) fn new(handover: Handover) -> Option<Self> {
        Some(Self { message: handover.message()?.clone(), handover })
    }

    /// What was received.
    pub fn message(&self) -> &ReceivedMessage {
        &self.message
    }

    /// Takes it for good.
    pub fn take(self) -> ReceivedMessage {
        drop(self.handover.take());
        self.message
    }
}

/// Receives what happens on the network.
pub struct Events {
    pub(super) receiver: broadcast::Receiver<NodeEvent>,
}

impl Events {
    /// The next event; none once the node is closed. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(NodeEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

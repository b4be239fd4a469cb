//! What an application sees of the message bus: received messages, states, filters, refusals.

use std::net::Ipv6Addr;

use bytes::Bytes;
use threephone_address::PublicKey;

pub use crate::wire::message::MessageId;

/// A whole message as it was handed over by another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The sender's name for it.
    pub id: MessageId,
    /// At most 255 bytes; empty when the sender gave none.
    pub topic: Bytes,
    /// The overlay address it came from: any address of the sender's /64.
    pub source: Ipv6Addr,
    /// The key that opened it, and so who sent it.
    pub source_key: PublicKey,
    /// The address of ours it was sent to.
    pub destination: Ipv6Addr,
    /// What was sent; may be empty.
    pub payload: Bytes,
    /// Whether it answers a message of ours.
    pub reply: bool,
}

/// How far an outgoing message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendState {
    /// Waiting for a route, or under way.
    Pending,
    /// The other node has all of it.
    Received,
    /// An application there has taken it.
    Read,
    /// Given up by the sender or refused by the receiver.
    Aborted,
}

/// Which messages a reader takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicFilter {
    /// Any message whose topic nobody subscribed to.
    Any,
    /// Only this topic.
    Is(Bytes),
}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A topic holds at most 255 bytes.
    #[error("the topic is {0} bytes long; at most 255 are possible")]
    TopicTooLong(usize),
    /// The payload is larger than this node sends.
    #[error("the message is {length} bytes long; at most {limit} can be sent")]
    TooLarge {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Too many messages are waiting to be sent.
    #[error("too many messages are waiting to be sent; wait for some, or cancel some")]
    QueueFull,
    /// The address lies outside the overlay.
    #[error("the address lies outside 400::/7, where no node is")]
    NotInOverlay,
    /// The key is one with which no secret can be shared.
    #[error("the public key is not usable")]
    BadKey,
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
}

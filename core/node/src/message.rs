//! What an application sees of the message bus: drafts, received messages, states, filters,
//! refusals.

use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use threephone_address::{PublicKey, Target};

pub use crate::wire::message::MessageId;

/// The longest time a message is tried for, and the time if none is given (spec 8.3).
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(300);

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// For whom.
    pub to: Target,
    /// At most 255 bytes; may be empty.
    pub topic: Bytes,
    /// May be empty.
    pub payload: Bytes,
    /// How long it is tried before it is given up; none is [`LONGEST_DEADLINE`], and more is cut
    /// to that.
    pub deadline: Option<Duration>,
}

/// How many of a message's chunks have come how far; a message of no bytes has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Progress {
    /// Not sent yet, or lost and to be sent again.
    pub pending: usize,
    /// Sent and not acknowledged.
    pub sent: usize,
    /// Acknowledged.
    pub acked: usize,
}

/// What is known of an outgoing message, up to five minutes after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// For whom.
    pub to: Target,
    /// How far it is.
    pub state: SendState,
    /// How far its chunks are.
    pub progress: Progress,
    /// When it was queued, by the clock of the node's start.
    pub created: SystemTime,
    /// When it is or would have been given up.
    pub deadline: SystemTime,
    /// Bytes of the payload.
    pub length: usize,
}

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
    /// Whether it answers a message of ours; its id is then that message's.
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
    /// A message or reply with this id is on its way to the same node already.
    #[error("a message with this id is on its way already; wait until it has ended")]
    IdInUse,
    /// An answer to this message has arrived. A second one would count as a repeat of it.
    #[error("the message has been answered already; send a message of its own")]
    Answered,
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
}

//! What an engine wants done.

use bytes::Bytes;

use crate::message::{MessageId, ReceivedMessage, SendState};
use crate::{LinkId, Prefix, PublicKey, router};

/// Which queue of a link a packet belongs in. Control goes first and is never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Control packets.
    Control,
    /// Data packets.
    Data,
}

/// Why the engine gives a link up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer stopped answering.
    #[error("the peer does not answer")]
    Dead,
    /// The router has all the links it may have.
    #[error("there are too many links")]
    TooManyLinks,
}

/// What the engine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write these bytes, a whole packet, to a link.
    Transmit {
        /// Which.
        link: LinkId,
        /// How urgent.
        class: Class,
        /// The packet.
        bytes: Bytes,
    },
    /// Give an IP packet to the TUN.
    Deliver {
        /// The packet.
        packet: Bytes,
    },
    /// Close a link.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A whole message can be taken with [`Engine::take`](super::Engine::take).
    MessageReady {
        /// Its topic.
        topic: Bytes,
    },
    /// A reply came that somebody waits for: see [`Engine::open_request`](super::Engine).
    Reply(ReceivedMessage),
    /// An outgoing message has a new state.
    MessageState {
        /// Which.
        id: MessageId,
        /// The new state.
        state: SendState,
    },
    /// A node is reachable that was not.
    RouteAcquired {
        /// Its prefix.
        prefix: Prefix,
        /// Its key.
        key: PublicKey,
    },
    /// A node is not reachable any more.
    RouteLost {
        /// Its prefix.
        prefix: Prefix,
    },
    /// A node was looked for and not found.
    LookupFailed {
        /// Its /64.
        prefix: Prefix,
    },
    /// An idle node looks for a node, and none of its few peers had an answer within a second; or
    /// messages to it stay unanswered on the only way there is.
    LookupUnanswered {
        /// Its /64.
        prefix: Prefix,
    },
    /// The other end of this link is this node itself, or says so.
    LinkToItself {
        /// Which.
        link: LinkId,
    },
    /// A link takes packets and brings nothing: packets avoid it.
    LinkSilent {
        /// Which.
        link: LinkId,
    },
    /// A link that was silent works again.
    LinkSpeaks {
        /// Which.
        link: LinkId,
    },
}

impl From<router::CloseReason> for CloseReason {
    fn from(reason: router::CloseReason) -> Self {
        match reason {
            router::CloseReason::Dead => Self::Dead,
            router::CloseReason::TooManyLinks => Self::TooManyLinks,
        }
    }
}

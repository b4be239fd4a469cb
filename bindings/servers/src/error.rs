//! Why the node did not do what was asked: one list for both interfaces, which give it their own
//! numbers.

use threephone_node::{NodeError, SendError};

/// What went wrong, in words for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("a peer identified by that endpoint already exists")]
    PeerExists,
    #[error("a peer identified by that endpoint does not exist")]
    UnknownPeer,
    #[error("no key is known for that address: there is no route to it now")]
    UnknownKey,
    #[error("no such message; the state of a message is remembered for a while only")]
    UnknownMessage,
    #[error("that topic is not configured")]
    UnknownTopic,
    #[error("that topic belongs to the program around this node")]
    ReservedTopic,
    #[error("this node has no proxy: it neither looks for any nor connects to one")]
    NoProxy,
    #[error("that is an IPv4 address; nodes have IPv6 addresses in 400::/7")]
    NotIpv6,
    #[error("the topic is {0} bytes long; at most 255 are possible")]
    TopicTooLong(usize),
    #[error("no more topics or sources can be configured; remove some first")]
    TooManyTopics,
    #[error("{0}")]
    TooLarge(SendError),
    #[error("{0}")]
    Unsendable(SendError),
    #[error("{0}")]
    Busy(SendError),
    #[error("{0}")]
    Refused(NodeError),
    #[error("the node is closing")]
    Closing,
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TopicTooLong(length) => Self::TopicTooLong(length),
            SendError::TooLarge { .. } => Self::TooLarge(error),
            SendError::QueueFull | SendError::IdInUse => Self::Busy(error),
            SendError::Closed => Self::Closing,
            SendError::NotInOverlay | SendError::BadKey | SendError::Answered => {
                Self::Unsendable(error)
            }
        }
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::PeerExists(_) => Self::PeerExists,
            NodeError::UnknownPeer(_) => Self::UnknownPeer,
            NodeError::Closed => Self::Closing,
            error => Self::Refused(error),
        }
    }
}

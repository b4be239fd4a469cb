//! Plain values that the handle gives out, so that no other part depends on rows.
use std::net::Ipv6Addr;

/// How far a line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// Ours, waiting in the outbox.
    Queued,
    /// Ours, taken by the peer's node.
    Sent,
    /// Ours, durable on the peer's phone.
    Delivered,
    /// Read by whoever received it.
    Read,
    /// Ours, given up or refused.
    Failed,
    /// Theirs, not read yet.
    Received,
}

/// What changed; ids only, the rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagingEvent {
    /// A line is new in the chat with this peer.
    LineAdded {
        /// The line's local id.
        id: i64,
        /// The peer's address.
        chat: Ipv6Addr,
    },
    /// A line's state changed.
    LineChanged {
        /// The line's local id.
        id: i64,
        /// The peer's address.
        chat: Ipv6Addr,
    },
}

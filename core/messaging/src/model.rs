//! Plain values that the handle takes and gives, so that no other part depends on rows.

use std::fmt;
use std::net::Ipv6Addr;

use threephone_address::Target;

/// Names a line on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub i64);

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl LineState {
    /// As the column `state` holds it.
    pub(crate) fn to_column(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Delivered => 2,
            Self::Read => 3,
            Self::Failed => 4,
            Self::Received => 5,
        }
    }

    pub(crate) fn from_column(column: i64) -> Option<Self> {
        [Self::Queued, Self::Sent, Self::Delivered, Self::Read, Self::Failed, Self::Received]
            .into_iter()
            .find(|state| state.to_column() == column)
    }
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineView {
    /// Its name on this device.
    pub id: LineId,
    /// The other person's address.
    pub chat: Ipv6Addr,
    /// Who wrote it.
    pub from: Ipv6Addr,
    /// Whom it was written to.
    pub to: Ipv6Addr,
    /// What it says.
    pub text: String,
    /// Unix milliseconds by the author's clock: for display, not for order.
    pub sent_at: i64,
    /// Its place among its author's lines of this chat, from 1.
    pub seq: u64,
    /// How far it has come.
    pub state: LineState,
}

/// Which lines to list.
#[derive(Debug, Clone, Default)]
pub struct LineQuery {
    /// Only the chat with this person.
    pub with: Option<Target>,
    /// Only the newest so many; all if none.
    pub limit: Option<usize>,
    /// Only lines listed before this one: the next page upwards.
    pub before: Option<LineId>,
}

/// A chat as a list of chats shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatView {
    /// The other person's address.
    pub peer: Ipv6Addr,
    /// Their lines that were not read yet.
    pub unread: u64,
    /// The newest line.
    pub last: LineView,
}

/// What changed; ids only, the rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagingEvent {
    /// A line is new in the chat with this peer.
    LineAdded {
        /// The line.
        id: LineId,
        /// The peer's address.
        chat: Ipv6Addr,
    },
    /// A line's state changed.
    LineChanged {
        /// The line.
        id: LineId,
        /// The peer's address.
        chat: Ipv6Addr,
    },
    /// Many lines of a chat changed at once.
    ChatChanged {
        /// The peer's address.
        chat: Ipv6Addr,
    },
}

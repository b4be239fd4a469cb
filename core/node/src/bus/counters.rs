//! What the message bus counts.

/// Counts of a node's message bus. Those that say "now" go up and down; others since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusCounters {
    /// Outgoing messages that have not ended, now.
    pub outgoing: u64,
    /// Bytes of those.
    pub outgoing_bytes: u64,
    /// Outgoing messages taken for sending, replies among them.
    pub accepted: u64,
    /// Bytes of those.
    pub accepted_bytes: u64,
    /// Outgoing messages that their receiver has whole.
    pub delivered: u64,
    /// Outgoing messages given up.
    pub aborted: u64,
    /// Chunks sent, repeats among them.
    pub chunks_sent: u64,
    /// Chunks sent again.
    pub chunks_repeated: u64,
    /// Incoming messages that became whole, replies among them.
    pub completed: u64,
    /// Of those, handed to an application of this node.
    pub taken: u64,
    /// Bytes of those.
    pub taken_bytes: u64,
    /// Incoming messages refused by the topic policy, each repeat anew.
    pub refused_by_policy: u64,
    /// Incoming messages refused because they are too large.
    pub refused_as_too_large: u64,
    /// Incoming messages refused because their source, or all, have too many under way.
    pub refused_without_room: u64,
    /// Packets of messages that were complete already.
    pub repeated: u64,
    /// Incoming messages under way, now.
    pub pending: u64,
    /// Bytes held of those, with what their keeping costs.
    pub pending_bytes: u64,
    /// Whole messages that nobody has taken, now.
    pub ready: u64,
    /// Bytes of those.
    pub ready_bytes: u64,
    /// Whole messages that wait for room, now.
    pub blocked: u64,
    /// Ids of completed messages that are remembered, now, with what their keeping costs.
    pub remembered: u64,
}

//! What a node counts, gathered for whoever watches it: numbers only, never an address, a key, a
//! topic or a byte of anybody's message.

use crate::bus::BusLoad;
use crate::data::DataCounters;
use crate::node::{PeerKind, PeerState};
use crate::router::RouterCounters;

/// A node at one moment. Counts run since its start and never go back; what is held now is said to
/// be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeMetrics {
    /// The peer table now, by kind and state; pairs that nobody has are left out.
    pub peers: Vec<PeerCount>,
    /// All links together, those that ended too.
    pub links: LinkCounters,
    /// What waits to be written on links now.
    pub link_queues: LinkQueues,
    /// The routing table now.
    pub routes: RouteCounts,
    /// What the router refused, lost and noticed.
    pub router: RouterCounters,
    /// What became of data packets that went nowhere.
    pub data: DataCounters,
    /// Messages of this node's applications.
    pub messages: MessageCounters,
    /// Messages that are held now.
    pub bus: BusLoad,
}

/// How many peers of one kind are in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCount {
    /// How they came into the table.
    pub kind: PeerKind,
    /// What their link does.
    pub state: PeerState,
    /// How many.
    pub count: u64,
}

/// What went over links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Links that came up.
    pub opened: u64,
    /// Links that ended.
    pub closed: u64,
    /// Packets queued, without those that were dropped.
    pub tx_packets: u64,
    /// Packets read.
    pub rx_packets: u64,
    /// Bytes written.
    pub tx_bytes: u64,
    /// Bytes read.
    pub rx_bytes: u64,
    /// Data packets dropped because the queue of their link was full.
    pub dropped: u64,
    /// Malformed control packets that came.
    pub malformed: u64,
}

/// Bytes that wait to be written, on all links together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkQueues {
    /// Of control packets.
    pub control_bytes: u64,
    /// Of data packets.
    pub data_bytes: u64,
}

/// Entries of the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteCounts {
    /// That packets take.
    pub selected: u64,
    /// Kept to fall back on.
    pub fallback: u64,
    /// Retracted, and kept for a while so that nobody brings them back.
    pub retracted: u64,
    /// Prefixes that are being looked for.
    pub queried: u64,
}

/// Messages since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageCounters {
    /// Taken for sending.
    pub queued: u64,
    /// Bytes of those.
    pub queued_bytes: u64,
    /// The other node has all of it.
    pub delivered: u64,
    /// Given up, cancelled or refused.
    pub aborted: u64,
    /// Whole messages that came, replies too.
    pub arrived: u64,
    /// Handed to an application of this node, replies too.
    pub taken: u64,
    /// Bytes of those.
    pub taken_bytes: u64,
}

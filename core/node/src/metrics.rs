//! What a node counts, gathered for whoever watches it: numbers only, never an address, a key, a
//! topic or a byte of anybody's message.

use crate::bus::BusCounters;
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
    /// What became of data packets.
    pub data: DataCounters,
    /// Messages of this node's applications: what became of them, and what is held now.
    pub bus: BusCounters,
}

/// A cause, as reports name it: lower case, words joined by underscores. Names do not change.
pub type Cause = &'static str;

impl NodeMetrics {
    /// Control packets and routes that were not taken, by cause.
    pub fn control_refused(&self) -> [(Cause, u64); 16] {
        let router = &self.router;
        [
            ("malformed", self.links.malformed),
            ("filtered", router.filtered),
            ("infeasible", router.infeasible),
            ("other_key", router.other_key),
            ("other_router_id", router.other_router_id),
            ("own_forged", router.own_forged),
            ("hello_rate", router.hellos_over_rate),
            ("ihu_rate", router.ihus_over_rate),
            ("update_rate", router.updates_over_rate),
            ("route_request_rate", router.route_requests_over_rate),
            ("seqno_request_rate", router.seqno_requests_over_rate),
            ("request_refused", router.requests_refused),
            ("lookup_refused", router.lookups_refused),
            ("table_full", router.routes_refused),
            ("unwanted", router.routes_unwanted),
            ("link_slow", router.held_back),
        ]
    }

    /// Data packets that went nowhere, by cause.
    pub fn data_dropped(&self) -> [(Cause, u64); 11] {
        let data = &self.data;
        [
            // What the data plane found full is part of what the links dropped.
            ("queue_full", self.links.dropped),
            ("hop_limit", data.hop_limit),
            ("unopened", data.unopened),
            ("reflected", data.reflected),
            ("replayed", data.replayed),
            ("malformed", data.malformed),
            ("spoofed", data.spoofed),
            ("no_route", data.no_route),
            ("no_tun", data.l3),
            ("tun_refused", data.refused),
            ("tun_full", data.device_full),
        ]
    }

    /// Messages of other nodes that were refused, by cause.
    pub fn messages_refused(&self) -> [(Cause, u64); 3] {
        [
            ("policy", self.bus.refused_by_policy),
            ("too_large", self.bus.refused_as_too_large),
            ("no_room", self.bus.refused_without_room),
        ]
    }
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

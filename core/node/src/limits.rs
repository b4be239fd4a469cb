//! How much of this node's memory and time others can claim through messages and data packets.
//!
//! Whatever a stranger can fill is bounded, per source as well as in total, so that one peer's greed
//! costs that peer and not the others. The figures suit a phone. The routing tables have their own
//! bounds in [`RouterLimits`].

use std::time::Duration;

use crate::router::RouterLimits;

const MIB: usize = 1 << 20;

/// Bounds of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of the links to peers.
    pub links: LinkLimits,
    /// Of the routing tables.
    pub router: RouterLimits,
    /// Of packets and sealing keys.
    pub data: DataLimits,
    /// Of messages.
    pub bus: BusLimits,
}

/// Every node, older ones too, announces itself as soon as a link is up. Five seconds leave room for
/// a lost segment or two on a slow radio; whoever is silent for longer is no node.
const FIRST_PACKET: Duration = Duration::from_secs(5);

/// Bounds of the links to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLimits {
    /// How long a peer that dialled us may take to bring its first packet.
    pub first_packet: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self { first_packet: FIRST_PACKET }
    }
}

/// Bounds of the data plane. All are counts unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLimits {
    /// Node keys whose cipher is kept ready; about 1 KB each, 3.5 KB once in use.
    pub ciphers: usize,
    /// Packets waiting for a route to one /64.
    pub outbound_per_subnet: usize,
    /// Packets waiting for a route in all.
    pub outbound: usize,
    /// Bytes of those; an eighth of it for one /64.
    pub outbound_bytes: usize,
    /// Packets from one /64 waiting for the key of their sender.
    pub inbound_per_subnet: usize,
    /// Packets waiting for the key of their sender in all.
    pub inbound: usize,
    /// Bytes of those; an eighth of it for one /64.
    pub inbound_bytes: usize,
    /// Error reports sent per second in all; to one /64 a tenth of that.
    pub errors_per_second: u32,
    /// Pings answered and errors told to the own host per second in all; to one /64 a tenth of that.
    pub answers_per_second: u32,
    /// Sources and destinations that packets are counted by, each.
    pub statistics: usize,
    /// Addresses whose packets find their way without the core.
    pub paths: usize,
    /// Bytes that remembering packets against replays may take in all, beyond 2.5 KB for each cipher.
    pub replay_bytes: usize,
}

impl Default for DataLimits {
    fn default() -> Self {
        Self {
            ciphers: 4096,
            outbound_per_subnet: 1000,
            outbound: 10_000,
            outbound_bytes: 16 * MIB,
            inbound_per_subnet: 100,
            inbound: 2000,
            inbound_bytes: 4 * MIB,
            errors_per_second: 100,
            answers_per_second: 1000,
            statistics: 1024,
            paths: 4096,
            replay_bytes: 16 * MIB,
        }
    }
}

/// Bounds of the message bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusLimits {
    /// Bytes of the largest message sent or received.
    pub message_bytes: usize,
    /// Outgoing messages not yet received by their peer.
    pub outgoing: usize,
    /// Bytes of those.
    pub outgoing_bytes: usize,
    /// Outgoing messages that ended and whose state can still be asked for.
    pub ended: usize,
    /// Incoming messages of one /64 under way.
    pub pending_per_source: usize,
    /// Bytes of those.
    pub pending_bytes_per_source: usize,
    /// Incoming messages under way in all.
    pub pending: usize,
    /// Bytes of those.
    pub pending_bytes: usize,
    /// Whole messages of one /64 that nobody has taken yet.
    pub ready_per_source: usize,
    /// Bytes of those.
    pub ready_bytes_per_source: usize,
    /// Whole messages that nobody has taken yet in all; half of it, and of the bytes, for topics
    /// that nobody reserved.
    pub ready: usize,
    /// Bytes of those.
    pub ready_bytes: usize,
    /// Ids of completed messages of one /64 that are remembered, 10 to 21 bytes each. For ten
    /// minutes while the source completes no more than a 1,200th of this a second: by default 1,500.
    /// With more the oldest go early, and with more than a 60th, by default 30,000, its messages wait.
    pub completed_per_source: usize,
    /// Ids of completed messages remembered in all, with 64 for each source; 42 MB at most by
    /// default.
    pub completed: usize,
}

impl BusLimits {
    /// Raises what stands in the way of messages of that many bytes, two at a time.
    pub fn allow_messages_of(&mut self, bytes: usize) {
        // Chunks on their way cost some more than their bytes.
        let held = bytes.saturating_mul(2).saturating_add(bytes / 4);
        self.message_bytes = self.message_bytes.max(bytes);
        for limit in [
            &mut self.outgoing_bytes,
            &mut self.pending_bytes_per_source,
            &mut self.pending_bytes,
            &mut self.ready_bytes_per_source,
            &mut self.ready_bytes,
        ] {
            *limit = (*limit).max(held);
        }
    }
}

impl Default for BusLimits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * MIB,
            outgoing: 65_536,
            outgoing_bytes: 256 * MIB,
            ended: 65_536,
            pending_per_source: 1024,
            pending_bytes_per_source: 48 * MIB,
            pending: 8192,
            pending_bytes: 128 * MIB,
            ready_per_source: 4096,
            ready_bytes_per_source: 32 * MIB,
            ready: 16_384,
            ready_bytes: 128 * MIB,
            // Two hash sets that are just full.
            completed_per_source: 2 * 917_504,
            completed: 2_000_000,
        }
    }
}

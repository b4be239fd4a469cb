//! What the table tells of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Peers;
use super::entry::{Peer, State};
use crate::LinkId;
use crate::endpoint::PeerAddress;
use crate::node::{PeerState, PeerStatus};

impl Peers {
    /// The table, sorted by endpoint; `cost_of` gives the cost of a link.
    pub(crate) fn statuses(
        &self,
        cost_of: impl Fn(LinkId) -> Option<u16>,
        now: Instant,
    ) -> Vec<PeerStatus> {
        let status = |(endpoint, peer): (&PeerAddress, &Peer)| {
            let counters = &peer.counters;
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            PeerStatus {
                endpoint: endpoint.clone(),
                remote: None, // the table does not know links
                kind: peer.kind,
                state: match peer.state {
                    State::Waiting { .. } if peer.is_itself => PeerState::Itself,
                    State::Waiting { .. } => PeerState::Dead,
                    State::Connecting | State::Silent { .. } => PeerState::Connecting,
                    State::Alive { .. } => PeerState::Alive,
                },
                tx_bytes: count(&counters.tx_bytes),
                rx_bytes: count(&counters.rx_bytes),
                tx_packets: count(&counters.tx_packets),
                rx_packets: count(&counters.rx_packets),
                dropped: count(&counters.dropped),
                malformed: count(&counters.malformed),
                wake_ups: count(&counters.wake_ups),
                cpu: Duration::from_nanos(count(&counters.cpu_nanos)),
                connects: peer.connects,
                known_for: now.saturating_duration_since(peer.added),
                last_connected: peer.last_connected.map(|at| now.saturating_duration_since(at)),
                link_cost: peer.state.link().and_then(&cost_of),
            }
        };
        let mut statuses: Vec<PeerStatus> = self.peers.iter().map(status).collect();
        statuses.sort_by(|left, right| left.endpoint.cmp(&right.endpoint));
        statuses
    }

    /// How many peers that dialled us are connected.
    pub(crate) fn inbound(&self) -> usize {
        let inbound = |peer: &&Peer| !peer.is_outbound && matches!(peer.state, State::Alive { .. });
        self.peers.values().filter(inbound).count()
    }
}

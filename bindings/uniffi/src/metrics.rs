//! Figures of the node for an app's page of statistics: what it did, what it cost, for whom. Numbers
//! and addresses only.

use std::time::Duration;

use threephone::node;
use threephone::node::ledger::{Cause, ProcessUse, Use as CoreUse};

use crate::PowerMode;

/// What a node counts. Counts begin with the node and never go back; those that say "now" do.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Metrics {
    /// Links that came up.
    pub links_opened: u64,
    /// Links that ended.
    pub links_closed: u64,
    /// Packets queued for links, without those that were dropped.
    pub tx_packets: u64,
    /// Packets that came.
    pub rx_packets: u64,
    /// Bytes written to links.
    pub tx_bytes: u64,
    /// Bytes read from links.
    pub rx_bytes: u64,
    /// Bytes that wait to be written to links, now.
    pub queued_bytes: u64,
    /// Prefixes that packets have a route to, now.
    pub routes: u64,
    /// Further routes, kept to fall back on, now.
    pub routes_fallback: u64,
    /// Prefixes that are being looked for, now.
    pub lookups: u64,
    /// Data packets of others sent on.
    pub packets_forwarded: u64,
    /// IP packets of this host sent into the overlay.
    pub packets_sent: u64,
    /// IP packets given to this host.
    pub packets_delivered: u64,
    /// Bus messages and replies taken for sending, those of chat and mail among them.
    pub messages_queued: u64,
    /// Those that the other node has.
    pub messages_delivered: u64,
    /// Those given up, cancelled or refused.
    pub messages_aborted: u64,
    /// Whole messages that came.
    pub messages_arrived: u64,
    /// Bytes of messages that are held, in and out, now.
    pub messages_held_bytes: u64,
    /// What was refused or lost, by kind and cause; causes that never came about are left out.
    pub drops: Vec<DropCount>,
}

/// What kind of thing was refused or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum DropKind {
    /// Control packets and routes.
    Control,
    /// Data packets.
    Data,
    /// Bus messages of other nodes.
    Message,
}

/// How often something was refused or lost for one reason.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct DropCount {
    /// What.
    pub kind: DropKind,
    /// The reason, a word in lower case such as `no_route`; words do not change.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl From<&node::NodeMetrics> for Metrics {
    fn from(metrics: &node::NodeMetrics) -> Self {
        let node::NodeMetrics { links, link_queues, routes, data, bus, .. } = metrics;
        let drops = [
            (DropKind::Control, &metrics.control_refused()[..]),
            (DropKind::Data, &metrics.data_dropped()),
            (DropKind::Message, &metrics.messages_refused()),
        ];
        let drops = drops.into_iter().flat_map(|(kind, reasons)| {
            let counted = reasons.iter().filter(|(_, count)| *count > 0);
            counted.map(move |(reason, count)| DropCount {
                kind,
                reason: (*reason).into(),
                count: *count,
            })
        });
        Self {
            links_opened: links.opened,
            links_closed: links.closed,
            tx_packets: links.tx_packets,
            rx_packets: links.rx_packets,
            tx_bytes: links.tx_bytes,
            rx_bytes: links.rx_bytes,
            queued_bytes: link_queues.control_bytes.saturating_add(link_queues.data_bytes),
            routes: routes.selected,
            routes_fallback: routes.fallback,
            lookups: routes.queried,
            packets_forwarded: data.forwarded,
            packets_sent: data.sent,
            packets_delivered: data.delivered,
            messages_queued: bus.accepted,
            messages_delivered: bus.delivered,
            messages_aborted: bus.aborted,
            messages_arrived: bus.completed,
            messages_held_bytes: [bus.outgoing_bytes, bus.pending_bytes, bus.ready_bytes]
                .into_iter()
                .fold(0, u64::saturating_add),
            drops: drops.collect(),
        }
    }
}

/// Why the node woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum WakeCause {
    /// Something was due.
    Timer,
    /// A peer sent packets.
    Packets,
    /// A link came, ended, or could not be made.
    Connection,
    /// Somebody was heard on the local network.
    Beacon,
    /// The app asked for something, or took something.
    Call,
}

/// Wake-ups and processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Use {
    /// How often something woke up.
    pub wake_ups: u64,
    /// Processor time spent.
    pub cpu: Duration,
}

/// What one cause took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct CauseUse {
    /// Which.
    pub cause: WakeCause,
    /// What it took.
    pub spent: Use,
}

/// What one peer took.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PeerUse {
    /// Its underlay address, such as `tcp://192.0.2.1:9651`.
    pub endpoint: String,
    /// What was done for it.
    pub spent: Use,
    /// Bytes written over all links to it.
    pub tx_bytes: u64,
    /// Bytes read over all links to it.
    pub rx_bytes: u64,
}

/// What a node has cost since it was started.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Ledger {
    /// Since the start.
    pub running_for: Duration,
    /// The power mode now.
    pub mode: PowerMode,
    /// How often the machine was found to have slept.
    pub sleeps: u64,
    /// How often the network changed.
    pub network_changes: u64,
    /// By cause, all of them.
    pub causes: Vec<CauseUse>,
    /// By peer, those in the table now.
    pub peers: Vec<PeerUse>,
    /// The whole process by the system's count, the app's own threads among them; none where the
    /// system does not tell.
    pub process: Option<Use>,
}

impl From<node::ledger::Ledger> for Ledger {
    fn from(ledger: node::ledger::Ledger) -> Self {
        let causes = ledger.causes.into_iter().map(|(cause, CoreUse { wake_ups, cpu })| CauseUse {
            cause: match cause {
                Cause::Timer => WakeCause::Timer,
                Cause::Packets => WakeCause::Packets,
                Cause::Connection => WakeCause::Connection,
                Cause::Beacon => WakeCause::Beacon,
                Cause::Call => WakeCause::Call,
            },
            spent: Use { wake_ups, cpu },
        });
        let peers = ledger.peers.into_iter().map(|peer| PeerUse {
            endpoint: peer.endpoint.to_string(),
            spent: Use { wake_ups: peer.wake_ups, cpu: peer.cpu },
            tx_bytes: peer.tx_bytes,
            rx_bytes: peer.rx_bytes,
        });
        Self {
            running_for: ledger.running_for,
            mode: ledger.mode.into(),
            sleeps: ledger.sleeps,
            network_changes: ledger.network_changes,
            causes: causes.collect(),
            peers: peers.collect(),
            process: ledger.process.map(|ProcessUse { wake_ups, cpu }| Use { wake_ups, cpu }),
        }
    }
}

/// Packets and bytes of one overlay address.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AddressCount {
    /// Whose.
    pub address: String,
    /// Data packets.
    pub packets: u64,
    /// Bytes of those with all overlay headers.
    pub bytes: u64,
}

/// Data packets by their outer addresses, most packets first. Of very many addresses only some are
/// remembered.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PacketStatistics {
    /// By source.
    pub by_source: Vec<AddressCount>,
    /// By destination.
    pub by_destination: Vec<AddressCount>,
}

impl From<node::PacketStatistics> for PacketStatistics {
    fn from(statistics: node::PacketStatistics) -> Self {
        let rows = |rows: Vec<node::AddressCount>| {
            let row = |row: node::AddressCount| AddressCount {
                address: row.address.to_string(),
                packets: row.packets,
                bytes: row.bytes,
            };
            rows.into_iter().map(row).collect()
        };
        Self {
            by_source: rows(statistics.by_source),
            by_destination: rows(statistics.by_destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_was_lost_is_left_out_of_the_drops() {
        let mut metrics = node::NodeMetrics::default();
        assert_eq!(Metrics::from(&metrics).drops, []);
        metrics.data.no_route = 3;
        metrics.bus.refused_by_policy = 1;
        let drop = |kind, reason: &str, count| DropCount { kind, reason: reason.into(), count };
        assert_eq!(
            Metrics::from(&metrics).drops,
            [drop(DropKind::Data, "no_route", 3), drop(DropKind::Message, "policy", 1)]
        );
    }
}

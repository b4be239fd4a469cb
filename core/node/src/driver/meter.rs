//! Figures of the whole node: what the core knows of each part, and what went over links.
//!
//! The counters of links belong to peers and go with them, and a count that goes back is none. So
//! each link's share is noted when it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::core::Core;
use super::peer::Counters;
use crate::LinkId;
use crate::metrics::{LinkCounters, LinkQueues, NodeMetrics, PeerCount, RouteCounts};

/// Counts over all links, also those that ended.
#[derive(Default)]
pub(crate) struct LinkMeter {
    ended: LinkCounters,
    /// The open links: the counters of their peers, and what these said when the link came up.
    open: HashMap<LinkId, (Arc<Counters>, LinkCounters)>,
}

impl LinkMeter {
    pub(crate) fn opened(&mut self, link: LinkId, counters: &Arc<Counters>) {
        self.ended.opened += 1;
        self.open.insert(link, (Arc::clone(counters), read(counters)));
    }

    pub(crate) fn closed(&mut self, link: LinkId) {
        if let Some((counters, before)) = self.open.remove(&link) {
            self.ended.closed += 1;
            add(&mut self.ended, &read(&counters), &before);
        }
    }

    pub(crate) fn totals(&self) -> LinkCounters {
        let mut totals = self.ended;
        for (counters, before) in self.open.values() {
            add(&mut totals, &read(counters), before);
        }
        totals
    }
}

fn read(counters: &Counters) -> LinkCounters {
    LinkCounters {
        opened: 0,
        closed: 0,
        tx_packets: counters.tx_packets.load(Ordering::Relaxed),
        rx_packets: counters.rx_packets.load(Ordering::Relaxed),
        tx_bytes: counters.tx_bytes.load(Ordering::Relaxed),
        rx_bytes: counters.rx_bytes.load(Ordering::Relaxed),
        dropped: counters.dropped.load(Ordering::Relaxed),
        malformed: counters.malformed.load(Ordering::Relaxed),
    }
}

fn add(totals: &mut LinkCounters, now: &LinkCounters, before: &LinkCounters) {
    totals.tx_packets += now.tx_packets - before.tx_packets;
    totals.rx_packets += now.rx_packets - before.rx_packets;
    totals.tx_bytes += now.tx_bytes - before.tx_bytes;
    totals.rx_bytes += now.rx_bytes - before.rx_bytes;
    totals.dropped += now.dropped - before.dropped;
    totals.malformed += now.malformed - before.malformed;
}

impl Core {
    pub(super) fn metrics(&self, now: Instant) -> NodeMetrics {
        let mut peers: Vec<PeerCount> = Vec::new();
        for peer in self.peers.statuses(|_| None, now) {
            let same = |row: &&mut PeerCount| (row.kind, row.state) == (peer.kind, peer.state);
            match peers.iter_mut().find(same) {
                Some(row) => row.count += 1,
                None => peers.push(PeerCount { kind: peer.kind, state: peer.state, count: 1 }),
            }
        }
        let mut routes = RouteCounts::default();
        for route in self.engine.routes() {
            match (route.metric, route.selected) {
                (u16::MAX, _) => routes.retracted += 1,
                (_, true) => routes.selected += 1,
                (_, false) => routes.fallback += 1,
            }
        }
        routes.queried = self.engine.queries().count() as u64;
        let mut link_queues = LinkQueues::default();
        for link in self.links.values() {
            let (control, data) = link.outbox.waiting();
            link_queues.control_bytes += control as u64;
            link_queues.data_bytes += data as u64;
        }
        NodeMetrics {
            peers,
            link_queues,
            links: self.meter.totals(),
            routes,
            router: self.engine.router_counters(),
            data: self.engine.data_counters(),
            bus: self.engine.bus_counters(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_the_link_and_the_peer() {
        let mut meter = LinkMeter::default();
        let peer = Arc::new(Counters::default());
        peer.tx_bytes.fetch_add(5, Ordering::Relaxed);
        meter.opened(LinkId(1), &peer);
        peer.tx_bytes.fetch_add(7, Ordering::Relaxed);
        assert_eq!(meter.totals().tx_bytes, 7, "what came before is not this link's");
        meter.closed(LinkId(1));
        meter.closed(LinkId(1));
        meter.opened(LinkId(2), &peer);
        peer.tx_bytes.fetch_add(1, Ordering::Relaxed);
        let totals = meter.totals();
        assert_eq!((totals.tx_bytes, totals.opened, totals.closed), (8, 2, 1));
    }
}

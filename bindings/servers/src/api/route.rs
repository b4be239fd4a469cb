//! The routing table.

use threephone_node::{AddressCount, Endpoint, QueryStatus, RouteStatus};

use super::Api;
use crate::shape::{Metric, PacketCount, PacketStatistics, QueriedSubnet, Route};

/// Bytes before the sealed part of a data packet: outer header and data header (spec 4.1, 7.1).
const HEADERS: u64 = 40;

impl Api {
    /// The routes that packets take.
    pub(crate) async fn selected_routes(&self) -> Vec<Route> {
        self.routes(|route| route.selected).await
    }

    /// All other entries.
    pub(crate) async fn fallback_routes(&self) -> Vec<Route> {
        self.routes(|route| !route.selected).await
    }

    /// What is being looked for.
    pub(crate) async fn queries(&self) -> Vec<QueriedSubnet> {
        let queries = self.node.queries().await.into_iter();
        let shape = |query: QueryStatus| QueriedSubnet {
            subnet: query.prefix.to_string(),
            expiration: query.expires_in.as_secs().to_string(),
        };
        queries.map(shape).collect()
    }

    /// Data packets that went through this node.
    pub(crate) fn packet_statistics(&self) -> PacketStatistics {
        let statistics = self.node.packet_statistics();
        let counts = |rows: Vec<AddressCount>| rows.into_iter().map(count).collect();
        PacketStatistics {
            by_source: counts(statistics.by_source),
            by_destination: counts(statistics.by_destination),
        }
    }

    async fn routes(&self, wanted: impl Fn(&RouteStatus) -> bool) -> Vec<Route> {
        let routes = self.node.routes().await;
        routes.iter().filter(|route| wanted(route)).map(shape_of).collect()
    }
}

fn shape_of(route: &RouteStatus) -> Route {
    Route {
        subnet: route.prefix.to_string(),
        next_hop: next_hop(route),
        metric: Metric::new(route.metric),
        seqno: route.seqno,
    }
}

/// The node counts whole packets; the reference counts what is sealed in them.
fn count(row: AddressCount) -> PacketCount {
    PacketCount {
        ip: row.address,
        packet_count: row.packets,
        byte_count: row.bytes.saturating_sub(row.packets.saturating_mul(HEADERS)),
    }
}

/// The link, in the words of the reference. A link that went while this was asked has none.
fn next_hop(route: &RouteStatus) -> String {
    let local = route.next_hop_local.map(|local| local.to_string()).unwrap_or_default();
    match route.next_hop {
        Some(Endpoint::Tcp(remote)) => format!("TCP {local} <-> {remote}"),
        Some(Endpoint::Tls(remote)) => format!("TLS {local} <-> {remote}"),
        Some(Endpoint::Quic(remote)) => format!("QUIC -> {remote}"),
        Some(Endpoint::Vsock { cid, port }) => format!("VSOCK -> {cid}:{port}"),
        Some(Endpoint::Memory(_)) | None => String::new(),
    }
}

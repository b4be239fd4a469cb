//! The routing table.

use threephone_node::{Endpoint, QueryStatus, RouteStatus};

use super::Api;
use crate::shape::{Metric, QueriedSubnet, Route};

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

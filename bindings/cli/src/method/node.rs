//! `status` and `peer.*`

use std::collections::BTreeMap;

use serde::Deserialize;
use threephone::address::Target;
use threephone::delivery::OutboxCounts;
use threephone::node::{PeerAddress, PeerKind, PeerState};
use threephone::{Peer, Phone};

use super::invalid;
use crate::rpc::Failure;
use crate::view::{InterfacesView, MetricsView, PeerView, StatusView};

pub(super) async fn status(phone: &Phone) -> Result<StatusView, Failure> {
    let status = phone.status().await?;
    Ok(StatusView {
        name: status.name,
        address: status.address.to_string(),
        public_key: status.public_key.to_string(),
        myc: Target::Key(status.public_key).to_string(),
        subnet: status.subnet.to_string(),
        uptime_seconds: status.uptime.as_secs(),
        listening: status.listening.iter().map(ToString::to_string).collect(),
        peers: status.peers.iter().map(view).collect(),
        routes: u64::try_from(status.routes).unwrap_or(u64::MAX),
        outbox: outbox(&status.outbox),
        interfaces: InterfacesView::default(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

pub(super) async fn metrics(phone: &Phone) -> Result<MetricsView, Failure> {
    Ok(MetricsView { text: threephone_servers::prometheus::render(&phone.metrics().await?) })
}

fn outbox(counts: &OutboxCounts) -> BTreeMap<String, u64> {
    let OutboxCounts { queued, sending, failed } = *counts;
    let counts = [("queued", queued), ("sending", sending), ("failed", failed)];
    counts.into_iter().map(|(state, count)| (state.to_owned(), count)).collect()
}

pub(super) async fn peers(phone: &Phone) -> Result<Vec<PeerView>, Failure> {
    Ok(phone.peers().await?.iter().map(view).collect())
}

#[derive(Deserialize)]
pub(super) struct Which {
    endpoint: String,
}

impl Which {
    fn endpoint(&self) -> Result<PeerAddress, Failure> {
        self.endpoint.parse().map_err(invalid)
    }
}

pub(super) async fn add_peer(phone: &Phone, params: Which) -> Result<(), Failure> {
    Ok(phone.add_peer(params.endpoint()?).await?)
}

pub(super) async fn remove_peer(phone: &Phone, params: Which) -> Result<(), Failure> {
    Ok(phone.remove_peer(params.endpoint()?).await?)
}

fn view(peer: &Peer) -> PeerView {
    let kind = kind_name(peer.link.as_ref().map(|link| link.kind));
    let state = state_name(peer.link.as_ref().map(|link| link.state));
    PeerView {
        endpoint: peer.endpoint.to_string(),
        kind: kind.into(),
        state: state.into(),
        remembered: peer.remembered,
        tx_bytes: peer.link.as_ref().map_or(0, |link| link.tx_bytes),
        rx_bytes: peer.link.as_ref().map_or(0, |link| link.rx_bytes),
        link_cost: peer.link.as_ref().and_then(|link| link.link_cost).map(u64::from),
    }
}

/// A remembered peer of a phone without a node is a static one.
pub(super) fn kind_name(kind: Option<PeerKind>) -> &'static str {
    match kind {
        Some(PeerKind::Inbound) => "inbound",
        Some(PeerKind::Discovered) => "discovered",
        Some(PeerKind::Public) => "public",
        Some(PeerKind::Static) | None => "static",
    }
}

pub(super) fn state_name(state: Option<PeerState>) -> &'static str {
    match state {
        Some(PeerState::Connecting) => "connecting",
        Some(PeerState::Alive) => "connected",
        Some(PeerState::Dead) => "disconnected",
        Some(PeerState::Itself) => "itself",
        None => "offline",
    }
}

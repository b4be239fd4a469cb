//! `/admin` and `/pubkey`

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use threephone_node::PeerAddress;

use super::{Refused, Shared};
use crate::api::Api;
use crate::error::ApiError;
use crate::shape::{Info, PacketStatistics, PeerStats, QueriedSubnet, Route};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/admin", get(info))
        .route("/admin/peers", get(peers).post(add_peer))
        .route("/admin/peers/{endpoint}", delete(remove_peer))
        .route("/admin/routes/selected", get(selected))
        .route("/admin/routes/fallback", get(fallback))
        .route("/admin/routes/queried", get(queried))
        .route("/admin/stats/packets", get(packet_statistics))
        .route("/admin/proxy", get(proxies).post(connect_proxy).delete(nothing_to_do))
        .route("/admin/proxy/probe", get(nothing_to_do).delete(nothing_to_do))
        .route("/pubkey/{ip}", get(public_key))
}

async fn info(State(api): Shared) -> Json<Info> {
    Json(api.info())
}

async fn peers(State(api): Shared) -> Json<Vec<PeerStats>> {
    Json(api.peers().await)
}

#[derive(Deserialize)]
struct AddPeer {
    endpoint: String,
}

async fn add_peer(State(api): Shared, Json(peer): Json<AddPeer>) -> Result<StatusCode, Refused> {
    let endpoint: PeerAddress = peer.endpoint.parse().map_err(Refused::bad_request)?;
    api.add_peer(endpoint).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_peer(
    State(api): Shared,
    Path(endpoint): Path<String>,
) -> Result<StatusCode, Refused> {
    let endpoint: PeerAddress = endpoint.parse().map_err(Refused::bad_request)?;
    api.remove_peer(endpoint).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn selected(State(api): Shared) -> Json<Vec<Route>> {
    Json(api.selected_routes().await)
}

async fn fallback(State(api): Shared) -> Json<Vec<Route>> {
    Json(api.fallback_routes().await)
}

async fn queried(State(api): Shared) -> Json<Vec<QueriedSubnet>> {
    Json(api.queries().await)
}

async fn packet_statistics(State(api): Shared) -> Json<PacketStatistics> {
    Json(api.packet_statistics())
}

/// There is no SOCKS5 helper in this node, so there is nothing it could have found.
async fn proxies() -> Json<Value> {
    Json(json!([]))
}

#[derive(Deserialize)]
struct ConnectProxy {
    #[serde(rename = "remote")]
    _remote: Option<SocketAddr>,
}

async fn connect_proxy(Json(_wanted): Json<ConnectProxy>) -> Refused {
    ApiError::NoProxy.into()
}

async fn nothing_to_do() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn public_key(State(api): Shared, Path(ip): Path<IpAddr>) -> Result<Json<Value>, Refused> {
    let IpAddr::V6(address) = ip else { return Err(ApiError::NotIpv6.into()) };
    let key = api.key_of(address).await?;
    Ok(Json(json!({ "publicKey": key.to_string() })))
}

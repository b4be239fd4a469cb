//! The JSON-RPC 2.0 API (spec 10.3): over `POST`, and over a WebSocket, on any path.

mod admin;
mod call;
mod message;
mod method;
mod openrpc;
mod request;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, routing};

use crate::ServerLimits;
use crate::api::Api;
use crate::listener::Place;

/// What every call needs.
#[derive(Clone)]
struct Rpc {
    api: Arc<Api>,
    body: usize,
    batch: usize,
    calls: usize,
}

pub(crate) fn router(api: Arc<Api>, limits: &ServerLimits) -> Router {
    let ServerLimits { rpc_body: body, batch, calls, .. } = *limits;
    Router::new().fallback(routing::any(serve)).with_state(Rpc { api, body, batch, calls })
}

async fn serve(
    State(rpc): State<Rpc>,
    Extension(place): Extension<Place>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Ok(upgrade) = upgrade {
        let upgrade = upgrade.max_message_size(rpc.body).max_frame_size(rpc.body);
        return upgrade.on_upgrade(move |stream| socket::serve(stream, rpc, place));
    }
    if method != Method::POST {
        let hint = "send JSON-RPC 2.0 by POST as application/json, or over a WebSocket";
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], hint).into_response();
    }
    // A page can send texts of other types to anywhere without being asked.
    if !is_json(&headers) {
        let hint = "send this as Content-Type: application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, hint).into_response();
    }
    match call::answer(&rpc, &body).await {
        Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        // Notifications only.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/json-rpc", "application/jsonrequest"]
        .iter()
        .any(|json| kind.eq_ignore_ascii_case(json))
}

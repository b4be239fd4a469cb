//! `/messages`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::{Refused, Shared};
use crate::api::{Api, Sent, Taking};
use crate::parse;
use crate::shape::{MessageInfo, MessageSendInfo};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/messages", get(receive).post(send))
        .route("/messages/reply/{id}", post(reply))
        .route("/messages/status/{id}", get(status))
}

#[derive(Deserialize)]
struct Receive {
    peek: Option<bool>,
    timeout: Option<u64>,
    topic: Option<String>,
}

async fn receive(State(api): Shared, Query(query): Query<Receive>) -> Result<Response, Refused> {
    // A plus sign that a client did not escape reads as a blank, which base64 has none of.
    let topic = query.topic.map(|topic| parse::topic(&topic.replace(' ', "+"))).transpose()?;
    let timeout = Duration::from_secs(query.timeout.unwrap_or(0));
    let message = api.receive(topic, Taking::peek(query.peek), timeout).await?;
    Ok(match message {
        Some(message) => Json(message).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

#[derive(Deserialize)]
struct Reply {
    reply_timeout: Option<u64>,
}

async fn send(
    State(api): Shared,
    Query(query): Query<Reply>,
    Json(message): Json<MessageSendInfo>,
) -> Result<Response, Refused> {
    let to = message.dst.target().map_err(Refused::bad_request)?;
    let topic = message.topic.map(|topic| topic.0).unwrap_or_default();
    let reply_within = query.reply_timeout.map(Duration::from_secs);
    let sent = api.send(to, topic, message.payload.0, reply_within).await?;
    Ok(match sent {
        Sent::Reply(reply) => Json(reply).into_response(),
        Sent::Id(id) if reply_within.is_some() => {
            (StatusCode::REQUEST_TIMEOUT, Json(id)).into_response()
        }
        Sent::Id(id) => (StatusCode::CREATED, Json(id)).into_response(),
    })
}

async fn reply(
    State(api): Shared,
    Path(id): Path<String>,
    Json(message): Json<MessageSendInfo>,
) -> Result<StatusCode, Refused> {
    let to = message.dst.target().map_err(Refused::bad_request)?;
    api.reply(to, parse::message_id(&id)?, message.payload.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn status(State(api): Shared, Path(id): Path<String>) -> Result<Json<MessageInfo>, Refused> {
    Ok(Json(api.message_info(parse::message_id(&id)?).await?))
}

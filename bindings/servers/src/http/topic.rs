//! `/messages/topics`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Refused, Shared};
use crate::api::Api;
use crate::parse::{self, Base64};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/messages/topics/default", get(default).put(set_default))
        .route("/messages/topics", get(topics).post(add))
        .route("/messages/topics/{topic}", delete(remove))
        .route("/messages/topics/{topic}/sources", get(sources).post(add_source))
        .route("/messages/topics/{topic}/sources/{subnet}", delete(remove_source))
        .route(
            "/messages/topics/{topic}/forward",
            get(forward).put(set_forward).delete(unset_forward),
        )
}

#[derive(Serialize, Deserialize)]
struct Default {
    accept: bool,
}

async fn default(State(api): Shared) -> Json<Default> {
    Json(Default { accept: api.accepts_by_default().await })
}

async fn set_default(
    State(api): Shared,
    Json(wanted): Json<Default>,
) -> Result<StatusCode, Refused> {
    api.set_default(wanted.accept).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn topics(State(api): Shared) -> Json<Vec<Base64>> {
    Json(api.topics().await.into_iter().map(Base64).collect())
}

/// The one place where a topic comes as a list of numbers.
async fn add(State(api): Shared, Json(topic): Json<Vec<u8>>) -> Result<StatusCode, Refused> {
    api.add_topic(topic.into()).await?;
    Ok(StatusCode::CREATED)
}

async fn remove(State(api): Shared, Path(topic): Path<String>) -> Result<StatusCode, Refused> {
    api.remove_topic(&parse::topic(&topic)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sources(
    State(api): Shared,
    Path(topic): Path<String>,
) -> Result<Json<Vec<String>>, Refused> {
    Ok(Json(api.topic_sources(&parse::topic(&topic)?).await?))
}

#[derive(Deserialize)]
struct Source {
    subnet: String,
}

async fn add_source(
    State(api): Shared,
    Path(topic): Path<String>,
    Json(source): Json<Source>,
) -> Result<StatusCode, Refused> {
    api.add_source(parse::topic(&topic)?, parse::subnet(&source.subnet)?).await?;
    Ok(StatusCode::CREATED)
}

async fn remove_source(
    State(api): Shared,
    Path((topic, subnet)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    api.remove_source(&parse::topic(&topic)?, parse::subnet(&subnet)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn forward(
    State(api): Shared,
    Path(topic): Path<String>,
) -> Result<Json<Option<String>>, Refused> {
    Ok(Json(api.forward_socket(&parse::topic(&topic)?).await))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Forward {
    socket_path: String,
}

async fn set_forward(
    State(api): Shared,
    Path(topic): Path<String>,
    Json(forward): Json<Forward>,
) -> Result<StatusCode, Refused> {
    api.set_forward_socket(&parse::topic(&topic)?, Some(forward.socket_path)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unset_forward(
    State(api): Shared,
    Path(topic): Path<String>,
) -> Result<StatusCode, Refused> {
    api.set_forward_socket(&parse::topic(&topic)?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

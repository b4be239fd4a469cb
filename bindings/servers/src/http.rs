//! The HTTP API (spec 10.2).

mod admin;
mod message;
mod topic;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::error::ApiError;
use crate::parse::Unreadable;

/// The state of every handler.
type Shared = axum::extract::State<Arc<Api>>;
/// What a handler refuses: a status, and a text for people.
struct Refused(StatusCode, String);

pub(crate) fn router(api: Arc<Api>) -> Router {
    let routes = admin::routes().merge(message::routes()).merge(topic::routes());
    let nested = Router::new().nest("/api/v1", routes);
    nested.method_not_allowed_fallback(wrong_method).fallback(unknown_path).with_state(api)
}

/// The reference answers these two with the status alone; its clients go by that.
async fn unknown_path() -> Refused {
    let hint = "there is nothing at this path; try /api/v1/admin, /api/v1/admin/peers, \
                /api/v1/messages, or /api/v1/messages/topics";
    Refused(StatusCode::NOT_FOUND, hint.into())
}

pub(crate) async fn wrong_method(method: Method) -> (StatusCode, String) {
    let hint = format!("{method} is not for this path; the header Allow says what is");
    (StatusCode::METHOD_NOT_ALLOWED, hint)
}

impl Refused {
    fn bad_request(error: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

fn status(error: &ApiError) -> StatusCode {
    match error {
        ApiError::PeerExists => StatusCode::CONFLICT,
        ApiError::UnknownPeer
        | ApiError::UnknownKey
        | ApiError::UnknownMessage
        | ApiError::UnknownTopic
        | ApiError::NoProxy => StatusCode::NOT_FOUND,
        ApiError::ReservedTopic
        | ApiError::NotIpv6
        | ApiError::TopicTooLong(_)
        | ApiError::Unsendable(_) => StatusCode::BAD_REQUEST,
        ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        ApiError::Refused(_) | ApiError::TooManyTopics => StatusCode::CONFLICT,
        ApiError::Busy(_) | ApiError::Closing => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<Unreadable> for Refused {
    fn from(error: Unreadable) -> Self {
        Self::bad_request(error)
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(status(&error), error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

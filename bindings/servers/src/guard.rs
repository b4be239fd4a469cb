//! What every request passes before anything is done: who asks, and how much they bring.
//!
//! Every program on the machine reaches a loopback port, and so does every web page in its browser.
//! A page gives itself away by the headers that browsers add, or, when it had its own name resolve
//! to 127.0.0.1 (DNS rebinding), by that name in `Host`. Without a token such requests are refused;
//! with one it is the token that decides, which no page has.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{ServerLimits, Token};

/// The unit in which room for bodies is counted.
const KIB: usize = 1024;
/// How much of a refused body is read, so that the caller gets to read why: hanging up on somebody
/// who is still sending discards the answer.
const DRAIN: usize = 16 << 20;
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// What requests to one server are held to.
pub(crate) struct Guard {
    token: Option<Token>,
    body: usize,
    within: Duration,
    /// KiB of bodies that may be in memory.
    room: Semaphore,
}

impl Guard {
    /// For a server that takes bodies of up to `body` bytes.
    pub(crate) fn new(token: Option<Token>, body: usize, limits: &ServerLimits) -> Self {
        let room = limits.bodies.max(body).div_ceil(KIB).min(Semaphore::MAX_PERMITS);
        Self { token, body, within: limits.body_within, room: Semaphore::new(room) }
    }

    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        if let Some(token) = &self.token {
            let shown = headers.get(AUTHORIZATION).is_some_and(|v| token.is_shown_by(v.as_bytes()));
            return if shown { Ok(()) } else { Err(Refusal::NoToken) };
        }
        if is_from_a_page(headers) {
            return Err(Refusal::FromAPage);
        }
        let host = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
        let named = [host, request.uri().authority().map(|authority| authority.as_str())];
        if named.into_iter().flatten().all(is_literal) { Ok(()) } else { Err(Refusal::NamedHost) }
    }

    /// Reads all of a body, so that nothing after this waits for the caller.
    async fn read(&self, body: Body) -> Result<Body, Refusal> {
        // A body without a stated length may turn out as long as any.
        let size = body.size_hint();
        let longest =
            size.upper().map_or(self.body, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if longest == 0 {
            return Ok(Body::empty());
        }
        if longest > self.body {
            let _ = timeout(DRAIN_WITHIN, axum::body::to_bytes(body, DRAIN)).await;
            return Err(Refusal::TooLarge(self.body));
        }
        let read = async {
            let kib = u32::try_from(longest.div_ceil(KIB)).unwrap_or(u32::MAX);
            let _room = self.room.acquire_many(kib).await.map_err(|_| Refusal::Unreadable)?;
            axum::body::to_bytes(body, self.body).await.map_err(|error| {
                // A stated length was checked before, so only an unstated one runs over.
                match std::error::Error::source(&error) {
                    Some(source) if source.to_string().contains("length limit") => {
                        Refusal::TooLarge(self.body)
                    }
                    _ => Refusal::Unreadable,
                }
            })
        };
        timeout(self.within, read).await.map_err(|_| Refusal::TooSlow)?.map(Body::from)
    }
}

/// Lets a request through, whole, or answers it.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refusal) = guard.admit(&request) {
        tracing::debug!(%refusal, "a request was refused");
        return refusal.into_response();
    }
    let (parts, body) = request.into_parts();
    match guard.read(body).await {
        Ok(body) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Browsers add `Origin` to whatever a page sends but plain fetches, and `Sec-Fetch-Site` to all:
/// `none` means that a person typed the address.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() != b"none")
}

/// Whether a host cannot have been made to mean this machine by whoever owns a name.
fn is_literal(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || inner.parse::<IpAddr>().is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("this interface wants the token it was started with: Authorization: Bearer …")]
    NoToken,
    #[error("web pages are not served here; start the daemon with a token and send it")]
    FromAPage,
    #[error("name this machine by its address or as localhost, or use a token")]
    NamedHost,
    #[error("the body is larger than the {0} bytes that are taken")]
    TooLarge(usize),
    #[error("the body did not come in time")]
    TooSlow,
    #[error("the body broke off")]
    Unreadable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::FromAPage | Self::NamedHost => StatusCode::FORBIDDEN,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unreadable => StatusCode::BAD_REQUEST,
        };
        let mut response = (status, self.to_string()).into_response();
        if self == Self::NoToken {
            let value = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_cannot_be_rebound() {
        for host in
            ["127.0.0.1", "127.0.0.1:8989", "[::1]", "[::1]:8989", "localhost", "LOCALHOST:1"]
        {
            assert!(is_literal(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8989",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "a@127.0.0.1",
        ] {
            assert!(!is_literal(host), "{host}");
        }
    }
}

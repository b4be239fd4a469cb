//! Connections of one server: accepted up to a bound, served with deadlines, ended in order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ServerLimits;
use crate::stream::Patient;

/// Answers that are being written get this long when the servers close.
const GRACE: Duration = Duration::from_millis(500);
/// Out of file descriptors, most likely: others get time to close theirs.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the largest head; the API needs a few hundred.
const HEAD: usize = 16 * 1024;

/// The place of one connection, kept by whatever goes on using it; a WebSocket outlives the request
/// that began it.
#[derive(Clone)]
pub(crate) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
    /// The servers wait for whoever holds one.
    _running: tokio_util::task::task_tracker::TaskTrackerToken,
    /// Told when the servers close.
    pub(crate) closing: CancellationToken,
}

/// Serves until `closing`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    tasks: TaskTracker,
    closing: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a request");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = places.clone().try_acquire_owned() else {
            tracing::debug!(connections = limits.connections, "one connection too many");
            continue;
        };
        let place =
            Place { _permit: Arc::new(permit), _running: tasks.token(), closing: closing.clone() };
        tasks.spawn(connection(stream, router.clone(), limits.clone(), place));
    }
}

async fn connection(stream: TcpStream, router: Router, limits: ServerLimits, place: Place) {
    // An answer is one write; nothing is gained by holding it back.
    let _ = stream.set_nodelay(true);
    let closing = place.closing.clone();
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        hyper::service::Service::call(&routes, request)
    });
    let stream = TokioIo::new(Patient::new(stream, limits.body_within));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(HEAD)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.ok()
        }
    };
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

//! Starting and ending the servers of one node.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Router, middleware};
use threephone_node::Node;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::config::{ServerConfig, ServerLimits};
use crate::guard::{self, Guard};
use crate::{Token, http, listener, prometheus, rpc};

/// Running servers. Dropping them ends them too, but waits for nothing.
#[derive(Debug)]
pub struct Servers {
    addresses: Addresses,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// Where the servers listen, with the ports the system chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The HTTP API.
    pub http: Option<SocketAddr>,
    /// The JSON-RPC API.
    pub rpc: Option<SocketAddr>,
    /// The metrics.
    pub metrics: Option<SocketAddr>,
}

/// Why the servers did not start. None of them runs then.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Anybody on the network could command the node.
    #[error(
        "{0} is not a loopback address, so others could command this node: \
         give a token too, or listen on 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {error}{}", threephone_node::listen_advice(error))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Servers {
    /// Opens the listeners that `config` names, all or none; on return they answer.
    /// Needs a tokio runtime with time and I/O, on which the servers then run.
    ///
    /// # Errors
    /// [`ServerError`] for an address that may not or cannot be listened on.
    pub async fn start(node: Arc<Node>, config: ServerConfig) -> Result<Self, ServerError> {
        let ServerConfig { http, rpc, metrics, token, reserved_topics, limits } = config;
        let (http, http_address) = bind(http, &token).await?;
        let (rpc, rpc_address) = bind(rpc, &token).await?;
        let (metrics, metrics_address) = bind(metrics, &token).await?;
        let addresses =
            Addresses { http: http_address, rpc: rpc_address, metrics: metrics_address };
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let api = Arc::new(Api::new(node, reserved_topics, closing.clone()));
        let (http_body, rpc_body) = (limits.http_body, limits.rpc_body);
        let servers = [
            (http, http::router(api.clone()), http_body),
            (rpc, rpc::router(api.clone(), &limits), rpc_body),
            // Nothing is sent to the metrics.
            (metrics, prometheus::router(api), 0),
        ];
        for (listener, router, body) in servers {
            if let Some(listener) = listener {
                let router = guarded(router, token.clone(), body, &limits);
                let (limits, tracker) = (limits.clone(), tasks.clone());
                tasks.spawn(listener::serve(listener, router, limits, tracker, closing.clone()));
            }
        }
        tasks.close();
        Ok(Self { addresses, tasks, closing })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Ends all of them: calls that wait are answered, answers under way get half a second to
    /// leave. On return no task is left.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

async fn bind(
    address: Option<SocketAddr>,
    token: &Option<Token>,
) -> Result<(Option<TcpListener>, Option<SocketAddr>), ServerError> {
    let Some(address) = address else { return Ok((None, None)) };
    if token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ServerError::NotLoopback(address));
    }
    let failed = |error| ServerError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((Some(listener), Some(bound)))
}

fn guarded(router: Router, token: Option<Token>, body: usize, limits: &ServerLimits) -> Router {
    let guard = Arc::new(Guard::new(token, body, limits));
    // The guard has read the body and bounded it.
    let router = router.layer(axum::extract::DefaultBodyLimit::disable());
    router.layer(middleware::from_fn_with_state(guard, guard::check))
}

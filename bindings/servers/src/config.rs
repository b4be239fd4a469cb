//! Where the servers listen, whom they let in, and how much one caller may claim.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::Token;

/// What the servers are started with. The default starts none.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// Where the HTTP API listens; port 0 lets the system choose.
    pub http: Option<SocketAddr>,
    /// Where the JSON-RPC API listens.
    pub rpc: Option<SocketAddr>,
    /// Where `/metrics` is served.
    pub metrics: Option<SocketAddr>,
    /// What every caller has to show; without one only loopback addresses are listened on.
    pub token: Option<Token>,
    /// Topics that belong to the program around the node: nothing is sent on them from here, and
    /// their policy is not to be changed.
    pub reserved_topics: Vec<Bytes>,
    /// How much one caller may claim.
    pub limits: ServerLimits,
}

/// Bounds of each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Bytes of the largest body of an HTTP request. A message is sent in base64, so three quarters
    /// of this.
    pub http_body: usize,
    /// Bytes of the largest JSON-RPC request, by `POST` or as a WebSocket message.
    pub rpc_body: usize,
    /// Bytes of bodies being read at a time, of all callers of one server; at least one largest
    /// body always fits.
    pub bodies: usize,
    /// Requests of one JSON-RPC batch: each may be answered by more than it takes.
    pub batch: usize,
    /// Connections of one server at a time; further ones are hung up on.
    pub connections: usize,
    /// Calls of one WebSocket that run at a time; further ones wait unread.
    pub calls: usize,
    /// How long a caller may take for the head of a request, and keep a connection idle.
    pub head_within: Duration,
    /// How long a caller may take for a body, and to read the answer.
    pub body_within: Duration,
}

impl Default for ServerLimits {
    /// Bodies as large as the reference daemon takes them.
    fn default() -> Self {
        Self {
            http_body: 2 << 20,
            rpc_body: 10 << 20,
            bodies: 64 << 20,
            batch: 256,
            connections: 256,
            calls: 64,
            head_within: Duration::from_secs(30),
            body_within: Duration::from_secs(30),
        }
    }
}

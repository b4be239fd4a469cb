//! The network as delivery sees it.

use std::future::Future;
use std::net::Ipv6Addr;
use std::pin::Pin;

use bytes::Bytes;
use threephone_address::{PublicKey, Target};

/// A boxed future, so that links can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages between nodes. Implemented by the node's message bus and by the simulation.
pub trait Link: Send + Sync + 'static {
    /// Sends a message; resolves once the other node has taken it. Dropping the future gives up.
    fn send(&self, to: Target, bytes: Bytes) -> BoxFuture<'_, Result<Sent, LinkError>>;
    /// The full node key of an address, found by a route lookup within a bounded time.
    fn resolve(&self, to: Target) -> BoxFuture<'_, Result<PublicKey, LinkError>>;
    /// What happens next; `None` once the link is closed.
    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>>;
    /// The longest message, in bytes.
    fn max_bytes(&self) -> usize;
}

/// The other node has taken a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The node it went to.
    pub key: PublicKey,
}

/// What a link reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A message came.
    Received {
        /// Its source address.
        from: Ipv6Addr,
        /// The node key that the network says it came from.
        from_key: PublicKey,
        /// The message.
        bytes: Bytes,
    },
    /// A node can be reached now.
    Reachable {
        /// Any address in its /64.
        address: Ipv6Addr,
        /// Its key.
        key: PublicKey,
    },
}

/// Why a message did not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody knows the way at present.
    #[error("there is no route to the peer")]
    NoRoute,
    /// The peer did not answer in time.
    #[error("the peer did not answer")]
    TimedOut,
    /// The message is longer than the link carries; trying again is no use.
    #[error("the message is too long for the network")]
    TooLarge,
    /// The link was closed.
    #[error("the network is closed")]
    Closed,
}

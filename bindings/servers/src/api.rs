//! What both interfaces do with the node, in the shapes that both answer with.
//!
//! Nothing here holds a lock while it waits: each call is a question to the node of its own, and
//! whoever hangs up takes the question back.

mod message;
mod peer;
mod route;
mod topic;

pub(crate) use message::{Sent, Taking};

use std::future::Future;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use threephone_node::{Node, PublicKey};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::shape::Info;

/// How long the key behind an address is looked for: an answer crosses the network in well under a
/// second, and the caller waits.
const LOOKUP: Duration = Duration::from_secs(1);

/// The node, as the interfaces see it.
pub(crate) struct Api {
    node: Arc<Node>,
    started: SystemTime,
    reserved: Vec<Bytes>,
    closing: CancellationToken,
    /// Held while the topic policy is read, changed and put back.
    policy: Mutex<()>,
}

impl Api {
    pub(crate) fn new(node: Arc<Node>, reserved: Vec<Bytes>, closing: CancellationToken) -> Self {
        Self { node, started: SystemTime::now(), reserved, closing, policy: Mutex::new(()) }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn info(&self) -> Info {
        Info {
            node_subnet: self.node.subnet().to_string(),
            node_ip: self.node.address(),
            node_pubkey: self.node.public_key().to_string(),
            node_start_time: unix_seconds(self.started),
        }
    }

    pub(crate) async fn key_of(&self, address: Ipv6Addr) -> Result<PublicKey, ApiError> {
        if !threephone_node::in_overlay(address) {
            return Err(ApiError::UnknownKey);
        }
        let found = self.unless_closing(self.node.resolve(address, LOOKUP)).await?;
        found.ok_or(ApiError::UnknownKey)
    }

    /// Waits for `call`, but not longer than the servers run.
    async fn unless_closing<T>(&self, call: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::select! {
            biased;
            outcome = call => Ok(outcome),
            () = self.closing.cancelled() => Err(ApiError::Closing),
        }
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    // A clock before 1970 is one that was never set.
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

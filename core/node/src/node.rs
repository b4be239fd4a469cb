//! The handle an application holds on a running node.

mod config;
mod exchange;
mod start;
mod status;
mod stream;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use threephone_address::PublicKey;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::NodeConfig;
pub use self::status::{
    NodeError, NodeEvent, PeerKind, PeerState, PeerStatus, QueryStatus, RouteStatus, listen_advice,
};
pub use self::stream::{Events, HeldMessage, Subscription};
use crate::bus::{BusCounters, TopicPolicy};
use crate::data::{DataCounters, PacketStatistics};
use crate::driver::command::{Command, Released};
use crate::driver::fastpath::FastPath;
use crate::driver::listener::DoorWatch;
use crate::driver::transport::Transports;
use crate::endpoint::{Endpoint, PeerAddress};
use crate::ledger::Ledger;
use crate::metrics::NodeMetrics;
use crate::power::{PowerMode, PowerPolicy};
use crate::prefix::Prefix;
use crate::router::RouterCounters;

/// A running node. Close it with [`Node::close`]: dropping it without is an error in the log.
pub struct Node {
    key: PublicKey,
    listening: Vec<Endpoint>,
    doors: DoorWatch,
    commands: mpsc::Sender<Command>,
    released: mpsc::UnboundedSender<Released>,
    /// Weak, so that readers of events see the end when the core ends.
    events: broadcast::WeakSender<NodeEvent>,
    /// Made before anything ran, for the first reader.
    first_events: Mutex<Option<broadcast::Receiver<NodeEvent>>>,
    transports: Arc<Transports>,
    tracker: TaskTracker,
    closing: CancellationToken,
    fast: Arc<FastPath>,
}

impl Node {
    /// The node's key.
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// The node's overlay address.
    pub fn address(&self) -> Ipv6Addr {
        self.key.address()
    }

    /// The /64 that belongs to the node.
    pub fn subnet(&self) -> Prefix {
        Prefix::subnet_of(self.address())
    }

    /// Where the node accepts links, with the ports the system chose.
    pub fn listening(&self) -> &[Endpoint] {
        &self.listening
    }

    /// Adds a static peer and dials it at once.
    pub async fn add_peer(&self, peer: impl Into<PeerAddress>) -> Result<(), NodeError> {
        let peer = peer.into();
        let answer = self.ask(|reply| Command::AddPeer { peer, reply }).await;
        answer.unwrap_or(Err(NodeError::Closed))
    }

    /// Forgets a peer of any kind and closes its link.
    pub async fn remove_peer(&self, peer: impl Into<PeerAddress>) -> Result<(), NodeError> {
        let peer = peer.into();
        let answer = self.ask(|reply| Command::RemovePeer { peer, reply }).await;
        answer.unwrap_or(Err(NodeError::Closed))
    }

    /// The peer table, sorted by endpoint; empty once the node is closed.
    pub async fn peers(&self) -> Vec<PeerStatus> {
        self.ask(|reply| Command::Peers { reply }).await.unwrap_or_default()
    }

    /// The routing table; empty once the node is closed.
    pub async fn routes(&self) -> Vec<RouteStatus> {
        self.ask(|reply| Command::Routes { reply }).await.unwrap_or_default()
    }

    /// The prefixes that are being looked for; empty once the node is closed.
    pub async fn queries(&self) -> Vec<QueryStatus> {
        self.ask(|reply| Command::Queries { reply }).await.unwrap_or_default()
    }

    /// What the router refused and noticed since the start; zeros once the node is closed.
    pub async fn router_counters(&self) -> RouterCounters {
        self.ask(|reply| Command::RouterCounters { reply }).await.unwrap_or_default()
    }

    /// Tells the node that the machine is on another network now, or awake again: peers that wait
    /// are dialled at once, and links that do not answer within seconds are given up.
    pub async fn network_changed(&self) {
        let _ = self.commands.send(Command::NetworkChanged).await; // closed: there are no links
    }

    /// Sets how much the node does on its own; gives the mode it is in then. A node that is
    /// suspended has no link, no listener and no timer on return, which is within a second: that is
    /// for what was queued. One that is not suspended any more listens and dials on return.
    pub async fn set_power(&self, policy: impl Into<PowerPolicy>) -> PowerMode {
        let policy = policy.into();
        let answer = self.ask(|reply| Command::SetPower { policy, reply }).await;
        let Some(mode) = answer else { return PowerMode::Suspended };
        self.doors.clone().follow(mode.into()).await;
        mode
    }

    /// What the node has cost since its start; none once it is closed.
    pub async fn ledger(&self) -> Option<Ledger> {
        self.ask(|reply| Command::Ledger { reply }).await
    }

    /// What the node counts; nothing but noughts once it is closed.
    pub async fn metrics(&self) -> NodeMetrics {
        self.ask(|reply| Command::Metrics { reply }).await.unwrap_or_default()
    }

    /// What the message bus has done and holds; zeros once the node is closed.
    pub async fn bus_counters(&self) -> BusCounters {
        self.ask(|reply| Command::BusCounters { reply }).await.unwrap_or_default()
    }

    /// Who may send on which topic; the default once the node is closed.
    pub async fn topic_policy(&self) -> TopicPolicy {
        self.ask(|reply| Command::Policy { reply }).await.unwrap_or_default()
    }

    /// Changes who may send on which topic, for messages that begin from now on.
    pub async fn set_topic_policy(&self, policy: TopicPolicy) {
        let _ = self.ask(|reply| Command::SetPolicy { policy, reply }).await; // closed: no matter
    }

    /// What happens on the network: for the first caller since the node started, for later ones
    /// from now on. A slow reader is told how much it missed.
    pub fn events(&self) -> Events {
        let first = self.first_events.lock().unwrap_or_else(PoisonError::into_inner).take();
        let receiver = first.unwrap_or_else(|| match self.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        });
        Events { receiver }
    }

    /// Data packets and bytes by overlay address, as far as they are remembered.
    pub fn packet_statistics(&self) -> PacketStatistics {
        self.fast.shared().statistics()
    }

    /// What happened to data packets since the node started.
    pub fn data_counters(&self) -> DataCounters {
        self.fast.shared().tally.counters()
    }

    /// The key of the node that owns `address`, looked up if need be.
    pub async fn resolve(&self, address: Ipv6Addr, timeout: Duration) -> Option<PublicKey> {
        if self.subnet().contains(address) {
            return Some(self.key);
        }
        let answer = self.ask(|reply| Command::Resolve { address, reply });
        tokio::time::timeout(timeout, answer).await.ok()?
    }

    /// Closes links and listeners and waits until no task is left. What is queued on a link gets
    /// half a second to leave. A second call only waits.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.transports.end().await;
    }

    /// Puts a question to the core; none when there is no core any more.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.closing.is_cancelled() {
            tracing::error!("a node was dropped without being closed");
            self.closing.cancel();
        }
    }
}

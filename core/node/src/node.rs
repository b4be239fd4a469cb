//! The handle an application holds on a running node.

mod status;
mod stream;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_address::{PublicKey, Target};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use self::status::{
    NodeError, NodeEvent, PeerKind, PeerState, PeerStatus, QueryStatus, RouteStatus,
};
pub use self::stream::{Events, Subscription};
use crate::bus::{BusCounters, TopicPolicy};
use crate::data::{DataCounters, PacketStatistics};
use crate::discovery::{Beacon, Hearing};
use crate::driver::command::{
    COMMANDS, Command, Handover, INPUTS, Patience, ReleaseGuard, Released, Taking,
};
use crate::driver::core::{Core, CoreParts, Inlets};
use crate::driver::discovery::{self, Order};
use crate::driver::fastpath::{FastPath, run_tun};
use crate::driver::listener;
use crate::driver::manners::Beacons;
use crate::driver::peer::Peers;
use crate::driver::transport::{Arrivals, MemoryNetwork, TransportConfig, Transports};
use crate::endpoint::{Endpoint, PeerAddress};
use crate::engine::{Engine, EngineConfig};
use crate::identity::{RouterId, SecretKey};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::message::{
    MessageId, MessageInfo, OutgoingMessage, ReceivedMessage, SendError, SendState, TopicFilter,
};
use crate::metrics::NodeMetrics;
use crate::power::{Power, PowerMode, PowerPolicy};
use crate::prefix::Prefix;
use crate::private_network::PrivateNetwork;
use crate::router::RouterCounters;
use crate::tun::{self, Device, Tun};

/// Events a slow reader may be behind; they are small, and a reader that far behind does better to
/// ask for the whole state.
const EVENTS: usize = 1024;

/// Tasks that read the TUN and seal; the others open.
const TUN_TASKS: usize = 4;

/// What a node is started with.
pub struct NodeConfig {
    /// Who the node is.
    pub secret: SecretKey,
    /// Where it accepts links; port 0 lets the system choose.
    pub listen: Vec<Endpoint>,
    /// Whom it dials for as long as it runs.
    pub peers: Vec<PeerAddress>,
    /// Entry peers of the public network, each with all of its endpoints; a few are connected at a
    /// time. [`public_peers`](crate::public_peers) has the network's own list.
    pub public_peers: Vec<Vec<Endpoint>>,
    /// How much it does on its own.
    pub power: PowerPolicy,
    /// The UDP port of beacons on the local network, usually [`PORT`](crate::discovery::PORT); without one
    /// nobody is looked for there.
    pub discovery: Option<u16>,
    /// What strangers can make grow, and how far.
    pub limits: Limits,
    /// Who may send messages on which topic; by default anybody on any.
    pub topic_policy: TopicPolicy,
    /// The network of one's own that it belongs to: then links over TCP are TLS with the network's
    /// key, there are no QUIC links, and nobody else gets in.
    pub private_network: Option<PrivateNetwork>,
    /// Whether vsock links are allowed beside a private network, whose key does not protect them.
    pub plain_vsock: bool,
    /// For tests: where [`Endpoint::Memory`] leads.
    pub memory: MemoryNetwork,
    /// Where IP packets come from and go to.
    pub tun: Tun,
}

impl NodeConfig {
    /// A node that listens nowhere and dials nobody yet.
    pub fn new(secret: SecretKey) -> Self {
        Self {
            secret,
            listen: Vec::new(),
            peers: Vec::new(),
            public_peers: Vec::new(),
            power: PowerPolicy::default(),
            discovery: None,
            limits: Limits::default(),
            topic_policy: TopicPolicy::default(),
            private_network: None,
            plain_vsock: false,
            memory: MemoryNetwork::new(),
            tun: Tun::None,
        }
    }
}

/// A running node. Close it with [`Node::close`]: dropping it without is an error in the log.
pub struct Node {
    key: PublicKey,
    listening: Vec<Endpoint>,
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
    /// Opens the listeners, starts dialling, and returns once links are accepted. Needs a tokio
    /// runtime with time and I/O, on which the node's tasks then run.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let now = Instant::now();
        let key = config.secret.public_key();
        let mut peers = Peers::new(random()?, config.limits.links.first_packet, now);
        for peer in config.peers {
            match peers.add(peer, now) {
                // Named twice is still one peer.
                Ok(()) | Err(NodeError::PeerExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        peers.add_public(config.public_peers, now);
        let power = Power::new(config.power, now);
        let (secret, limits) = (config.secret, config.limits);
        let (router_random, seed) = (random()?, random()?);
        let paths = limits.data.paths;
        let (policy, limit) = (config.topic_policy, limits.bus.message_bytes);
        let mut engine = Engine::new(EngineConfig { secret, router_random, seed, limits }, now);
        engine.set_topic_policy(policy.clone());
        let devices = open_tun(config.tun, &mut engine)?;
        let transports = Transports::new(TransportConfig {
            name: RouterId::new(key, router_random).to_string(),
            private_network: config.private_network,
            plain_vsock: config.plain_vsock,
            memory: config.memory,
        });
        let transports = Arc::new(transports.map_err(NodeError::Transport)?);
        let (listeners, listening) = listener::open_all(&transports, &config.listen)?;
        // From here on nothing can fail.
        let (commands, command_inlet) = mpsc::channel(COMMANDS);
        let (inputs, input_inlet) = mpsc::channel(INPUTS);
        let (released, released_inlet) = mpsc::unbounded_channel();
        let fast = Arc::new(FastPath::new(engine.shared(), devices, paths, inputs.clone(), now));
        let (events, first_events) = broadcast::channel(EVENTS);
        let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
        let node = Self {
            key,
            listening,
            commands,
            released: released.clone(),
            events: events.downgrade(),
            first_events: Mutex::new(Some(first_events)),
            transports: Arc::clone(&transports),
            tracker: tracker.clone(),
            closing: closing.clone(),
            fast: Arc::clone(&fast),
        };
        let arrivals =
            Arrivals { core: inputs.clone(), tracker: tracker.clone(), closing: closing.clone() };
        listeners.into_iter().for_each(|listener| listener::run(listener, &arrivals));
        let beacons = config.discovery.map(|port| {
            let router_id = RouterId::new(key, router_random);
            let beacon = beacon_port(node.listening()).map(|port| Beacon { port, router_id });
            let (orders, order_inlet) = watch::channel(Order::Rest);
            let beacons = Beacons::new(orders, beacon.is_some());
            let (hearing, core) = (Hearing::new(router_id, now), inputs.clone());
            let parts = discovery::Parts { port, beacon, hearing, orders: order_inlet, core };
            tracker.spawn(closing.clone().run_until_cancelled_owned(discovery::run(parts)));
            beacons
        });
        run_tun(&fast, &tracker, &closing);
        let core = Core::new(CoreParts {
            beacons,
            engine,
            peers,
            power,
            policy,
            limit,
            transports,
            events,
            fast: Arc::clone(&fast),
            inputs,
            released,
            tracker,
            closing,
        });
        let inlets =
            Inlets { commands: command_inlet, inputs: input_inlet, released: released_inlet };
        // Of several nodes in a process, which one speaks.
        let span = tracing::debug_span!("node", address = %key.address());
        node.tracker.spawn(core.run(inlets).instrument(span));
        Ok(node)
    }

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
    /// suspended has closed its links on return, and has half a second to write what is queued.
    pub async fn set_power(&self, policy: impl Into<PowerPolicy>) -> PowerMode {
        let policy = policy.into();
        let answer = self.ask(|reply| Command::SetPower { policy, reply }).await;
        answer.unwrap_or(PowerMode::Suspended)
    }

    /// What the node has cost since its start; none once it is closed.
    pub async fn ledger(&self) -> Option<Ledger> {
        self.ask(|reply| Command::Ledger { reply }).await
    }

    /// What the node counts; nothing but noughts once it is closed.
    pub async fn metrics(&self) -> NodeMetrics {
        self.ask(|reply| Command::Metrics { reply }).await.unwrap_or_default()
    }

    /// Queues a message in the node, with or without a route. It is tried for five minutes.
    /// Cancelled before it gives the id, it sends nothing.
    pub async fn send(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        let topic = Bytes::copy_from_slice(topic);
        self.send_draft(OutgoingMessage { to, topic, payload, deadline: None }).await
    }

    /// As [`Node::send`], given up when its own deadline has passed.
    pub async fn send_draft(&self, message: OutgoingMessage) -> Result<MessageId, SendError> {
        let answer = self.ask(|reply| Command::Send { message, reply }).await;
        answer.unwrap_or(Err(SendError::Closed))
    }

    /// Sends a message and waits at most `timeout` for the other application's reply, which goes to
    /// nobody else and is no matter of the topic policy. Gives the id, and the reply if one came; the
    /// message goes on until its deadline, and a reply that comes later is a message like others.
    pub async fn send_for_reply(
        &self,
        message: OutgoingMessage,
        timeout: Duration,
    ) -> Result<(MessageId, Option<ReceivedMessage>), SendError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.ask(|reply| Command::Request { message, reply, answer }).await;
        let id = sent.unwrap_or(Err(SendError::Closed))?;
        let _guard = ReleaseGuard::new(Released::Request(id), self.released.clone());
        let answer = tokio::time::timeout(timeout, answered).await;
        Ok((id, answer.ok().and_then(Result::ok).and_then(Handover::take)))
    }

    /// Answers a message with its id, as the other application may be waiting for it: no topic.
    ///
    /// # Errors
    /// [`SendError::IdInUse`] while an answer to it is on its way, [`SendError::Answered`] for twenty
    /// minutes after it arrived (of the last 65,536 answers); otherwise as [`Node::send`].
    pub async fn reply(&self, to: Target, id: MessageId, payload: Bytes) -> Result<(), SendError> {
        let answer = self.ask(|reply| Command::Respond { to, id, payload, reply }).await;
        answer.unwrap_or(Err(SendError::Closed))
    }

    /// What is known of an outgoing message; none when it is forgotten or never was.
    pub async fn message_info(&self, id: MessageId) -> Option<MessageInfo> {
        self.ask(|reply| Command::Info { id, reply }).await.flatten()
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

    /// Waits until the other node has the message, or it was given up, at most `timeout`;
    /// gives the state then. A forgotten or unknown id counts as aborted, and so does every
    /// message once the node is closed.
    pub async fn wait(&self, id: MessageId, timeout: Duration) -> SendState {
        let answer = self.ask(|reply| Command::Wait { id, reply });
        match tokio::time::timeout(timeout, answer).await {
            Ok(state) => state.unwrap_or(SendState::Aborted),
            Err(_) => SendState::Pending,
        }
    }

    /// [`Node::send`] and [`Node::wait`] in one. When the time is over (then the state is still
    /// pending), or this future is dropped, the message is given up.
    pub async fn send_and_wait(
        &self,
        to: Target,
        topic: &[u8],
        payload: Bytes,
        timeout: Duration,
    ) -> Result<SendState, SendError> {
        let id = self.send(to, topic, payload).await?;
        let mut guard = ReleaseGuard::new(Released::Outgoing(id), self.released.clone());
        let state = self.wait(id, timeout).await;
        if state != SendState::Pending {
            guard.disarm();
        }
        Ok(state)
    }

    /// Gives up an outgoing message and tells the receiver so.
    pub async fn cancel(&self, id: MessageId) {
        let _ = self.commands.send(Command::Cancel { id }).await; // closed: given up already
    }

    /// Takes the oldest waiting message that `filter` lets through, waiting at most `timeout`.
    /// Topics that somebody subscribed to are never let through. Cancelling loses nothing.
    pub async fn receive(&self, filter: TopicFilter, timeout: Duration) -> Option<ReceivedMessage> {
        self.read(filter, Taking::Take, timeout).await
    }

    /// As [`Node::receive`], but the message stays where it is and the next reader gets it again.
    /// Its sender is told that it was read all the same, as by older nodes.
    pub async fn peek(&self, filter: TopicFilter, timeout: Duration) -> Option<ReceivedMessage> {
        self.read(filter, Taking::Peek, timeout).await
    }

    async fn read(
        &self,
        filter: TopicFilter,
        taking: Taking,
        timeout: Duration,
    ) -> Option<ReceivedMessage> {
        let ask = |wait| {
            let filter = filter.clone();
            self.ask(move |reply| Command::Receive { filter, taking, wait, reply })
        };
        // Asked without patience first: an answer takes its time even when nothing is to be
        // waited for, and must not lose against a timeout of zero.
        if let Some(handover) = ask(Patience::None).await? {
            return handover.take();
        }
        if timeout.is_zero() {
            return None;
        }
        tokio::time::timeout(timeout, ask(Patience::Waits)).await.ok()???.take()
    }

    /// Reserves a topic: its messages go only to the subscription. While nobody takes them, the
    /// node's bounded queue fills, and then senders are not acknowledged and try again.
    /// A second subscription of a topic replaces the first. On a closed node it ends at once.
    pub async fn subscribe(&self, topic: &[u8]) -> Subscription {
        let topic = Bytes::copy_from_slice(topic);
        let answer = self.ask(|reply| Command::Subscribe { topic, reply }).await;
        answer.unwrap_or_else(|| Subscription::ended(self.released.clone()))
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

/// The port to name in beacons: of a listener that takes TCP connections from the local network.
fn beacon_port(listening: &[Endpoint]) -> Option<u16> {
    listening.iter().find_map(|endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Tls(address) if matches!(address.ip(), IpAddr::V6(ip) if ip.is_unspecified()) => {
            Some(address.port())
        }
        _ => None,
    })
}

fn random<const N: usize>() -> Result<[u8; N], NodeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NodeError::Random)?;
    Ok(bytes)
}

fn open_tun(tun: Tun, engine: &mut Engine) -> Result<Vec<Device>, NodeError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let devices = tun::open(tun, engine.address(), cores.div_ceil(2).min(TUN_TASKS))?;
    if !devices.is_empty() {
        engine.attach_tun();
    }
    Ok(devices)
}

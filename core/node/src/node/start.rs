//! From a configuration to a node: opens what can fail first, then starts the tasks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Node, NodeConfig, NodeError};
use crate::discovery::{Beacon, Hearing};
use crate::driver::command::{COMMANDS, INPUTS, Input};
use crate::driver::core::{Core, CoreParts, Inlets};
use crate::driver::discovery::{self, Order};
use crate::driver::fastpath::{FastPath, run_tun};
use crate::driver::listener;
use crate::driver::manners::Beacons;
use crate::driver::network;
use crate::driver::outside::Outside;
use crate::driver::peer::Peers;
use crate::driver::transport::{TransportConfig, Transports};
use crate::endpoint::{Endpoint, PeerAddress};
use crate::engine::{Engine, EngineConfig};
use crate::identity::RouterId;
use crate::power::Power;
use crate::router::PLACES;
use crate::tun::{self, Device, Tun};

/// Events a slow reader may be behind; they are small, and a reader that far behind does better to
/// ask for the whole state.
const EVENTS: usize = 1024;

/// Tasks that read the TUN and seal; the others open.
const TUN_TASKS: usize = 4;

impl Node {
    /// Opens the listeners, starts dialling, and returns once links are accepted. Needs a tokio
    /// runtime with time and I/O, on which the node's tasks then run.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        Self::start_in(config, Outside::default()).await
    }

    /// Starts it in a world of its own.
    pub(crate) async fn start_in(config: NodeConfig, outside: Outside) -> Result<Self, NodeError> {
        let now = Instant::now();
        let key = config.secret.public_key();
        let (first_packet, links) = (config.limits.links.first_packet, config.limits.router.links);
        let mut peers = Peers::new(random()?, first_packet, links.min(PLACES), now);
        add_peers(&mut peers, config.peers, now)?;
        peers.add_public(config.public_peers, now);
        let power = Power::new(config.power, now);
        let (secret, limits) = (config.secret, config.limits);
        let (router_random, seed, paths) = (random()?, random()?, limits.data.paths);
        let router_id = RouterId::new(key, router_random);
        let (policy, limit) = (config.topic_policy, limits.bus.message_bytes);
        let mut engine = Engine::new(EngineConfig { secret, router_random, seed, limits }, now);
        engine.set_topic_policy(policy.clone());
        let devices = open_tun(config.tun, &mut engine)?;
        let transports = Transports::new(TransportConfig {
            name: router_id.to_string(),
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
        let (doors, keeper) = listener::doors(listener::Parts {
            transports: Arc::clone(&transports),
            listeners,
            listening: listening.clone(),
            core: inputs.clone(),
            closing: closing.clone(),
        });
        let node = Self {
            key,
            listening,
            doors: doors.watch(),
            commands,
            released: released.clone(),
            events: events.downgrade(),
            first_events: Mutex::new(Some(first_events)),
            transports: Arc::clone(&transports),
            tracker: tracker.clone(),
            closing: closing.clone(),
            fast: Arc::clone(&fast),
        };
        tracker.spawn(keeper);
        let beacons = config.discovery.map(|port| {
            node.beacons(port, router_id, Hearing::new(router_id, now), inputs.clone())
        });
        if config.follow_network {
            node.watch_network();
        }
        run_tun(&fast, &tracker, &closing);
        let core = Core::new(CoreParts {
            doors,
            beacons,
            engine,
            peers,
            power,
            policy,
            limit,
            transports,
            outside,
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

    /// Starts to hear from the system what changes in its network.
    fn watch_network(&self) {
        let watch = network::watch(self.commands.clone());
        self.tracker.spawn(self.closing.clone().run_until_cancelled_owned(watch));
    }

    /// Starts to hear beacons and, where others can connect, to send them.
    fn beacons(
        &self,
        port: u16,
        router_id: RouterId,
        hearing: Hearing,
        core: mpsc::Sender<Input>,
    ) -> Beacons {
        let beacon = beacon_port(self.listening()).map(|port| Beacon { port, router_id });
        let has_beacon = beacon.is_some();
        let (orders, order_inlet) = watch::channel(Order::Rest);
        let parts = discovery::Parts { port, beacon, hearing, orders: order_inlet, core };
        let run = self.closing.clone().run_until_cancelled_owned(discovery::run(parts));
        self.tracker.spawn(run);
        Beacons::new(orders, has_beacon)
    }
}

fn add_peers(peers: &mut Peers, named: Vec<PeerAddress>, now: Instant) -> Result<(), NodeError> {
    for peer in named {
        match peers.add(peer, now) {
            // Named twice is still one peer.
            Ok(()) | Err(NodeError::PeerExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

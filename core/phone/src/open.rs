//! Opening and closing in order: lock, database, services, node, delivery; and back.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use threephone_delivery::{Delivery, DeliveryConfig, DeliveryEvent, Link};
use threephone_identity::{self as identity, Me, Profile};
use threephone_mail::Mail;
use threephone_messaging::Messaging;
use threephone_node::{Events, Node, NodeConfig, NodeError, NodeEvent, SecretKey, TunError};
use threephone_store::{Room, Store, StoreKey, StoreOptions};
use tokio::task::JoinHandle;

use crate::event::EventLog;
use crate::key::open_store_key;
use crate::link::NodeLink;
use crate::lock::HomeLock;
use crate::model::{Event, Network, NodeOptions, PhoneOptions, Tun};
use crate::{Home, PhoneError, node_key, peer};

/// Everything that an open phone consists of.
pub(crate) struct Parts {
    pub(crate) profile: Profile,
    pub(crate) me: Me,
    pub(crate) store: Store,
    pub(crate) messaging: Messaging,
    pub(crate) mail: Mail,
    pub(crate) delivery: Delivery,
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) closing: Closing,
}

/// What is kept only to be ended.
pub(crate) struct Closing {
    pump: Option<JoinHandle<()>>,
    lock: HomeLock,
}

/// Opens a profile. Whatever was opened before a failure is closed again.
pub(crate) async fn open(options: PhoneOptions) -> Result<Parts, PhoneError> {
    let home = options.home;
    home.check()?;
    let lock = HomeLock::take(&home, options.purpose)?;
    let (key_home, source) = (home.clone(), options.key);
    let key = blocking(move || open_store_key(&key_home, &source)).await?;
    let store = store(&home, key).await?;
    match open_over(&home, store.clone(), options.network, lock).await {
        Ok(parts) => Ok(parts),
        Err(error) => {
            if let Err(error) = store.close().await {
                tracing::warn!(%error, "closing the database after a failure");
            }
            Err(error)
        }
    }
}

async fn open_over(
    home: &Home,
    store: Store,
    network: Network,
    lock: HomeLock,
) -> Result<Parts, PhoneError> {
    let loaded = store.read(|conn| identity::load(conn).map_err(PhoneError::from)).await?;
    let (profile, device) = loaded.ok_or_else(|| not_initialised(home))?;
    let secret = node_key::open(home, &store).await?;
    let me = Me::new(&profile, device, secret.public_key());
    let events = Arc::new(EventLog::new());
    let messaging = Messaging::open(store.clone(), me.clone(), {
        let events = events.clone();
        move |event| events.push(Event::Chat(event))
    });
    let mail = Mail::open(store.clone(), me.clone(), {
        let events = events.clone();
        move |event| events.push(Event::Mail(event))
    });
    let node = start_node(&store, secret, network).await?;
    let (link, pump): (Option<Arc<dyn Link>>, _) = match &node {
        None => (None, None),
        Some(node) => {
            // The first reader hears of everything since the start.
            let pump = tokio::spawn(pump(node.events(), events.clone()));
            (Some(Arc::new(NodeLink::new(node.clone()).await)), Some(pump))
        }
    };
    let handlers = vec![messaging.inbound(), mail.inbound()];
    let config = DeliveryConfig::default().with_events({
        let (events, warned) = (events.clone(), Warned::default());
        move |event| {
            warned.warn_of(&event);
            events.push(Event::Delivery(event));
        }
    });
    let opened = Delivery::open(store.clone(), me.clone(), link, handlers, config).await;
    let delivery = match opened {
        Ok(delivery) => delivery,
        Err(error) => {
            if let Some(node) = node {
                node.close().await;
            }
            return Err(error.into());
        }
    };
    messaging.attach(delivery.clone());
    mail.attach(delivery.clone());
    let closing = Closing { pump, lock };
    Ok(Parts { profile, me, store, messaging, mail, delivery, node, events, closing })
}

/// Of whom the log has been told that they speak with another key; once an opening is enough, for
/// they go on trying. Only addresses whose key is known come here, so it stays small.
#[derive(Default)]
struct Warned(Mutex<HashSet<Ipv6Addr>>);

impl Warned {
    fn warn_of(&self, event: &DeliveryEvent) {
        let DeliveryEvent::PeerKeyChanged { address, .. } = event else { return };
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*address) {
            tracing::warn!(
                %address,
                "its device key is not the one that is known; nothing that it sent was taken"
            );
        }
    }
}

async fn start_node(
    store: &Store,
    secret: SecretKey,
    network: Network,
) -> Result<Option<Arc<Node>>, PhoneError> {
    let Network::Online(options) = network else { return Ok(None) };
    let NodeOptions {
        listen,
        mut peers,
        discovery,
        follow_network,
        public_peers,
        power,
        private_network,
        topic_policy,
        tun,
    } = options;
    for peer in peer::list_peers(store).await? {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    if let Some(wanted) = public_peers {
        peer::remember_public_peers(store, wanted).await?;
    }
    let public_peers = match peer::has_public_peers(store).await? && private_network.is_none() {
        true => threephone_node::public_peers(),
        false => Vec::new(),
    };
    let discovery = discovery.then_some(threephone_node::discovery::PORT);
    let tun = device(tun)?;
    let config = NodeConfig {
        listen,
        peers,
        public_peers,
        discovery,
        follow_network,
        power,
        private_network,
        topic_policy,
        tun,
        ..NodeConfig::new(secret)
    };
    Ok(Some(Arc::new(Node::start(config).await?)))
}

fn device(tun: Tun) -> Result<threephone_node::Tun, PhoneError> {
    Ok(match tun {
        Tun::None => threephone_node::Tun::None,
        Tun::Named(name) => threephone_node::Tun::Named(name),
        #[cfg(unix)]
        Tun::Fd(device) => threephone_node::Tun::Fd(device.try_clone().map_err(|error| {
            let (name, step) = ("passed descriptor".to_owned(), "duplicating it");
            NodeError::Tun(TunError::Setup { name, step, error })
        })?),
    })
}

/// Tells the phone's readers what happens on the network, until the node is closed.
async fn pump(mut events: Events, log: Arc<EventLog>) {
    while let Some(event) = events.next().await {
        log.push(match event {
            NodeEvent::Reachable { key, .. } => Event::Reachable { key },
            NodeEvent::Unreachable { prefix } => Event::Unreachable { prefix },
            NodeEvent::PeerUp { endpoint } => Event::PeerUp { endpoint },
            NodeEvent::PeerDown { endpoint } => Event::PeerDown { endpoint },
            NodeEvent::Missed(lost) => Event::Overflow { lost },
        });
    }
}

/// Ends everything, in the order in which it leans on each other; all of it is tried.
pub(crate) async fn close(parts: Ending) -> Result<(), PhoneError> {
    let Ending { store, delivery, node, events, closing } = parts;
    delivery.close().await;
    if let Some(node) = node {
        node.close().await;
    }
    if let Some(pump) = closing.pump {
        // It ends with the node.
        let _ = pump.await;
    }
    let closed = store.close().await;
    events.close();
    drop(closing.lock);
    Ok(closed?)
}

/// The parts that closing needs.
pub(crate) struct Ending {
    pub(crate) store: Store,
    pub(crate) delivery: Delivery,
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) closing: Closing,
}

/// The phone's own tables.
const ROOM: Room = Room {
    name: "phone",
    migrations: &[
        include_str!("migrations/0001_peer.sql"),
        include_str!("migrations/0002_node_key.sql"),
        include_str!("migrations/0003_public_peers.sql"),
    ],
};

/// Opens the database with every room's tables.
pub(crate) async fn store(home: &Home, key: StoreKey) -> Result<Store, PhoneError> {
    let rooms = vec![
        identity::ROOM,
        threephone_delivery::ROOM,
        threephone_messaging::ROOM,
        threephone_mail::ROOM,
        ROOM,
    ];
    let mut options = StoreOptions::new(home.database(), key, rooms);
    options.vfs = home.vfs().map(str::to_owned);
    blocking(move || Ok(Store::open(options)?)).await
}

/// Runs what waits for the disk or for a key derivation where that holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PhoneError> + Send + 'static,
) -> Result<T, PhoneError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(PhoneError::Closed),
        },
    }
}

fn not_initialised(home: &Home) -> PhoneError {
    PhoneError::NotInitialised { home: home.path().to_owned() }
}

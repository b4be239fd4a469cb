//! The handle of an open phone.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use threephone_address::PublicKey;
use threephone_delivery::Delivery;
use threephone_mail::Mail;
use threephone_messaging::Messaging;
use threephone_node::ledger::Ledger;
use threephone_node::{
    Node, NodeError, NodeMetrics, PacketStatistics, PeerAddress, PowerMode, PowerPolicy, Prefix,
};
use threephone_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::event::EventLog;
use crate::init::{self, InitReport};
use crate::model::{Peer, PhoneOptions, Status};
use crate::open::{self, Closing, Ending};
use crate::runtime::{OwnRuntime, run_on};
use crate::{Bus, Home, KeySource, PhoneError, peer, time};

/// An open profile: its node, its store and its services.
///
/// The methods may be awaited on any executor. Services that are taken out of it go on working on
/// the phone's own runtime; after [`Phone::close`] they answer with errors. Close it: dropping a
/// phone without is an error in the log.
pub struct Phone {
    name: String,
    public_key: PublicKey,
    started: Instant,
    store: Store,
    messaging: Messaging,
    mail: Mail,
    delivery: Delivery,
    node: Option<Arc<Node>>,
    events: Arc<EventLog>,
    handle: Handle,
    /// Taken by whoever closes the phone.
    ending: Mutex<Option<(Closing, OwnRuntime)>>,
    closed: Arc<watch::Sender<bool>>,
}

impl Phone {
    /// Makes a profile in `home`: the folder, the node key (one that lies there is taken over), the
    /// database and its key, and the device's key.
    ///
    /// # Errors
    /// [`PhoneError::AlreadyInitialised`] where one is; otherwise what stood in the way.
    pub async fn init(
        home: Home,
        name: impl Into<String>,
        key: KeySource,
    ) -> Result<InitReport, PhoneError> {
        let runtime = OwnRuntime::start()?;
        run_on(runtime.handle(), init::init(home, name.into(), key)).await?
    }

    /// Opens a profile and, if so wanted, starts its node: on return its listeners accept.
    ///
    /// # Errors
    /// [`PhoneError::InUse`] while another process has it open; otherwise what stood in the way.
    /// Nothing stays open then.
    pub async fn open(options: PhoneOptions) -> Result<Self, PhoneError> {
        let runtime = OwnRuntime::start()?;
        let parts = run_on(runtime.handle(), open::open(options)).await??;
        Ok(Self {
            name: parts.profile.name,
            public_key: parts.me.node_key,
            started: Instant::now(),
            store: parts.store,
            messaging: parts.messaging,
            mail: parts.mail,
            delivery: parts.delivery,
            node: parts.node,
            events: parts.events,
            handle: runtime.handle().clone(),
            ending: Mutex::new(Some((parts.closing, runtime))),
            closed: Arc::new(watch::Sender::new(false)),
        })
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The overlay address.
    pub fn address(&self) -> Ipv6Addr {
        self.public_key.address()
    }

    /// The node key.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Chats.
    pub fn messaging(&self) -> &Messaging {
        &self.messaging
    }

    /// Mail.
    pub fn mail(&self) -> &Mail {
        &self.mail
    }

    /// The outbox.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Messages of any bytes between nodes.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node.
    pub fn bus(&self) -> Result<Bus, PhoneError> {
        Ok(Bus::new(self.node()?.clone()))
    }

    /// The event stream.
    pub fn events(&self) -> &Arc<EventLog> {
        &self.events
    }

    /// The phone at a glance.
    pub async fn status(&self) -> Result<Status, PhoneError> {
        let (listening, routes) = match &self.node {
            None => (Vec::new(), 0),
            Some(node) => {
                let selected = node.routes().await.iter().filter(|route| route.selected).count();
                (node.listening().to_vec(), selected)
            }
        };
        Ok(Status {
            name: self.name.clone(),
            address: self.address(),
            public_key: self.public_key,
            subnet: Prefix::subnet_of(self.address()),
            uptime: self.started.elapsed(),
            listening,
            peers: self.peers().await?,
            routes,
            outbox: self.delivery.outbox_counts().await?,
        })
    }

    /// What the node counts: figures only.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node.
    pub async fn metrics(&self) -> Result<NodeMetrics, PhoneError> {
        Ok(self.node()?.metrics().await)
    }

    /// Data packets that the node sent, received or forwarded, by overlay address.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node.
    pub fn packet_statistics(&self) -> Result<PacketStatistics, PhoneError> {
        Ok(self.node()?.packet_statistics())
    }

    /// Remembered peers, and those in the node's table.
    pub async fn peers(&self) -> Result<Vec<Peer>, PhoneError> {
        let remembered = peer::list_peers(&self.store).await?;
        let mut links = match &self.node {
            None => Vec::new(),
            Some(node) => node.peers().await,
        };
        let mut peers = Vec::new();
        for endpoint in remembered {
            let at = links.iter().position(|link| link.endpoint == endpoint);
            let link = at.map(|at| links.swap_remove(at));
            peers.push(Peer { endpoint, remembered: true, link });
        }
        links.sort_by(|left, right| left.endpoint.cmp(&right.endpoint));
        peers.extend(links.into_iter().map(|link| Peer {
            endpoint: link.endpoint.clone(),
            remembered: false,
            link: Some(link),
        }));
        Ok(peers)
    }

    /// Connects to a peer now and at every later start. One that is known already stays.
    ///
    /// # Errors
    /// [`PhoneError::TooManyPeers`] when no more can be remembered;
    /// [`NodeError::NotDiallable`] for what the running node cannot dial, which is not remembered.
    pub async fn add_peer(&self, endpoint: PeerAddress) -> Result<(), PhoneError> {
        peer::insert_peer(&self.store, endpoint.clone(), time::now_ms()).await?;
        match &self.node {
            None => Ok(()),
            Some(node) => match node.add_peer(endpoint).await {
                Ok(()) | Err(NodeError::PeerExists(_)) => Ok(()),
                Err(NodeError::NotDiallable { peer, error }) => {
                    peer::delete_peer(&self.store, peer.clone()).await?;
                    Err(NodeError::NotDiallable { peer, error }.into())
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Disconnects from a peer and forgets it.
    ///
    /// # Errors
    /// [`NodeError::UnknownPeer`] when it is neither remembered nor connected.
    pub async fn remove_peer(&self, endpoint: PeerAddress) -> Result<(), PhoneError> {
        let known = peer::delete_peer(&self.store, endpoint.clone()).await?;
        let gone = match &self.node {
            None => Err(NodeError::UnknownPeer(endpoint)),
            Some(node) => node.remove_peer(endpoint).await,
        };
        match gone {
            Err(NodeError::UnknownPeer(_)) if known => Ok(()),
            gone => Ok(gone?),
        }
    }

    /// Tells the node that the machine is on another network now, or awake again; nothing happens
    /// without a node.
    pub async fn network_changed(&self) {
        if let Some(node) = &self.node {
            node.network_changed().await;
        }
    }

    /// Sets how much the node does on its own; gives the mode it is in then.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node.
    pub async fn set_power(&self, policy: impl Into<PowerPolicy>) -> Result<PowerMode, PhoneError> {
        Ok(self.node()?.set_power(policy).await)
    }

    /// What the node has cost since it was started.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node, [`PhoneError::Closed`] once it is closed.
    pub async fn ledger(&self) -> Result<Ledger, PhoneError> {
        self.node()?.ledger().await.ok_or(PhoneError::Closed)
    }

    /// Runs a future on the phone's own runtime, for callers whose executor knows no timers;
    /// dropping the returned future cancels it.
    ///
    /// # Errors
    /// [`PhoneError::Closed`] when the phone is closed first.
    pub async fn run<F>(&self, future: F) -> Result<F::Output, PhoneError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        run_on(&self.handle, future).await
    }

    /// Stops the node, finishes what is being written, and closes every file. On return no task and
    /// no thread of the phone is left. Later calls wait for the first one. Cancelling the call does
    /// not cancel the closing.
    ///
    /// # Errors
    /// When the database could not be checkpointed; nothing is lost then.
    pub async fn close(&self) -> Result<(), PhoneError> {
        let taken = self.ending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((closing, runtime)) = taken else {
            let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
            return Ok(());
        };
        let ending = Ending {
            store: self.store.clone(),
            delivery: self.delivery.clone(),
            node: self.node.clone(),
            events: self.events.clone(),
            closing,
        };
        let closed = self.closed.clone();
        let (tell, told) = oneshot::channel();
        // A runtime can be waited for only from outside of all runtimes.
        std::thread::Builder::new()
            .name("threephone-close".into())
            .spawn(move || {
                let outcome = runtime.finish(open::close(ending)).unwrap_or(Ok(()));
                closed.send_replace(true);
                let _ = tell.send(outcome);
            })
            .map_err(PhoneError::Runtime)?;
        told.await.unwrap_or(Err(PhoneError::Closed))
    }

    /// The node itself, for those who offer its own interfaces. What services send goes through
    /// it too, so take nothing of the product's topic from it.
    ///
    /// # Errors
    /// [`PhoneError::Offline`] without a node.
    pub fn node(&self) -> Result<&Arc<Node>, PhoneError> {
        self.node.as_ref().ok_or(PhoneError::Offline)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if self.ending.get_mut().unwrap_or_else(PoisonError::into_inner).is_some() {
            tracing::error!("a phone was dropped without being closed");
        }
    }
}

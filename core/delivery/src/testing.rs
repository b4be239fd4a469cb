//! A simulated network: the second implementation of [`Link`], for tests and benchmarks.
//!
//! Seeded loss, duplication, delay (and with it reordering) and partitions. Delays pass on tokio's
//! clock, so a paused runtime makes them virtual.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use threephone_address::{PublicKey, Target};
use threephone_identity::DeviceKey;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};

use crate::ack::{Ack, NOUN, encode_acks};
use crate::envelope::{self, Inner};
use crate::{BoxFuture, EnvelopeId, Link, LinkError, LinkEvent, Sent};

/// How bad the network is.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimConfig {
    /// Of a hundred messages, how many get lost.
    pub loss_percent: u64,
    /// Of a hundred messages, how many arrive twice.
    pub duplicate_percent: u64,
    /// The longest delay of one crossing; each message draws its own.
    pub delay: Duration,
    /// How long a sender waits for what was lost.
    pub timeout: Duration,
}

/// A network of simulated nodes. Clones share it.
#[derive(Clone)]
pub struct SimNet {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

struct State {
    config: SimConfig,
    random: u64,
    nodes: BTreeMap<Ipv6Addr, (PublicKey, mpsc::UnboundedSender<LinkEvent>)>,
    cut_off: BTreeSet<Ipv6Addr>,
    max_bytes: usize,
    /// Everything that was sent: from, to, bytes.
    log: Vec<(PublicKey, PublicKey, Bytes)>,
}

impl State {
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let z = (self.random ^ (self.random >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        z ^ (z >> 33)
    }

    fn delay(&mut self) -> Duration {
        let longest = u64::try_from(self.config.delay.as_micros()).unwrap_or(0);
        Duration::from_micros(self.next() % (longest + 1))
    }
}

impl SimNet {
    /// An empty network.
    pub fn new(seed: u64, config: SimConfig) -> Self {
        let (nodes, cut_off, log) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let max_bytes = 16 << 20;
        let state = State { config, random: seed, nodes, cut_off, max_bytes, log };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// Wakes when something is sent, or was reported with [`SimNet::report`]: tests look again
    /// then, instead of after a while.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Wakes who waits for [`SimNet::changed`].
    pub fn report(&self) {
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a node on the network; one that was there under this key is replaced.
    pub fn link(&self, key: PublicKey) -> Arc<SimLink> {
        let (events, inbox) = mpsc::unbounded_channel();
        self.state().nodes.insert(key.address(), (key, events));
        self.announce(key);
        Arc::new(SimLink { net: self.clone(), key, inbox: AsyncMutex::new(inbox) })
    }

    /// Takes a node off the network, or puts it back.
    pub fn set_connected(&self, key: PublicKey, connected: bool) {
        if connected {
            self.state().cut_off.remove(&key.address());
            self.announce(key);
        } else {
            self.state().cut_off.insert(key.address());
        }
    }

    /// How long a message may be; 16 MiB at first.
    pub fn set_max_bytes(&self, bytes: usize) {
        self.state().max_bytes = bytes;
    }

    /// What was sent so far: from, to, bytes.
    pub fn log(&self) -> Vec<(PublicKey, PublicKey, Bytes)> {
        self.state().log.clone()
    }

    /// Lets a message appear at `to`, as if the network said it came from `from` with `from_key`.
    pub fn inject(&self, to: PublicKey, from: Ipv6Addr, from_key: PublicKey, bytes: Bytes) {
        if let Some((_, events)) = self.state().nodes.get(&to.address()) {
            let _ = events.send(LinkEvent::Received { from, from_key, bytes });
        }
    }

    fn announce(&self, key: PublicKey) {
        for (address, (_, events)) in &self.state().nodes {
            if *address != key.address() {
                let _ = events.send(LinkEvent::Reachable { address: key.address(), key });
            }
        }
    }

    /// Whether it arrived.
    fn deliver(&self, from: PublicKey, to: Ipv6Addr, bytes: &Bytes) -> Option<PublicKey> {
        let state = self.state();
        if state.cut_off.contains(&to) || state.cut_off.contains(&from.address()) {
            return None;
        }
        let (key, events) = state.nodes.get(&to)?;
        let (from, from_key, bytes) = (from.address(), from, bytes.clone());
        events.send(LinkEvent::Received { from, from_key, bytes }).ok().map(|()| *key)
    }

    async fn carry(self, from: PublicKey, to: Target, bytes: Bytes) -> Result<Sent, LinkError> {
        let address = to.address();
        let (lost, ack_lost, twice, there, back, timeout) = {
            let mut state = self.state();
            let known = state.nodes.get(&address).map(|(key, _)| *key);
            state.log.extend(known.map(|key| (from, key, bytes.clone())));
            let (loss, double) = (state.config.loss_percent, state.config.duplicate_percent);
            let lost = state.next() % 100 < loss;
            let ack_lost = state.next() % 100 < loss;
            let twice = state.next() % 100 < double;
            (lost, ack_lost, twice, state.delay(), state.delay(), state.config.timeout)
        };
        self.report();
        tokio::time::sleep(there).await;
        let taken = if lost { None } else { self.deliver(from, address, &bytes) };
        if twice {
            self.deliver(from, address, &bytes);
        }
        tokio::time::sleep(back).await;
        match taken {
            Some(key) if !ack_lost => Ok(Sent { key }),
            _ => {
                tokio::time::sleep(timeout).await;
                Err(LinkError::TimedOut)
            }
        }
    }
}

/// A node's place on a [`SimNet`].
pub struct SimLink {
    net: SimNet,
    key: PublicKey,
    inbox: AsyncMutex<mpsc::UnboundedReceiver<LinkEvent>>,
}

impl Link for SimLink {
    fn send(&self, to: Target, bytes: Bytes) -> BoxFuture<'_, Result<Sent, LinkError>> {
        Box::pin(self.net.clone().carry(self.key, to, bytes))
    }

    fn resolve(&self, to: Target) -> BoxFuture<'_, Result<PublicKey, LinkError>> {
        let state = self.net.state();
        let cut_off = state.cut_off.contains(&to.address());
        let found = state.nodes.get(&to.address()).filter(|_| !cut_off).map(|(key, _)| *key);
        Box::pin(std::future::ready(found.ok_or(LinkError::NoRoute)))
    }

    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
        Box::pin(async { self.inbox.lock().await.recv().await })
    }

    fn max_bytes(&self) -> usize {
        self.net.state().max_bytes
    }
}

/// An acknowledgement as `device` would sign it for the way between two nodes: of these envelopes,
/// given by id, noun and body.
pub fn forge_ack(
    device: &DeviceKey,
    from: &PublicKey,
    to: &PublicKey,
    envelopes: &[(EnvelopeId, &str, &[u8])],
) -> Vec<u8> {
    let ack = |(id, noun, body): &(EnvelopeId, &str, &[u8])| {
        let digest = envelope::digest(*id, noun, body);
        Ack { id: *id, digest, code: 0 }
    };
    let acks: Vec<_> = envelopes.iter().map(ack).collect();
    let (id, noun, body) = (EnvelopeId::from_bytes([9; 16]), NOUN.to_owned(), encode_acks(&acks));
    envelope::seal(Inner { id, noun, seq: 0, low: 0, queued_at: 0, body }, device, from, to)
}

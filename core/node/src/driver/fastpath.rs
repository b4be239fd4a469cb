//! The way of data packets that need no thought: beside the core, on the tasks that read them.
//!
//! The core knows everything and is one task. What it found out about an address, it writes down
//! here: which link leads there, and with which sealer its packets are sealed and opened. A reader of
//! a link opens, delivers or forwards what it can; a reader of the TUN seals and sends. Whatever is
//! not written down goes to the core, which handles it as if there were no fast path and then writes
//! it down. Packets of a flow stay in order: as long as the core still has packets of an address,
//! those that follow go there too.
//!
//! What the core must know of packets that pass it by (links that carry traffic, routes in use) it is
//! told a few times a second, and only while there is traffic: so the fast path has no timer.

mod hold;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::hold::Hold;
use self::hold::Holds;
use super::command::Input;
use super::outbox::{Ingress, Outbox};
use super::peer::Counters;
use crate::LinkId;
use crate::data::{Cause, Known, Shared};
use crate::engine::Engine;
use crate::tun::Device;

/// How often the core hears of traffic.
const TELL_MILLISECONDS: u64 = 250;
/// Addresses looked at for the one that makes room.
const SAMPLE: usize = 32;

/// See the module.
pub(crate) struct FastPath {
    shared: Arc<Shared>,
    paths: RwLock<HashMap<Ipv6Addr, Arc<Path>>>,
    links: RwLock<HashMap<LinkId, Arc<LinkPath>>>,
    holds: Arc<Holds>,
    devices: Vec<Device>,
    core: mpsc::Sender<Input>,
    started: Instant,
    told: AtomicU64,
    /// Up to which change of the engine everything here holds.
    changes: AtomicU64,
    limit: usize,
}

/// What is known of an address.
struct Path {
    known: Known,
    link: Option<Arc<LinkPath>>,
    /// Milliseconds since the start, of the last packet.
    used: AtomicU64,
}

/// A link as the fast path sees it.
pub(super) struct LinkPath {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    sent: AtomicU32,
    received: AtomicU32,
}

impl LinkPath {
    fn push(&self, ingress: Ingress, packets: Vec<Bytes>, shared: &Shared) {
        let count = packets.len() as u64;
        self.sent.fetch_add(count as u32, Ordering::Relaxed);
        let (wake, dropped) = self.outbox.push_all(ingress, packets);
        self.counters.tx_packets.fetch_add(count.saturating_sub(dropped), Ordering::Relaxed);
        if wake {
            self.outbox.wake();
        }
        if dropped > 0 {
            self.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            shared.tally.add(Cause::QueueFull, dropped);
        }
    }
}

impl FastPath {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        devices: Vec<Device>,
        limit: usize,
        core: mpsc::Sender<Input>,
        now: Instant,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            paths: RwLock::default(),
            links: RwLock::default(),
            holds: Arc::default(),
            devices,
            core,
            started: now,
            told: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            limit,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn link_up(&self, link: LinkId, outbox: Arc<Outbox>, counters: Arc<Counters>) {
        let path =
            LinkPath { outbox, counters, sent: AtomicU32::new(0), received: AtomicU32::new(0) };
        self.links.write().unwrap_or_else(PoisonError::into_inner).insert(link, Arc::new(path));
    }

    pub(crate) fn link_down(&self, link: LinkId) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).remove(&link);
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        paths.retain(|_, path| path.known.link != Some(link));
    }

    fn link(&self, link: LinkId) -> Option<Arc<LinkPath>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(&link).cloned()
    }

    /// Of a data packet that the core sends.
    pub(crate) fn ingress_of(&self, packet: &[u8]) -> Ingress {
        let source = packet.get(8..24).and_then(|source| <[u8; 16]>::try_from(source).ok());
        match source {
            Some(source) if self.shared.subnet.contains(source.into()) => Ingress::Own,
            _ => Ingress::Core,
        }
    }

    /// An IP packet for the TUN from the core.
    pub(crate) fn deliver(&self, packet: &[u8]) {
        if let Some(device) = self.devices.first()
            && device.write_packet(packet).is_err()
        {
            self.shared.tally.count(Cause::DeviceFull);
        }
    }

    /// The core handled a packet that it got from here: what it knows is written down.
    pub(crate) fn learn(&self, remote: Remote, engine: &mut Engine) {
        let address = remote.address();
        if let Some(known) = engine.known(address, remote.needs_sealer()) {
            self.insert(address, known);
        }
    }

    fn insert(&self, address: Ipv6Addr, known: Known) {
        let link = known.link.and_then(|link| self.link(link));
        let used = AtomicU64::new(self.milliseconds(Instant::now()));
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = paths.get(&address);
        // A packet that is only forwarded must not take the sealer of one that is sealed.
        if known.sealer.is_none() && earlier.is_some_and(|path| path.known.sealer.is_some()) {
            return;
        }
        if earlier.is_none() && paths.len() >= self.limit {
            let sample = paths.iter().take(SAMPLE);
            let oldest = sample.min_by_key(|(_, path)| path.used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                paths.remove(&oldest);
            }
        }
        paths.insert(address, Arc::new(Path { known, link, used }));
    }

    /// Forgets what does not hold any more. Called by the core after every change.
    pub(crate) fn revalidate(&self, engine: &Engine) {
        let changes = engine.changes();
        if self.changes.swap(changes, Ordering::Relaxed) != changes {
            let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
            paths.retain(|address, path| engine.is_known(*address, &path.known));
        }
    }

    /// Tells the engine what passed it by since the last time.
    pub(crate) fn report(&self, engine: &mut Engine, now: Instant) {
        let used_since = self.milliseconds(now).saturating_sub(2 * TELL_MILLISECONDS);
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        for (link, path) in links.iter() {
            let (sent, received) =
                (path.sent.swap(0, Ordering::Relaxed), path.received.swap(0, Ordering::Relaxed));
            if sent > 0 || received > 0 {
                engine.note_traffic(*link, sent, received, now);
            }
        }
        drop(links);
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        for (address, path) in paths.iter() {
            if path.used.load(Ordering::Relaxed) >= used_since {
                engine.note_use(*address, &path.known, now);
            }
        }
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Lets the core know that there is traffic, now and then.
    fn tell(&self, now: u64) {
        let told = self.told.load(Ordering::Relaxed);
        if now >= told + TELL_MILLISECONDS
            && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let _ = self.core.try_send(Input::Traffic); // a busy core hears of it next time
        }
    }
}

/// Starts the tasks that read the TUN, if there is one.
pub(crate) fn run_tun(fast: &Arc<FastPath>, tracker: &TaskTracker, closing: &CancellationToken) {
    for queue in 0..fast.devices.len() {
        let read = outgoing::run(Arc::clone(fast), queue);
        tracker.spawn(closing.clone().run_until_cancelled_owned(read));
    }
}

/// The other end of a packet, as far as its path goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    /// It is forwarded there.
    Beyond(Ipv6Addr),
    /// It comes from there and is opened here, or is sealed here and goes there.
    Peer(Ipv6Addr),
}

impl Remote {
    /// Of a packet that a link brought.
    pub(crate) fn of(shared: &Shared, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        if shared.subnet.contains(destination) {
            Self::Peer(source)
        } else {
            Self::Beyond(destination)
        }
    }

    fn address(self) -> Ipv6Addr {
        match self {
            Self::Beyond(address) | Self::Peer(address) => address,
        }
    }

    fn needs_sealer(self) -> bool {
        matches!(self, Self::Peer(_))
    }
}

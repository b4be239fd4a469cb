//! The peer table: whom to dial and when, whom to let in. Pure: time is passed in.
//!
//! Static peers are dialled for ever, with growing pauses and jitter, so that a network whose
//! router comes back is not hit by everybody in the same second; a static peer stays one whoever
//! dials whom. Inbound peers are forgotten when their link ends. Discovered and public ones have
//! their own rules (`discovered`, `public`). Everything is bounded.
//!
//! The power mode decides how much of this happens: see [`PowerMode`].

mod discovered;
mod entry;
mod public;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

pub(crate) use self::discovered::Turn;
use self::discovered::{DISCOVERED_FAILURES, Rate};
pub(crate) use self::entry::Counters;
use self::entry::{Doubt, GOOD_LINK, Peer, State};
use self::public::Candidate;
use crate::endpoint::{Endpoint, PeerAddress};
use crate::node::PeerKind;
use crate::power::PowerMode;
use crate::{LinkId, NodeError};

/// Configured by hand: nobody has more good reasons than this, and each costs a dial in 15 s.
const STATIC_PEERS: usize = 256;
/// Every inbound peer is sent every announcement and costs two tasks and two queues; a home router
/// serves far fewer, and a phone hardly any.
const INBOUND_PEERS: usize = 256;
/// Carrier-grade NAT and test set-ups put dozens of honest nodes behind one address; a single
/// stranger still cannot take more than an eighth of the places. IPv6 strangers own a /64.
const INBOUND_PEERS_PER_SOURCE: usize = 32;
/// How long a link may be silent that was asked for a sign of life: two retransmissions on a slow
/// radio. Every node answers a Hello at once.
const DOUBT: Duration = Duration::from_secs(5);

/// The table is full for this source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many inbound peers")]
pub(crate) struct TooManyInbound;

/// All peers by endpoint.
pub(crate) struct Peers {
    peers: HashMap<PeerAddress, Peer>,
    candidates: Vec<Candidate>,
    discovery_rate: Rate,
    mode: PowerMode,
    random: ChaCha8Rng,
    first_packet: Duration,
}

/// Somebody was let in.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) counters: Arc<Counters>,
    /// The link to close for it.
    pub(crate) replaced: Option<LinkId>,
}

impl Peers {
    /// `seed` decides the jitter; who dials us has `first_packet` to bring a packet.
    pub(crate) fn new(seed: [u8; 32], first_packet: Duration, now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            candidates: Vec::new(),
            discovery_rate: Rate::new(now),
            mode: PowerMode::Active,
            random: ChaCha8Rng::from_seed(seed),
            first_packet,
        }
    }

    /// Adds a peer to be dialled at once. One that is in the table for another reason stays from
    /// now on.
    pub(crate) fn add(&mut self, endpoint: PeerAddress, now: Instant) -> Result<(), NodeError> {
        if self.peers.get(&endpoint).is_some_and(|peer| peer.kind == PeerKind::Static) {
            return Err(NodeError::PeerExists(endpoint));
        }
        if self.count(PeerKind::Static) >= STATIC_PEERS {
            return Err(NodeError::TooManyPeers(STATIC_PEERS));
        }
        let new = || Peer::new(PeerKind::Static, State::Waiting { until: now }, now);
        self.peers.entry(endpoint).or_insert_with(new).kind = PeerKind::Static;
        Ok(())
    }

    /// Forgets a peer; gives the link to close, if it has one.
    pub(crate) fn remove(&mut self, endpoint: PeerAddress) -> Result<Option<LinkId>, NodeError> {
        let peer = self.peers.remove(&endpoint).ok_or(NodeError::UnknownPeer(endpoint))?;
        Ok(peer.state.link())
    }

    /// The peers to dial now. Each counts as being dialled until [`Peers::dialled`] or
    /// [`Peers::dial_failed`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<PeerAddress> {
        let mut due = Vec::new();
        if !self.may_dial() {
            return due;
        }
        self.fill_public(now);
        self.put_off_doubles(now);
        for (endpoint, peer) in &mut self.peers {
            if matches!(peer.state, State::Waiting { until } if until <= now) {
                peer.state = State::Connecting;
                due.push(endpoint.clone());
            }
        }
        due
    }

    /// The links to close, and why: those whose peers have been silent for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(LinkId, &'static str)> {
        let mut overdue = Vec::new();
        for peer in self.peers.values_mut() {
            let Some(link) = peer.state.link() else { continue };
            if matches!(peer.state, State::Silent { since, .. } if since + self.first_packet <= now)
            {
                overdue.push((link, "it brought no packet in time"));
            } else if let Some(doubt) = peer.doubt.take_if(|doubt| doubt.until <= now)
                && peer.counters.rx_bytes.load(Ordering::Relaxed) == doubt.rx_bytes
            {
                overdue.push((link, "it does not answer since the network changed"));
            }
        }
        overdue
    }

    /// When the next peer is due, or overdue.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let may_dial = self.may_dial();
        let due = self.peers.values().filter_map(|peer| match peer.state {
            State::Waiting { until } => may_dial.then_some(until),
            State::Silent { since, .. } => Some(since + self.first_packet),
            State::Connecting => None,
            State::Alive { .. } => peer.doubt.map(|doubt| doubt.until),
        });
        due.chain(self.next_public().filter(|_| may_dial)).min()
    }

    /// The attempt failed: the peer is due again after a pause, or forgotten.
    pub(crate) fn dial_failed(&mut self, endpoint: &PeerAddress, now: Instant) {
        if let Some(peer) = self.peers.get_mut(endpoint)
            && matches!(peer.state, State::Connecting)
        {
            peer.failures = peer.failures.saturating_add(1);
            self.retry(endpoint, now);
        }
    }

    /// The attempt succeeded. None when nobody waits for it any more: then hang up.
    pub(crate) fn dialled(
        &mut self,
        endpoint: &PeerAddress,
        link: LinkId,
        now: Instant,
    ) -> Option<Arc<Counters>> {
        let enough = !self.may_dial();
        let peer = self.peers.get_mut(endpoint)?;
        if !matches!(peer.state, State::Connecting) {
            return None;
        }
        if enough {
            peer.state = State::Waiting { until: now };
            return None;
        }
        // A beacon can name anything; whom the owner named is taken at its word.
        let state = match peer.kind {
            PeerKind::Discovered => State::Silent { link, since: now },
            _ => State::Alive { link, since: now },
        };
        peer.connected(state, true, now);
        Some(Arc::clone(&peer.counters))
    }

    /// A packet came over a link that had brought none.
    pub(crate) fn heard(&mut self, endpoint: &PeerAddress, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(endpoint)
            && let State::Silent { link: current, since } = peer.state
            && current == link
        {
            peer.state = State::Alive { link, since };
        }
    }

    /// Whether the link is known to lead to a node.
    pub(crate) fn is_alive(&self, endpoint: &PeerAddress) -> bool {
        self.peers.get(endpoint).is_some_and(|peer| matches!(peer.state, State::Alive { .. }))
    }

    /// Whether the owner of this node named it.
    pub(crate) fn is_static(&self, endpoint: &PeerAddress) -> bool {
        self.peers.get(endpoint).is_some_and(|peer| peer.kind == PeerKind::Static)
    }

    /// Somebody connected. When the endpoint is in the table already the new link takes over from
    /// the old one; a static peer stays one. When there is no place, the oldest link that has
    /// brought nothing makes room: a node announces itself at once, so it costs no honest peer
    /// its place, and connections that say nothing keep nobody out.
    pub(crate) fn accept(
        &mut self,
        endpoint: Endpoint,
        link: LinkId,
        now: Instant,
    ) -> Result<Accepted, TooManyInbound> {
        let state = State::Silent { link, since: now };
        let address = PeerAddress::from(endpoint);
        if let Some(peer) = self.peers.get_mut(&address) {
            let replaced = peer.state.link();
            peer.connected(state, false, now);
            return Ok(Accepted { counters: Arc::clone(&peer.counters), replaced });
        }
        let replaced = self.make_room(source_of(&endpoint))?;
        let mut peer = Peer::new(PeerKind::Inbound, State::Connecting, now);
        peer.connected(state, false, now);
        let counters = Arc::clone(&peer.counters);
        self.peers.insert(address, peer);
        Ok(Accepted { counters, replaced })
    }

    /// Forgets the inbound peer that is to give its place to one from `source`, if one has to;
    /// gives its link.
    fn make_room(&mut self, source: u128) -> Result<Option<LinkId>, TooManyInbound> {
        let from_source = |peer: &PeerAddress| {
            peer.as_endpoint().is_some_and(|endpoint| source_of(&endpoint) == source)
        };
        let silent = if self.count_inbound(from_source) >= INBOUND_PEERS_PER_SOURCE {
            self.oldest_silent(from_source)
        } else if self.count(PeerKind::Inbound) >= INBOUND_PEERS {
            self.oldest_silent(|_| true)
        } else {
            return Ok(None);
        };
        let (link, endpoint) = silent.ok_or(TooManyInbound)?;
        self.peers.remove(&endpoint);
        Ok(Some(link))
    }

    fn count_inbound(&self, wanted: impl Fn(&PeerAddress) -> bool) -> usize {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        inbound.filter(|(endpoint, _)| wanted(endpoint)).count()
    }

    /// Links are numbered in the order in which they were opened.
    fn oldest_silent(
        &self,
        wanted: impl Fn(&PeerAddress) -> bool,
    ) -> Option<(LinkId, PeerAddress)> {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        let silent = inbound.filter_map(|(endpoint, peer)| match peer.state {
            State::Silent { link, .. } if wanted(endpoint) => Some((link, endpoint.clone())),
            _ => None,
        });
        silent.min_by_key(|(link, _)| link.0)
    }

    /// A link ended: an inbound peer goes with it, others are due again after a pause.
    pub(crate) fn link_down(&mut self, endpoint: &PeerAddress, link: LinkId, now: Instant) {
        let Some(peer) = self.peers.get_mut(endpoint) else { return };
        if peer.state.link() != Some(link) {
            return;
        }
        if peer.kind == PeerKind::Inbound {
            self.peers.remove(endpoint);
            return;
        }
        let good = matches!(peer.state, State::Alive { since, .. } if now >= since + GOOD_LINK);
        peer.failures = if good { 1 } else { peer.failures.saturating_add(1) };
        peer.doubt = None;
        self.retry(endpoint, now);
    }

    /// The network is another one: whoever waits is due at once. Gives the links that may have died
    /// with the old one; each is to be asked for a sign of life now.
    pub(crate) fn network_changed(&mut self, now: Instant) -> Vec<LinkId> {
        self.make_due(now);
        let mut doubtful = Vec::new();
        for peer in self.peers.values_mut() {
            if let State::Alive { link, .. } = peer.state {
                let rx_bytes = peer.counters.rx_bytes.load(Ordering::Relaxed);
                peer.doubt = Some(Doubt { until: now + DOUBT, rx_bytes });
                doubtful.push(link);
            }
        }
        doubtful
    }

    /// Changes the mode; gives the links to close. `cost_of` gives the cost of a link.
    pub(crate) fn set_mode(
        &mut self,
        mode: PowerMode,
        cost_of: impl Fn(LinkId) -> Option<u16>,
        now: Instant,
    ) -> Vec<LinkId> {
        if mode == self.mode {
            return Vec::new();
        }
        self.mode = mode;
        self.make_due(now);
        match mode {
            PowerMode::Active => Vec::new(),
            PowerMode::Idle => {
                let alive = self.peers.values().filter(|peer| peer.is_alive_outbound());
                let mut alive: Vec<_> = alive
                    .filter_map(|peer| peer.state.link())
                    .map(|link| (cost_of(link).unwrap_or(u16::MAX), link))
                    .collect();
                alive.sort_unstable();
                alive.into_iter().skip(1).map(|(_, link)| link).collect()
            }
            PowerMode::Suspended => {
                self.peers.values().filter_map(|peer| peer.state.link()).collect()
            }
        }
    }

    /// The mode it is in.
    pub(crate) fn mode(&self) -> PowerMode {
        self.mode
    }

    fn make_due(&mut self, now: Instant) {
        self.retry_public(now);
        for peer in self.peers.values_mut() {
            if let State::Waiting { until } = &mut peer.state {
                *until = now;
                peer.failures = 0;
            }
        }
    }

    /// Whether another link is wanted.
    fn may_dial(&self) -> bool {
        match self.mode {
            PowerMode::Active => true,
            PowerMode::Idle => !self.peers.values().any(Peer::is_alive_outbound),
            PowerMode::Suspended => false,
        }
    }

    /// What follows when an attempt failed or a link ended.
    fn retry(&mut self, endpoint: &PeerAddress, now: Instant) {
        let Some(peer) = self.peers.get_mut(endpoint) else { return };
        match peer.kind {
            PeerKind::Discovered if peer.failures >= DISCOVERED_FAILURES => {
                self.peers.remove(endpoint);
            }
            // One that was connected gets one more attempt.
            PeerKind::Public if peer.failures != 1 || peer.connects == 0 => {
                self.give_up_public(endpoint, now);
            }
            _ => peer.back_off(&mut self.random, now),
        }
    }

    fn count(&self, kind: PeerKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind).count()
    }
}

/// Whom an inbound limit holds against: an IPv4 address, or the /64 an IPv6 host commands.
pub(crate) fn source_of(endpoint: &Endpoint) -> u128 {
    match endpoint.address().map(|address| address.ip().to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
        Some(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
        None => 0, // what does not come over IP is of one source
    }
}

//! The peer table: whom to dial and when, whom to let in. Pure: time is passed in.
//!
//! Static peers are dialled for ever, with growing pauses and jitter, so that a network whose
//! router comes back is not hit by everybody in the same second; a static peer stays one whoever
//! dials whom. Inbound peers are forgotten when their link ends. Discovered and public ones have
//! their own rules (`discovered`, `public`). Everything is bounded.
//!
//! The power mode decides how much of this happens: see [`PowerMode`].

mod choice;
mod discovered;
mod entry;
mod inbound;
mod itself;
mod mode;
mod public;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use self::choice::Chooser;
pub(crate) use self::discovered::Turn;
use self::discovered::{DISCOVERED_FAILURES, Rate};
pub(crate) use self::entry::Counters;
use self::entry::{Crossing, GOOD_LINK, LONGEST_PAUSE, Peer, Silent, State};
use self::inbound::inbound_places;
pub(crate) use self::inbound::{Refused, source_of};
use self::public::Candidate;
use super::transport::Tie;
use crate::endpoint::PeerAddress;
use crate::node::PeerKind;
use crate::power::PowerMode;
use crate::{LinkId, NodeError};

/// Configured by hand: nobody has more good reasons than this, and each costs a dial in 15 s.
const STATIC_PEERS: usize = 256;

/// All peers by endpoint.
pub(crate) struct Peers {
    peers: HashMap<PeerAddress, Peer>,
    candidates: Vec<Candidate>,
    discovery_rate: Rate,
    mode: PowerMode,
    chooser: Chooser,
    random: ChaCha8Rng,
    first_packet: Duration,
    inbound_places: usize,
}

/// A connection has its place in the table.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) counters: Arc<Counters>,
    /// The link to close for it.
    pub(crate) replaced: Option<LinkId>,
}

impl Peers {
    /// `seed` decides the jitter; who dials us has `first_packet` to bring a packet; of all `links`
    /// there may be some are kept for those that we dial.
    pub(crate) fn new(seed: [u8; 32], first_packet: Duration, links: usize, now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            candidates: Vec::new(),
            discovery_rate: Rate::new(now),
            mode: PowerMode::Active,
            chooser: Chooser::new(now),
            random: ChaCha8Rng::from_seed(seed),
            first_packet,
            inbound_places: inbound_places(links),
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
            if peer.due().is_some_and(|due| due <= now) {
                peer.dialling();
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
        let doubt = |peer: &Peer| peer.doubt.map(|doubt| doubt.until);
        let due = self.peers.values().filter_map(|peer| match peer.state {
            State::Silent { since, .. } => Some(since + self.first_packet),
            _ => peer.due().filter(|_| may_dial).into_iter().chain(doubt(peer)).min(),
        });
        let others = [self.next_public().filter(|_| may_dial), self.chooser.poll_timeout()];
        due.chain(others.into_iter().flatten()).min()
    }

    /// The attempt failed: the peer is due again after a pause, or forgotten. Says whether that is
    /// news: the first time for a peer that the owner named.
    pub(crate) fn dial_failed(&mut self, endpoint: &PeerAddress, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(endpoint) else { return false };
        if let Some(silent) = peer.silent.as_mut().filter(|silent| silent.is_dialling) {
            *silent = Silent { redial: now + LONGEST_PAUSE, is_dialling: false };
        }
        if !matches!(peer.state, State::Connecting) {
            return false;
        }
        peer.is_itself = false; // nobody is there who could be
        peer.failures = peer.failures.saturating_add(1);
        let is_news = peer.failures == 1 && peer.kind == PeerKind::Static;
        self.retry(endpoint, now);
        is_news
    }

    /// The attempt succeeded. None when nobody waits for it any more, or the peer's own that it
    /// crossed stays: then hang up.
    pub(crate) fn dialled(
        &mut self,
        endpoint: &PeerAddress,
        link: LinkId,
        tie: Option<Tie>,
        now: Instant,
    ) -> Option<Accepted> {
        let enough = !self.may_dial();
        let peer = self.peers.get_mut(endpoint)?;
        let is_awaited = peer.is_dialling();
        // Where both ends know each other's endpoint the other one has given up our old link for
        // this one already.
        let renews = tie.is_some() && peer.is_alive_outbound() && peer.is_tied();
        if enough && matches!(peer.state, State::Connecting) {
            peer.state = State::Waiting { until: now };
        }
        if let Some(silent) = &mut peer.silent {
            *silent = Silent { redial: now + LONGEST_PAUSE, is_dialling: false };
        }
        let crossing = peer.crossing(true, tie, now);
        // Hung up on, the end that was accepted goes too.
        peer.is_itself |= crossing == Crossing::Itself;
        let takes_over = crossing == Crossing::NewStays;
        let is_wanted = renews || (!enough && (is_awaited || takes_over));
        if crossing == Crossing::Itself || !is_wanted {
            return None;
        }
        let replaced = peer.state.link();
        // A beacon can name anything; whom the owner named is taken at its word.
        let state = match peer.kind {
            PeerKind::Discovered => State::Silent { link, since: now },
            _ => State::Alive { link, since: now },
        };
        peer.connected(state, true, tie, now);
        if self.mode == PowerMode::Idle {
            self.chooser.open(now);
        }
        let peer = self.peers.get(endpoint)?;
        Some(Accepted { counters: Arc::clone(&peer.counters), replaced })
    }

    /// A packet came over a link that had brought none.
    pub(crate) fn heard(&mut self, endpoint: &PeerAddress, link: LinkId, now: Instant) {
        let Some(peer) = self.peers.get_mut(endpoint) else { return };
        if peer.state.link() != Some(link) {
            return;
        }
        peer.is_heard = true;
        if let State::Silent { since, .. } = peer.state {
            peer.state = State::Alive { link, since };
        }
        self.compare(now);
    }

    /// Whether the link is known to lead to a node.
    pub(crate) fn is_alive(&self, endpoint: &PeerAddress) -> bool {
        self.peers.get(endpoint).is_some_and(|peer| matches!(peer.state, State::Alive { .. }))
    }

    /// Whether the owner of this node named it.
    pub(crate) fn is_static(&self, endpoint: &PeerAddress) -> bool {
        self.peers.get(endpoint).is_some_and(|peer| peer.kind == PeerKind::Static)
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
        (peer.doubt, peer.silent) = (None, None);
        self.retry(endpoint, now);
    }

    /// What follows when an attempt failed or a link ended.
    fn retry(&mut self, endpoint: &PeerAddress, now: Instant) {
        let Some(peer) = self.peers.get_mut(endpoint) else { return };
        if peer.is_itself {
            return self.put_off_itself(endpoint, now);
        }
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

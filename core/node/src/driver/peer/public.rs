//! Entry peers of the public network: a pool of which a few are connected at a time.
//!
//! They serve everybody, and they are connected to each other: more than a few links to them help
//! nobody. Which ones is left to chance, so that not all phones lean on the same. One that cannot
//! be reached makes place for another, and its turn comes again after a pause.

use std::time::Instant;

use rand_core::Rng;

use super::Peers;
use super::entry::{Peer, State, pause};
use crate::endpoint::{PeerAddress, Place};
use crate::node::PeerKind;
use crate::power::PowerMode;

/// Enough that one may fail without a gap.
pub(super) const PUBLIC_LINKS: usize = 3;
/// The network lists ten.
const CANDIDATES: usize = 64;

/// One node of the list. Its places are raced like those of any other peer.
#[derive(Debug)]
pub(super) struct Candidate {
    peer: PeerAddress,
    failures: u32,
    until: Instant,
}

impl Peers {
    /// Nodes of which a few are to be connected.
    pub(crate) fn add_public(&mut self, nodes: Vec<PeerAddress>, now: Instant) {
        let room = CANDIDATES.saturating_sub(self.candidates.len());
        let candidate = |peer| Candidate { peer, failures: 0, until: now };
        self.candidates.extend(nodes.into_iter().take(room).map(candidate));
    }

    /// Puts candidates into the table for as long as there is place.
    pub(super) fn fill_public(&mut self, now: Instant) {
        for _ in self.count_public()..self.public_places() {
            let Some(address) = self.pick_public(now) else { return };
            let peer = Peer::new(PeerKind::Public, State::Waiting { until: now }, now);
            self.peers.insert(address, peer);
        }
    }

    /// When the next candidate has its turn, if there is place for it.
    pub(super) fn next_public(&self) -> Option<Instant> {
        if self.count_public() >= self.public_places() {
            return None;
        }
        let free = self.candidates.iter().filter(|candidate| self.is_free(candidate));
        free.map(|candidate| candidate.until).min()
    }

    /// A public peer could not be reached, or its link was no good: another one has its turn.
    pub(super) fn give_up_public(&mut self, peer: &PeerAddress, now: Instant) {
        self.peers.remove(peer);
        let random = &mut self.random;
        let candidates = &mut self.candidates;
        if let Some(candidate) = candidates.iter_mut().find(|c| c.peer == *peer) {
            candidate.failures = candidate.failures.saturating_add(1);
            candidate.until = now + pause(candidate.failures, random);
        }
    }

    /// A public peer is of no use until then.
    pub(super) fn put_off_public(&mut self, peer: &PeerAddress, until: Instant) {
        self.peers.remove(peer);
        if let Some(candidate) = self.candidates.iter_mut().find(|c| c.peer == *peer) {
            candidate.until = until;
        }
    }

    /// All of them have their turn at once.
    pub(super) fn retry_public(&mut self, now: Instant) {
        for candidate in &mut self.candidates {
            candidate.until = now;
            candidate.failures = 0;
        }
    }

    fn public_places(&self) -> usize {
        match self.mode {
            PowerMode::Active => PUBLIC_LINKS,
            PowerMode::Idle if self.chooser.is_looking() => PUBLIC_LINKS,
            PowerMode::Idle => 1,
            PowerMode::Suspended => 0,
        }
    }

    /// Those that take a place: an idle node does not wait for a silent one.
    fn count_public(&self) -> usize {
        let counts = |peer: &Peer| self.mode == PowerMode::Active || peer.silent.is_none();
        self.peers.values().filter(|peer| peer.kind == PeerKind::Public && counts(peer)).count()
    }

    /// Whether no place of it is one of a peer that there is.
    fn is_free(&self, candidate: &Candidate) -> bool {
        let is_taken = |place: &Place| self.peers.keys().any(|peer| peer.places().contains(place));
        !candidate.peer.places().iter().any(is_taken)
    }

    /// One of those that failed least often.
    fn pick_public(&mut self, now: Instant) -> Option<PeerAddress> {
        let ready = self.candidates.iter().filter(|c| c.until <= now && self.is_free(c));
        let ready: Vec<&Candidate> = ready.collect();
        let fewest = ready.iter().map(|candidate| candidate.failures).min()?;
        let best: Vec<PeerAddress> = ready
            .iter()
            .filter(|candidate| candidate.failures == fewest)
            .map(|candidate| candidate.peer.clone())
            .collect();
        let turn = usize::try_from(self.random.next_u32()).unwrap_or(0);
        best.get(turn.checked_rem(best.len())?).cloned()
    }
}

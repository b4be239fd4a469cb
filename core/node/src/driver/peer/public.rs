//! Entry peers of the public network: a pool of which a few are connected at a time.
//!
//! They serve everybody, and they are connected to each other: more than a few links to them help
//! nobody. Which ones is left to chance, so that not all phones lean on the same. One that cannot
//! be reached makes place for another, and its turn comes again after a pause.

use std::time::Instant;

use rand_core::Rng;

use super::Peers;
use super::entry::{Peer, State, pause};
use crate::endpoint::{Endpoint, PeerAddress};
use crate::node::PeerKind;
use crate::power::PowerMode;

/// Enough that one may fail without a gap.
pub(super) const PUBLIC_LINKS: usize = 3;
/// The network lists ten.
const CANDIDATES: usize = 64;

/// One node of the list, with every endpoint it has.
#[derive(Debug)]
pub(super) struct Candidate {
    endpoints: Vec<Endpoint>,
    failures: u32,
    until: Instant,
}

impl Candidate {
    fn is(&self, peer: &PeerAddress) -> bool {
        peer.as_endpoint().is_some_and(|endpoint| self.endpoints.contains(&endpoint))
    }

    /// The endpoint whose turn it is: with every failure another.
    fn endpoint(&self) -> Option<Endpoint> {
        let turn = usize::try_from(self.failures).unwrap_or(0);
        self.endpoints.get(turn.checked_rem(self.endpoints.len())?).copied()
    }
}

impl Peers {
    /// Nodes of which a few are to be connected, each with its endpoints.
    pub(crate) fn add_public(&mut self, nodes: Vec<Vec<Endpoint>>, now: Instant) {
        let room = CANDIDATES.saturating_sub(self.candidates.len());
        let new = nodes.into_iter().filter(|endpoints| !endpoints.is_empty()).take(room);
        let candidate = |endpoints| Candidate { endpoints, failures: 0, until: now };
        self.candidates.extend(new.map(candidate));
    }

    /// Puts candidates into the table for as long as there is place.
    pub(super) fn fill_public(&mut self, now: Instant) {
        for _ in self.count(PeerKind::Public)..self.public_places() {
            let Some(endpoint) = self.pick_public(now) else { return };
            let peer = Peer::new(PeerKind::Public, State::Waiting { until: now }, now);
            self.peers.insert(endpoint.into(), peer);
        }
    }

    /// When the next candidate has its turn, if there is place for it.
    pub(super) fn next_public(&self) -> Option<Instant> {
        if self.count(PeerKind::Public) >= self.public_places() {
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
        if let Some(candidate) = candidates.iter_mut().find(|c| c.is(peer)) {
            candidate.failures = candidate.failures.saturating_add(1);
            candidate.until = now + pause(candidate.failures, random);
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
            PowerMode::Idle => 1,
            PowerMode::Suspended => 0,
        }
    }

    fn is_free(&self, candidate: &Candidate) -> bool {
        !candidate.endpoints.iter().any(|endpoint| self.peers.contains_key(&endpoint.into()))
    }

    /// One of those that failed least often.
    fn pick_public(&mut self, now: Instant) -> Option<Endpoint> {
        let ready = self.candidates.iter().filter(|c| c.until <= now && self.is_free(c));
        let ready: Vec<&Candidate> = ready.collect();
        let fewest = ready.iter().map(|candidate| candidate.failures).min()?;
        let best: Vec<Endpoint> = ready
            .iter()
            .filter(|candidate| candidate.failures == fewest)
            .filter_map(|candidate| candidate.endpoint())
            .collect();
        let turn = usize::try_from(self.random.next_u32()).unwrap_or(0);
        best.get(turn.checked_rem(best.len())?).copied()
    }
}

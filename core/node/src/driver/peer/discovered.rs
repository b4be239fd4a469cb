//! Peers that were heard on the local network.
//!
//! Beacons are signed by nobody: a host on the network can name any port of any link-local address
//! that it can pretend to have, as often as it likes. So there are few such peers at a time, few of
//! one address, and few new ones in a while; one that cannot be reached three times in a row, or
//! that accepts and says nothing, is forgotten.
//!
//! Two nodes that hear each other need one link, not two. The one whose router id is the smaller
//! dials at once, the other only after a while, and neither while the other's link is there.
//! An older node always dials; then there is one link if it was faster, and else there are two,
//! which does no harm.

use std::time::{Duration, Instant};

use super::Peers;
use super::entry::{Peer, State};
use crate::endpoint::{Endpoint, PeerAddress};
use crate::node::PeerKind;
use crate::power::PowerMode;

/// Links in one room: enough to mesh a household, and to reach a larger one through others.
pub(super) const DISCOVERED_PEERS: usize = 16;
/// A machine with two nodes, or a node that was restarted on another port.
const DISCOVERED_PER_ADDRESS: usize = 2;
/// New ones at once: a whole household that is switched on. Then one in [`ONE_IN`].
const BURST: u32 = 8;
const ONE_IN: Duration = Duration::from_secs(15);
/// What the stock daemon allows too.
pub(super) const DISCOVERED_FAILURES: u32 = 3;
/// Whoever has the smaller router id has dialled by then: a failed attempt takes 5 s at most.
pub(super) const THEIR_TURN: Duration = Duration::from_secs(10);
/// While the other's link stands there is nothing to do; a beacon's interval is soon enough.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Which of two nodes that hear each other dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Ours,
    Theirs,
}

/// How many new ones there may be now.
#[derive(Debug)]
pub(super) struct Rate {
    left: u32,
    filled: Instant,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && now >= self.filled + ONE_IN {
            self.left += 1;
            self.filled += ONE_IN;
        }
        if self.left >= BURST {
            self.filled = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

impl Peers {
    /// A beacon named this endpoint. Says whether it is a new peer now.
    pub(crate) fn discover(&mut self, endpoint: Endpoint, turn: Turn, now: Instant) -> bool {
        if self.mode == PowerMode::Suspended || self.peers.contains_key(&endpoint.into()) {
            return false;
        }
        let discovered = || self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Discovered);
        let near = discovered().filter(|(known, _)| same_host(known, &endpoint.into())).count();
        if discovered().count() >= DISCOVERED_PEERS
            || near >= DISCOVERED_PER_ADDRESS
            || !self.discovery_rate.take(now)
        {
            return false;
        }
        let until = match turn {
            Turn::Ours => now,
            Turn::Theirs => now + THEIR_TURN,
        };
        let peer = Peer::new(PeerKind::Discovered, State::Waiting { until }, now);
        self.peers.insert(endpoint.into(), peer);
        true
    }

    /// Puts off those that have dialled us meanwhile.
    pub(super) fn put_off_doubles(&mut self, now: Instant) {
        let is_due = |peer: &Peer| {
            peer.kind == PeerKind::Discovered
                && matches!(peer.state, State::Waiting { until } if until <= now)
        };
        let due = self.peers.iter().filter(|(_, peer)| is_due(peer));
        let doubles: Vec<PeerAddress> = due
            .map(|(endpoint, _)| endpoint.clone())
            .filter(|endpoint| self.has_dialled_us(endpoint))
            .collect();
        for endpoint in doubles {
            if let Some(peer) = self.peers.get_mut(&endpoint) {
                peer.state = State::Waiting { until: now + LOOK_AGAIN };
            }
        }
    }

    fn has_dialled_us(&self, endpoint: &PeerAddress) -> bool {
        self.peers.iter().any(|(other, peer)| {
            peer.kind == PeerKind::Inbound
                && matches!(peer.state, State::Alive { .. })
                && same_host(other, endpoint)
        })
    }
}

/// Whether two endpoints are of one host: the ports do not matter.
fn same_host(one: &PeerAddress, other: &PeerAddress) -> bool {
    let host = |peer: &PeerAddress| {
        let mut address = peer.as_endpoint()?.address()?;
        address.set_port(0);
        Some(address)
    };
    host(one).is_some_and(|one| host(other) == Some(one))
}

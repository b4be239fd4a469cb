//! What to send when: pure, time and inputs in, actions out.
//!
//! Every peer has a queue of its own with a window of envelopes that are on their way or wait for
//! their acknowledgement, so a peer that is gone holds up nobody else. The engine keeps numbers, not
//! bodies, and of each peer at most a window of them; the rest stays in the database until there is
//! room. A peer is *open* while its node takes messages. When it stops taking them, one probe at a
//! time goes out at growing intervals; a success, any message from it after a silence, or news of a
//! route opens the whole window again at once, though not more than once every few seconds. Bodies
//! on the way are bounded per peer and in all (`budget`); a large one goes only where a way is known.
//!
//! Times are milliseconds on a clock that never goes back.

mod budget;
mod peer;
mod waits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;

use threephone_address::{PublicKey, same_subnet};

use self::budget::Budget;
use self::peer::Peer;
use self::waits::Waits;
use crate::Timing;
use crate::ack::Ack;

/// Something happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// Envelopes for a peer are in the database.
    Queued { address: Ipv6Addr, key: Option<PublicKey> },
    /// A page was read; `more` when the database holds further ones.
    Loaded { address: Ipv6Addr, rows: Vec<Row>, more: bool },
    /// A lookup ended.
    Resolved { address: Ipv6Addr, key: Option<PublicKey> },
    /// A send ended: the peer's node took it, or not.
    SendDone { address: Ipv6Addr, seq: u64, taken: bool },
    /// A send ended without going anywhere, because its envelope is settled.
    Unsent { address: Ipv6Addr, seq: u64 },
    /// An envelope is settled: acknowledged, refused, cancelled, expired.
    Settled { address: Ipv6Addr, seq: u64 },
    /// An envelope of a peer is committed and wants its acknowledgement.
    AckDue { address: Ipv6Addr, key: PublicKey, ack: Ack },
    /// A bundle of acknowledgements ended, either way.
    AckDone { address: Ipv6Addr },
    /// A node in this /64 can be reached.
    Reachable { address: Ipv6Addr },
    /// A checked envelope came from a peer.
    Heard { address: Ipv6Addr, key: PublicKey },
    /// Only time went by.
    Tick,
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Read the open envelopes of a peer above a sequence.
    Load { address: Ipv6Addr, after: u64, limit: usize },
    /// Find a peer's key.
    Resolve { address: Ipv6Addr },
    /// Send an envelope.
    Send { address: Ipv6Addr, key: PublicKey, seq: u64, low: u64 },
    /// Send acknowledgements.
    SendAcks { address: Ipv6Addr, key: PublicKey, acks: Vec<Ack> },
}

/// An envelope as the engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) bytes: usize,
}

/// The scheduler.
#[derive(Debug)]
pub(crate) struct Engine {
    peers: BTreeMap<Ipv6Addr, Peer>,
    /// When which peer wants to be looked at.
    wakes: BTreeSet<(u64, Ipv6Addr)>,
    waits: Waits,
    budget: Budget,
    /// Peers that the budget holds up, in the order of their turns.
    starved: VecDeque<Ipv6Addr>,
    actions: VecDeque<Action>,
    /// Peers with acknowledgements that gather until the inputs at hand are all in.
    acking: BTreeSet<Ipv6Addr>,
}

impl Engine {
    pub(crate) fn new(seed: u64, timing: Timing) -> Self {
        Self {
            peers: BTreeMap::new(),
            wakes: BTreeSet::new(),
            waits: Waits::new(seed, timing),
            budget: Budget::default(),
            starved: VecDeque::new(),
            actions: VecDeque::new(),
            acking: BTreeSet::new(),
        }
    }

    /// Takes an input in; what follows from it comes out of [`Engine::poll`].
    pub(crate) fn handle(&mut self, input: Input, now: u64) {
        match input {
            Input::Queued { address, key } => {
                let peer = self.peers.entry(address).or_default();
                peer.more = true;
                peer.key = peer.key.or(key);
                self.advance(address, now);
            }
            Input::Loaded { address, rows, more } => {
                self.with(address, now, |peer, _| peer.loaded(&rows, more));
            }
            Input::Resolved { address, key } => {
                let key = key.filter(|key| key.address() == address);
                self.with(address, now, |peer, waits| peer.resolved(key, waits, now));
            }
            Input::SendDone { address, seq, taken } => {
                self.send_ended(address, now, |peer, waits| peer.send_done(seq, taken, waits, now));
            }
            Input::Unsent { address, seq } => {
                self.send_ended(address, now, |peer, _| {
                    peer.settled(seq);
                    peer.leave(seq)
                });
            }
            Input::Settled { address, seq } => {
                self.with(address, now, |peer, _| peer.settled(seq));
            }
            Input::AckDue { address, key, ack } => {
                let peer = self.peers.entry(address).or_default();
                peer.key = Some(key);
                peer.ack_due(ack);
                self.acking.insert(address);
            }
            Input::AckDone { address } => self.with(address, now, |peer, _| peer.ack_done()),
            Input::Reachable { address } => self.reachable(address, now),
            Input::Heard { address, key } => {
                let Some(peer) = self.peers.get_mut(&address) else { return };
                peer.key = Some(key);
                if peer.heard(&self.waits, now) {
                    self.advance(address, now);
                }
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            for address in std::mem::take(&mut self.acking) {
                if let Some(peer) = self.peers.get_mut(&address) {
                    peer.send_acks(address, &mut self.actions);
                }
            }
        }
        self.actions.pop_front()
    }

    /// When to come back with [`Input::Tick`] if nothing else happens.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Envelopes on their way or waiting for an acknowledgement.
    pub(crate) fn sending(&self) -> u64 {
        self.peers.values().map(Peer::busy).sum::<usize>() as u64
    }

    /// Whether an envelope is in a window.
    pub(crate) fn is_open(&self, address: Ipv6Addr, seq: u64) -> bool {
        self.peers.get(&address).is_some_and(|peer| peer.is_open(seq))
    }

    fn with(&mut self, address: Ipv6Addr, now: u64, change: impl FnOnce(&mut Peer, &mut Waits)) {
        if let Some(peer) = self.peers.get_mut(&address) {
            change(peer, &mut self.waits);
            self.advance(address, now);
        }
    }

    fn send_ended(
        &mut self,
        address: Ipv6Addr,
        now: u64,
        end: impl FnOnce(&mut Peer, &mut Waits) -> usize,
    ) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        self.budget.give_back(end(peer, &mut self.waits));
        // Those that wait for room go first, or a busy peer would take all of it again.
        for starved in std::mem::take(&mut self.starved) {
            self.advance(starved, now);
        }
        self.advance(address, now);
    }

    fn reachable(&mut self, address: Ipv6Addr, now: u64) {
        let near: Vec<_> =
            self.peers.keys().copied().filter(|a| same_subnet(*a, address)).collect();
        for address in near {
            self.with(address, now, |peer, waits| peer.reachable(waits, now));
        }
    }

    fn tick(&mut self, now: u64) {
        let due: Vec<_> = self.wakes.iter().take_while(|(at, _)| *at <= now).copied().collect();
        for (_, address) in due {
            self.advance(address, now);
        }
    }

    /// Does for one peer whatever can be done now.
    fn advance(&mut self, address: Ipv6Addr, now: u64) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        peer.pass_time(&self.waits, now);
        peer.send_acks(address, &mut self.actions);
        peer.load(address, &mut self.actions);
        let starved = peer.send_ready(address, &mut self.budget, &mut self.actions, now);
        if starved && !self.starved.contains(&address) {
            self.starved.push_back(address);
        }
        let wake = if peer.is_idle() { None } else { peer.next_wake() };
        let before = std::mem::replace(&mut peer.wake, wake);
        if peer.is_idle() {
            self.peers.remove(&address);
        }
        if before != wake {
            before.map(|at| self.wakes.remove(&(at, address)));
            wake.map(|at| self.wakes.insert((at, address)));
        }
    }
}

#[cfg(test)]
mod tests;

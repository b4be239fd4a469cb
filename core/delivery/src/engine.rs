//! What to send when: pure, time and inputs in, actions out.
//!
//! Every peer has a queue of its own with a window of envelopes that are on their way or wait for
//! their acknowledgement, so a peer that is gone holds up nobody else. The engine keeps numbers, not
//! bodies, and of each peer at most a window of them; the rest stays in the database until there is
//! room. A peer is *open* while its node takes messages. When it stops taking them, one probe at a
//! time goes out at growing intervals; a success, any message from it, or news of a route opens the
//! whole window again at once.
//!
//! Times are milliseconds on a clock that never goes back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;

use threephone_address::{PublicKey, same_subnet};

use crate::Timing;
use crate::ack::Ack;
use crate::limits::{
    ACKS_IN_FLIGHT, IN_FLIGHT, IN_FLIGHT_BYTES, MAX_ACKS, MAX_PENDING_ACKS, WINDOW,
};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Sending,
    /// Taken by the peer's node; repeated at `due` unless acknowledged.
    Waiting {
        due: u64,
        since: u64,
    },
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    tries: u32,
    state: State,
}

#[derive(Debug, Default)]
struct Peer {
    key: Option<PublicKey>,
    resolving: bool,
    entries: BTreeMap<u64, Entry>,
    /// The highest sequence read from the database.
    loaded: u64,
    /// The database may hold more above `loaded`.
    more: bool,
    loading: bool,
    /// Failures in a row; 0 is open.
    failures: u32,
    retry_at: u64,
    acks: VecDeque<Ack>,
    acks_in_flight: usize,
}

/// The scheduler.
#[derive(Debug)]
pub(crate) struct Engine {
    peers: BTreeMap<Ipv6Addr, Peer>,
    waits: Waits,
    actions: VecDeque<Action>,
    /// Peers with acknowledgements that gather until the inputs at hand are all in.
    acking: BTreeSet<Ipv6Addr>,
}

/// The waiting times and what spreads them.
#[derive(Debug)]
struct Waits {
    timing: Timing,
    random: u64,
}

impl Engine {
    pub(crate) fn new(seed: u64, timing: Timing) -> Self {
        let waits = Waits { timing, random: seed };
        let (peers, actions, acking) = (BTreeMap::new(), VecDeque::new(), BTreeSet::new());
        Self { peers, waits, actions, acking }
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
            Input::Loaded { address, rows, more } => self.loaded(address, &rows, more, now),
            Input::Resolved { address, key } => self.resolved(address, key, now),
            Input::SendDone { address, seq, taken } => self.send_done(address, seq, taken, now),
            Input::Settled { address, seq } => {
                let Some(peer) = self.peers.get_mut(&address) else { return };
                peer.entries.remove(&seq);
                self.advance(address, now);
            }
            Input::AckDue { address, key, ack } => {
                let peer = self.peers.entry(address).or_default();
                peer.key = Some(key);
                if peer.acks.len() < MAX_PENDING_ACKS {
                    peer.acks.push_back(ack);
                }
                self.acking.insert(address);
            }
            Input::AckDone { address } => {
                let Some(peer) = self.peers.get_mut(&address) else { return };
                peer.acks_in_flight = peer.acks_in_flight.saturating_sub(1);
                self.advance(address, now);
            }
            Input::Reachable { address } => self.reachable(address, now),
            Input::Heard { address, key } => {
                let Some(peer) = self.peers.get_mut(&address) else { return };
                peer.key = Some(key);
                if peer.failures > 0 {
                    peer.reopen(self.waits.timing.ack_wait_ms, now);
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
        self.peers.values().filter_map(Peer::next_wake).min()
    }

    /// Envelopes on their way or waiting for an acknowledgement.
    pub(crate) fn sending(&self) -> u64 {
        let busy = |peer: &Peer| peer.entries.values().filter(|e| e.state != State::Ready).count();
        self.peers.values().map(busy).sum::<usize>() as u64
    }

    /// Whether an envelope is in a window.
    pub(crate) fn is_open(&self, address: Ipv6Addr, seq: u64) -> bool {
        self.peers.get(&address).is_some_and(|peer| peer.entries.contains_key(&seq))
    }

    fn loaded(&mut self, address: Ipv6Addr, rows: &[Row], more: bool, now: u64) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        peer.loading = false;
        // What was queued while the page was read is seen by the next one.
        peer.more |= more;
        for row in rows {
            peer.loaded = peer.loaded.max(row.seq);
            let entry = Entry { bytes: row.bytes, tries: 0, state: State::Ready };
            peer.entries.entry(row.seq).or_insert(entry);
        }
        self.advance(address, now);
    }

    fn resolved(&mut self, address: Ipv6Addr, key: Option<PublicKey>, now: u64) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        peer.resolving = false;
        peer.key = peer.key.or(key.filter(|key| key.address() == address));
        if peer.key.is_none() {
            peer.fail(&mut self.waits, now);
        }
        self.advance(address, now);
    }

    fn send_done(&mut self, address: Ipv6Addr, seq: u64, taken: bool, now: u64) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let mut tries = 0;
        if let Some(entry) = peer.entries.get_mut(&seq) {
            tries = entry.tries;
            entry.tries = tries.saturating_add(1);
            entry.state = State::Ready;
        }
        if taken {
            peer.failures = 0;
            let wait = self.waits.ack(tries);
            if let Some(entry) = peer.entries.get_mut(&seq) {
                entry.state = State::Waiting { due: now.saturating_add(wait), since: now };
            }
        } else if peer.failures == 0 || now >= peer.retry_at {
            // A whole window that fails together counts as one failure.
            peer.fail(&mut self.waits, now);
        }
        self.advance(address, now);
    }

    fn reachable(&mut self, address: Ipv6Addr, now: u64) {
        let near: Vec<_> =
            self.peers.keys().copied().filter(|a| same_subnet(*a, address)).collect();
        for address in near {
            if let Some(peer) = self.peers.get_mut(&address) {
                peer.reopen(self.waits.timing.ack_wait_ms, now);
            }
            self.advance(address, now);
        }
    }

    fn tick(&mut self, now: u64) {
        let due = |peer: &Peer| peer.next_wake().is_some_and(|at| at <= now);
        let due: Vec<_> = self.peers.iter().filter(|(_, p)| due(p)).map(|(a, _)| *a).collect();
        for address in due {
            self.advance(address, now);
        }
    }

    /// Does for one peer whatever can be done now.
    fn advance(&mut self, address: Ipv6Addr, now: u64) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        peer.expire_waits(now);
        peer.send_acks(address, &mut self.actions);
        if peer.more && !peer.loading && peer.entries.len() <= IN_FLIGHT / 2 {
            (peer.loading, peer.more) = (true, false);
            let limit = IN_FLIGHT - peer.entries.len();
            self.actions.push_back(Action::Load { address, after: peer.loaded, limit });
        }
        peer.send_ready(address, now, &mut self.actions);
        let idle = peer.entries.is_empty() && peer.acks.is_empty() && peer.acks_in_flight == 0;
        if idle && !peer.loading && !peer.more && !peer.resolving && peer.failures == 0 {
            // Forgetting `loaded` is safe: what is settled is no longer open in the database.
            self.peers.remove(&address);
        }
    }
}

impl Peer {
    fn fail(&mut self, waits: &mut Waits, now: u64) {
        self.retry_at = now.saturating_add(waits.retry(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    /// Everything that only waits for time goes now, except what was sent a moment ago.
    fn reopen(&mut self, ack_wait: u64, now: u64) {
        self.failures = 0;
        for entry in self.entries.values_mut() {
            if let State::Waiting { due, since } = &mut entry.state {
                *due = (*due).min(since.saturating_add(ack_wait));
            }
        }
        self.expire_waits(now);
    }

    fn expire_waits(&mut self, now: u64) {
        for entry in self.entries.values_mut() {
            if matches!(entry.state, State::Waiting { due, .. } if due <= now) {
                entry.state = State::Ready;
            }
        }
    }

    fn send_acks(&mut self, address: Ipv6Addr, actions: &mut VecDeque<Action>) {
        let Some(key) = self.key else { return };
        while !self.acks.is_empty() && self.acks_in_flight < ACKS_IN_FLIGHT {
            let acks = self.acks.drain(..self.acks.len().min(MAX_ACKS)).collect();
            self.acks_in_flight += 1;
            actions.push_back(Action::SendAcks { address, key, acks });
        }
    }

    fn send_ready(&mut self, address: Ipv6Addr, now: u64, actions: &mut VecDeque<Action>) {
        let Some(low) = self.entries.keys().next().copied() else { return };
        if self.failures > 0 && now < self.retry_at {
            return;
        }
        let Some(key) = self.key else {
            if !self.resolving {
                self.resolving = true;
                actions.push_back(Action::Resolve { address });
            }
            return;
        };
        let (mut count, mut bytes) = self.on_the_way();
        let window = if self.failures > 0 { 1 } else { IN_FLIGHT };
        for (seq, entry) in &mut self.entries {
            if count >= window || seq.saturating_sub(low) >= WINDOW {
                break;
            }
            if entry.state != State::Ready {
                continue;
            }
            // At least one goes, however long it is.
            if count > 0 && bytes.saturating_add(entry.bytes) > IN_FLIGHT_BYTES {
                break;
            }
            entry.state = State::Sending;
            (count, bytes) = (count + 1, bytes.saturating_add(entry.bytes));
            actions.push_back(Action::Send { address, key, seq: *seq, low });
        }
    }

    /// Count and bytes of what is being sent: what waits for its acknowledgement has left.
    fn on_the_way(&self) -> (usize, usize) {
        let sending = self.entries.values().filter(|entry| entry.state == State::Sending);
        sending.fold((0, 0), |(count, bytes), e| (count + 1, bytes.saturating_add(e.bytes)))
    }

    fn next_wake(&self) -> Option<u64> {
        let mut waits = self.entries.values().filter_map(|entry| match entry.state {
            State::Waiting { due, .. } => Some(due),
            _ => None,
        });
        let ready = self.entries.values().any(|entry| entry.state == State::Ready);
        let probing = self.failures > 0 && self.on_the_way().0 == 0 && !self.resolving && ready;
        let first = if probing { Some(self.retry_at) } else { None };
        waits.by_ref().min().into_iter().chain(first).min()
    }
}

impl Waits {
    fn retry(&mut self, failures: u32) -> u64 {
        self.interval(self.timing.retry_first_ms, failures)
    }

    fn ack(&mut self, tries: u32) -> u64 {
        self.interval(self.timing.ack_wait_ms.saturating_mul(2), tries)
    }

    /// Doubles with every try up to the longest, and lies at random between the half and the whole
    /// of it, so that what failed together does not come back together.
    fn interval(&mut self, first: u64, tries: u32) -> u64 {
        let whole = first.saturating_mul(1 << tries.min(20)).min(self.timing.retry_last_ms);
        whole / 2 + next_random(&mut self.random) % (whole / 2 + 1)
    }
}

/// SplitMix64: spreads retries, protects nothing.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;

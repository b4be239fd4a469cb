//! One row of the peer table.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::LinkId;
use crate::driver::transport::Tie;
use crate::node::PeerKind;

/// A router that restarts is back in well under a second; the first try comes soon.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Long enough to cost nothing, short enough that a person who fixed the network does not wait.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A link that lived this long was a good one; one that did not counts as a failed attempt, so that
/// a peer that accepts and hangs up is not dialled in a tight loop.
pub(super) const GOOD_LINK: Duration = Duration::from_secs(5);

/// Two connections of one peer that were opened closer together than this were dialled at the same
/// time: several round trips, and the repeats of a lost handshake packet. Later, a connection from
/// a peer that has one says that the old one is dead.
pub(super) const CROSSING: Duration = Duration::from_secs(5);

/// Byte and packet counts of one peer over all its links.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) tx_bytes: AtomicU64,
    pub(crate) rx_bytes: AtomicU64,
    pub(crate) tx_packets: AtomicU64,
    pub(crate) rx_packets: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) malformed: AtomicU64,
    /// How often the core woke up for it, and the processor time that took.
    pub(crate) wake_ups: AtomicU64,
    pub(crate) cpu_nanos: AtomicU64,
}

pub(super) struct Peer {
    pub(super) kind: PeerKind,
    pub(super) state: State,
    /// Whether we dialled the link it has.
    pub(super) is_outbound: bool,
    /// Of that link.
    tie: Option<Tie>,
    /// Attempts that failed since the last good link.
    pub(super) failures: u32,
    pub(super) doubt: Option<Doubt>,
    pub(super) added: Instant,
    pub(super) connects: u64,
    pub(super) last_connected: Option<Instant>,
    pub(super) counters: Arc<Counters>,
}

/// A link that may have died with the network it ran over: it has until then to bring a byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) until: Instant,
    pub(super) rx_bytes: u64,
}

/// Whether two connections, one dialled by either side, were dialled at the same time, and then which
/// of them stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    None,
    OldStays,
    NewStays,
}

#[derive(Debug)]
pub(super) enum State {
    Waiting {
        until: Instant,
    },
    Connecting,
    /// Connected, but it has not brought a packet yet: perhaps it is no node at all.
    Silent {
        link: LinkId,
        since: Instant,
    },
    Alive {
        link: LinkId,
        since: Instant,
    },
}

impl Peer {
    pub(super) fn new(kind: PeerKind, state: State, now: Instant) -> Self {
        Self {
            kind,
            state,
            is_outbound: false,
            tie: None,
            failures: 0,
            doubt: None,
            added: now,
            connects: 0,
            last_connected: None,
            counters: Arc::default(),
        }
    }

    /// It has a new link.
    pub(super) fn connected(
        &mut self,
        state: State,
        is_outbound: bool,
        tie: Option<Tie>,
        now: Instant,
    ) {
        self.state = state;
        self.is_outbound = is_outbound;
        self.tie = tie;
        self.doubt = None;
        self.connects = self.connects.saturating_add(1);
        self.last_connected = Some(now);
    }

    /// What a new connection means for the link it has: the other side decides alike.
    pub(super) fn crossing(&self, is_outbound: bool, tie: Option<Tie>, now: Instant) -> Crossing {
        let (State::Silent { since, .. } | State::Alive { since, .. }) = self.state else {
            return Crossing::None;
        };
        let (Some(old), Some(new)) = (self.tie, tie) else { return Crossing::None };
        if self.is_outbound == is_outbound || now >= since + CROSSING {
            Crossing::None
        } else if old < new {
            Crossing::OldStays
        } else {
            Crossing::NewStays
        }
    }

    /// Whether it has a link that we dialled and over which packets came.
    pub(super) fn is_alive_outbound(&self) -> bool {
        self.is_outbound && matches!(self.state, State::Alive { .. })
    }

    /// It is due again after a pause.
    pub(super) fn back_off(&mut self, random: &mut ChaCha8Rng, now: Instant) {
        self.state = State::Waiting { until: now + pause(self.failures, random) };
    }
}

impl State {
    pub(super) fn link(&self) -> Option<LinkId> {
        match self {
            Self::Alive { link, .. } | Self::Silent { link, .. } => Some(*link),
            Self::Waiting { .. } | Self::Connecting => None,
        }
    }
}

/// Doubles with every failure; the upper half of it is left to chance.
pub(super) fn pause(failures: u32, random: &mut ChaCha8Rng) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let half = longest / 2;
    half + half.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX))
}

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

/// Where this node itself was found there is little to hope for. What is there may change with the
/// network, but then everybody is dialled at once.
pub(super) const ITSELF_PAUSE: Duration = Duration::from_secs(3600);

/// A silent link may be one whose answers are slow: the router waits up to 6 s for those of a link
/// that it knows. Then its peer is dialled anew, for the link may be dead and the peer not: a
/// machine that moved, a router on the way that forgot the connection.
pub(super) const REDIAL: Duration = Duration::from_secs(6);

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
    pub(super) silent: Option<Silent>,
    /// Whether this node itself was found there last, and whether the owner was told so.
    pub(super) is_itself: bool,
    pub(super) is_told: bool,
    /// Whether the link it has brought a packet.
    pub(super) is_heard: bool,
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

/// The router avoids the link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silent {
    /// When the peer is dialled anew.
    pub(super) redial: Instant,
    pub(super) is_dialling: bool,
}

/// Whether two connections, one dialled by either side, were dialled at the same time, and then which
/// of them stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    None,
    /// They are the two ends of one: this node has dialled itself.
    Itself,
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
            silent: None,
            is_itself: false,
            is_told: false,
            is_heard: false,
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
        self.silent = None;
        (self.is_heard, self.is_itself) = (false, false);
        self.connects = self.connects.saturating_add(1);
        self.last_connected = Some(now);
    }

    /// What a new connection means for the link it has: the other side decides alike.
    pub(super) fn crossing(&self, is_outbound: bool, tie: Option<Tie>, now: Instant) -> Crossing {
        let (State::Silent { since, .. } | State::Alive { since, .. }) = self.state else {
            return Crossing::None;
        };
        let (Some(old), Some(new)) = (self.tie, tie) else { return Crossing::None };
        if old == new {
            Crossing::Itself
        } else if self.is_outbound == is_outbound || now >= since + CROSSING {
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

    /// Whether the other end tells its links apart by our endpoint.
    pub(super) fn is_tied(&self) -> bool {
        self.tie.is_some()
    }

    /// Whether that link has brought packets and brings them still.
    pub(super) fn is_sound(&self) -> bool {
        self.is_alive_outbound() && self.is_heard && self.silent.is_none()
    }

    pub(super) fn set_silent(&mut self, is_silent: bool, now: Instant) {
        let silent = Silent { redial: now + REDIAL, is_dialling: false };
        self.silent = is_silent.then_some(silent);
    }

    /// When it is to be dialled; none while it is, or needs not be.
    pub(super) fn due(&self) -> Option<Instant> {
        match (&self.state, self.silent) {
            (State::Waiting { until }, _) => Some(*until),
            (State::Alive { .. }, Some(silent)) if self.kind != PeerKind::Inbound => {
                (!silent.is_dialling).then_some(silent.redial)
            }
            _ => None,
        }
    }

    /// It is dialled now.
    pub(super) fn dialling(&mut self) {
        match &mut self.silent {
            Some(silent) => silent.is_dialling = true,
            None => self.state = State::Connecting,
        }
    }

    /// Whether the outcome of an attempt is waited for.
    pub(super) fn is_dialling(&self) -> bool {
        match self.state {
            State::Connecting => true,
            _ => self.silent.is_some_and(|silent| silent.is_dialling),
        }
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

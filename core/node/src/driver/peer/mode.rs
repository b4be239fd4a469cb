//! How many links are wanted: by the power mode, and after the machine has moved to another network.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Peers;
use super::choice::Chooser;
use super::entry::{Doubt, State};
use crate::engine::Standing;
use crate::power::PowerMode;
use crate::{LinkId, Prefix};

/// How long a link may be silent that was asked for a sign of life: two retransmissions on a slow
/// radio. Every node answers a Hello at once.
pub(super) const DOUBT: Duration = Duration::from_secs(5);

impl Peers {
    /// The network is another one: whoever waits is due at once. Gives the links that may have died
    /// with the old one; each is to be asked for a sign of life now.
    pub(crate) fn network_changed(&mut self, now: Instant) -> Vec<LinkId> {
        self.chooser.relax(now);
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

    /// Changes the mode; gives the links to close. `standing` says what speaks for a link.
    pub(crate) fn set_mode(
        &mut self,
        mode: PowerMode,
        standing: impl Fn(LinkId, &[Prefix]) -> Standing,
        now: Instant,
    ) -> Vec<LinkId> {
        if mode == self.mode {
            return Vec::new();
        }
        self.mode = mode;
        self.chooser = Chooser::new(now);
        self.make_due(now);
        match mode {
            PowerMode::Active => Vec::new(),
            PowerMode::Idle => {
                if !self.has_sound() {
                    self.chooser.open(now);
                }
                self.all_but_the_best(standing, &[])
            }
            PowerMode::Suspended => {
                // Whoever is being dialled is given up with the doors.
                for peer in self.peers.values_mut() {
                    if matches!(peer.state, State::Connecting) {
                        peer.state = State::Waiting { until: now };
                    }
                }
                self.peers.values().filter_map(|peer| peer.state.link()).collect()
            }
        }
    }

    /// The mode it is in.
    pub(crate) fn mode(&self) -> PowerMode {
        self.mode
    }

    pub(super) fn make_due(&mut self, now: Instant) {
        self.retry_public(now);
        for peer in self.peers.values_mut() {
            if let State::Waiting { until } = &mut peer.state {
                *until = now;
                peer.failures = 0;
            }
        }
    }

    /// Whether another link is wanted.
    pub(super) fn may_dial(&self) -> bool {
        match self.mode {
            PowerMode::Active => true,
            PowerMode::Idle => self.chooser.is_open() || !self.has_sound(),
            PowerMode::Suspended => false,
        }
    }
}

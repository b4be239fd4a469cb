//! What the core does for the sake of the battery and of a network that changes: the power mode,
//! beacons, and links that may have died.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::core::Core;
use super::discovery::Order;
use super::interface;
use super::peer::Turn;
use super::tally;
use crate::discovery::{Heard, INTERVAL};
use crate::endpoint::Endpoint;
use crate::ledger::Ledger;
use crate::power::PowerMode;
use crate::{LinkId, Prefix};

/// Why an idle node closes a link.
const ONE_IS_ENOUGH: &str = "one peer is enough for now";
/// How early a beacon may go out with something else, and how late when there is nothing: the beat
/// of the links comes every 20 s, so it needs no wake-up of its own.
const RIDES: Duration = Duration::from_secs(15);
const WAITS: Duration = Duration::from_secs(10);

/// When beacons go out.
pub(crate) struct Beacons {
    orders: watch::Sender<Order>,
    sent: u64,
    /// Whether others hear of us by them.
    is_sending: bool,
    /// When the next one is due; none while nobody is to be heard.
    next: Option<Instant>,
}

impl Beacons {
    pub(crate) fn new(orders: watch::Sender<Order>, is_sending: bool) -> Self {
        Self { orders, sent: 0, is_sending, next: None }
    }

    fn is_sending(&self) -> bool {
        self.is_sending
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next.map(|next| next + WAITS)
    }

    /// The next one is due now: there are others to hear it.
    fn hurry(&mut self, now: Instant) {
        self.next = self.next.map(|_| now);
    }

    fn tend(&mut self, wanted: bool, now: Instant) {
        if !wanted {
            if self.next.take().is_some() {
                self.orders.send_replace(Order::Rest);
            }
        } else if self.next.is_none_or(|next| next <= now + RIDES) {
            self.next = Some(now + INTERVAL);
            self.sent = self.sent.saturating_add(1);
            self.orders.send_replace(Order::Beacon(self.sent));
        }
    }
}

impl Core {
    /// Brings the links in line with the power mode.
    pub(super) fn follow_power(&mut self, now: Instant) {
        self.power.note_inbound(self.peers.inbound() > 0);
        let mode = self.power.mode(now);
        if mode == self.peers.mode() {
            return;
        }
        tracing::info!(?mode, "power");
        self.doors.set(mode.into());
        self.engine.set_idle(mode == PowerMode::Idle, now);
        let standing = |link, wanted: &[Prefix]| self.engine.standing(link, wanted);
        let surplus = self.peers.set_mode(mode, standing, now);
        let reason = match mode {
            PowerMode::Suspended => "the node is suspended",
            PowerMode::Active | PowerMode::Idle => ONE_IS_ENOUGH,
        };
        for link in surplus {
            self.close_link(link, reason, now);
        }
    }

    /// An idle node that has compared its links keeps the best.
    pub(super) fn close_surplus(&mut self, now: Instant) {
        let standing = |link, wanted: &[Prefix]| self.engine.standing(link, wanted);
        for link in self.peers.surplus(standing, now) {
            self.close_link(link, ONE_IS_ENOUGH, now);
        }
    }

    /// Dials who waits at once, ends the links of addresses that are gone, and asks the others
    /// whether they still live.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.tally.network_changes = self.tally.network_changes.saturating_add(1);
        if self.peers.mode() == PowerMode::Suspended {
            return;
        }
        let gone: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.local.is_some_and(|local| !interface::has_address(local.ip())))
            .map(|(id, _)| *id)
            .collect();
        for link in gone {
            self.close_link(link, "this machine has another address now", now);
        }
        for link in self.peers.network_changed(now) {
            self.engine.probe(link, now);
        }
        if let Some(beacons) = &mut self.beacons {
            beacons.hurry(now);
        }
    }

    /// With one link kept, an idle node looks for no other; a suspended one for none.
    pub(super) fn tend_beacons(&mut self, now: Instant) {
        let Some(beacons) = &mut self.beacons else { return };
        let wanted = match self.peers.mode() {
            PowerMode::Active => true,
            PowerMode::Idle => self.links.is_empty(),
            PowerMode::Suspended => false,
        };
        beacons.tend(wanted, now);
    }

    pub(super) fn heard_beacon(&mut self, heard: Heard, now: Instant) {
        let endpoint = Endpoint::discovered(heard.address, self.transports.is_private());
        // Who says nothing of itself is heard by nobody, so nobody dials it.
        let is_heard = self.beacons.as_ref().is_some_and(Beacons::is_sending);
        let turn = if heard.is_larger || !is_heard { Turn::Ours } else { Turn::Theirs };
        if self.peers.discover(endpoint, turn, now) {
            tracing::info!(%endpoint, "a peer was heard on the local network");
        }
    }

    pub(super) fn ledger(&self, now: Instant) -> Ledger {
        Ledger {
            running_for: self.tally.running_for(now),
            mode: self.peers.mode(),
            sleeps: self.tally.sleeps,
            network_changes: self.tally.network_changes,
            causes: self.tally.causes(),
            peers: self.peers.statuses(|link| self.engine.link_cost(link), now),
            process: tally::process_use(),
        }
    }
}

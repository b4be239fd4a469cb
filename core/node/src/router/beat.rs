//! Staying in touch with peers: Hellos, the IHUs that answer them, and what rides along (spec 6.2).
//!
//! A quiet link costs both of its ends a wake-up each time something is due on it. So what is due
//! soon goes out together, on the beat of whichever end speaks first.

use std::time::{Duration, Instant};

use rand_core::Rng;

use super::announce::HELLO_INTERVAL;
use super::neighbour::{DEAD_AFTER, Purpose};
use super::{Router, Timer};
use crate::LinkId;
use crate::wire::control::{Ihu, Tlv};

const IHU_INTERVAL: u16 = 6_000;
pub(super) const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(300);
/// How early a Hello may go out with the answer to one; the peer's come every 20 s.
const HELLO_RIDES: Duration = Duration::from_secs(5);
/// How early the own prefix may be announced with it: so that one of them always is.
const ANNOUNCEMENT_RIDES: Duration = Duration::from_secs(25);
impl Router {
    /// Asks the peer of a link for a sign of life now, unless it has been asked already.
    pub fn probe(&mut self, link: LinkId, now: Instant) {
        self.send_hello(link, now);
        self.flush(now);
    }

    pub(super) fn handle_hello(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if !neighbour.buckets.hellos.take(now) {
            self.counters.hellos_over_rate += 1;
            return; // one is due in 20 s
        }
        let ihu = Ihu { rxcost: neighbour.cost(), interval: IHU_INTERVAL };
        self.send(link, Tlv::Ihu(ihu));
        self.ride_along(link, now);
    }

    pub(super) fn handle_ihu(&mut self, link: LinkId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if !neighbour.buckets.ihus.take(now) || !neighbour.heard(now) {
            self.counters.ihus_over_rate += 1;
            return;
        }
        self.timers.set(Timer::Death(link), now + self.dead_after());
        self.busy.insert(link);
        self.end_silence(link, now);
    }

    /// What is due soon goes out with the answer to a Hello, so that a quiet link wakes both of its
    /// ends once for both directions, and not each on a beat of its own.
    fn ride_along(&mut self, link: LinkId, now: Instant) {
        let is_near = |at: Option<Instant>, near| at.is_some_and(|at| at <= now + near);
        if is_near(self.timers.at(Timer::Hello(link)), HELLO_RIDES) {
            self.send_hello(link, now);
        }
        if is_near(self.timers.at(Timer::Announcement), ANNOUNCEMENT_RIDES) {
            self.announce_own(now);
        }
    }

    /// An idle node says Hello with every second beat of the peer only, and gives a peer that says
    /// nothing up after 86 s; one that is used is asked out of turn as ever.
    pub fn set_idle(&mut self, is_idle: bool, now: Instant) {
        if std::mem::replace(&mut self.is_idle, is_idle) && !is_idle {
            for link in self.links() {
                self.timers.set(Timer::Death(link), now + self.dead_after());
                self.send_hello(link, now);
            }
        }
    }

    pub(super) fn dead_after(&self) -> Duration {
        DEAD_AFTER * if self.is_idle { 2 } else { 1 }
    }

    /// Tells every peer of the own prefix.
    pub(super) fn announce_own(&mut self, now: Instant) {
        for link in self.links() {
            self.send_static(link);
        }
        self.timers.set(Timer::Announcement, now + ANNOUNCEMENT_INTERVAL);
    }

    /// Sends a Hello, unless one is unanswered, and sets the time of the next: up to a tenth late,
    /// so that the nodes of a network do not fall into step, and so that the peer's own beat comes
    /// first where it has one ([`Router::ride_along`]).
    pub(super) fn send_hello(&mut self, link: LinkId, now: Instant) {
        let late = self.random.next_u32() % u32::from(HELLO_INTERVAL);
        let beat = u64::from(HELLO_INTERVAL) * if self.is_idle { 20 } else { 10 };
        let wait = Duration::from_millis(beat + u64::from(late));
        self.timers.set(Timer::Hello(link), now + wait);
        self.ask_hello(link, Purpose::Beat, now);
    }
}

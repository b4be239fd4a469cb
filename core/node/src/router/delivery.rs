//! What really arrives: packets that only the owner of an address can have sealed.
//!
//! Anybody may announce anybody's prefix with a better metric and swallow what comes (spec 6.13). So
//! when this node sends and nothing comes back, another route is tried, and the one that swallowed is
//! avoided for some minutes. And a key that has proven itself keeps its /64: another key with the
//! same 57 bits can be computed with enough effort, and is refused while the first is remembered.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::clock::Tick;
use super::links::LinkSet;
use super::lookup::Question;
use super::{Router, RouterOutput};
use crate::{LinkId, Prefix, PublicKey};

/// How long own packets may stay without any answer. Messages are acknowledged within a round trip;
/// unanswered they are repeated after 0.3, 0.9 and 2.1 s on a path of which nothing is known, so that
/// it is the third repeat that goes another way.
const UNANSWERED: Duration = Duration::from_secs(2);
/// How long a route is avoided then.
const DOUBT: Duration = Duration::from_secs(300);
/// How long a key keeps its /64 after it last proved itself.
const PIN: Duration = Duration::from_secs(24 * 3600);

/// The keys that proved to be behind their /64: bounded, the one silent for longest goes first, and
/// all are forgotten when the node stops.
#[derive(Debug, Default)]
pub(super) struct Pins(BTreeMap<Prefix, (PublicKey, Tick)>);

impl Pins {
    pub(super) fn confirm(&mut self, subnet: Prefix, key: PublicKey, limit: usize, now: Tick) {
        if let Some((pinned, at)) = self.0.get_mut(&subnet) {
            if *pinned == key || now.since(*at) >= PIN {
                (*pinned, *at) = (key, now);
            }
            return;
        }
        if self.0.len() >= limit {
            let oldest = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(subnet, _)| *subnet);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        if limit > 0 {
            self.0.insert(subnet, (key, now));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the /64 is that of another key.
    pub(super) fn refuse(&self, subnet: Prefix, key: &PublicKey, now: Tick) -> bool {
        let pin = self.0.get(&subnet);
        pin.is_some_and(|(pinned, at)| pinned != key && now.since(*at) < PIN)
    }
}

impl Router {
    /// Tells that a packet of this node goes to `destination`, and that something must come back
    /// sooner or later. For packets of others, and where answers are not the rule, do not call this.
    pub fn expect_answer(&mut self, destination: Ipv6Addr, now: Instant) {
        let Some((prefix, before)) = self.table.selected_for(destination) else { return };
        let (before, tick) = (*before, self.clock.tick(now));
        let Some(known) = self.table.get_mut(prefix) else { return };
        if known.await_answer(tick) < UNANSWERED {
            return;
        }
        known.stop_waiting();
        if known.entries.len() < 2 {
            // Whoever announced it unasked may be the only one who did: peers tell who asks them.
            if known.may_ask_others(tick) {
                self.ask_others(Prefix::subnet_of(destination), before.link);
                self.flush(now);
            }
            return;
        }
        let until = self.clock.after(DOUBT, now);
        if let Some(entry) = known.entry_mut(before.link) {
            entry.doubted = until;
        }
        self.counters.undelivered += 1;
        self.reselect(prefix, Some(before), now);
        self.flush(now);
    }

    /// Tells that a packet came that only the owner of `key` can have sealed. That says nothing about
    /// whether packets of this node arrive there.
    pub fn confirm(&mut self, key: PublicKey, now: Instant) {
        let (subnet, tick) = (Prefix::subnet_of(key.address()), self.clock.tick(now));
        self.pins.confirm(subnet, key, self.config.limits.pins, tick);
    }

    /// Tells that such a packet answers one of this node: the selected route leads there.
    pub fn confirm_answer(&mut self, key: PublicKey, now: Instant) {
        self.confirm(key, now);
        let (address, tick) = (key.address(), self.clock.tick(now));
        let selected = self.table.selected_for(address).map(|(prefix, _)| prefix);
        let known = selected.and_then(|prefix| self.table.get_mut(prefix));
        if let Some(known) = known {
            known.note_answer(tick);
        }
    }

    /// Asks every peer but one for a way to a /64 to which there is one already.
    fn ask_others(&mut self, prefix: Prefix, but: LinkId) {
        let mut to = LinkSet::default();
        for (link, neighbour) in &self.neighbours {
            if *link != but {
                to.insert(neighbour.place);
            }
        }
        self.ask(Question { prefix, generation: 0, to });
        if self.is_idle {
            self.output(RouterOutput::LookupUnanswered { prefix }); // there may be other peers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn pins_are_bounded_and_the_one_silent_for_longest_goes() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let at = |seconds| clock.after(Duration::from_secs(seconds), start);
        let key = |number| PublicKey::from_bytes([number; 32]);
        let subnet = |number| Prefix::subnet_of(key(number).address());
        let mut pins = Pins::default();
        pins.confirm(subnet(1), key(1), 2, at(1));
        pins.confirm(subnet(2), key(2), 2, at(2));
        pins.confirm(subnet(1), key(1), 2, at(3));
        pins.confirm(subnet(3), key(3), 2, at(4));
        assert_eq!(pins.0.len(), 2);
        assert!(pins.refuse(subnet(1), &key(9), at(4)) && !pins.refuse(subnet(1), &key(1), at(4)));
        assert!(!pins.refuse(subnet(2), &key(9), at(4)), "forgotten");
        let day_later = clock.after(PIN, start);
        pins.confirm(subnet(1), key(9), 2, at(5));
        assert!(pins.refuse(subnet(1), &key(9), at(5)), "the first one stays");
        assert!(!pins.refuse(subnet(3), &key(9), clock.after(PIN * 2, start)) && day_later > at(5));
    }
}

//! Feasibility distances of one prefix: the best this node ever advertised for each source, which is
//! what keeps routes free of loops (spec 6.6). A route is taken only when it is better, or newer.
//!
//! A source increments its number at most every 4 s, so while a distance or a route lives an honest
//! one gets some hundred ahead at most. Anybody can announce a number that is far ahead, and by the
//! letter of the protocol nothing of the true source would be feasible for half an hour. So numbers
//! of one router id that are far from each other count as those of two lives, as after a restart:
//! each has its own distance, and neither shuts the other out.

use super::clock::Tick;
use super::destination::Entry;
use super::seqno::is_newer;
use crate::RouterId;

/// Lives of one node whose distances are kept. It has one, or two after a restart.
const LIVES: usize = 8;
/// Increments of an honest source in the time a route is held at most and its distance after that
/// (2,294 s and 1,800 s, one in four seconds).
const LEAP: u16 = 1024;

/// The best this node advertised for one life of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Distance {
    router_id: RouterId,
    seqno: u16,
    metric: u16,
    expires: Tick,
}

/// Those of one prefix.
#[derive(Debug, Default)]
pub(super) struct Distances(Vec<Distance>);

/// How far two numbers are from each other.
fn apart(a: u16, b: u16) -> u16 {
    a.wrapping_sub(b).min(b.wrapping_sub(a))
}

/// Whether a source can have had both numbers in the time one of them is remembered.
pub(super) fn is_near(a: u16, b: u16) -> bool {
    apart(a, b) <= LEAP
}

impl Distances {
    pub(super) fn is_feasible(&self, router_id: &RouterId, seqno: u16, metric: u16) -> bool {
        self.of_life(router_id, seqno).is_none_or(|known| {
            is_newer(seqno, known.seqno) || (seqno == known.seqno && metric < known.metric)
        })
    }

    pub(super) fn knows(&self, router_id: &RouterId, seqno: u16) -> bool {
        self.of_life(router_id, seqno).is_some()
    }

    /// The sequence number that makes any route of this life of a source feasible again.
    pub(super) fn next_seqno(&self, router_id: &RouterId, seqno: u16) -> Option<u16> {
        Some(self.of_life(router_id, seqno)?.seqno.wrapping_add(1))
    }

    /// Notes that a route is advertised.
    pub(super) fn advertised(&mut self, route: &Entry, metric: u16, expires: Tick) {
        let (router_id, seqno) = (route.router_id, route.seqno);
        let index = self.index(&router_id, seqno);
        if let Some(known) = index.and_then(|index| self.0.get_mut(index)) {
            if is_newer(seqno, known.seqno) {
                (known.seqno, known.metric) = (seqno, metric);
            } else if seqno == known.seqno {
                known.metric = known.metric.min(metric);
            }
            known.expires = expires;
            return;
        }
        let new = Distance { router_id, seqno, metric, expires };
        if self.0.len() < LIVES {
            return self.0.push(new);
        }
        // The one idle for longest is the least likely to be part of a loop still forming.
        if let Some(oldest) = self.0.iter_mut().min_by_key(|known| known.expires) {
            *oldest = new;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drops those whose time is over, and tells how many.
    pub(super) fn forget(&mut self, until: Tick) -> usize {
        let before = self.0.len();
        self.0.retain(|known| known.expires > until);
        before - self.0.len()
    }

    /// When the next one is over.
    pub(super) fn due(&self) -> Option<Tick> {
        self.0.iter().map(|known| known.expires).min()
    }

    fn of_life(&self, router_id: &RouterId, seqno: u16) -> Option<&Distance> {
        self.0.get(self.index(router_id, seqno)?)
    }

    /// Where the one with the nearest number is.
    fn index(&self, router_id: &RouterId, seqno: u16) -> Option<usize> {
        let of_source = self.0.iter().enumerate().filter(|(_, it)| it.router_id == *router_id);
        let away = of_source.map(|(index, known)| (apart(known.seqno, seqno), index));
        let (_, nearest) = away.filter(|(away, _)| *away <= LEAP).min()?;
        Some(nearest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::clock::Clock;
    use super::*;
    use crate::{LinkId, PublicKey};

    fn id(random: u8) -> RouterId {
        RouterId::new(PublicKey::from_bytes([1; 32]), [random; 6])
    }

    fn entry(router_id: RouterId, seqno: u16) -> Entry {
        let (expires, doubted) = (Tick::NEVER, Tick::START);
        Entry { router_id, link: LinkId(1), expires, doubted, metric: 1, seqno, selected: false }
    }

    #[test]
    fn a_route_is_feasible_when_newer_or_strictly_better() {
        let mut known = Distances::default();
        assert!(known.is_feasible(&id(1), 5, 65_534), "nothing is known of this source");
        known.advertised(&entry(id(1), 5), 100, Tick::NEVER);
        assert!(known.is_feasible(&id(1), 5, 99));
        assert!(!known.is_feasible(&id(1), 5, 100));
        assert!(known.is_feasible(&id(1), 6, 60_000));
        assert!(!known.is_feasible(&id(1), 4, 1));
        assert!(known.is_feasible(&id(2), 0, 100));
    }

    #[test]
    fn what_is_remembered_is_the_newest_and_then_the_smallest() {
        let mut known = Distances::default();
        known.advertised(&entry(id(1), 5), 100, Tick::NEVER);
        known.advertised(&entry(id(1), 5), 200, Tick::NEVER);
        assert!(!known.is_feasible(&id(1), 5, 100));
        known.advertised(&entry(id(1), 6), 300, Tick::NEVER);
        assert!(known.is_feasible(&id(1), 6, 299));
        known.advertised(&entry(id(1), 5), 1, Tick::NEVER);
        assert!(known.is_feasible(&id(1), 6, 299));
        assert_eq!(known.len(), 1);
        assert_eq!(known.next_seqno(&id(1), 4), Some(7));
        assert_eq!(known.next_seqno(&id(2), 4), None);
    }

    #[test]
    fn distances_are_bounded_and_the_oldest_goes() {
        let (start, mut known) = (Instant::now(), Distances::default());
        let clock = Clock::new(start);
        for number in 0..=LIVES as u8 {
            let until = clock.after(Duration::from_secs(number.into()), start);
            known.advertised(&entry(id(number), 5), 100, until);
        }
        assert_eq!(known.len(), LIVES);
        assert!(known.is_feasible(&id(0), 5, 100) && !known.is_feasible(&id(1), 5, 100));
        assert_eq!(known.forget(clock.after(Duration::from_secs(8), start)), LIVES);
    }

    #[test]
    fn numbers_far_apart_are_of_two_lives_and_near_ones_of_one_also_where_they_wrap() {
        for true_one in [0, 5, 30_000, 65_535_u16] {
            for ahead in [LEAP + 1, 0x4001, 0x7fff, 0x8000, 0xc000] {
                let forged = true_one.wrapping_add(ahead);
                let mut known = Distances::default();
                known.advertised(&entry(id(1), true_one), 100, Tick::NEVER);
                known.advertised(&entry(id(1), forged), 10, Tick::NEVER);
                assert_eq!(known.len(), 2);
                for own in [true_one, forged] {
                    assert!(known.is_feasible(&id(1), own.wrapping_add(1), 60_000));
                    assert!(!known.is_feasible(&id(1), own.wrapping_sub(1), 1));
                }
                assert!(known.is_feasible(&id(1), true_one, 99));
                assert!(!known.is_feasible(&id(1), true_one, 100));
            }
            let mut known = Distances::default();
            for step in 0..70_u16 {
                let seqno = true_one.wrapping_add(step.wrapping_mul(LEAP));
                assert!(known.is_feasible(&id(1), seqno, 60_000));
                known.advertised(&entry(id(1), seqno), 100, Tick::NEVER);
                assert!(!known.is_feasible(&id(1), seqno.wrapping_sub(1), 1));
            }
            assert_eq!(known.len(), 1, "a source that counts is one all the way round");
        }
    }
}

//! How fast one link may give the core work: a peer that floods waits at its own socket, and nobody
//! else waits for what it sends.
//!
//! Only packets that the core has to look at count: routing, and data whose way is not known yet.
//! What passes beside the core, and messages of peers that are who they say, cost nothing here.

use std::time::{Duration, Instant};

/// At once: a full table of the largest that is taken, and as much again as a peer says meanwhile.
const BURST: u32 = 200_000;
/// From then on. A table of 100,000 routes repeated every 300 s is a thirtieth of this.
const PER_SECOND: u32 = 10_000;

/// What one link may still bring.
#[derive(Debug)]
pub(super) struct Ration {
    /// When all that was brought would have come, one by one at the lasting rate.
    due: Instant,
}

impl Ration {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Counts packets that came, and says how long to read no more; zero nearly always.
    pub(super) fn take(&mut self, packets: usize, now: Instant) -> Duration {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        self.due = self.due.max(now) + of(packets);
        self.due.saturating_duration_since(now).saturating_sub(of(BURST))
    }
}

/// The time that so many packets take at the lasting rate.
fn of(packets: u32) -> Duration {
    Duration::from_secs(1) / PER_SECOND * packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_comes_at_once_and_a_flood_at_the_lasting_rate() {
        let start = Instant::now();
        let mut ration = Ration::new(start);
        for _ in 0..40 {
            assert_eq!(ration.take(5_000, start), Duration::ZERO);
        }
        let mut now = start;
        for _ in 0..1_000 {
            now += ration.take(5_000, now);
        }
        assert_eq!(now - start, of(5_000_000));
    }

    #[test]
    fn a_peer_that_was_silent_has_its_whole_share_again_and_not_more() {
        let start = Instant::now();
        let mut ration = Ration::new(start);
        assert!(ration.take(300_000, start) > Duration::ZERO);
        let later = start + Duration::from_secs(3600);
        assert_eq!(ration.take(200_000, later), Duration::ZERO);
        assert_eq!(ration.take(10_000, later), Duration::from_secs(1));
    }
}

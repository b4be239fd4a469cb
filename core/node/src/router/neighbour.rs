//! One peer as the router sees it: how far away it is and whether it still answers (spec 6.2).
//!
//! An IHU does not say which Hello it answers, so one Hello at most is open at a time, and an IHU
//! that nothing asked for counts for nothing: it can neither spoil the cost nor fake life.

use std::time::{Duration, Instant};

use super::RouterLimits;
use super::bucket::Bucket;

pub(super) const DEAD_AFTER: Duration = Duration::from_secs(43);
const INITIAL_COST: u16 = 1000;
/// Hellos answered at once, and then one a second. Peers send one in twenty seconds.
const HELLO_BURST: u32 = 20;

#[derive(Debug)]
pub(super) struct Neighbour {
    static_cost: u16,
    smoothed: u16,
    hello_seqno: u16,
    /// When the Hello was sent that waits for its IHU.
    open_hello: Option<Instant>,
    /// How often it may ask us for a sign of life.
    pub(super) hellos: Bucket,
    /// How often it may ask us for routes or newer sequence numbers.
    pub(super) requests: Bucket,
    /// How often it may ask for the full table.
    pub(super) wildcards: Bucket,
}

impl Neighbour {
    pub(super) fn new(static_cost: u16, limits: &RouterLimits, now: Instant) -> Self {
        let request_interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        let wildcard_interval = Duration::from_secs(limits.wildcard_seconds.into());
        Self {
            static_cost,
            smoothed: INITIAL_COST,
            hello_seqno: 0,
            open_hello: None,
            hellos: Bucket::new(HELLO_BURST, Duration::from_secs(1), now),
            requests: Bucket::new(limits.requests_burst, request_interval, now),
            wildcards: Bucket::new(limits.wildcards_burst, wildcard_interval, now),
        }
    }

    /// Never 0, so that a route's advertised metric is always worse than the one received.
    pub(super) fn cost(&self) -> u16 {
        super::metric::add(self.smoothed, self.static_cost).max(1)
    }

    /// The number of the Hello to send now; none while another waits for its answer.
    pub(super) fn next_hello(&mut self, now: Instant) -> Option<u16> {
        if self.open_hello.is_some() {
            return None;
        }
        self.open_hello = Some(now);
        let seqno = self.hello_seqno;
        self.hello_seqno = seqno.wrapping_add(1);
        Some(seqno)
    }

    /// Whether the IHU answers a Hello.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        let Some(sent) = self.open_hello.take() else { return false };
        let elapsed = now.saturating_duration_since(sent).as_millis();
        let rtt = u16::try_from(elapsed).unwrap_or(u16::MAX);
        let smoothed = (9 * u32::from(self.smoothed) + u32::from(rtt)) / 10;
        self.smoothed = u16::try_from(smoothed).unwrap_or(u16::MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn link_cost_is_smoothed_as_in_the_vectors() {
        let vectors = vectors();
        let numbers = |name: &str| -> Vec<u64> {
            let list = vectors["link_cost_smoothing"][name].as_array().unwrap();
            list.iter().map(|number| number.as_u64().unwrap()).collect()
        };
        let mut now = Instant::now();
        let mut neighbour = Neighbour::new(0, &RouterLimits::default(), now);
        let mut smoothed = vec![u64::from(neighbour.cost())];
        for rtt in numbers("rtt_ms") {
            neighbour.next_hello(now).unwrap();
            now += Duration::from_millis(rtt);
            assert!(neighbour.heard(now));
            smoothed.push(neighbour.cost().into());
        }
        assert_eq!(smoothed, numbers("smoothed_after"));
    }

    #[test]
    fn one_hello_is_open_at_most_and_an_unasked_ihu_changes_nothing() {
        let start = Instant::now();
        let mut neighbour = Neighbour::new(10, &RouterLimits::default(), start);
        assert!(!neighbour.heard(start));
        assert_eq!(neighbour.cost(), 1010);
        assert_eq!(neighbour.next_hello(start), Some(0));
        assert_eq!(neighbour.next_hello(start), None);
        assert!(neighbour.heard(start) && !neighbour.heard(start));
        assert_eq!(neighbour.cost(), 910);
        assert_eq!(neighbour.next_hello(start), Some(1));
    }
}

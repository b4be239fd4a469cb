//! What a sender knows of the path to one /64: window, round trip, and who has something to send.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::search::Search;
use crate::wire::message::MessageId;

/// Chunks in flight at first (spec 8.4).
const FIRST_WINDOW: f64 = 32.0;
/// Never fewer: a lone lost packet must be seen by those after it.
const SMALLEST_WINDOW: f64 = 8.0;
/// 1.3 MB: with more, packets only wait in the queue of the link.
const LARGEST_WINDOW: f64 = 1024.0;
/// Before the first answer; then at least [`SHORTEST_TIMEOUT`].
const FIRST_TIMEOUT: Duration = Duration::from_millis(300);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// However often a message was repeated.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a node can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// A selected route exists.
    Exists,
    /// Not now.
    None,
}

/// Everything on its way to one /64.
pub(super) struct Flow {
    /// Not begun.
    pub(super) queue: VecDeque<MessageId>,
    /// Begun and not ended.
    pub(super) active: HashSet<MessageId>,
    pub(super) active_bytes: usize,
    /// Of those, the ones with something to send; some have ended since.
    pub(super) ready: VecDeque<MessageId>,
    /// All that have not ended.
    pub(super) messages: usize,
    pub(super) in_flight: usize,
    pub(super) route: Route,
    pub(super) is_dirty: bool,
    /// The address that the last message was for.
    pub(super) destination: Ipv6Addr,
    pub(super) search: Option<Search>,
    window: f64,
    threshold: f64,
    cut_at: Instant,
    smoothed: Option<(Duration, Duration)>,
}

impl Flow {
    pub(super) fn new(destination: Ipv6Addr, now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            active: HashSet::new(),
            active_bytes: 0,
            ready: VecDeque::new(),
            messages: 0,
            in_flight: 0,
            route: Route::None,
            is_dirty: false,
            destination,
            search: None,
            window: FIRST_WINDOW,
            threshold: LARGEST_WINDOW,
            cut_at: now,
            smoothed: None,
        }
    }

    /// Chunks that may be sent now.
    pub(super) fn budget(&self) -> usize {
        (self.window as usize).saturating_sub(self.in_flight)
    }

    pub(super) fn make_ready(&mut self, id: MessageId, is_ready: &mut bool) {
        if !std::mem::replace(is_ready, true) {
            self.ready.push_back(id);
        }
    }

    /// A chunk arrived: additive increase, doubling each round trip until the first loss.
    pub(super) fn grow(&mut self) {
        if self.in_flight.saturating_mul(2) >= self.window as usize {
            let step = if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
            self.window = (self.window + step).min(LARGEST_WINDOW);
        }
    }

    /// Something was lost: halves the window, once for all that was lost in one round trip.
    pub(super) fn shrink(&mut self, now: Instant) {
        let round = self.smoothed.map_or(FIRST_TIMEOUT, |(mean, _)| mean);
        if now.saturating_duration_since(self.cut_at) >= round {
            self.cut_at = now;
            self.window = (self.window / 2.0).max(SMALLEST_WINDOW);
            self.threshold = self.window;
        }
    }

    /// Smoothing as in RFC 6298.
    pub(super) fn measure(&mut self, round_trip: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (round_trip, round_trip / 2),
            Some((mean, variation)) => {
                ((mean * 7 + round_trip) / 8, (variation * 3 + mean.abs_diff(round_trip)) / 4)
            }
        });
    }

    /// How long to wait for an answer that stayed out `repeats` times.
    pub(super) fn timeout(&self, repeats: u32) -> Duration {
        let once = self.smoothed.map_or(FIRST_TIMEOUT, |(mean, variation)| mean + variation * 4);
        let once = once.max(SHORTEST_TIMEOUT);
        once.saturating_mul(1 << repeats.min(7)).min(LONGEST_TIMEOUT)
    }
}

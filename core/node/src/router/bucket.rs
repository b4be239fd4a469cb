//! A token bucket: a burst at once, then a steady rate.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Bucket {
    burst: u32,
    tokens: u32,
    interval: Duration,
    filled: Instant,
}

impl Bucket {
    /// Holds `burst` tokens at most and gains one every `interval`.
    pub(super) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { burst, tokens: burst, interval: interval.max(Duration::from_nanos(1)), filled: now }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.filled);
        let gained = waited.as_nanos() / self.interval.as_nanos();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained >= self.burst.saturating_sub(self.tokens) {
            self.tokens = self.burst;
            self.filled = now;
        } else {
            self.tokens += gained;
            self.filled += self.interval * gained;
        }
        let had = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_steady_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2, Duration::from_secs(10), start);
        let mut take = |seconds| bucket.take(start + Duration::from_secs(seconds));
        assert!(take(0) && take(0) && !take(0) && !take(9));
        assert!(take(10) && !take(10));
        assert!(take(100) && take(100) && !take(100));
    }
}

//! How often error reports are sent: whoever sends packets chooses where reports about them go.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Error reports per second, in all and for each source.
pub(super) struct RateLimit {
    per_second: u32,
    second: Instant,
    sent: u32,
    sources: HashMap<u64, u32>,
}

impl RateLimit {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, second: now, sent: 0, sources: HashMap::new() }
    }

    /// Whether one more may go to `source`; counts it if so. Remembers no more sources than it
    /// allows reports in a second.
    pub(super) fn allows(&mut self, source: u64, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.sent = 0;
            self.sources.clear();
        }
        let for_source = self.sources.get(&source).copied().unwrap_or(0);
        if self.sent >= self.per_second || for_source >= self.per_second.div_ceil(10) {
            return false;
        }
        self.sources.insert(source, for_source + 1);
        self.sent += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_gets_a_tenth_and_all_together_the_whole_of_it_each_second() {
        let start = Instant::now();
        let mut limit = RateLimit::new(20, start);
        let mut allowed = |source, at| (0..100).filter(|_| limit.allows(source, at)).count();
        assert_eq!(allowed(1, start), 2);
        assert_eq!((2..100).map(|source| allowed(source, start)).sum::<usize>(), 18);
        assert_eq!(allowed(1, start + Duration::from_secs(1)), 2);
    }
}

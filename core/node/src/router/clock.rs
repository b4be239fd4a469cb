//! Time in tables: tenths of a second since the router started, in four bytes instead of sixteen.
//!
//! A deadline is rounded up and the present down, so nothing ends early. Good for 13 years.

use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(100);

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

impl Tick {
    /// Before everything that happens: also when something that never happened happened last.
    pub(super) const START: Self = Self(0);
    /// After everything.
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// Time passed since `earlier`.
    pub(super) fn since(self, earlier: Tick) -> Duration {
        STEP * self.0.saturating_sub(earlier.0)
    }
}

/// Turns instants into ticks and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new(start: Instant) -> Self {
        Self(start)
    }

    /// The present. Never [`Tick::START`], which stands for "never yet".
    pub(super) fn tick(&self, now: Instant) -> Tick {
        let passed = now.saturating_duration_since(self.0).as_millis() / STEP.as_millis();
        Tick(clamp(passed + 1))
    }

    /// The deadline `wait` from now.
    pub(super) fn after(&self, wait: Duration, now: Instant) -> Tick {
        let at = now.saturating_duration_since(self.0) + wait;
        Tick(clamp(at.as_nanos().div_ceil(STEP.as_nanos()) + 1))
    }

    pub(super) fn instant(&self, tick: Tick) -> Instant {
        self.0 + STEP * tick.0.saturating_sub(1)
    }
}

fn clamp(ticks: u128) -> u32 {
    u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_when_it_has_passed_and_not_before() {
        let start = Instant::now();
        let clock = Clock::new(start);
        for millis in [0, 1, 50, 99, 100, 12_345] {
            let now = start + Duration::from_millis(millis);
            let deadline = clock.after(Duration::from_secs(6), now);
            assert!(clock.tick(now + Duration::from_millis(5_999)) < deadline);
            assert!(clock.tick(now + Duration::from_millis(6_099)) >= deadline);
            assert!(clock.instant(deadline) >= now + Duration::from_secs(6));
        }
        assert_eq!(clock.instant(clock.after(STEP, start)), start + STEP);
        assert!(Tick::START < clock.tick(start) && clock.tick(start) < Tick::NEVER);
    }
}

//! How long to wait before the next try, and what spreads the tries of many devices.

use crate::Timing;

/// The waiting times, with a seed of their own.
#[derive(Debug)]
pub(super) struct Waits {
    timing: Timing,
    random: u64,
}

impl Waits {
    pub(super) fn new(seed: u64, timing: Timing) -> Self {
        Self { timing, random: seed }
    }

    /// Until the next probe, after so many failures in a row.
    pub(super) fn retry(&mut self, failures: u32) -> u64 {
        self.interval(self.timing.retry_first_ms, failures)
    }

    /// Until an envelope is sent again that stays unacknowledged, after so many tries.
    pub(super) fn ack(&mut self, tries: u32) -> u64 {
        self.interval(self.timing.ack_wait_ms.saturating_mul(2), tries)
    }

    /// Between two times that everything waiting for a peer is tried at once: routes may flap.
    pub(super) fn reopen_pause(&self) -> u64 {
        (self.timing.ack_wait_ms / 5).saturating_mul(3)
    }

    /// A peer that was not heard of for so long and then is has come back.
    pub(super) fn silence(&self) -> u64 {
        self.timing.ack_wait_ms.saturating_mul(6)
    }

    /// Doubles with every try up to the longest, and lies at random between the half and the whole
    /// of it, so that what failed together does not come back together.
    fn interval(&mut self, first: u64, tries: u32) -> u64 {
        let whole = first.saturating_mul(1 << tries.min(20)).min(self.timing.retry_last_ms);
        whole / 2 + next_random(&mut self.random) % (whole / 2 + 1)
    }
}

/// SplitMix64: spreads retries, protects nothing.
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

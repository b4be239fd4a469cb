//! Which sequences of a sender were taken: exact, and bounded.
//!
//! A sender counts its envelopes to each receiver and says in every one, signed, below which
//! sequence everything is settled on its side (`low`). The receiver keeps a bit per sequence from
//! the highest such `low` on. What lies below was acknowledged, cancelled or expired: if it comes
//! (again) it is a repeat or a replay, and is not applied. What lies [`WINDOW`] or more above is
//! refused: an honest sender does not go there before `low` has moved. So at most `WINDOW` bits
//! answer exactly "was this applied?", for ever, without clocks and without forgetting anybody.
//! Rejected: a list of recent ids (a replay slips in once its id has aged out), and a window below
//! the highest sequence seen (an envelope retried for a week would fall out of it, and be lost).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::limits::WINDOW;

/// The window of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    low: u64,
    bits: Vec<u8>,
}

/// What a sequence is to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not taken yet; it is marked now.
    New,
    /// Taken before, or settled.
    Repeat,
    /// Too far ahead.
    Beyond,
}

impl Window {
    pub(crate) fn new(low: u64, bits: Vec<u8>) -> Self {
        Self { low: low.max(1), bits }
    }

    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    pub(crate) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Moves up to the sender's `low`, never down, and takes `seq`.
    pub(crate) fn take(&mut self, seq: u64, low: u64) -> Seen {
        // A `low` above the envelope's own sequence is a lie: this one is open.
        self.advance(low.min(seq));
        let Some(offset) = seq.checked_sub(self.low) else { return Seen::Repeat };
        // `low` here may lag by 7, see below.
        if offset >= WINDOW.saturating_add(7) {
            return Seen::Beyond;
        }
        let (byte, bit) = (usize::try_from(offset >> 3).unwrap_or(usize::MAX), offset & 7);
        if byte >= self.bits.len() {
            self.bits.resize(byte.saturating_add(1), 0);
        }
        let mask = 1u8 << bit;
        match self.bits.get_mut(byte) {
            Some(bits) if *bits & mask != 0 => Seen::Repeat,
            Some(bits) => {
                *bits |= mask;
                Seen::New
            }
            None => Seen::Beyond,
        }
    }

    /// Whole bytes only: `low` stays at most 7 behind, which changes no answer.
    fn advance(&mut self, low: u64) {
        let Some(ahead) = low.checked_sub(self.low) else { return };
        let bytes = usize::try_from(ahead >> 3).unwrap_or(usize::MAX);
        self.bits.drain(..bytes.min(self.bits.len()));
        self.low = self.low.saturating_add((ahead >> 3) << 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_sequence_is_new_once() {
        let mut window = Window::new(1, Vec::new());
        assert_eq!(window.take(1, 1), Seen::New);
        assert_eq!(window.take(1, 1), Seen::Repeat);
        assert_eq!(window.take(3, 1), Seen::New);
        assert_eq!(window.take(2, 1), Seen::New);
        assert_eq!(window.take(5000, 1), Seen::Beyond);
        assert_eq!(window.take(5000, 4999), Seen::New);
        assert_eq!(window.take(2, 1), Seen::Repeat);
        assert!(window.bits().len() <= 513);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_is_taken_twice_and_memory_stays_bounded(
            steps in proptest::collection::vec((1u64..20_000, 0u64..20_000), 1..400)
        ) {
            let mut window = Window::new(1, Vec::new());
            let mut taken = BTreeSet::new();
            for (seq, low) in steps {
                if window.take(seq, low) == Seen::New {
                    prop_assert!(taken.insert(seq));
                }
                prop_assert!(window.bits().len() <= 513);
            }
        }
    }
}

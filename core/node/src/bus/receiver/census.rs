//! What the receiving side holds, counted anew: what the bounds of [`BusLimits`] are checked against.
//! Costs as much as there is; for fuzzers.
#![allow(clippy::arithmetic_side_effects)] // sums of lengths that are held; for fuzzers

use std::collections::HashMap;

use super::{Receiver, Source};
use crate::limits::BusLimits;

impl Receiver {
    /// Panics where a bound is not kept, or where a sum that is kept is wrong.
    pub(crate) fn check(&self, limits: &BusLimits) {
        let mut counted: HashMap<u64, Source> = HashMap::new();
        for ((subnet, _), pending) in &self.pending {
            let source = counted.entry(*subnet).or_default();
            source.pending += 1;
            source.pending_bytes += pending.cost();
        }
        for (subnet, bytes) in self.ready.all() {
            let source = counted.entry(subnet).or_default();
            source.ready += 1;
            source.ready_bytes += bytes;
        }
        assert!(counted == self.sources, "{counted:?} and not {:?}", self.sources);
        for source in counted.values() {
            assert!(source.pending <= limits.pending_per_source, "{source:?}");
            assert!(source.pending_bytes <= limits.pending_bytes_per_source, "{source:?}");
            assert!(source.ready <= limits.ready_per_source, "{source:?}");
            let fits = source.ready_bytes <= limits.ready_bytes_per_source;
            assert!(fits || source.ready == 1, "{source:?}");
        }
        let sum = |of: fn(&Source) -> usize| counted.values().map(of).sum::<usize>();
        let (ready, ready_bytes) = self.ready.held();
        assert_eq!(sum(|source| source.pending_bytes), self.pending_bytes);
        assert_eq!((sum(|source| source.ready) as u64), ready);
        assert_eq!((sum(|source| source.ready_bytes) as u64), ready_bytes);
        assert!(self.pending.len() <= limits.pending && self.blocked.len() <= limits.pending);
        assert!(self.pending_bytes <= limits.pending_bytes);
        // Nobody reserves a topic here, so that half of the room is for others.
        assert!(ready as usize <= limits.ready.div_ceil(2));
        assert!(ready == 1 || ready_bytes as usize <= limits.ready_bytes.div_ceil(2));
        assert!(self.aging.len() <= 2 * limits.pending + 1024 + 1);
        self.completed.check(limits);
    }
}

//! Which messages were answered already.
//!
//! An answer has the id of what it answers, so a second one looks like a repeat of the first to its
//! receiver, who acknowledges it and gives it to nobody. So there is none, and whoever wants one is
//! told, for as long as receivers remember.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::wire::message::MessageId;

/// Receivers remember ids for ten minutes at least, and for twenty at most.
const REMEMBERED: Duration = Duration::from_secs(1200);

/// Answers that arrived, by the /64 they went to.
pub(super) struct Answered {
    ids: HashSet<(u64, MessageId)>,
    aging: VecDeque<(Instant, (u64, MessageId))>,
    limit: usize,
}

impl Answered {
    pub(super) fn new(limit: usize) -> Self {
        Self { ids: HashSet::new(), aging: VecDeque::new(), limit }
    }

    pub(super) fn insert(&mut self, subnet: u64, id: MessageId, now: Instant) {
        if !self.ids.insert((subnet, id)) {
            return;
        }
        self.aging.push_back((now + REMEMBERED, (subnet, id)));
        if self.aging.len() > self.limit
            && let Some((_, oldest)) = self.aging.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// How many there are, counted the way that has more.
    pub(super) fn count(&self) -> usize {
        self.ids.len().max(self.aging.len())
    }

    /// No timer of its own: what is remembered for longer costs nothing more.
    pub(super) fn contains(&mut self, subnet: u64, id: MessageId, now: Instant) -> bool {
        while let Some((_, key)) = self.aging.pop_front_if(|(at, _)| *at <= now) {
            self.ids.remove(&key);
        }
        self.ids.contains(&(subnet, id))
    }
}

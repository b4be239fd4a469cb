//! One peer: its window of envelopes, its acknowledgements, and whether it answers.
//!
//! An envelope is ready, on its way, or waits for its acknowledgement. Each of the three has an
//! index, so an input costs the logarithm of the window and not the window: thousands of envelopes a
//! second pass through here.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;

use threephone_address::PublicKey;

use super::budget::{Budget, Size};
use super::waits::Waits;
use super::{Action, Row};
use crate::ack::Ack;
use crate::limits::{
    ACKS_IN_FLIGHT, CONFIRMED_FOR_MS, IN_FLIGHT, MAX_ACKS, MAX_PENDING_ACKS, UNCONFIRMED_IN_FLIGHT,
    WINDOW,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Sending,
    /// Taken by the peer's node; repeated at `due` unless acknowledged.
    Waiting {
        due: u64,
        since: u64,
    },
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    tries: u32,
    state: State,
}

/// What of one [`Size`] is ready, and how many bytes of it are on the way.
#[derive(Debug, Default)]
struct Lane {
    ready: BTreeSet<u64>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) key: Option<PublicKey>,
    resolving: bool,
    entries: BTreeMap<u64, Entry>,
    small: Lane,
    large: Lane,
    /// On the way, with their bytes; some may be settled meanwhile.
    sends: BTreeMap<u64, usize>,
    /// When what waits is sent again: time and sequence.
    dues: BTreeSet<(u64, u64)>,
    /// The highest sequence read from the database.
    loaded: u64,
    /// The database may hold more above `loaded`.
    pub(super) more: bool,
    loading: bool,
    /// Failures in a row; 0 is open.
    failures: u32,
    retry_at: u64,
    /// When it last answered or a way to it was found; none since the last failure.
    confirmed_at: Option<u64>,
    heard_at: Option<u64>,
    reopened_at: Option<u64>,
    /// It came back too soon after it last did.
    reopen_at: Option<u64>,
    acks: VecDeque<Ack>,
    acks_in_flight: usize,
    /// As the engine has noted it.
    pub(super) wake: Option<u64>,
}

impl Peer {
    pub(super) fn loaded(&mut self, rows: &[Row], more: bool) {
        self.loading = false;
        // What was queued while the page was read is seen by the next one.
        self.more |= more;
        for row in rows {
            self.loaded = self.loaded.max(row.seq);
            let Vacant(place) = self.entries.entry(row.seq) else { continue };
            place.insert(Entry { bytes: row.bytes, tries: 0, state: State::Ready });
            self.lane(Size::of(row.bytes)).ready.insert(row.seq);
        }
    }

    pub(super) fn resolved(&mut self, key: Option<PublicKey>, waits: &mut Waits, now: u64) {
        self.resolving = false;
        self.key = self.key.or(key);
        match key {
            Some(_) => self.confirmed_at = Some(now),
            None => self.fail(waits, now),
        }
    }

    pub(super) fn settled(&mut self, seq: u64) {
        if let Some(entry) = self.entries.remove(&seq) {
            self.lane(Size::of(entry.bytes)).ready.remove(&seq);
            if let State::Waiting { due, .. } = entry.state {
                self.dues.remove(&(due, seq));
            }
        }
    }

    /// A send ended. Returns the bytes that are no longer on the way.
    pub(super) fn send_done(
        &mut self,
        seq: u64,
        taken: bool,
        waits: &mut Waits,
        now: u64,
    ) -> usize {
        let bytes = self.leave(seq);
        if let Some(entry) = self.entries.get_mut(&seq) {
            let wait = waits.ack(entry.tries);
            entry.tries = entry.tries.saturating_add(1);
            if taken {
                let due = now.saturating_add(wait);
                entry.state = State::Waiting { due, since: now };
                self.dues.insert((due, seq));
            } else {
                entry.state = State::Ready;
                self.lane(Size::of(bytes)).ready.insert(seq);
            }
        }
        if taken {
            self.failures = 0;
            self.confirmed_at = Some(now);
        } else {
            self.fail(waits, now);
        }
        bytes
    }

    /// Notes that nothing of an envelope is on the way any more; its bytes.
    pub(super) fn leave(&mut self, seq: u64) -> usize {
        let bytes = self.sends.remove(&seq).unwrap_or(0);
        let lane = self.lane(Size::of(bytes));
        lane.bytes = lane.bytes.saturating_sub(bytes);
        bytes
    }

    pub(super) fn ack_due(&mut self, ack: Ack) {
        if self.acks.len() < MAX_PENDING_ACKS {
            self.acks.push_back(ack);
        }
    }

    pub(super) fn ack_done(&mut self) {
        self.acks_in_flight = self.acks_in_flight.saturating_sub(1);
    }

    /// A checked envelope came from it. Returns whether that is news.
    pub(super) fn heard(&mut self, waits: &Waits, now: u64) -> bool {
        let silent = self.heard_at.is_none_or(|at| now.saturating_sub(at) >= waits.silence());
        (self.heard_at, self.confirmed_at) = (Some(now), Some(now));
        let news = silent || self.failures > 0;
        if news {
            self.reopen(waits, now);
        }
        news
    }

    pub(super) fn reachable(&mut self, waits: &Waits, now: u64) {
        self.confirmed_at = Some(now);
        self.reopen(waits, now);
    }

    /// A whole window that fails together counts as one failure.
    fn fail(&mut self, waits: &mut Waits, now: u64) {
        self.confirmed_at = None;
        if self.failures == 0 || now >= self.retry_at {
            self.retry_at = now.saturating_add(waits.retry(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Everything that only waits for time goes now, except what was sent a moment ago; but not
    /// again within that moment.
    fn reopen(&mut self, waits: &Waits, now: u64) {
        if self.failures == 0 && self.dues.is_empty() {
            return;
        }
        let pause = waits.reopen_pause();
        let next = self.reopened_at.map_or(0, |at| at.saturating_add(pause));
        if now < next {
            self.reopen_at = Some(next);
            return;
        }
        self.reopened_at = Some(now);
        self.failures = 0;
        self.dues.clear();
        for (seq, entry) in &mut self.entries {
            if let State::Waiting { due, since } = &mut entry.state {
                *due = (*due).min(since.saturating_add(pause));
                self.dues.insert((*due, *seq));
            }
        }
    }

    /// Turns what has waited long enough into what is ready.
    pub(super) fn pass_time(&mut self, waits: &Waits, now: u64) {
        if self.reopen_at.is_some_and(|at| at <= now) {
            self.reopen_at = None;
            self.reopen(waits, now);
        }
        while let Some((due, seq)) = self.dues.first().copied()
            && due <= now
        {
            self.dues.pop_first();
            if let Some(entry) = self.entries.get_mut(&seq) {
                entry.state = State::Ready;
                let size = Size::of(entry.bytes);
                self.lane(size).ready.insert(seq);
            }
        }
    }

    pub(super) fn send_acks(&mut self, address: Ipv6Addr, actions: &mut VecDeque<Action>) {
        let Some(key) = self.key else { return };
        while !self.acks.is_empty() && self.acks_in_flight < ACKS_IN_FLIGHT {
            let acks = self.acks.drain(..self.acks.len().min(MAX_ACKS)).collect();
            self.acks_in_flight += 1;
            actions.push_back(Action::SendAcks { address, key, acks });
        }
    }

    pub(super) fn load(&mut self, address: Ipv6Addr, actions: &mut VecDeque<Action>) {
        if self.more && !self.loading && self.entries.len() <= IN_FLIGHT / 2 {
            (self.loading, self.more) = (true, false);
            let limit = IN_FLIGHT - self.entries.len();
            actions.push_back(Action::Load { address, after: self.loaded, limit });
        }
    }

    /// Sends what is ready and has room. Returns whether the budget of all peers stood in the way.
    pub(super) fn send_ready(
        &mut self,
        address: Ipv6Addr,
        budget: &mut Budget,
        actions: &mut VecDeque<Action>,
        now: u64,
    ) -> bool {
        if !self.has_ready() || (self.failures > 0 && now < self.retry_at) {
            return false;
        }
        let (Some(low), Some(key)) = (self.entries.keys().next().copied(), self.key) else {
            self.look_up(address, actions);
            return false;
        };
        let mut starved = false;
        for size in Size::ALL {
            while let Some(seq) = self.lane(size).ready.first().copied()
                && self.sends.len() < self.window()
                && seq.saturating_sub(low) < WINDOW
            {
                if size == Size::Large && !self.is_confirmed(now) {
                    self.look_up(address, actions);
                    break;
                }
                let bytes = self.entries.get(&seq).map_or(0, |entry| entry.bytes);
                let used = self.lane(size).bytes;
                // At least one goes, however long it is.
                if used > 0 && used.saturating_add(bytes) > size.peer_limit() {
                    break;
                }
                if !budget.take(bytes, used == 0) {
                    starved = true;
                    break;
                }
                self.start(seq, bytes);
                actions.push_back(Action::Send { address, key, seq, low });
            }
        }
        starved
    }

    fn start(&mut self, seq: u64, bytes: usize) {
        let lane = self.lane(Size::of(bytes));
        lane.ready.remove(&seq);
        lane.bytes = lane.bytes.saturating_add(bytes);
        self.sends.insert(seq, bytes);
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.state = State::Sending;
        }
    }

    /// How many may be on the way.
    fn window(&self) -> usize {
        match (self.failures, self.confirmed_at) {
            (0, Some(_)) => IN_FLIGHT,
            (0, None) => UNCONFIRMED_IN_FLIGHT,
            _ => 1,
        }
    }

    /// Whether a large envelope would not only lie about in memory, waiting for a way.
    fn is_confirmed(&self, now: u64) -> bool {
        self.confirmed_at.is_some_and(|at| now.saturating_sub(at) < CONFIRMED_FOR_MS)
    }

    fn look_up(&mut self, address: Ipv6Addr, actions: &mut VecDeque<Action>) {
        if !self.resolving {
            self.resolving = true;
            actions.push_back(Action::Resolve { address });
        }
    }

    /// Whether nothing is left to remember. Forgetting `loaded` is safe: what is settled is no
    /// longer open in the database.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
            && self.sends.is_empty()
            && self.acks.is_empty()
            && self.acks_in_flight == 0
            && !(self.loading || self.more || self.resolving)
            && self.failures == 0
    }

    pub(super) fn next_wake(&self) -> Option<u64> {
        let probing =
            self.failures > 0 && self.sends.is_empty() && !self.resolving && self.has_ready();
        let due = self.dues.first().map(|(due, _)| *due);
        let probe = if probing { Some(self.retry_at) } else { None };
        due.into_iter().chain(probe).chain(self.reopen_at).min()
    }

    /// Envelopes on the way or waiting for their acknowledgement.
    pub(super) fn busy(&self) -> usize {
        let ready = self.small.ready.len() + self.large.ready.len();
        self.entries.len().saturating_sub(ready)
    }

    pub(super) fn is_open(&self, seq: u64) -> bool {
        self.entries.contains_key(&seq)
    }

    fn has_ready(&self) -> bool {
        !(self.small.ready.is_empty() && self.large.ready.is_empty())
    }

    fn lane(&mut self, size: Size) -> &mut Lane {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }
}

//! How much may be on its way to one peer at once, so that no flood fills a slow link's queue.
//!
//! The peer itself says when it has read what was sent: control packets keep their order, so the IHU
//! that answers a Hello tells that everything before that Hello has arrived. At most one window of
//! bytes is sent beyond; what is left to tell waits as prefixes, of which the newest state is sent
//! when its turn comes. So a route that changes a hundred times meanwhile costs one Update, and a
//! table of any size costs a place in it.
//!
//! Tried and rejected: a fixed rate. It is too much for a slow link and too little for a fast one.

use std::collections::BTreeSet;

use crate::Prefix;

/// Two seconds on the slowest links in use (128 kbit/s), 160 ms at 2 Mbit/s, and with 100 ms of round
/// trip 4,800 Updates a second.
pub(super) const WINDOW: usize = 32 * 1024;
/// Requests go on when the window is used up: they are few, small, and not repeated at once. Beyond
/// this the peer reads nothing.
pub(super) const MOST: usize = 4 * WINDOW;
/// Prefixes waiting one by one; of more the whole table is walked instead.
const PREFIXES: usize = 4096;

/// What one peer is still to be told.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Bytes sent since the start, and how many of them the peer has certainly read.
    sent: u64,
    read: u64,
    /// Bytes sent before the Hello that is open.
    before_hello: u64,
    pub(super) own: bool,
    changed: BTreeSet<Prefix>,
    walk: Option<Walk>,
}

/// A walk through the table, after this prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) after: Option<Prefix>,
    pub(super) to_tell: ToTell,
}

/// What a walk through the table stops at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToTell {
    /// Everything.
    All,
    /// What the peer was told before.
    Told,
}

impl Pace {
    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    pub(super) fn note_hello(&mut self) {
        self.before_hello = self.sent;
    }

    pub(super) fn note_answer(&mut self) {
        self.read = self.before_hello;
    }

    /// Bytes of which it is not known that the peer has read them.
    pub(super) fn outstanding(&self) -> usize {
        usize::try_from(self.sent - self.read).unwrap_or(usize::MAX)
    }

    /// Notes that the state of a prefix is to be told.
    pub(super) fn change(&mut self, prefix: Prefix) {
        self.changed.insert(prefix);
        if self.changed.len() > PREFIXES {
            self.changed.clear();
            let all = self.walk.is_some_and(|walk| walk.to_tell == ToTell::All);
            let to_tell = if all { ToTell::All } else { ToTell::Told };
            self.walk = Some(Walk { after: None, to_tell });
        }
    }

    /// Notes that the whole table is to be told.
    pub(super) fn tell_all(&mut self) {
        self.walk = Some(Walk { after: None, to_tell: ToTell::All });
    }

    pub(super) fn next_change(&mut self) -> Option<Prefix> {
        self.changed.pop_first()
    }

    pub(super) fn walk(&self) -> Option<Walk> {
        self.walk
    }

    pub(super) fn set_walk(&mut self, walk: Option<Walk>) {
        self.walk = walk;
    }

    pub(super) fn is_done(&self) -> bool {
        !self.own && self.changed.is_empty() && self.walk.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_that_what_was_sent_before_the_hello_was_read() {
        let mut pace = Pace::default();
        pace.note_sent(100);
        pace.note_hello();
        pace.note_sent(50);
        assert_eq!(pace.outstanding(), 150);
        pace.note_answer();
        assert_eq!(pace.outstanding(), 50);
    }

    #[test]
    fn too_many_changes_become_a_walk_through_the_table() {
        let mut pace = Pace::default();
        for number in 0..=PREFIXES {
            assert_eq!(pace.walk(), None);
            pace.change(Prefix::subnet_of((0x0400_u128 << 112 | (number as u128) << 64).into()));
        }
        assert_eq!(pace.walk(), Some(Walk { after: None, to_tell: ToTell::Told }));
        assert_eq!(pace.next_change(), None);
        pace.tell_all();
        assert!(!pace.is_done());
    }
}

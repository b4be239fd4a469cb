//! One stream of what changed, for whoever draws it: ids, never bodies.
//!
//! Events are kept in a ring and read by cursor: a batch is handed out again for as long as the
//! reader names the cursor before it, so a caller that is cancelled after taking a batch loses
//! nothing, and several readers (a screen, two `chat follow`) do not disturb each other. A reader
//! that falls behind the ring is told how much it missed and lists anew. Nothing is written to
//! disk: what an event is about already is.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::limits::EVENTS_KEPT;
use crate::model::Event;

/// A place in the event stream: after how many events of this opening of the phone.
///
/// Cursors of an earlier opening mean nothing; start again with [`Cursor::START`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self(0);
}

/// Some events in order, and where the next batch starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// What to name in the next call, once these events have been dealt with.
    pub cursor: Cursor,
    /// At least one event; the first is [`Event::Overflow`] when some before it are gone.
    pub events: Vec<Event>,
}

/// The event stream of a phone.
#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<Ring>,
    head: watch::Sender<Head>,
}

#[derive(Debug, Default)]
struct Ring {
    /// How many events came before the first one kept.
    dropped: u64,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    count: u64,
    closed: bool,
}

impl EventLog {
    pub(crate) fn new() -> Self {
        Self { ring: Mutex::default(), head: watch::Sender::new(Head::default()) }
    }

    /// Where the stream is now: events after this cursor have not happened yet.
    pub fn now(&self) -> Cursor {
        Cursor(self.head.borrow().count)
    }

    /// Waits for events after `after` and returns up to `max` of them (at least one), oldest first.
    /// The same call again returns the same events. None once the phone is closed and everything
    /// has been read. Cancelling loses nothing.
    pub async fn next_batch(&self, after: Cursor, max: usize) -> Option<Batch> {
        let mut head = self.head.subscribe();
        loop {
            let Head { closed, .. } = *head.borrow_and_update();
            if let Some(batch) = self.batch(after, max) {
                return Some(batch);
            }
            if closed || head.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Like [`Self::next_batch`], but returns None instead of waiting.
    pub fn batch(&self, after: Cursor, max: usize) -> Option<Batch> {
        let ring = self.lock();
        // A cursor from beyond the end is of an earlier opening: all that is known here is news.
        let foreign = after.0 > ring.count();
        let start = if foreign { ring.dropped } else { after.0.max(ring.dropped) };
        let lost = if foreign { 0 } else { start.saturating_sub(after.0) };
        let skip = usize::try_from(start.saturating_sub(ring.dropped)).unwrap_or(usize::MAX);
        let mut events: Vec<Event> =
            ring.events.iter().skip(skip).take(max.max(1)).cloned().collect();
        let cursor = Cursor(start.saturating_add(u64::try_from(events.len()).unwrap_or_default()));
        if foreign || lost > 0 {
            events.insert(0, Event::Overflow { lost });
        }
        (!events.is_empty()).then_some(Batch { cursor, events })
    }

    pub(crate) fn push(&self, event: Event) {
        let count = {
            let mut ring = self.lock();
            if ring.events.len() >= EVENTS_KEPT {
                ring.events.pop_front();
                ring.dropped = ring.dropped.saturating_add(1);
            }
            ring.events.push_back(event);
            ring.count()
        };
        // Under contention a later count may be set first; never let it go back.
        self.head.send_modify(|head| head.count = head.count.max(count));
    }

    pub(crate) fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn count(&self) -> u64 {
        self.dropped.saturating_add(u64::try_from(self.events.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lost: u64) -> Event {
        Event::Overflow { lost }
    }

    #[tokio::test]
    async fn a_batch_stays_until_the_next_call_names_its_cursor() {
        let log = EventLog::new();
        for n in 1..=5 {
            log.push(event(n));
        }
        let first = log.next_batch(Cursor::START, 2).await.unwrap();
        let again = log.next_batch(Cursor::START, 2).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(first.events, [event(1), event(2)]);
        let rest = log.next_batch(first.cursor, 10).await.unwrap();
        assert_eq!(rest.events, [event(3), event(4), event(5)]);
        assert_eq!(rest.cursor, log.now());
        assert!(log.batch(rest.cursor, 10).is_none());
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_and_a_closed_log_ends() {
        let log = std::sync::Arc::new(EventLog::new());
        let reader = tokio::spawn({
            let log = log.clone();
            async move { log.next_batch(Cursor::START, 10).await }
        });
        tokio::task::yield_now().await;
        log.push(event(9));
        let batch = reader.await.unwrap().unwrap();
        assert_eq!(batch.events, [event(9)]);
        log.close();
        assert_eq!(log.next_batch(Cursor::START, 1).await.unwrap(), batch);
        assert!(log.next_batch(batch.cursor, 1).await.is_none());
    }

    #[test]
    fn a_reader_that_fell_behind_is_told_how_much_it_missed() {
        let log = EventLog::new();
        let kept = u64::try_from(EVENTS_KEPT).unwrap();
        for n in 0..kept + 3 {
            log.push(event(n));
        }
        let batch = log.batch(Cursor(1), 1).unwrap();
        assert_eq!(batch.events, [Event::Overflow { lost: 2 }, event(3)]);
        let next = log.batch(batch.cursor, 1).unwrap();
        assert_eq!(next.events, [event(4)]);
    }

    #[test]
    fn a_cursor_of_another_opening_starts_over() {
        let log = EventLog::new();
        log.push(event(1));
        let batch = log.batch(Cursor(77), 5).unwrap();
        assert_eq!(batch.events, [Event::Overflow { lost: 0 }, event(1)]);
        assert_eq!(batch.cursor, log.now());
    }
}

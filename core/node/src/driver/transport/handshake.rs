//! Handshakes of strangers: each with a deadline, few at a time, and nobody in nobody's way.
//!
//! When all places are taken, the oldest handshake gives way, of the same source if that has more
//! than its share. An honest one takes a round trip or two, so those that give way are those that
//! say nothing; and one source can only push out its own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// For the handshake and, where the transport has such a thing, the first bytes after it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The handshakes under way on one listener.
#[derive(Debug)]
pub(super) struct Handshakes {
    places: usize,
    per_source: usize,
    deadline: Duration,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    last: u64,
    oldest_first: VecDeque<Place>,
}

#[derive(Debug)]
struct Place {
    number: u64,
    source: u128,
    stop: CancellationToken,
}

/// A place in the queue; leaving it by dropping.
pub(super) struct Handshake {
    of: Arc<Handshakes>,
    number: u64,
    stop: CancellationToken,
}

impl Handshakes {
    pub(super) fn new(places: usize, per_source: usize, deadline: Duration) -> Arc<Self> {
        Arc::new(Self { places, per_source, deadline, running: Mutex::default() })
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.lock().oldest_first.len()
    }

    /// Takes a place; another may lose its own for it.
    pub(super) fn admit(self: &Arc<Self>, source: u128) -> Handshake {
        let mut running = self.lock();
        let of_source = running.oldest_first.iter().filter(|place| place.source == source).count();
        let leaving = if of_source >= self.per_source {
            running.oldest_first.iter().position(|place| place.source == source)
        } else {
            (running.oldest_first.len() >= self.places).then_some(0)
        };
        if let Some(place) = leaving.and_then(|index| running.oldest_first.remove(index)) {
            place.stop.cancel();
        }
        running.last += 1;
        let (number, stop) = (running.last, CancellationToken::new());
        running.oldest_first.push_back(Place { number, source, stop: stop.clone() });
        drop(running);
        Handshake { of: Arc::clone(self), number, stop }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // Every change is whole before the lock is released, so a poisoned state is a good state.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Runs the handshake while it has time and its place.
    pub(super) async fn run<T>(
        self,
        handshake: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        tokio::select! {
            done = handshake => done,
            () = tokio::time::sleep(self.of.deadline) => Err(io::ErrorKind::TimedOut.into()),
            () = self.stop.cancelled() => Err(io::Error::other("it gave way to a newer one")),
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.lock().oldest_first.retain(|place| place.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evicted(handshake: &Handshake) -> bool {
        handshake.stop.is_cancelled()
    }

    #[test]
    fn a_source_with_its_share_pushes_out_its_own_oldest_only() {
        let all = Handshakes::new(10, 4, DEADLINE);
        let honest = all.admit(1);
        let silent: Vec<_> = (0..50).map(|_| all.admit(2)).collect();
        assert!(!evicted(&honest));
        assert_eq!(silent.iter().filter(|one| !evicted(one)).count(), 4);
        assert_eq!(all.count(), 5);
    }

    #[test]
    fn with_all_places_taken_the_oldest_of_all_gives_way_and_leaving_makes_room() {
        let all = Handshakes::new(10, 4, DEADLINE);
        let mut ones: Vec<_> = (0..10).map(|source| all.admit(source)).collect();
        drop(ones.pop());
        let _newcomer = all.admit(20);
        assert!(!evicted(&ones[0]));
        let _newcomer = all.admit(21);
        assert!(evicted(&ones[0]) && !evicted(&ones[1]));
        assert_eq!(all.count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_handshake_ends_at_its_deadline_and_an_evicted_one_at_once() {
        let all = Handshakes::new(1, 1, DEADLINE);
        let begun = tokio::time::Instant::now();
        let silent = all.admit(1).run(std::future::pending::<io::Result<()>>()).await;
        assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!((begun.elapsed(), all.count()), (DEADLINE, 0));
        let (first, second) = (all.admit(1), all.admit(2));
        first.run(std::future::pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(begun.elapsed(), DEADLINE);
        second.run(async { Ok(()) }).await.unwrap();
    }
}

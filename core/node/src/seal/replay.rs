//! Which packets of one sender have been opened already (the replay weakness of spec 7.4).
//!
//! The wire has no sequence number, only a nonce of 96 bits that its sender chooses. Older nodes
//! draw it at random; ours count. Both are recognised by what they do: nonces close to earlier ones
//! belong to a counting session and are checked exactly, for as long as this node runs; all others
//! go through a cache of the last ones seen. The cache has buckets of one cache line, the oldest
//! nonce of a bucket makes room, and it grows with its use: 1 MiB remembers the last 131,072 packets.
//!
//! What it cannot do: a random nonce that has left the cache is taken again, and so is every packet
//! from before this node started. Packets carry no time, so nobody could tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::COUNTER;

/// Counting sessions remembered of one sender: it starts a new one when it restarts.
const SESSIONS: usize = 3;
/// Nonces of a session below its newest that may still come, each once. More than the packets that
/// one link queues, since a queue for another flow may overtake them all.
const WINDOW: u128 = 16_384;
const WORDS: usize = WINDOW as usize / 64;
/// Two random nonces are never this close; two of one session always are.
const NEAR: i128 = 1 << 40;
/// As near as the first two packets of a session are to each other.
const NEXT: i128 = 1 << 12;

const WAYS: usize = 8;
const FIRST_BUCKETS: usize = 4;
const MOST_BUCKETS: usize = 16_384;
const BUCKET_BYTES: usize = WAYS * size_of::<u64>();
const SESSION_BYTES: usize = WORDS * size_of::<u64>();

/// Bytes that the replay windows of all senders may grow to beyond 2.5 KB of each.
#[derive(Debug)]
pub struct ReplayBudget(AtomicUsize);

impl ReplayBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What has been seen of one sender.
#[derive(Debug)]
pub(super) struct Replay {
    /// The one used last comes first.
    sessions: Vec<Session>,
    /// The last nonce that belonged to no session: perhaps the first of a new one.
    last_far: Option<u128>,
    seen: Seen,
    budget: Arc<ReplayBudget>,
    taken: usize,
}

impl Replay {
    pub(super) fn new(budget: Arc<ReplayBudget>) -> Self {
        let (sessions, seen) = (Vec::new(), Seen::default());
        Self { sessions, last_far: None, seen, budget, taken: 0 }
    }

    /// Notes the nonce of a packet that opened. False when it is a replay, or may be one.
    pub(super) fn accept(&mut self, nonce: u128) -> bool {
        let found = self.sessions.iter().position(|session| session.is_near(nonce));
        if let Some(position) = found {
            self.sessions.swap(0, position);
            // From before its start a session knows nothing, but the cache may.
            if let Some(session) = self.sessions.first_mut() {
                let is_known =
                    distance(nonce, session.start) < 0 && self.seen.contains(key_of(nonce));
                return !is_known && session.accept(nonce);
            }
        }
        if !self.note_far(nonce) {
            return false;
        }
        if let Some(before) = self.last_far.replace(nonce)
            && distance(nonce, before).abs() <= NEXT
        {
            self.start_session(nonce, before);
        }
        true
    }

    fn note_far(&mut self, nonce: u128) -> bool {
        if self.seen.is_crowded() {
            let bytes = self.seen.bytes().max(BUCKET_BYTES);
            if self.budget.take(bytes) {
                self.taken += bytes;
                self.seen.grow();
            }
        }
        self.seen.accept(key_of(nonce))
    }

    fn start_session(&mut self, one: u128, other: u128) {
        // The first is every sender's own, so that nobody can use up what protects the others.
        if self.sessions.len() < SESSIONS && self.budget.take(SESSION_BYTES) {
            self.taken += SESSION_BYTES;
        } else {
            self.sessions.pop();
        }
        let (low, high) = if distance(one, other) >= 0 { (other, one) } else { (one, other) };
        let mut session = Session { start: low, newest: low, words: Box::new([0; WORDS]) };
        session.accept(low);
        session.accept(high);
        self.sessions.insert(0, session);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

/// `one - other`, in the ring in which senders count; far for those of the two directions.
fn distance(one: u128, other: u128) -> i128 {
    if (one ^ other) & !COUNTER != 0 {
        return i128::MAX;
    }
    let difference = (one.wrapping_sub(other) & COUNTER) as i128;
    if difference > COUNTER as i128 / 2 { difference - (COUNTER as i128 + 1) } else { difference }
}

/// What the cache remembers of a nonce. Never 0, which is an empty place there.
fn key_of(nonce: u128) -> u64 {
    match nonce as u64 ^ ((nonce >> 64) as u64).rotate_left(32) {
        0 => 1 << 63,
        key => key,
    }
}

/// A sender that counts: a window below the newest nonce.
#[derive(Debug)]
struct Session {
    start: u128,
    newest: u128,
    words: Box<[u64; WORDS]>,
}

impl Session {
    fn is_near(&self, nonce: u128) -> bool {
        distance(nonce, self.newest).abs() < NEAR
    }

    fn accept(&mut self, nonce: u128) -> bool {
        let ahead = distance(nonce, self.newest);
        if ahead <= -(WINDOW as i128) {
            return false;
        }
        if ahead > 0 {
            self.move_to(nonce, ahead as u128);
        }
        let word = self.words.get_mut(word_of(nonce));
        let bit = 1 << (nonce % 64);
        word.is_some_and(|word| {
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    /// Forgets what falls out of the window.
    fn move_to(&mut self, nonce: u128, ahead: u128) {
        if ahead >= WINDOW {
            self.words.fill(0);
        } else {
            for passed in 1..=ahead {
                let passed = self.newest.wrapping_add(passed);
                if let Some(word) = self.words.get_mut(word_of(passed)) {
                    *word &= !(1 << (passed % 64));
                }
            }
        }
        self.newest = nonce;
    }
}

fn word_of(nonce: u128) -> usize {
    (nonce / 64 % WORDS as u128) as usize
}

/// The last random nonces, by their [`key_of`].
#[derive(Debug, Default)]
struct Seen {
    buckets: Vec<[u64; WAYS]>,
    /// Nonces that made room since the last growth.
    evicted: usize,
}

impl Seen {
    fn bytes(&self) -> usize {
        self.buckets.len() * BUCKET_BYTES
    }

    fn contains(&self, nonce: u64) -> bool {
        let index = nonce as usize % self.buckets.len().max(1);
        self.buckets.get(index).is_some_and(|bucket| bucket.contains(&nonce))
    }

    fn is_crowded(&self) -> bool {
        self.buckets.len() < MOST_BUCKETS && self.evicted > self.buckets.len() * WAYS / 2
    }

    fn accept(&mut self, nonce: u64) -> bool {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; WAYS]; FIRST_BUCKETS];
        }
        let index = nonce as usize % self.buckets.len();
        let Some(bucket) = self.buckets.get_mut(index) else { return false };
        if bucket.contains(&nonce) {
            return false;
        }
        self.evicted += usize::from(bucket.last().is_some_and(|oldest| *oldest != 0));
        bucket.rotate_right(1);
        if let Some(newest) = bucket.first_mut() {
            *newest = nonce;
        }
        true
    }

    fn grow(&mut self) {
        let length = self.buckets.len() * 2;
        let old = std::mem::replace(&mut self.buckets, vec![[0; WAYS]; length]);
        for nonce in old.iter().flat_map(|bucket| bucket.iter().rev()).filter(|nonce| **nonce != 0)
        {
            self.accept(*nonce);
        }
        self.evicted = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    const MASK: u128 = COUNTER;
    const BUDGET: usize = 16 << 20;

    fn replay() -> Replay {
        Replay::new(ReplayBudget::new(BUDGET))
    }

    fn random(random: &mut ChaCha8Rng) -> u128 {
        (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())) & MASK
    }

    #[test]
    fn random_nonces_are_refused_when_they_come_again() {
        let mut source = ChaCha8Rng::seed_from_u64(1);
        let mut replay = replay();
        let nonces: Vec<u128> = (0..200_000).map(|_| random(&mut source)).collect();
        assert!(nonces.iter().all(|nonce| replay.accept(*nonce)));
        let recent = nonces.iter().rev().take(20_000);
        let again = recent.filter(|nonce| replay.accept(**nonce)).count();
        assert!(again < 20, "{again} of the last 20,000 went through again");
        assert!(replay.seen.bytes() <= 1 << 20 && replay.sessions.is_empty());
    }

    #[test]
    fn a_counting_sender_is_checked_exactly_however_old_the_packet() {
        let mut replay = replay();
        let start = MASK - 50_000; // it wraps
        let nonce = |number: u128| (start + number) & MASK;
        assert!((0..1_000_000).all(|number| replay.accept(nonce(number))));
        let again = (0..1_000_000).filter(|number| replay.accept(nonce(*number))).count();
        assert_eq!(again, 0);
        assert_eq!(replay.seen.bytes(), FIRST_BUCKETS * BUCKET_BYTES, "it needs no cache");
    }

    #[test]
    fn packets_may_overtake_a_full_queue_and_are_still_taken_once() {
        let mut replay = replay();
        let start = 1 << 90;
        for number in (0..10).chain(10_000..10_100).chain(10..10_000) {
            assert!(replay.accept(start + number), "{number}");
        }
        assert!((0..10_100).all(|number| !replay.accept(start + number)));
    }

    #[test]
    fn the_session_before_a_restart_cannot_be_replayed() {
        let mut replay = replay();
        for start in [1 << 80, 1 << 90, 1 << 70] {
            assert!((0..100).all(|number| replay.accept(start + number)));
        }
        for start in [1 << 80, 1 << 90, 1 << 70_u128] {
            assert!((0..100).all(|number| !replay.accept(start + number)), "{start}");
        }
    }

    #[test]
    fn without_a_budget_windows_stay_small_and_give_back_what_they_had() {
        let budget = ReplayBudget::new(10_000);
        let mut source = ChaCha8Rng::seed_from_u64(1);
        let mut senders: Vec<Replay> = (0..10).map(|_| Replay::new(Arc::clone(&budget))).collect();
        for sender in &mut senders {
            assert!((0..1000).all(|_| sender.accept(random(&mut source))));
        }
        assert!(
            senders.iter().map(|sender| sender.seen.bytes()).sum::<usize>() <= 10_000 + 10 * 256
        );
        drop(senders);
        assert_eq!(budget.0.load(Ordering::Relaxed), 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn however_a_session_is_shuffled_every_nonce_is_taken_once(
            start: u128, mut order in Just((0u128..300).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let start = start & MASK;
            let mut replay = replay();
            for number in &order {
                prop_assert!(replay.accept((start + number) & MASK), "{}", number);
            }
            order.reverse();
            for number in &order {
                prop_assert!(!replay.accept((start + number) & MASK), "{}", number);
            }
        }
    }
}

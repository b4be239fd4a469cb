//! What waits to be written on one link: control before data, both bounded.
//!
//! When a peer reads too slowly its data is dropped: end-to-end acknowledgements repair that.
//! Control packets are never dropped, because nobody repeats them; a link that holds up more of
//! them than fit is reported as stuck, and then closed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::Notify;

/// The largest burst of control comes when a peer is lost: all others are told of every route it
/// had. At the 32,768 routes a peer may have that is 2.2 MB; another such burst may still be under
/// way. A link that cannot be rid of that much is stuck.
const CONTROL_BYTES: usize = 6 * 1024 * 1024;
/// Short packets cost more to hold than their bytes say.
const DATA_PACKETS: usize = 8_192;
/// A third of a second on a link of 100 Mbit/s: longer queues only add delay.
const DATA_BYTES: usize = 4 * 1024 * 1024;
/// Packets written at once, as older nodes do.
const BATCH_PACKETS: usize = 50;
/// Bytes written at once: what the socket's send buffer takes without splitting, and short enough
/// that a control packet never waits long behind data.
const BATCH_BYTES: usize = 64 * 1024;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for the writer; `wake` says that the writer has to be woken.
    Queued { wake: bool },
    /// Data for which there was no room.
    Dropped,
    /// Control for which there was no room: the link is stuck.
    Stuck,
}

/// The queues between the core and one writer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: Mutex<Queues>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    /// One packet after the other. They need not be told apart: no data goes before the last.
    control: BytesMut,
    data: VecDeque<Bytes>,
    data_bytes: usize,
    finished: bool,
}

impl Outbox {
    pub(crate) fn push_control(&self, packet: Bytes) -> Pushed {
        let mut queues = self.lock();
        if queues.control.len() + packet.len() > CONTROL_BYTES {
            return Pushed::Stuck;
        }
        let wake = queues.is_empty();
        queues.control.extend_from_slice(&packet);
        Pushed::Queued { wake }
    }

    pub(crate) fn push_data(&self, packet: Bytes) -> Pushed {
        let mut queues = self.lock();
        let bytes = queues.data_bytes + packet.len();
        if queues.data.len() >= DATA_PACKETS || bytes > DATA_BYTES {
            return Pushed::Dropped;
        }
        let wake = queues.is_empty();
        queues.data_bytes = bytes;
        queues.data.push_back(packet);
        Pushed::Queued { wake }
    }

    /// Wakes the writer. Apart from pushing, so that packets queued together leave together.
    pub(crate) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Nothing will be pushed any more: the writer ends when it has written what is there.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.wake();
    }

    /// Moves the next packets to write into `batch`, waiting for some; false when there will be
    /// none. For one caller at a time; cancelling loses nothing.
    pub(crate) async fn fill(&self, batch: &mut BytesMut) -> bool {
        loop {
            {
                let mut queues = self.lock();
                if queues.take_batch(batch) {
                    return true;
                }
                if queues.finished {
                    return false;
                }
            }
            self.ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Every change is whole before the lock is released, so a poisoned state is a good state.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    /// Some of what is there, if anything is: control first, then data packets, at least one and
    /// however large when there is no control.
    fn take_batch(&mut self, batch: &mut BytesMut) -> bool {
        let control = self.control.len().min(BATCH_BYTES);
        batch.put_slice(&self.control.split_to(control));
        if !self.control.is_empty() {
            return true; // a packet may be cut here, so nothing else can follow
        }
        self.control = BytesMut::new(); // what held a burst is given back
        for _ in 0..BATCH_PACKETS {
            let fits = |next: &Bytes| batch.is_empty() || batch.len() + next.len() <= BATCH_BYTES;
            let Some(next) = self.data.pop_front_if(|next| fits(next)) else { break };
            self.data_bytes -= next.len();
            batch.put_slice(&next);
        }
        !batch.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WOKEN: Pushed = Pushed::Queued { wake: true };
    const QUEUED: Pushed = Pushed::Queued { wake: false };

    async fn written(outbox: &Outbox) -> Vec<u8> {
        let mut batch = BytesMut::new();
        assert!(outbox.fill(&mut batch).await);
        batch.to_vec()
    }

    #[tokio::test]
    async fn control_leaves_before_data_in_one_write() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push_data(Bytes::from_static(b"data")), WOKEN);
        assert_eq!(outbox.push_control(Bytes::from_static(b"one ")), QUEUED);
        assert_eq!(outbox.push_control(Bytes::from_static(b"two ")), QUEUED);
        assert_eq!(written(&outbox).await, b"one two data");
    }

    #[tokio::test]
    async fn a_full_data_queue_drops_data_and_still_takes_control() {
        let outbox = Outbox::default();
        let large = Bytes::from(vec![0; 60_000]);
        while outbox.push_data(large.clone()) != Pushed::Dropped {}
        assert_eq!(outbox.push_control(Bytes::from_static(b"c")), QUEUED);
        written(&outbox).await;
        assert_eq!(outbox.push_data(large), QUEUED, "writing makes room again");
    }

    #[test]
    fn a_full_control_queue_means_that_the_link_is_stuck() {
        let outbox = Outbox::default();
        let update = Bytes::from_static(&[7; 68]);
        let taken = std::iter::repeat_with(|| outbox.push_control(update.clone()))
            .take_while(|pushed| *pushed != Pushed::Stuck);
        assert_eq!(taken.count(), CONTROL_BYTES / 68);
    }

    #[tokio::test]
    async fn one_write_holds_at_most_50_packets_and_64_kib() {
        let outbox = Outbox::default();
        for _ in 0..60 {
            outbox.push_data(Bytes::from_static(b"d"));
        }
        assert_eq!(written(&outbox).await.len(), 50);
        assert_eq!(written(&outbox).await.len(), 10);
        for _ in 0..3 {
            outbox.push_data(Bytes::from(vec![0; 30_000]));
        }
        assert_eq!(written(&outbox).await.len(), 60_000);
        assert_eq!(written(&outbox).await.len(), 30_000);
        outbox.push_data(Bytes::from(vec![0; 65_575]));
        assert_eq!(written(&outbox).await.len(), 65_575, "the largest packet of all");
    }

    #[tokio::test]
    async fn a_burst_of_control_leaves_whole_and_in_order_before_any_data() {
        let outbox = Outbox::default();
        outbox.push_data(Bytes::from_static(b"data"));
        let updates: Vec<u8> =
            (0..32_768_u32).flat_map(|i| [i.to_be_bytes(); 17].concat()).collect();
        for update in updates.chunks(68) {
            assert_eq!(outbox.push_control(Bytes::copy_from_slice(update)), QUEUED);
        }
        let mut all = Vec::new();
        while all.len() < updates.len() + 4 {
            let batch = written(&outbox).await;
            assert!(batch.len() <= BATCH_BYTES);
            all.extend(batch);
        }
        assert!(all[..updates.len()] == updates && &all[updates.len()..] == b"data");
    }

    #[tokio::test]
    async fn what_is_queued_is_still_written_after_the_end() {
        let outbox = Outbox::default();
        outbox.push_data(Bytes::from_static(b"last"));
        outbox.finish();
        assert_eq!(written(&outbox).await, b"last");
        assert!(!outbox.fill(&mut BytesMut::new()).await);
    }
}

//! What waits to be written on one link: control before data, both bounded.
//!
//! When a peer reads too slowly its data is dropped, that of whoever sends most first: end-to-end
//! acknowledgements repair that.
//! Control packets are never dropped, because nobody repeats them; a link that holds up more of
//! them than fit is reported as stuck, and then closed.

mod fair;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::Notify;

use self::fair::FairQueue;
pub(crate) use self::fair::Ingress;

/// The largest burst of control comes when a peer is lost: all others are told of every route it
/// had. At the 32,768 routes a peer may have that is 2.2 MB; another such burst may still be under
/// way. A link that cannot be rid of that much is stuck.
const CONTROL_BYTES: usize = 6 * 1024 * 1024;
/// Packets written at once: two large packets of a TUN, cut into pieces.
const BATCH_PACKETS: usize = 100;
/// Bytes written at once: short enough that a control packet never waits long behind data.
const BATCH_BYTES: usize = 144 * 1024;
/// Whoever makes packets here waits while more than this is queued, instead of losing them.
const ENOUGH: usize = 1024 * 1024;

/// What became of a control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for the writer; `wake` says that the writer has to be woken.
    Queued { wake: bool },
    /// There was no room for it: the link is stuck.
    Stuck,
}

/// What is written at once: control, then whole data packets.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// One packet after the other; when the last is cut, there is no data.
    pub(crate) control: BytesMut,
    /// Whole packets.
    pub(crate) data: Vec<Bytes>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.control.clear();
        self.data.clear();
    }
}

/// The queues between those who send and one writer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: Mutex<Queues>,
    ready: Notify,
    /// For a writer that sends both classes apart.
    control_ready: Notify,
    data_ready: Notify,
    /// Notified when less than enough is queued again.
    room: Notify,
    /// The longest data packet that takes the link's better way; 0 where there is but one.
    easy: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queues {
    /// One packet after the other. They need not be told apart: no data goes before the last.
    control: BytesMut,
    data: FairQueue,
    finished: bool,
}

impl Outbox {
    pub(crate) fn push_control(&self, packet: Bytes) -> Pushed {
        let mut queues = self.lock();
        if queues.control.len() + packet.len() > CONTROL_BYTES {
            return Pushed::Stuck;
        }
        let wake = queues.control.is_empty();
        queues.control.extend_from_slice(&packet);
        Pushed::Queued { wake }
    }

    /// Bytes of control and of data that wait to be written.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queues = self.lock();
        (queues.control.len(), queues.data.bytes())
    }

    /// Queues data packets; says whether the writer has to be woken and how many were dropped, these
    /// or others of whoever sends most.
    pub(crate) fn push_all(
        &self,
        ingress: Ingress,
        packets: impl IntoIterator<Item = Bytes>,
    ) -> (bool, u64) {
        let mut queues = self.lock();
        let was_empty = queues.data.is_empty();
        let mut dropped = 0;
        for packet in packets {
            let queued = !queues.finished && queues.data.push(ingress, packet);
            dropped += u64::from(!queued);
        }
        (was_empty && !queues.data.is_empty(), dropped)
    }

    /// Waits while more is queued than whoever makes packets should add to.
    pub(crate) async fn room(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if !self.has_enough() {
                return;
            }
            room.await;
        }
    }

    pub(crate) fn has_enough(&self) -> bool {
        let queues = self.lock();
        queues.data.bytes() > ENOUGH && !queues.finished
    }

    /// Longer packets of data than this take a worse way over the link; none where all take one.
    pub(crate) fn easy_length(&self) -> Option<usize> {
        Some(self.easy.load(Ordering::Relaxed)).filter(|length| *length > 0)
    }

    /// Said by the writer, and again when the path changes.
    pub(crate) fn set_easy_length(&self, length: usize) {
        self.easy.store(length, Ordering::Relaxed);
    }

    /// Wakes the writer. Apart from pushing, so that packets queued together leave together.
    pub(crate) fn wake(&self) {
        self.ready.notify_one();
        self.control_ready.notify_one();
        self.data_ready.notify_one();
    }

    /// Nothing will be pushed any more: the writer ends when it has written what is there.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.wake();
        self.room.notify_waiters();
    }

    /// Moves the next packets to write into `batch`, waiting for some; false when there will be
    /// none. For one caller at a time; cancelling loses nothing.
    pub(crate) async fn take(&self, batch: &mut Batch) -> bool {
        self.take_with(&self.ready, |queues| queues.take_batch(batch)).await
    }

    /// As [`Outbox::take`], of control alone: for links where data must not hold it up.
    pub(crate) async fn take_control(&self, control: &mut BytesMut) -> bool {
        self.take_with(&self.control_ready, |queues| queues.take_control(control)).await
    }

    /// As [`Outbox::take`], of data alone.
    pub(crate) async fn take_data(&self, data: &mut Vec<Bytes>) -> bool {
        self.take_with(&self.data_ready, |queues| queues.take_data(data, 0)).await
    }

    async fn take_with(&self, ready: &Notify, mut take: impl FnMut(&mut Queues) -> bool) -> bool {
        loop {
            {
                let mut queues = self.lock();
                let had_enough = queues.data.bytes() > ENOUGH;
                if take(&mut queues) {
                    if had_enough && queues.data.bytes() <= ENOUGH {
                        self.room.notify_waiters();
                    }
                    return true;
                }
                if queues.finished {
                    return false;
                }
            }
            ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Every change is whole before the lock is released, so a poisoned state is a good state.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// Some of what is there, if anything is: control first, then data packets, at least one and
    /// however large when there is no control.
    fn take_batch(&mut self, batch: &mut Batch) -> bool {
        let has_control = self.take_control(&mut batch.control);
        if !self.control.is_empty() {
            return true; // a packet may be cut here, so nothing else can follow
        }
        self.take_data(&mut batch.data, batch.control.len()) || has_control
    }

    fn take_control(&mut self, control: &mut BytesMut) -> bool {
        let length = self.control.len().min(BATCH_BYTES);
        control.put_slice(&self.control.split_to(length));
        if self.control.is_empty() {
            self.control = BytesMut::new(); // what held a burst is given back
        }
        length > 0
    }

    /// `bytes` of the batch are taken by control.
    fn take_data(&mut self, data: &mut Vec<Bytes>, mut bytes: usize) -> bool {
        while data.len() < BATCH_PACKETS {
            let Some(length) = self.data.next_length() else { break };
            if bytes > 0 && bytes + length > BATCH_BYTES {
                break;
            }
            bytes += length;
            data.extend(self.data.pop());
        }
        !data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_data(outbox: &Outbox, packet: Bytes) -> (bool, u64) {
        outbox.push_all(Ingress::Own, [packet])
    }

    const WOKEN: Pushed = Pushed::Queued { wake: true };
    const QUEUED: Pushed = Pushed::Queued { wake: false };

    async fn written(outbox: &Outbox) -> Vec<u8> {
        let mut batch = Batch::default();
        assert!(outbox.take(&mut batch).await);
        [&[batch.control.freeze()], &batch.data[..]].concat().concat()
    }

    #[tokio::test]
    async fn control_leaves_before_data_in_one_write() {
        let outbox = Outbox::default();
        assert_eq!(push_data(&outbox, Bytes::from_static(b"data")), (true, 0));
        assert_eq!(outbox.push_control(Bytes::from_static(b"one ")), WOKEN, "another class");
        assert_eq!(outbox.push_control(Bytes::from_static(b"two ")), QUEUED);
        assert_eq!(written(&outbox).await, b"one two data");
    }

    #[tokio::test]
    async fn a_full_data_queue_drops_data_and_still_takes_control() {
        let outbox = Outbox::default();
        let large = Bytes::from(vec![0; 60_000]);
        while push_data(&outbox, large.clone()).1 == 0 {}
        assert_eq!(outbox.push_control(Bytes::from_static(b"c")), WOKEN);
        written(&outbox).await;
        assert_eq!(push_data(&outbox, large), (false, 0), "writing makes room again");
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
    async fn one_write_holds_at_most_100_packets_and_144_kib() {
        let outbox = Outbox::default();
        for _ in 0..110 {
            push_data(&outbox, Bytes::from_static(b"d"));
        }
        assert_eq!(written(&outbox).await.len(), 100);
        assert_eq!(written(&outbox).await.len(), 10);
        for _ in 0..3 {
            push_data(&outbox, Bytes::from(vec![0; 60_000]));
        }
        assert_eq!(written(&outbox).await.len(), 120_000);
        assert_eq!(written(&outbox).await.len(), 60_000);
        push_data(&outbox, Bytes::from(vec![0; 65_575]));
        assert_eq!(written(&outbox).await.len(), 65_575, "the largest packet of all");
    }

    #[tokio::test]
    async fn a_burst_of_control_leaves_whole_and_in_order_before_any_data() {
        let outbox = Outbox::default();
        push_data(&outbox, Bytes::from_static(b"data"));
        let updates: Vec<u8> =
            (0..32_768_u32).flat_map(|i| [i.to_be_bytes(); 17].concat()).collect();
        for update in updates.chunks(68) {
            assert_ne!(outbox.push_control(Bytes::copy_from_slice(update)), Pushed::Stuck);
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
    async fn whoever_makes_packets_waits_until_less_than_enough_is_queued() {
        let outbox = Outbox::default();
        while !outbox.has_enough() {
            push_data(&outbox, Bytes::from(vec![0; 60_000]));
        }
        let mut room = std::pin::pin!(outbox.room());
        tokio::select! {
            biased;
            () = &mut room => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        written(&outbox).await;
        room.await;
    }

    #[test]
    fn nothing_is_queued_on_a_finished_link() {
        let outbox = Outbox::default();
        outbox.finish();
        assert_eq!(push_data(&outbox, Bytes::from_static(b"late")), (false, 1));
    }

    #[tokio::test]
    async fn what_is_queued_is_still_written_after_the_end() {
        let outbox = Outbox::default();
        push_data(&outbox, Bytes::from_static(b"last"));
        outbox.finish();
        assert_eq!(written(&outbox).await, b"last");
        assert!(!outbox.take(&mut Batch::default()).await);
    }
}

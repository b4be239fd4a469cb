//! The message that was handed out last, kept until a call names it.
//!
//! A call that is cancelled at the very moment it is done loses its result between Rust and the
//! other language, and a message that was taken from the node exists nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::BusMessage;

/// One slot for each filter that somebody receives with.
#[derive(Default)]
pub(crate) struct Slots(SyncMutex<HashMap<Option<Vec<u8>>, Slot>>);

impl Slots {
    pub(super) fn slot(&self, topic: Option<&[u8]>) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.is_used());
        slots.entry(topic.map(<[u8]>::to_vec)).or_default().clone()
    }
}

/// The message that was handed out last, and the turn of whoever receives.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<BusMessage>>>);

impl Slot {
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || self.0.try_lock().map_or(true, |held| held.is_some())
    }

    /// The message that is kept, if it is not `after`, else what `take` gets within the time that is
    /// left.
    pub(super) async fn next<M, E, F>(
        &self,
        after: Option<String>,
        timeout: Duration,
        take: impl FnOnce(Duration) -> F,
    ) -> Result<Option<BusMessage>, E>
    where
        F: Future<Output = Result<Option<M>, E>>,
        BusMessage: From<M>,
    {
        let begun = Instant::now();
        // Not before the call ahead has ended: what it took and lost is in the slot then.
        let Ok(mut held) = tokio::time::timeout(timeout, self.0.lock()).await else {
            return Ok(None);
        };
        if held.as_ref().is_some_and(|message| Some(&message.id) == after.as_ref()) {
            *held = None;
        }
        if held.is_none() {
            // Nothing is awaited between the taking and the keeping, so no cancel falls between.
            *held = take(timeout.saturating_sub(begun.elapsed())).await?.map(Into::into);
        }
        Ok(held.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn message(id: &str) -> BusMessage {
        BusMessage {
            id: id.into(),
            topic: Vec::new(),
            source: "400::1".into(),
            source_public_key: String::new(),
            payload: Vec::new(),
            reply: false,
        }
    }

    async fn next(slot: &Slot, after: Option<&str>, ready_id: &str) -> Option<String> {
        let taken: Result<_, Infallible> = Ok(Some(message(ready_id)));
        let next = slot.next(after.map(Into::into), LONG, |_| ready(taken)).await.unwrap();
        next.map(|message| message.id)
    }

    #[tokio::test]
    async fn a_message_is_given_again_until_a_call_names_it() {
        let slot = Slot::default();
        assert_eq!(next(&slot, None, "1").await.unwrap(), "1");
        assert_eq!(next(&slot, None, "2").await.unwrap(), "1");
        assert_eq!(next(&slot, Some("0"), "2").await.unwrap(), "1");
        assert_eq!(next(&slot, Some("1"), "2").await.unwrap(), "2");
    }

    #[tokio::test]
    async fn a_call_behind_a_cancelled_one_gets_its_turn() {
        let slot = Slot::default();
        let ahead = tokio::spawn({
            let slot = slot.clone();
            async move {
                let never = |_| pending::<Result<Option<BusMessage>, Infallible>>();
                slot.next(None, LONG, never).await
            }
        });
        tokio::task::yield_now().await;
        let behind = tokio::spawn({
            let slot = slot.clone();
            async move { next(&slot, None, "1").await }
        });
        tokio::task::yield_now().await;
        ahead.abort();
        assert_eq!(behind.await.unwrap().unwrap(), "1");
    }

    #[tokio::test]
    async fn waiting_for_ones_turn_counts_as_waiting() {
        let slot = Slot::default();
        let _ahead = slot.0.clone().lock_owned().await;
        let never = |_| pending::<Result<Option<BusMessage>, Infallible>>();
        assert_eq!(slot.next(None, Duration::ZERO, never).await, Ok(None));
    }

    #[tokio::test]
    async fn slots_without_a_message_are_given_up() {
        let slots = Slots::default();
        let kept = slots.slot(Some(b"kept"));
        next(&kept, None, "1").await;
        drop(kept);
        drop(slots.slot(Some(b"empty")));
        drop(slots.slot(None));
        let topics = slots.0.lock().unwrap();
        assert!(topics.contains_key(&Some(b"kept".to_vec())));
        assert!(!topics.contains_key(&Some(b"empty".to_vec())));
    }
}

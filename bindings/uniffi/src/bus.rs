//! The message bus for the other languages.
//!
//! The one idea: a call that is cancelled at the very moment it is done loses its result between
//! Rust and the other language, and a message that was taken from the node exists nowhere else. So
//! a message stays in its slot, and the next call gets it again, until a call names its id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use threephone::address::Target;
use threephone::node;
use tokio::sync::Mutex;

use crate::cancel::token;
use crate::convert::parse;
use crate::phone::Inner;
use crate::{CancelHandle, PhoneError};

/// How far an outgoing message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum SendState {
    /// Waiting for a route, or under way.
    Pending,
    /// The other node has all of it.
    Received,
    /// An application there has taken it.
    Read,
    /// Given up by the sender or refused by the receiver, or long forgotten.
    Aborted,
}

impl From<node::SendState> for SendState {
    fn from(state: node::SendState) -> Self {
        match state {
            node::SendState::Pending => Self::Pending,
            node::SendState::Received => Self::Received,
            node::SendState::Read => Self::Read,
            node::SendState::Aborted => Self::Aborted,
        }
    }
}

/// A message from another node.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct BusMessage {
    /// The sender's name for it.
    pub id: String,
    /// At most 255 bytes; empty when the sender gave none.
    pub topic: Vec<u8>,
    /// The overlay address it came from.
    pub source: String,
    /// The sender's node key, 64 hexadecimal digits.
    pub source_public_key: String,
    /// What was sent; may be empty.
    pub payload: Vec<u8>,
    /// Whether it answers a message of ours.
    pub reply: bool,
}

impl From<node::ReceivedMessage> for BusMessage {
    fn from(message: node::ReceivedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            topic: message.topic.into(),
            source: message.source.to_string(),
            source_public_key: message.source_key.to_string(),
            payload: message.payload.into(),
            reply: message.reply,
        }
    }
}

/// Sends and takes messages of any bytes, of none to 16 MiB, on every topic but the product's own.
#[derive(uniffi::Object)]
pub struct Bus {
    inner: Arc<Inner>,
    bus: threephone::Bus,
}

impl Bus {
    pub(crate) fn new(inner: Arc<Inner>, bus: threephone::Bus) -> Self {
        Self { inner, bus }
    }
}

#[uniffi::export]
impl Bus {
    /// Queues a message in the node, with or without a route, and gives its id; it is tried for
    /// five minutes.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address or no topic; `TooLarge`; `Busy`; `Closed`.
    pub async fn send(
        &self,
        to: String,
        topic: Vec<u8>,
        payload: Vec<u8>,
    ) -> Result<String, PhoneError> {
        let to: Target = parse("to", &to)?;
        let bus = self.bus.clone();
        let id = self.inner.run(async move { bus.send(to, &topic, payload.into()).await }).await?;
        Ok(id.to_string())
    }

    /// Waits at most `timeout` for the receipt of a message; gives how far it is then.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no id; `Cancelled`; `Closed`.
    #[uniffi::method(default(cancel = None))]
    pub async fn wait_for(
        &self,
        id: String,
        timeout: Duration,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<SendState, PhoneError> {
        let id = message_id(&id)?;
        let bus = self.bus.clone();
        let wait = async move { Ok::<_, PhoneError>(bus.wait(id, timeout).await) };
        let state = self.inner.run_until(token(cancel), wait).await?;
        match state {
            node::SendState::Aborted if self.inner.is_closing() => Err(PhoneError::Closed),
            state => Ok(state.into()),
        }
    }

    /// Takes the oldest message, of `topic` if one is given, waiting at most `timeout` for it;
    /// none if there is none by then. Zero does not wait.
    ///
    /// The message stays with the phone, and the next call with the same `topic` gives it again
    /// until a call names its id as `after`: so a cancelled call loses nothing. Let one reader at a
    /// time receive on a topic. Messages live in memory: shutting down loses those not dealt with.
    ///
    /// # Errors
    /// `InvalidArgument` for the product's own topic; `Cancelled`; `Closed`.
    #[uniffi::method(default(after = None, cancel = None))]
    pub async fn receive(
        &self,
        topic: Option<Vec<u8>>,
        timeout: Duration,
        after: Option<String>,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<Option<BusMessage>, PhoneError> {
        let slot = self.inner.slots.slot(topic.as_deref());
        let bus = self.bus.clone();
        let receive = async move {
            let take = |patience| async move { bus.receive(topic.as_deref(), patience).await };
            slot.next(after, timeout, take).await
        };
        let message = self.inner.run_until(token(cancel), receive).await?;
        if message.is_none() && self.inner.is_closing() {
            return Err(PhoneError::Closed);
        }
        Ok(message)
    }
}

fn message_id(text: &str) -> Result<node::MessageId, PhoneError> {
    let is_id = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u64::from_str_radix(text, 16).ok().filter(|_| is_id);
    id.map(|id| node::MessageId(id.to_be_bytes()))
        .ok_or_else(|| PhoneError::invalid("id", "the id of a message has 16 hexadecimal digits"))
}

/// One slot for each filter that somebody receives with.
#[derive(Default)]
pub(crate) struct Slots(SyncMutex<HashMap<Option<Vec<u8>>, Slot>>);

impl Slots {
    fn slot(&self, topic: Option<&[u8]>) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.is_used());
        slots.entry(topic.map(<[u8]>::to_vec)).or_default().clone()
    }
}

/// The message that was handed out last, and the turn of whoever receives.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<BusMessage>>>);

impl Slot {
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || self.0.try_lock().map_or(true, |held| held.is_some())
    }

    async fn next<M, E, F>(
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

    #[test]
    fn an_id_reads_as_it_is_written() {
        let id = node::MessageId([0, 1, 2, 3, 4, 5, 254, 255]);
        assert_eq!(message_id(&id.to_string()), Ok(id));
        for text in ["", "0", "+00102030405feff", "000102030405fefg", "000102030405feff0"] {
            assert!(message_id(text).is_err(), "{text}");
        }
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

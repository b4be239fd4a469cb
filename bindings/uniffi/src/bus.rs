//! The message bus for the other languages.
//!
//! The one idea: a message that is received stays in its slot, and the next call gets it again, until
//! a call names its id; so a cancelled call loses none.

mod model;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use threephone::address::Target;
use threephone::node;

pub use self::model::{BusAnswer, BusMessage, SendProgress, SendState, TopicPolicy, TopicRule};
pub(crate) use self::slot::Slots;
use crate::cancel::token;
use crate::convert::parse;
use crate::phone::Inner;
use crate::{CancelHandle, PhoneError};

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

    /// Sends a message and waits at most `timeout` for the other application's reply, which goes to
    /// nobody else. The message itself is tried on for five minutes, and a reply that comes later is
    /// a message like others. A call that is cancelled as the reply comes loses it; ask again then.
    ///
    /// # Errors
    /// As [`Bus::send`]; `Cancelled`.
    #[uniffi::method(default(cancel = None))]
    pub async fn send_for_reply(
        &self,
        to: String,
        topic: Vec<u8>,
        payload: Vec<u8>,
        timeout: Duration,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<BusAnswer, PhoneError> {
        let to: Target = parse("to", &to)?;
        let bus = self.bus.clone();
        let ask = async move { bus.send_for_reply(to, &topic, payload.into(), timeout).await };
        let (id, reply) = self.inner.run_until(token(cancel), ask).await?;
        Ok(BusAnswer { id: id.to_string(), reply: reply.map(Into::into) })
    }

    /// Answers the message `id` that came from `to`, where somebody may be waiting for it.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address or no id; `TooLarge`; `Busy`, also while another
    /// answer to it is on its way; `Closed`.
    pub async fn reply(&self, to: String, id: String, payload: Vec<u8>) -> Result<(), PhoneError> {
        let (to, id): (Target, _) = (parse("to", &to)?, message_id(&id)?);
        let bus = self.bus.clone();
        self.inner.run(async move { bus.reply(to, id, payload.into()).await }).await
    }

    /// How far an outgoing message is, at once; none when it is forgotten or never was.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no id; `Closed`.
    pub async fn progress(&self, id: String) -> Result<Option<SendProgress>, PhoneError> {
        let id = message_id(&id)?;
        let bus = self.bus.clone();
        let info = async move { Ok::<_, PhoneError>(bus.info(id).await) };
        Ok(self.inner.run(info).await?.map(Into::into))
    }

    /// Gives an outgoing message up and tells its receiver so; one that has ended stays as it is.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no id; `Closed`.
    pub async fn give_up(&self, id: String) -> Result<(), PhoneError> {
        let id = message_id(&id)?;
        let bus = self.bus.clone();
        let give_up = async move {
            bus.cancel(id).await;
            Ok::<_, PhoneError>(())
        };
        self.inner.run(give_up).await
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

    /// As [`Bus::receive`], but the message stays in the node for the next reader, and this call
    /// gives it again. One that `receive` gave already is no longer there. Its sender hears that it
    /// was read all the same.
    ///
    /// # Errors
    /// As [`Bus::receive`].
    #[uniffi::method(default(cancel = None))]
    pub async fn peek(
        &self,
        topic: Option<Vec<u8>>,
        timeout: Duration,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<Option<BusMessage>, PhoneError> {
        let bus = self.bus.clone();
        let peek = async move { bus.peek(topic.as_deref(), timeout).await };
        let message = self.inner.run_until(token(cancel), peek).await?;
        if message.is_none() && self.inner.is_closing() {
            return Err(PhoneError::Closed);
        }
        Ok(message.map(Into::into))
    }

    /// Who may send on which topic.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn topic_policy(&self) -> Result<TopicPolicy, PhoneError> {
        let bus = self.bus.clone();
        let policy = async move { Ok::<_, PhoneError>(bus.topic_policy().await) };
        Ok(self.inner.run(policy).await?.into())
    }

    /// Changes who may send on which topic, for messages that begin from now on; the next start of
    /// the phone begins with what its options say.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no prefix, and for a rule about the product's own topic;
    /// `Closed`.
    pub async fn set_topic_policy(&self, policy: TopicPolicy) -> Result<(), PhoneError> {
        let policy = policy.try_into()?;
        let bus = self.bus.clone();
        self.inner.run(async move { bus.set_topic_policy(policy).await }).await
    }
}

fn message_id(text: &str) -> Result<node::MessageId, PhoneError> {
    let is_id = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u64::from_str_radix(text, 16).ok().filter(|_| is_id);
    id.map(|id| node::MessageId(id.to_be_bytes()))
        .ok_or_else(|| PhoneError::invalid("id", "the id of a message has 16 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_is_written() {
        let id = node::MessageId([0, 1, 2, 3, 4, 5, 254, 255]);
        assert_eq!(message_id(&id.to_string()), Ok(id));
        for text in ["", "0", "+00102030405feff", "000102030405fefg", "000102030405feff0"] {
            assert!(message_id(text).is_err(), "{text}");
        }
    }
}

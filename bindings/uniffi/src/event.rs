//! The stream of what changed, for the other languages.

mod listener;

use std::sync::Arc;

use threephone::delivery::{self, DeliveryEvent};
use threephone::mail::MailEvent;
use threephone::messaging::MessagingEvent;

use crate::cancel::{token, until};
use crate::phone::Inner;
use crate::{CancelHandle, PhoneError};

pub use listener::EventListener;
pub(crate) use listener::Listening;

/// Something changed. Ids only: ask the service for the rows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// A line is new in a chat.
    LineAdded {
        /// The line.
        id: i64,
        /// The other person's address.
        chat: String,
    },
    /// A line's state changed.
    LineChanged {
        /// The line.
        id: i64,
        /// The other person's address.
        chat: String,
    },
    /// Many lines of a chat changed at once.
    ChatChanged {
        /// The other person's address.
        chat: String,
    },
    /// A mail was received.
    MailArrived {
        /// Which.
        id: i64,
    },
    /// A mail was sent, imported, delivered or marked.
    MailChanged {
        /// Which.
        id: i64,
    },
    /// An address that we know speaks with another device key. Nothing of it was taken.
    DeviceKeyChanged {
        /// Whose.
        address: String,
    },
    /// An envelope was refused; nothing of it was taken.
    EnvelopeRefused {
        /// The address it came from.
        address: String,
        /// Why.
        kind: RefusalKind,
    },
    /// A link to a peer came up.
    PeerUp {
        /// With whom.
        endpoint: String,
    },
    /// A link to a peer went down.
    PeerDown {
        /// With whom.
        endpoint: String,
    },
    /// A route to a node exists now.
    Reachable {
        /// The node's address.
        address: String,
        /// Its key, 64 hexadecimal digits.
        public_key: String,
    },
    /// The last route to this prefix went away.
    Unreachable {
        /// The prefix.
        prefix: String,
    },
    /// Events were dropped because the reader was too far behind: list everything anew.
    Overflow {
        /// How many; 0 when that is unknown.
        lost: u64,
    },
    /// Of a kind that these bindings do not know.
    Other,
}

impl From<threephone::Event> for Event {
    fn from(event: threephone::Event) -> Self {
        use threephone::Event as Core;
        match event {
            Core::Chat(MessagingEvent::LineAdded { id, chat }) => {
                Self::LineAdded { id: id.0, chat: chat.to_string() }
            }
            Core::Chat(MessagingEvent::LineChanged { id, chat }) => {
                Self::LineChanged { id: id.0, chat: chat.to_string() }
            }
            Core::Chat(MessagingEvent::ChatChanged { chat }) => {
                Self::ChatChanged { chat: chat.to_string() }
            }
            Core::Mail(MailEvent::Arrived { id }) => Self::MailArrived { id: id.0 },
            Core::Mail(MailEvent::Changed { id }) => Self::MailChanged { id: id.0 },
            Core::Delivery(DeliveryEvent::PeerKeyChanged { address, .. }) => {
                Self::DeviceKeyChanged { address: address.to_string() }
            }
            Core::Delivery(DeliveryEvent::Refused { address, kind }) => {
                Self::EnvelopeRefused { address: address.to_string(), kind: kind.into() }
            }
            Core::PeerUp { endpoint } => Self::PeerUp { endpoint: endpoint.to_string() },
            Core::PeerDown { endpoint } => Self::PeerDown { endpoint: endpoint.to_string() },
            Core::Reachable { key } => {
                Self::Reachable { address: key.address().to_string(), public_key: key.to_string() }
            }
            Core::Unreachable { prefix } => Self::Unreachable { prefix: prefix.to_string() },
            Core::Overflow { lost } => Self::Overflow { lost },
            _ => Self::Other,
        }
    }
}

/// Why an envelope was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RefusalKind {
    /// No envelope at all, or none that fits within the limits.
    Malformed,
    /// Of a newer version than this app knows.
    FutureVersion,
    /// Tampered with, or made for another sender or receiver.
    BadSignature,
    /// Another device key is pinned for the address.
    KeyChanged,
    /// Its sequence lies beyond what a sender may have in the air.
    OutOfWindow,
    /// Strangers fill their quota.
    StrangerQuota,
    /// A service would not have the content, or there is no such service.
    Content,
}

impl From<delivery::RefusalKind> for RefusalKind {
    fn from(kind: delivery::RefusalKind) -> Self {
        use delivery::RefusalKind as Core;
        match kind {
            Core::Malformed | Core::TooLarge => Self::Malformed,
            Core::FutureVersion => Self::FutureVersion,
            Core::BadSignature | Core::AddressMismatch => Self::BadSignature,
            Core::KeyChanged => Self::KeyChanged,
            Core::OutOfWindow => Self::OutOfWindow,
            Core::StrangerQuota => Self::StrangerQuota,
            Core::UnknownNoun | Core::Content => Self::Content,
        }
    }
}

/// Some events in order, and where the next batch starts.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct EventBatch {
    /// What to name in the next call, once these events have been dealt with.
    pub cursor: u64,
    /// At least one event; the first is `Overflow` when some before it are gone.
    pub events: Vec<Event>,
}

impl From<threephone::Batch> for EventBatch {
    fn from(batch: threephone::Batch) -> Self {
        Self { cursor: batch.cursor.0, events: batch.events.into_iter().map(Into::into).collect() }
    }
}

/// The event stream of an open phone. A cursor is a place in it; 0 is before the first event, and
/// cursors of an earlier opening mean nothing.
#[derive(uniffi::Object)]
pub struct Events {
    inner: Arc<Inner>,
}

impl Events {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

#[uniffi::export]
impl Events {
    /// Where the stream is now: events after this cursor have not happened yet.
    pub fn now(&self) -> u64 {
        self.inner.phone.events().now().0
    }

    /// Waits for events after the cursor `after` and gives up to `max` of them (at least one),
    /// oldest first. The same call again gives the same events: a batch stays until the next call
    /// names its cursor, so a cancelled call loses nothing.
    ///
    /// # Errors
    /// `Cancelled`; `Closed` once the phone is shut down and everything was read.
    #[uniffi::method(default(cancel = None))]
    pub async fn next_batch(
        &self,
        after: u64,
        max: u32,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<EventBatch, PhoneError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        // No timer and no socket is in this: it runs on whatever polls it, and after the phone's
        // own runtime has ended what is left can still be read.
        let next = self.inner.phone.events().next_batch(threephone::Cursor(after), max);
        let next = async { next.await.ok_or(PhoneError::Closed) };
        Ok(until::<_, PhoneError>(token(cancel), next).await?.into())
    }

    /// Sets who is told that there are new events, in place of the one before; none for nobody.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn set_listener(
        &self,
        listener: Option<Arc<dyn EventListener>>,
    ) -> Result<(), PhoneError> {
        let stopped = self.inner.listening.replace();
        let Some(listener) = listener else { return Ok(()) };
        let log = self.inner.phone.events().clone();
        let call = async move {
            tokio::spawn(listener::call(log, listener, stopped));
            Ok::<_, PhoneError>(())
        };
        self.inner.run(call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use threephone::messaging::LineId;

    #[test]
    fn a_batch_crosses_in_order_with_its_cursor() {
        let chat = "400::1".parse().unwrap();
        let batch = threephone::Batch {
            cursor: threephone::Cursor(9),
            events: vec![
                threephone::Event::Overflow { lost: 2 },
                threephone::Event::Chat(MessagingEvent::LineAdded { id: LineId(5), chat }),
            ],
        };
        let expected = EventBatch {
            cursor: 9,
            events: vec![
                Event::Overflow { lost: 2 },
                Event::LineAdded { id: 5, chat: "400::1".into() },
            ],
        };
        assert_eq!(EventBatch::from(batch), expected);
    }
}

//! The handle: opens transactions, numbers lines, announces changes.

use std::net::Ipv6Addr;
use std::sync::{Arc, OnceLock};

use threephone_address::Target;
use threephone_delivery::{Delivery, Inbound, OutgoingDraft};
use threephone_identity::Me;
use threephone_store::{Store, WriteTx};

use crate::MessagingError;
use crate::db::{self, NewLine};
use crate::inbound::{Announce, ChatInbound, announce_changed};
use crate::limits::MAX_STAMP;
use crate::model::{ChatView, LineId, LineQuery, LineState, LineView, MessagingEvent};
use crate::wire::{self, Payload};

/// The chats of one open profile. Clones share it.
#[derive(Clone)]
pub struct Messaging {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    me: Me,
    announce: Announce,
    delivery: OnceLock<Delivery>,
}

impl Messaging {
    /// The chats in `store`. `events` is told of every change once it is on the disk, on the
    /// store's writer thread: it must not block.
    pub fn open(
        store: Store,
        me: Me,
        events: impl Fn(MessagingEvent) + Send + Sync + 'static,
    ) -> Self {
        let (announce, delivery) = (Arc::new(events), OnceLock::new());
        Self { shared: Arc::new(Shared { store, me, announce, delivery }) }
    }

    /// What delivery is opened with, so that it brings lines and receipts here.
    pub fn inbound(&self) -> Arc<dyn Inbound> {
        Arc::new(ChatInbound { announce: self.shared.announce.clone() })
    }

    /// What lines go out through. Once, before the first [`Messaging::send`].
    pub fn attach(&self, delivery: Delivery) {
        if self.shared.delivery.set(delivery).is_err() {
            tracing::error!("delivery was attached twice; the first one stays");
        }
    }

    /// Writes a line and queues it for delivery, in one transaction.
    ///
    /// # Errors
    /// [`MessagingError::Text`] for an empty or too long text, or delivery's and the store's.
    pub async fn send(
        &self,
        to: Target,
        text: &str,
        now_ms: i64,
    ) -> Result<LineView, MessagingError> {
        let delivery = self.delivery()?.clone();
        let (shared, text) = (self.shared.clone(), text.to_owned());
        self.shared.store.write(move |tx| shared.write_line(tx, &delivery, to, text, now_ms)).await
    }

    /// One line, if it is there.
    ///
    /// # Errors
    /// The store's.
    pub async fn line(&self, id: LineId) -> Result<Option<LineView>, MessagingError> {
        let me = self.address();
        self.shared.store.read(move |db| Ok(db::find_line(db, me, id)?)).await
    }

    /// Lines, oldest first, each author's in the author's order.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_lines(&self, query: LineQuery) -> Result<Vec<LineView>, MessagingError> {
        let me = self.address();
        self.shared
            .store
            .read(move |db| {
                let with = query.with.map(|with| with.address());
                Ok(db::list_lines(db, me, with, query.before, query.limit)?)
            })
            .await
    }

    /// All chats, the one with the newest line first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_chats(&self) -> Result<Vec<ChatView>, MessagingError> {
        let me = self.address();
        self.shared.store.read(move |db| Ok(db::list_chats(db, me)?)).await
    }

    /// Marks what the other person wrote as read and tells them so. How many lines were unread.
    ///
    /// # Errors
    /// Delivery's and the store's.
    pub async fn mark_read(&self, with: Target, now_ms: i64) -> Result<usize, MessagingError> {
        let delivery = self.delivery()?.clone();
        let announce = self.shared.announce.clone();
        self.shared
            .store
            .write(move |tx| -> Result<usize, MessagingError> {
                let Some(chat) = db::find_chat(tx, with.address())? else { return Ok(0) };
                let lines = db::read_by_us(tx, chat.id)?;
                let (count, up_to) = (lines.len(), db::advance_read(tx, &chat)?);
                if up_to > chat.read_by_us {
                    let up_to = u64::try_from(up_to).unwrap_or_default();
                    let body = wire::encode(&Payload::Read { up_to })?;
                    delivery.enqueue(tx, draft(with, body), now_ms)?;
                }
                announce_changed(tx, &announce, with.address(), lines);
                Ok(count)
            })
            .await
    }

    fn delivery(&self) -> Result<&Delivery, MessagingError> {
        self.shared.delivery.get().ok_or(MessagingError::NotAttached)
    }

    fn address(&self) -> Ipv6Addr {
        self.shared.me.node_key.address()
    }
}

impl Shared {
    fn write_line(
        &self,
        tx: &mut WriteTx<'_>,
        delivery: &Delivery,
        to: Target,
        text: String,
        now_ms: i64,
    ) -> Result<LineView, MessagingError> {
        let peer = to.address();
        let chat = match db::find_chat(tx, peer)? {
            Some(chat) => chat,
            None => db::insert_chat(tx, peer)?,
        };
        // An answer stands after what it answers, whoever's clock is wrong.
        let newest = db::newest_stamp(tx, chat.id)?;
        let stamp = newest.saturating_add(1).max(now_ms).clamp(0, MAX_STAMP);
        let seq = u64::try_from(chat.next_seq).unwrap_or_default();
        let payload = Payload::Line { seq, text: text.clone(), sent_at: now_ms, stamp };
        let envelope = delivery.enqueue(tx, draft(to, wire::encode(&payload)?), now_ms)?;
        let author = self.me.device.public();
        let line = NewLine {
            author: author.as_bytes(),
            seq: chat.next_seq,
            text: &text,
            sent_at: now_ms,
            stamp,
            state: LineState::Queued,
            envelope: Some(envelope),
        };
        let id = db::insert_line(tx, chat.id, &line)?.ok_or(crate::WireError::Sequence)?;
        db::advance_seq(tx, chat.id)?;
        let announce = self.announce.clone();
        tx.after_commit(move || announce(MessagingEvent::LineAdded { id, chat: peer }));
        let (from, sent_at, state) = (self.me.node_key.address(), now_ms, LineState::Queued);
        Ok(LineView { id, chat: peer, from, to: peer, text, sent_at, seq, state })
    }
}

fn draft(to: Target, body: Vec<u8>) -> OutgoingDraft {
    OutgoingDraft { to, noun: wire::NOUN, body, ttl: None }
}

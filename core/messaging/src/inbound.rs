//! What delivery calls: lines and receipts come in, envelopes are settled.

use std::net::Ipv6Addr;
use std::sync::Arc;

use threephone_delivery::{EnvelopeId, Inbound, Outcome, Refusal, Sender};
use threephone_store::{StoreError, WriteTx};

use crate::db::{self, ChatRow, NewLine};
use crate::limits::{MAX_LINE_EVENTS, MAX_STRANGER_BYTES, MAX_STRANGER_CHATS, MAX_STRANGERS_BYTES};
use crate::model::{LineId, LineState, MessagingEvent};
use crate::wire::{self, Payload};

/// Refusal codes of this room, as the sender's device hears them.
const MALFORMED: u16 = 1000;
const CONTRADICTION: u16 = 1001;
const STRANGER_FULL: u16 = 1002;

/// Tells whoever draws chats.
pub(crate) type Announce = Arc<dyn Fn(MessagingEvent) + Send + Sync>;

pub(crate) struct ChatInbound {
    pub(crate) announce: Announce,
}

impl Inbound for ChatInbound {
    fn noun(&self) -> &'static str {
        wire::NOUN
    }

    fn apply(
        &self,
        tx: &mut WriteTx<'_>,
        from: &Sender,
        _id: EnvelopeId,
        body: &[u8],
        _now_ms: i64,
    ) -> Result<(), Refusal> {
        let payload =
            wire::decode(body).map_err(|error| Refusal::content(MALFORMED, error.to_string()))?;
        match payload {
            Payload::Line { seq, text, sent_at, stamp } => {
                let line = NewLine {
                    author: from.device_key.as_bytes(),
                    // The wire format's bound is what SQLite can hold.
                    seq: i64::try_from(seq).unwrap_or(i64::MAX),
                    text: &text,
                    sent_at,
                    stamp,
                    state: LineState::Received,
                    envelope: None,
                };
                self.take_line(tx, from.address, &line)
            }
            Payload::Read { up_to } => {
                let up_to = i64::try_from(up_to).unwrap_or(i64::MAX);
                // A receipt for a chat that is not there says nothing.
                let Some(chat) = db::find_chat(tx, from.address)? else { return Ok(()) };
                let lines = db::read_by_peer(tx, &chat, up_to)?;
                announce_changed(tx, &self.announce, from.address, lines);
                Ok(())
            }
        }
    }

    fn delivered(
        &self,
        tx: &mut WriteTx<'_>,
        id: EnvelopeId,
        outcome: Outcome,
        _now_ms: i64,
    ) -> Result<(), StoreError> {
        let state = match outcome {
            Outcome::Acked => LineState::Delivered,
            Outcome::Refused { .. } | Outcome::Expired | Outcome::Cancelled => LineState::Failed,
        };
        self.settle(tx, id, state)
    }

    fn sent(&self, tx: &mut WriteTx<'_>, id: EnvelopeId, _now_ms: i64) -> Result<(), StoreError> {
        self.settle(tx, id, LineState::Sent)
    }
}

impl ChatInbound {
    fn take_line(
        &self,
        tx: &mut WriteTx<'_>,
        peer: Ipv6Addr,
        line: &NewLine<'_>,
    ) -> Result<(), Refusal> {
        let chat = match db::find_chat(tx, peer)? {
            Some(chat) => chat,
            None => open_chat(tx, peer)?,
        };
        check_quota(tx, &chat, line)?;
        let Some(id) = db::insert_line(tx, chat.id, line)? else {
            let known = db::line_content(tx, chat.id, line.author, line.seq)?;
            if known == (line.text.to_owned(), line.sent_at, line.stamp) {
                return Ok(());
            }
            return Err(Refusal::content(CONTRADICTION, "another line has this sequence"));
        };
        db::hold(tx, chat.id, line.text)?;
        let announce = self.announce.clone();
        tx.after_commit(move || announce(MessagingEvent::LineAdded { id, chat: peer }));
        Ok(())
    }

    /// Receipts are envelopes too; they have no line and change nothing here.
    fn settle(
        &self,
        tx: &mut WriteTx<'_>,
        id: EnvelopeId,
        state: LineState,
    ) -> Result<(), StoreError> {
        let Some((id, chat)) = db::settle_line(tx, id, state)? else { return Ok(()) };
        let announce = self.announce.clone();
        tx.after_commit(move || announce(MessagingEvent::LineChanged { id, chat }));
        Ok(())
    }
}

fn open_chat(tx: &WriteTx<'_>, peer: Ipv6Addr) -> Result<ChatRow, Refusal> {
    let (chats, _) = db::strangers(tx)?;
    if chats >= MAX_STRANGER_CHATS {
        return Err(Refusal::content(STRANGER_FULL, "too many chats of strangers"));
    }
    Ok(db::insert_chat(tx, peer)?)
}

fn check_quota(tx: &WriteTx<'_>, chat: &ChatRow, line: &NewLine<'_>) -> Result<(), Refusal> {
    if chat.known {
        return Ok(());
    }
    let cost = db::cost(line.text);
    let own = chat.held_bytes.saturating_add(cost) > MAX_STRANGER_BYTES;
    if own || db::strangers(tx)?.1.saturating_add(cost) > MAX_STRANGERS_BYTES {
        return Err(Refusal::content(STRANGER_FULL, "a stranger's share is used up"));
    }
    Ok(())
}

/// Announces lines one by one, or the chat when they are many.
pub(crate) fn announce_changed(
    tx: &mut WriteTx<'_>,
    announce: &Announce,
    chat: Ipv6Addr,
    lines: Vec<LineId>,
) {
    if lines.is_empty() {
        return;
    }
    let announce = announce.clone();
    tx.after_commit(move || {
        if lines.len() > MAX_LINE_EVENTS {
            announce(MessagingEvent::ChatChanged { chat });
        } else {
            lines.into_iter().for_each(|id| announce(MessagingEvent::LineChanged { id, chat }));
        }
    });
}

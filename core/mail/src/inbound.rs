//! What delivery calls: a mail arrived, a mail of ours is settled.
//!
//! Refused is only what would lie about who wrote it, and what is too large. Everything else that
//! cannot be read is kept: a mail that one parser does not like may be fine for the next.

use threephone_delivery::{EnvelopeId, Inbound, Outcome, Refusal, Sender};
use threephone_store::{StoreError, WriteTx};

use crate::db::{self, NewMail};
use crate::service::{Announce, NOUN};
use crate::{MAX_MAIL_BYTES, MailEvent, Mailbox, RecipientState, parse};

/// The mail's `From` is not the sender's address.
const REFUSED_AUTHOR: u16 = 1001;
/// The mail is larger than [`MAX_MAIL_BYTES`].
const REFUSED_SIZE: u16 = 1002;

pub(crate) struct MailInbound {
    announce: Announce,
}

impl MailInbound {
    pub(crate) fn new(announce: Announce) -> Self {
        Self { announce }
    }
}

impl Inbound for MailInbound {
    fn noun(&self) -> &'static str {
        NOUN
    }

    fn apply(
        &self,
        tx: &mut WriteTx<'_>,
        from: &Sender,
        _id: EnvelopeId,
        body: &[u8],
        now_ms: i64,
    ) -> Result<(), Refusal> {
        if body.len() > MAX_MAIL_BYTES {
            return Err(Refusal::content(REFUSED_SIZE, format!("a mail of {} bytes", body.len())));
        }
        if parse::author(body) != Some(from.address) {
            return Err(Refusal::content(
                REFUSED_AUTHOR,
                "From is not the sender's overlay address",
            ));
        }
        let summary = parse::summary(body);
        let mail = NewMail {
            mailbox: Mailbox::Inbox,
            raw: body,
            hash: *blake3::hash(body).as_bytes(),
            summary: &summary,
            seen: false,
            around: None,
        };
        let id = db::insert_mail(tx, &mail, now_ms)?;
        let announce = self.announce.clone();
        tx.after_commit(move || announce(MailEvent::Arrived { id }));
        Ok(())
    }

    fn delivered(
        &self,
        tx: &mut WriteTx<'_>,
        id: EnvelopeId,
        outcome: Outcome,
        _now_ms: i64,
    ) -> Result<(), StoreError> {
        let state = match outcome {
            Outcome::Acked => RecipientState::Delivered,
            Outcome::Refused { .. } => RecipientState::Refused,
            Outcome::Expired => RecipientState::Expired,
            Outcome::Cancelled => RecipientState::Cancelled,
        };
        if let Some(id) = db::set_outcome(tx, &id.to_string(), state)? {
            let announce = self.announce.clone();
            tx.after_commit(move || announce(MailEvent::Changed { id }));
        }
        Ok(())
    }
}

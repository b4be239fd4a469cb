//! The handle: opens transactions, writes and reads mail, announces changes.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::{Arc, OnceLock};

use threephone_address::Target;
use threephone_delivery::{Delivery, Inbound, OutgoingDraft};
use threephone_identity::Me;
use threephone_store::rusqlite::Connection;
use threephone_store::{Store, WriteTx};

use crate::compose::compose;
use crate::db::{self, NewMail};
use crate::inbound::MailInbound;
use crate::parse::{self, Summary};
use crate::{
    MAX_MAIL_BYTES, MAX_RECIPIENTS, MailDetail, MailDraft, MailError, MailEvent, MailFlags, MailId,
    MailQuery, MailView, Mailbox,
};

/// The kind of envelope that carries a mail; its body is the mail.
pub const NOUN: &str = "mail/1";

pub(crate) type Announce = Arc<dyn Fn(MailEvent) + Send + Sync>;

/// Mail of one profile. Clones are the same mail.
#[derive(Clone)]
pub struct Mail {
    pub(crate) store: Store,
    pub(crate) me: Me,
    pub(crate) announce: Announce,
    delivery: Arc<OnceLock<Delivery>>,
}

impl Mail {
    /// Mail over a store that has [`ROOM`](crate::ROOM). `events` is called on the store's writer
    /// thread after each commit and must return at once.
    pub fn open(store: Store, me: Me, events: impl Fn(MailEvent) + Send + Sync + 'static) -> Self {
        Self { store, me, announce: Arc::new(events), delivery: Arc::default() }
    }

    /// What receives mail; to be given to delivery.
    pub fn inbound(&self) -> Arc<dyn Inbound> {
        Arc::new(MailInbound::new(self.announce.clone()))
    }

    /// Gives mail its way out. Sending before that fails; a second call changes nothing.
    pub fn attach(&self, delivery: Delivery) {
        let _ = self.delivery.set(delivery);
    }

    /// Writes a mail, keeps it in Sent and queues it for every recipient, all in one transaction.
    ///
    /// # Errors
    /// No or too many recipients, a mail over [`MAX_MAIL_BYTES`], or the database's. Nothing is
    /// kept or queued then.
    pub async fn send(&self, draft: MailDraft, now_ms: i64) -> Result<MailView, MailError> {
        let recipients = recipients(&draft);
        match recipients.len() {
            0 => return Err(MailError::NoRecipient),
            count if count > MAX_RECIPIENTS => return Err(MailError::TooManyRecipients(count)),
            _ => {}
        }
        // Encoding makes files larger, never smaller: no need to encode what cannot fit.
        let files: usize = draft.attachments.iter().map(|file| file.data.len()).sum();
        if files > MAX_MAIL_BYTES {
            return Err(MailError::TooLarge { size: files });
        }
        let own = self.me.node_key.address();
        let raw = compose(&draft, &self.me.profile.name, own, &unique_id()?, now_ms)?;
        if raw.len() > MAX_MAIL_BYTES {
            return Err(MailError::TooLarge { size: raw.len() });
        }
        let delivery = self.delivery.get().cloned();
        let summary = parse::summary(&raw);
        let announce = self.announce.clone();
        let outgoing = Outgoing { raw, summary, recipients, own, delivery, announce };
        self.store.write(move |tx| outgoing.queue(tx, now_ms)).await
    }

    /// Mails, the latest to arrive first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, query: MailQuery) -> Result<Vec<MailView>, MailError> {
        self.store.read(move |db| Ok(db::list_views(db, &query)?)).await
    }

    /// One mail with text, files and header fields. Does not mark it as seen.
    ///
    /// # Errors
    /// [`MailError::Unknown`], or the database's.
    pub async fn show(&self, id: MailId) -> Result<MailDetail, MailError> {
        // Read and decoded on a reader's thread, which may take its time.
        let show = move |db: &Connection| {
            let view = db::find_view(db, id)?.ok_or(MailError::Unknown(id))?;
            let opened = parse::open(&db::find_raw(db, id)?.ok_or(MailError::Unknown(id))?);
            let (text, html, headers) = (opened.text, opened.html, opened.headers);
            Ok(MailDetail { view, text, html, attachments: opened.attachments, headers })
        };
        self.store.read(show).await
    }

    /// The mail as it came, byte for byte.
    ///
    /// # Errors
    /// [`MailError::Unknown`], or the database's.
    pub async fn raw(&self, id: MailId) -> Result<Vec<u8>, MailError> {
        self.store.read(move |db| db::find_raw(db, id)?.ok_or(MailError::Unknown(id))).await
    }

    /// The decoded bytes of attachment `index`, counted from 0 as `show` lists them.
    ///
    /// # Errors
    /// [`MailError::Unknown`], [`MailError::NoAttachment`], or the database's.
    pub async fn attachment(&self, id: MailId, index: usize) -> Result<Vec<u8>, MailError> {
        let decode = move |db: &Connection| {
            let raw = db::find_raw(db, id)?.ok_or(MailError::Unknown(id))?;
            parse::attachment(&raw, index).ok_or(MailError::NoAttachment { mail: id, index })
        };
        self.store.read(decode).await
    }

    /// Mails in which every one of `words` begins a word of subject, people or text; the latest to
    /// arrive first. No word means no mail.
    ///
    /// # Errors
    /// The database's; never because of what the words are.
    pub async fn search(
        &self,
        words: &str,
        limit: Option<usize>,
    ) -> Result<Vec<MailView>, MailError> {
        let words = words.to_owned();
        self.store.read(move |db| Ok(db::search_views(db, &words, limit)?)).await
    }

    /// Marks a mail as seen.
    ///
    /// # Errors
    /// [`MailError::Unknown`], or the database's.
    pub async fn mark_seen(&self, id: MailId) -> Result<(), MailError> {
        self.change_flags(id, |flags| MailFlags { seen: true, ..flags }).await
    }

    /// Sets all flags of a mail.
    ///
    /// # Errors
    /// [`MailError::Unknown`], or the database's.
    pub async fn set_flags(&self, id: MailId, flags: MailFlags) -> Result<(), MailError> {
        self.change_flags(id, move |_| flags).await
    }

    async fn change_flags(
        &self,
        id: MailId,
        change: impl FnOnce(MailFlags) -> MailFlags + Send + 'static,
    ) -> Result<(), MailError> {
        let announce = self.announce.clone();
        let job = move |tx: &mut WriteTx<'_>| -> Result<(), MailError> {
            let before = db::find_view(tx, id)?.ok_or(MailError::Unknown(id))?.flags;
            let after = change(before);
            if after != before && db::set_flags(tx, id, after)? {
                tx.after_commit(move || announce(MailEvent::Changed { id }));
            }
            Ok(())
        };
        self.store.write(job).await
    }
}

/// A finished mail on its way into the database.
struct Outgoing {
    raw: Vec<u8>,
    summary: Summary,
    recipients: Vec<Target>,
    own: Ipv6Addr,
    delivery: Option<Delivery>,
    announce: Announce,
}

impl Outgoing {
    fn queue(self, tx: &mut WriteTx<'_>, now_ms: i64) -> Result<MailView, MailError> {
        let hash = *blake3::hash(&self.raw).as_bytes();
        let mail = |mailbox, seen| NewMail {
            mailbox,
            raw: &self.raw,
            hash,
            summary: &self.summary,
            seen,
            around: None,
        };
        let id = db::insert_mail(tx, &mail(Mailbox::Sent, true), now_ms)?;
        for (position, target) in self.recipients.iter().enumerate() {
            let address = target.address();
            if address == self.own {
                // A note to oneself never leaves the device.
                let copy = db::insert_mail(tx, &mail(Mailbox::Inbox, false), now_ms)?;
                db::insert_recipient(tx, id, position, address, None)?;
                let announce = self.announce.clone();
                tx.after_commit(move || announce(MailEvent::Arrived { id: copy }));
                continue;
            }
            let envelope = self.enqueue(tx, *target, now_ms)?;
            db::insert_recipient(tx, id, position, address, Some(&envelope))?;
        }
        let announce = self.announce.clone();
        tx.after_commit(move || announce(MailEvent::Changed { id }));
        db::find_view(tx, id)?.ok_or(MailError::Unknown(id))
    }

    fn enqueue(&self, tx: &mut WriteTx<'_>, to: Target, now_ms: i64) -> Result<String, MailError> {
        let failed = |reason: String| MailError::Delivery { to: to.address(), reason };
        let delivery = self.delivery.as_ref();
        let delivery = delivery.ok_or_else(|| failed("delivery is not attached".to_owned()))?;
        let draft = OutgoingDraft { to, noun: NOUN, body: self.raw.clone(), ttl: None };
        let id = delivery.enqueue(tx, draft, now_ms).map_err(|error| failed(error.to_string()))?;
        Ok(id.to_string())
    }
}

/// Everyone under To and Cc, each device once.
fn recipients(draft: &MailDraft) -> Vec<Target> {
    let mut seen = HashSet::new();
    let all = draft.to.iter().chain(&draft.cc).map(|to| to.target);
    all.filter(|target| seen.insert(target.address())).collect()
}

/// 128 random bits in hexadecimal: what makes a Message-ID unique.
fn unique_id() -> Result<String, MailError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| MailError::Compose(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

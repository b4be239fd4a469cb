//! Mail in from files and out to files, byte for byte.
//!
//! Reading and writing block: call these from a thread that may wait (`spawn_blocking` with
//! `Handle::block_on`) when the file is large. Mails are stored in batches, so that an import costs
//! a sync a batch; one that stops half way keeps what it has, and a second run skips it.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::path::Path;

use threephone_store::WriteTx;

use crate::db::{self, NewMail};
use crate::limits::{BATCH, BATCH_BYTES};
use crate::mbox::{self, Next, Place};
use crate::parse::{self, Summary};
use crate::{Imported, MAX_IMPORT_BYTES, Mail, MailError, MailEvent, MailId, Mailbox, Progress};

/// What an mbox begins with, and a message should not.
const SEPARATOR: &[u8] = b"From ";

/// Whether a file is an mbox rather than one message: it begins with a separator line, and its name
/// does not say that it is a message (`.eml`) all the same. Looks at the input, takes nothing.
///
/// # Errors
/// The input's.
pub fn is_mbox(path: &Path, input: &mut impl BufRead) -> io::Result<bool> {
    let is_message = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eml"));
    Ok(!is_message && input.fill_buf()?.starts_with(SEPARATOR))
}

impl Mail {
    /// Takes one message (an `.eml` file) into a mailbox as it is.
    ///
    /// # Errors
    /// [`MailError::ImportTooLarge`], [`MailError::NoMessage`] where there is nothing but line ends,
    /// or the database's; never because of what else is in it.
    pub async fn import(
        &self,
        raw: Vec<u8>,
        mailbox: Mailbox,
        now_ms: i64,
    ) -> Result<Imported, MailError> {
        if raw.len() > MAX_IMPORT_BYTES {
            return Err(MailError::ImportTooLarge { limit: MAX_IMPORT_BYTES });
        }
        if raw.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(MailError::NoMessage);
        }
        // Large mail takes a while to read: a reader's thread may wait, the caller's may not.
        let message = self.store.read(|_| Ok::<_, MailError>(Message::new(raw, None))).await?;
        let announce = self.announce.clone();
        let job = move |tx: &mut WriteTx<'_>| -> Result<Imported, MailError> {
            let imported = message.insert(tx, mailbox, 0, now_ms)?;
            if let Imported::New(id) = imported {
                tx.after_commit(move || announce(MailEvent::Changed { id }));
            }
            Ok(imported)
        };
        self.store.write(job).await
    }

    /// Takes every message of an mbox into a mailbox, holding a few in memory at a time. `progress`
    /// is called after each batch; bytes count what was read.
    ///
    /// A message that the file holds n times is there n times afterwards, those counted that were
    /// there before.
    ///
    /// # Errors
    /// [`MailError::NotMbox`], [`MailError::Io`], or the database's. What was stored stays.
    pub async fn import_mbox(
        &self,
        input: impl BufRead + Send,
        mailbox: Mailbox,
        mut progress: impl FnMut(Progress) + Send,
        now_ms: i64,
    ) -> Result<Progress, MailError> {
        let mut reader = mbox::Reader::new(input, MAX_IMPORT_BYTES);
        let mut total = Progress::default();
        let mut copies = Copies::default();
        loop {
            let (batch, end) = next_batch(&mut reader, &mut total)?;
            if !batch.is_empty() {
                let batch = copies.number(batch);
                for imported in self.insert_batch(batch, mailbox, now_ms).await? {
                    match imported {
                        Imported::New(_) => total.done = total.done.saturating_add(1),
                        Imported::Duplicate(_) => {
                            total.duplicates = total.duplicates.saturating_add(1)
                        }
                    }
                }
            }
            total.bytes = reader.bytes();
            progress(total);
            if end {
                return Ok(total);
            }
        }
    }

    async fn insert_batch(
        &self,
        batch: Vec<(Message, usize)>,
        mailbox: Mailbox,
        now_ms: i64,
    ) -> Result<Vec<Imported>, MailError> {
        let announce = self.announce.clone();
        let job = move |tx: &mut WriteTx<'_>| -> Result<Vec<Imported>, MailError> {
            let mut all = Vec::with_capacity(batch.len());
            for (message, earlier) in &batch {
                let imported = message.insert(tx, mailbox, *earlier, now_ms)?;
                if let Imported::New(id) = imported {
                    let announce = announce.clone();
                    tx.after_commit(move || announce(MailEvent::Changed { id }));
                }
                all.push(imported);
            }
            Ok(all)
        };
        self.store.write(job).await
    }

    /// Gives one mail as an `.eml` file: the bytes as they came.
    ///
    /// # Errors
    /// As [`Mail::raw`].
    pub async fn export(&self, id: MailId) -> Result<Vec<u8>, MailError> {
        self.raw(id).await
    }

    /// Writes a mailbox as mbox, in the order of arrival, one mail in memory at a time. `progress`
    /// is called after each mail; bytes count what was written.
    ///
    /// # Errors
    /// [`MailError::Io`], or the database's.
    pub async fn export_mbox(
        &self,
        mailbox: Mailbox,
        mut output: impl Write + Send,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Progress, MailError> {
        let mut total = Progress::default();
        let find = |after| {
            self.store.read(move |db| Ok::<_, MailError>(db::find_next(db, mailbox, after)?))
        };
        let mut current = find(MailId(0)).await?;
        while let Some(stored) = current {
            let next = find(stored.id).await?;
            let place = if next.is_some() { Place::Middle } else { Place::Last };
            let entry = if stored.bare {
                mbox::wrap(stored.entry.raw, "MAILER-DAEMON", &asctime(stored.arrived_at))
            } else {
                stored.entry
            };
            let written = mbox::write(&mut output, &entry, place)?;
            total.bytes = total.bytes.saturating_add(written);
            total.done = total.done.saturating_add(1);
            progress(total);
            current = next;
        }
        output.flush()?;
        Ok(total)
    }
}

/// A message read and parsed, before it is stored.
struct Message {
    raw: Vec<u8>,
    hash: [u8; 32],
    summary: Summary,
    around: Option<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    fn new(raw: Vec<u8>, around: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        let (hash, summary) = (*blake3::hash(&raw).as_bytes(), parse::summary(&raw));
        Self { raw, hash, summary, around }
    }

    /// Stores it, unless the mailbox holds more than `earlier` mails with these bytes.
    fn insert(
        &self,
        tx: &WriteTx<'_>,
        mailbox: Mailbox,
        earlier: usize,
        now_ms: i64,
    ) -> Result<Imported, MailError> {
        if let Some(id) = db::find_copy(tx, mailbox, &self.hash, earlier)? {
            return Ok(Imported::Duplicate(id));
        }
        let around = self.around.as_ref();
        let mail = NewMail {
            mailbox,
            raw: &self.raw,
            hash: self.hash,
            summary: &self.summary,
            seen: mailbox == Mailbox::Sent,
            around: around.map(|(separator, trailer)| (separator.as_slice(), trailer.as_slice())),
        };
        Ok(Imported::New(db::insert_mail(tx, &mail, now_ms)?))
    }
}

/// How often the file being imported held which bytes: a file that holds a mail twice is meant to,
/// and still nothing is imported twice by importing the file again.
#[derive(Default)]
struct Copies {
    seen: HashMap<[u8; 32], usize>,
}

impl Copies {
    /// Each message with the number of its equals before it.
    fn number(&mut self, batch: Vec<Message>) -> Vec<(Message, usize)> {
        let number = |message: Message| {
            let count = self.seen.entry(message.hash).or_default();
            let earlier = *count;
            *count = count.saturating_add(1);
            (message, earlier)
        };
        batch.into_iter().map(number).collect()
    }
}

/// The next few messages, and whether they are the last.
fn next_batch(
    reader: &mut mbox::Reader<impl BufRead>,
    total: &mut Progress,
) -> Result<(Vec<Message>, bool), MailError> {
    let mut batch = Vec::new();
    let mut bytes = 0usize;
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let next = reader.next().map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => MailError::NotMbox,
            _ => MailError::Io(error),
        })?;
        match next {
            None => return Ok((batch, true)),
            Some(Next::TooLarge) => total.too_large = total.too_large.saturating_add(1),
            Some(Next::Entry(entry)) => {
                bytes = bytes.saturating_add(entry.raw.len());
                batch.push(Message::new(entry.raw, Some((entry.separator, entry.trailer))));
            }
        }
    }
    Ok((batch, false))
}

/// The time of a separator line: `Thu Jan  1 00:00:00 1970`, in UTC.
fn asctime(unix_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = mail_parser::DateTime::from_timestamp(unix_ms.div_euclid(1000));
    let name =
        |names: &[&'static str], index: u8| names.get(usize::from(index)).copied().unwrap_or("Jan");
    let day = name(&DAYS, date.day_of_week());
    let month = name(&MONTHS, date.month.saturating_sub(1));
    let (hour, minute, second) = (date.hour, date.minute, date.second);
    format!("{day} {month} {:2} {hour:02}:{minute:02}:{second:02} {}", date.day, date.year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_states_the_time_of_arrival() {
        assert_eq!(asctime(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(asctime(1_795_539_723_000), "Tue Nov 24 17:02:03 2026");
    }
}

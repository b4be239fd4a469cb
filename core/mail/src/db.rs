//! Mail's SQL: a connection to read, a transaction to write.

use std::net::Ipv6Addr;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use threephone_store::{Room, WriteTx};

use crate::mbox::Entry;
use crate::parse::Summary;
use crate::{
    MailFlags, MailId, MailQuery, MailView, Mailbox, RecipientState, RecipientView, search,
};

/// Mail's tables.
pub const ROOM: Room =
    Room { name: "mail", migrations: &[include_str!("../migrations/0001_init.sql")] };

const COLUMNS: &str = "id, mailbox, author, recipients, subject, date, size, attachments, \
                       message_id, seen, answered, flagged";

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// A mail that is to be stored.
pub(crate) struct NewMail<'a> {
    pub(crate) mailbox: Mailbox,
    pub(crate) raw: &'a [u8],
    /// BLAKE3 of `raw`.
    pub(crate) hash: [u8; 32],
    pub(crate) summary: &'a Summary,
    pub(crate) seen: bool,
    /// Separator and trailer, for a mail from an mbox.
    pub(crate) around: Option<(&'a [u8], &'a [u8])>,
}

pub(crate) fn insert_mail(tx: &WriteTx<'_>, mail: &NewMail<'_>, now_ms: i64) -> Result<MailId> {
    let summary = mail.summary;
    let people = serde_json::to_string(&summary.to).unwrap_or_else(|_| "[]".to_owned());
    let (separator, trailer) = match mail.around {
        Some((separator, trailer)) => (separator, Some(trailer)),
        None => (&[] as &[u8], None),
    };
    tx.prepare_cached(
        "INSERT INTO mail_message (mailbox, hash, size, author, recipients, subject, date, arrived_at, \
         attachments, message_id, seen, separator, trailer, raw) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        mail.mailbox.as_str(),
        mail.hash,
        integer(mail.raw.len()),
        summary.from,
        people,
        summary.subject,
        summary.date.unwrap_or(now_ms),
        now_ms,
        integer(summary.attachments),
        summary.message_id,
        mail.seen,
        separator,
        trailer,
        mail.raw,
    ])?;
    let id = tx.last_insert_rowid();
    let people = format!("{} {}", summary.from, summary.to.join(" "));
    let (subject, people) = (search::spaced(&summary.subject), search::spaced(&people));
    tx.prepare_cached(
        "INSERT INTO mail_search (rowid, subject, people, body) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![id, subject, people, search::spaced(&summary.text)])?;
    Ok(MailId(id))
}

/// The mail in `mailbox` with the bytes of `hash`, after `skip` others with the same.
pub(crate) fn find_copy(
    db: &Connection,
    mailbox: Mailbox,
    hash: &[u8; 32],
    skip: usize,
) -> Result<Option<MailId>> {
    db.prepare_cached(
        "SELECT id FROM mail_message WHERE hash = ?1 AND mailbox = ?2 \
         ORDER BY id LIMIT 1 OFFSET ?3",
    )?
    .query_row(params![hash, mailbox.as_str(), integer(skip)], |row| row.get(0).map(MailId))
    .optional()
}

pub(crate) fn insert_recipient(
    tx: &WriteTx<'_>,
    mail: MailId,
    position: usize,
    address: Ipv6Addr,
    envelope: Option<&str>,
) -> Result<()> {
    let state = if envelope.is_some() { RecipientState::Queued } else { RecipientState::Delivered };
    tx.prepare_cached(
        "INSERT INTO mail_recipient (mail, position, address, envelope, state) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![mail.0, integer(position), address.to_string(), envelope, state.as_str()])?;
    Ok(())
}

/// Records what became of an envelope, and says of which mail.
pub(crate) fn set_outcome(
    tx: &WriteTx<'_>,
    envelope: &str,
    state: RecipientState,
) -> Result<Option<MailId>> {
    tx.prepare_cached("UPDATE mail_recipient SET state = ?2 WHERE envelope = ?1 RETURNING mail")?
        .query_row(params![envelope, state.as_str()], |row| row.get(0).map(MailId))
        .optional()
}

/// False where there is no such mail.
pub(crate) fn set_flags(tx: &WriteTx<'_>, id: MailId, flags: MailFlags) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE mail_message SET seen = ?2, answered = ?3, flagged = ?4 WHERE id = ?1",
        )?
        .execute(params![id.0, flags.seen, flags.answered, flags.flagged])?;
    Ok(changed > 0)
}

pub(crate) fn find_view(db: &Connection, id: MailId) -> Result<Option<MailView>> {
    let sql = format!("SELECT {COLUMNS} FROM mail_message WHERE id = ?1");
    let view = db.prepare_cached(&sql)?.query_row([id.0], view).optional()?;
    view.map(|view| with_recipients(db, view)).transpose()
}

pub(crate) fn list_views(db: &Connection, query: &MailQuery) -> Result<Vec<MailView>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM mail_message WHERE (?1 IS NULL OR mailbox = ?1) AND id < ?2 \
         ORDER BY id DESC LIMIT ?3"
    );
    let before = query.before.map_or(i64::MAX, |id| id.0);
    let limit = query.limit.map_or(-1, integer);
    let mut statement = db.prepare_cached(&sql)?;
    let rows =
        statement.query_map(params![query.mailbox.map(Mailbox::as_str), before, limit], view)?;
    rows.map(|row| with_recipients(db, row?)).collect()
}

pub(crate) fn search_views(
    db: &Connection,
    words: &str,
    limit: Option<usize>,
) -> Result<Vec<MailView>> {
    let Some(expression) = search::match_expression(words) else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT {COLUMNS} FROM mail_message WHERE id IN \
         (SELECT rowid FROM mail_search WHERE mail_search MATCH ?1) ORDER BY id DESC LIMIT ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![expression, limit.map_or(-1, integer)], view)?;
    rows.map(|row| with_recipients(db, row?)).collect()
}

pub(crate) fn find_raw(db: &Connection, id: MailId) -> Result<Option<Vec<u8>>> {
    let mut statement = db.prepare_cached("SELECT raw FROM mail_message WHERE id = ?1")?;
    statement.query_row([id.0], |row| row.get(0)).optional()
}

/// A mail as an mbox holds it.
pub(crate) struct Stored {
    pub(crate) id: MailId,
    pub(crate) entry: Entry,
    /// It never was in an mbox: separator and trailer are to be made.
    pub(crate) bare: bool,
    pub(crate) arrived_at: i64,
}

/// The mail of `mailbox` that arrived next after `after`.
pub(crate) fn find_next(
    db: &Connection,
    mailbox: Mailbox,
    after: MailId,
) -> Result<Option<Stored>> {
    db.prepare_cached(
        "SELECT id, separator, trailer, raw, arrived_at FROM mail_message \
         WHERE mailbox = ?1 AND id > ?2 ORDER BY id LIMIT 1",
    )?
    .query_row(params![mailbox.as_str(), after.0], |row| {
        let trailer: Option<Vec<u8>> = row.get(2)?;
        let bare = trailer.is_none();
        let trailer = trailer.unwrap_or_default();
        let entry = Entry { separator: row.get(1)?, raw: row.get(3)?, trailer };
        Ok(Stored { id: MailId(row.get(0)?), entry, bare, arrived_at: row.get(4)? })
    })
    .optional()
}

fn view(row: &Row<'_>) -> Result<MailView> {
    let mailbox: String = row.get(1)?;
    let to: String = row.get(3)?;
    Ok(MailView {
        id: MailId(row.get(0)?),
        mailbox: mailbox.parse().map_err(|error| conversion(1, error))?,
        from: row.get(2)?,
        to: serde_json::from_str(&to).map_err(|error| conversion(3, error))?,
        subject: row.get(4)?,
        date: row.get(5)?,
        size: usize::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
        attachments: usize::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        message_id: row.get(8)?,
        flags: MailFlags { seen: row.get(9)?, answered: row.get(10)?, flagged: row.get(11)? },
        recipients: Vec::new(),
    })
}

fn with_recipients(db: &Connection, mut view: MailView) -> Result<MailView> {
    if view.mailbox == Mailbox::Sent {
        let mut statement = db.prepare_cached(
            "SELECT address, state FROM mail_recipient WHERE mail = ?1 ORDER BY position",
        )?;
        let rows = statement.query_map([view.id.0], |row| {
            let address: String = row.get(0)?;
            let state: String = row.get(1)?;
            let address = address.parse().map_err(|error| conversion(0, error))?;
            Ok(RecipientView { address, state: RecipientState::from_name(&state) })
        })?;
        view.recipients = rows.collect::<Result<_>>()?;
    }
    Ok(view)
}

fn conversion(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn integer(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(script: &str) -> Vec<(String, String)> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(script).unwrap();
        let mut statement =
            db.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
        let plain = |sql: String| {
            let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
            lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
        };
        rows.map(|row| row.map(|(name, sql)| (name, plain(sql))).unwrap()).collect()
    }

    #[test]
    fn the_index_forgets_a_row_that_is_deleted() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&ROOM.migrations.concat()).unwrap();
        let found = || -> i64 {
            let sql = "SELECT count(*) FROM mail_search WHERE mail_search MATCH '\"apple\"'";
            db.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        db.execute("INSERT INTO mail_search (rowid, subject) VALUES (7, 'an apple')", []).unwrap();
        assert_eq!(found(), 1);
        db.execute("DELETE FROM mail_search WHERE rowid = 7", []).unwrap();
        assert_eq!(found(), 0);
    }

    #[test]
    fn the_documented_schema_is_what_the_migrations_make() {
        assert_eq!(schema(include_str!("../schema.sql")), schema(&ROOM.migrations.concat()));
    }
}

//! The two tables: `&Connection` to read, `&WriteTx` to write.

use std::net::Ipv6Addr;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use threephone_delivery::EnvelopeId;
use threephone_store::{StoreError, WriteTx, rusqlite};

use crate::limits::LINE_OVERHEAD_BYTES;
use crate::model::{ChatView, LineId, LineState, LineView};

/// A chat's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChatRow {
    pub(crate) id: i64,
    pub(crate) next_seq: i64,
    pub(crate) read_by_us: i64,
    pub(crate) known: bool,
    pub(crate) held_bytes: i64,
}

/// What a new line's row holds.
#[derive(Debug, Clone)]
pub(crate) struct NewLine<'a> {
    pub(crate) author: &'a [u8; 32],
    pub(crate) seq: i64,
    pub(crate) text: &'a str,
    pub(crate) sent_at: i64,
    pub(crate) stamp: i64,
    pub(crate) state: LineState,
    pub(crate) envelope: Option<EnvelopeId>,
}

pub(crate) fn find_chat(db: &Connection, peer: Ipv6Addr) -> rusqlite::Result<Option<ChatRow>> {
    db.prepare_cached(
        "SELECT chat, next_seq, read_by_us, known, held_bytes FROM messaging_chat WHERE peer = ?1",
    )?
    .query_row([peer.octets()], |row| {
        Ok(ChatRow {
            id: row.get(0)?,
            next_seq: row.get(1)?,
            read_by_us: row.get(2)?,
            known: row.get(3)?,
            held_bytes: row.get(4)?,
        })
    })
    .optional()
}

pub(crate) fn insert_chat(tx: &WriteTx<'_>, peer: Ipv6Addr) -> rusqlite::Result<ChatRow> {
    tx.prepare_cached("INSERT INTO messaging_chat (peer) VALUES (?1)")?.execute([peer.octets()])?;
    let id = tx.last_insert_rowid();
    Ok(ChatRow { id, next_seq: 1, read_by_us: 0, known: false, held_bytes: 0 })
}

/// Chats and bytes of all people we never wrote to.
pub(crate) fn strangers(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    db.prepare_cached(
        "SELECT count(*), coalesce(sum(held_bytes), 0) FROM messaging_chat WHERE known = 0",
    )?
    .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The newest stamp in a chat; 0 in an empty one.
pub(crate) fn newest_stamp(db: &Connection, chat: i64) -> rusqlite::Result<i64> {
    let newest: Option<i64> = db
        .prepare_cached("SELECT max(shown_at) FROM messaging_line WHERE chat = ?1")?
        .query_row([chat], |row| row.get(0))?;
    Ok(newest.unwrap_or(0))
}

/// Takes the next sequence of ours and makes the peer known.
pub(crate) fn advance_seq(tx: &WriteTx<'_>, chat: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE messaging_chat SET next_seq = next_seq + 1, known = 1 WHERE chat = ?1",
    )?
    .execute([chat])?;
    Ok(())
}

/// Later lines that came before an earlier one may stand too early. Theirs are monotone, so it ends
/// at the first one that does not. The `+` keeps SQLite from going through all of the chat's lines
/// by `shown_at` instead, which made every insert cost as much as the chat is long.
pub(crate) const RAISE_LATER: &str = "UPDATE messaging_line SET shown_at = ?4
     WHERE chat = ?1 AND author = ?2 AND seq > ?3 AND +shown_at < ?4
       AND seq < coalesce(
           (SELECT seq FROM messaging_line
            WHERE chat = ?1 AND author = ?2 AND seq > ?3 AND +shown_at >= ?4
            ORDER BY seq LIMIT 1),
           9223372036854775807)";

/// Inserts a line where it belongs in its author's sequence; none if the sequence is taken.
pub(crate) fn insert_line(
    tx: &WriteTx<'_>,
    chat: i64,
    line: &NewLine<'_>,
) -> rusqlite::Result<Option<LineId>> {
    let before: Option<i64> = tx
        .prepare_cached(
            "SELECT shown_at FROM messaging_line
             WHERE chat = ?1 AND author = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![chat, line.author, line.seq], |row| row.get(0))
        .optional()?;
    let shown_at = before.map_or(line.stamp, |before| before.max(line.stamp));
    let inserted = tx
        .prepare_cached(
            "INSERT INTO messaging_line
                 (chat, author, seq, body, sent_at, stamp, shown_at, outgoing, state, envelope)
             VALUES (:chat, :author, :seq, :body, :sent_at, :stamp, :shown_at, :outgoing, :state,
                     :envelope)
             ON CONFLICT (chat, author, seq) DO NOTHING",
        )?
        .execute(named_params! {
            ":chat": chat,
            ":author": line.author,
            ":seq": line.seq,
            ":body": line.text,
            ":sent_at": line.sent_at,
            ":stamp": line.stamp,
            ":shown_at": shown_at,
            ":outgoing": line.envelope.is_some(),
            ":state": line.state.to_column(),
            ":envelope": line.envelope.map(|id| *id.as_bytes()),
        })?;
    if inserted == 0 {
        return Ok(None);
    }
    let id = LineId(tx.last_insert_rowid());
    tx.prepare_cached(RAISE_LATER)?.execute(params![chat, line.author, line.seq, shown_at])?;
    Ok(Some(id))
}

/// The text and times under a sequence, to tell a repeat from a contradiction.
pub(crate) fn line_content(
    db: &Connection,
    chat: i64,
    author: &[u8; 32],
    seq: i64,
) -> rusqlite::Result<(String, i64, i64)> {
    db.prepare_cached(
        "SELECT body, sent_at, stamp FROM messaging_line
         WHERE chat = ?1 AND author = ?2 AND seq = ?3",
    )?
    .query_row(params![chat, author, seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

pub(crate) fn hold(tx: &WriteTx<'_>, chat: i64, text: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE messaging_chat SET held_bytes = held_bytes + ?2 WHERE chat = ?1")?
        .execute(params![chat, cost(text)])?;
    Ok(())
}

/// What keeping a line costs.
pub(crate) fn cost(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX).saturating_add(LINE_OVERHEAD_BYTES)
}

/// Moves the line of an envelope on, never back; the line and its peer, if there is such a line.
pub(crate) fn settle_line(
    tx: &WriteTx<'_>,
    envelope: EnvelopeId,
    state: LineState,
) -> Result<Option<(LineId, Ipv6Addr)>, StoreError> {
    let keep = matches!(state, LineState::Sent);
    let row = tx
        .prepare_cached(
            "UPDATE messaging_line
             SET state = ?2, envelope = CASE WHEN ?3 THEN envelope END
             WHERE envelope = ?1 AND state < ?2
             RETURNING line, (SELECT peer FROM messaging_chat AS c WHERE c.chat = messaging_line.chat)",
        )?
        .query_row(params![envelope.as_bytes(), state.to_column(), keep], |row| {
            Ok((LineId(row.get(0)?), address(row, 1)?))
        })
        .optional()?;
    Ok(row)
}

/// Notes that the peer has read our lines up to `up_to`; those that were not before.
pub(crate) fn read_by_peer(
    tx: &WriteTx<'_>,
    chat: &ChatRow,
    up_to: i64,
) -> rusqlite::Result<Vec<LineId>> {
    let up_to = up_to.min(chat.next_seq.saturating_sub(1));
    let mut lines = tx.prepare_cached(
        "SELECT line FROM messaging_line
         WHERE chat = ?1 AND outgoing = 1 AND seq <= ?2
           AND seq > (SELECT read_by_peer FROM messaging_chat WHERE chat = ?1)",
    )?;
    let lines = lines.query_map(params![chat.id, up_to], |row| Ok(LineId(row.get(0)?)))?;
    let lines = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    tx.prepare_cached(
        "UPDATE messaging_chat SET read_by_peer = max(read_by_peer, ?2) WHERE chat = ?1",
    )?
    .execute(params![chat.id, up_to])?;
    Ok(lines)
}

/// Marks all of the peer's lines read; those that were not before.
pub(crate) fn read_by_us(tx: &WriteTx<'_>, chat: i64) -> rusqlite::Result<Vec<LineId>> {
    let mut lines = tx.prepare_cached(
        "UPDATE messaging_line SET state = 3 WHERE chat = ?1 AND outgoing = 0 AND state = 5
         RETURNING line",
    )?;
    let lines = lines.query_map([chat], |row| Ok(LineId(row.get(0)?)))?;
    lines.collect()
}

/// Follows the peer's read lines from what was reported before to the first gap or unread line,
/// and notes how far that is.
pub(crate) fn advance_read(tx: &WriteTx<'_>, chat: &ChatRow) -> rusqlite::Result<i64> {
    let mut lines = tx.prepare_cached(
        "SELECT seq FROM messaging_line
         WHERE chat = ?1 AND outgoing = 0 AND seq > ?2 AND state = 3 ORDER BY seq",
    )?;
    let mut rows = lines.query(params![chat.id, chat.read_by_us])?;
    let mut up_to = chat.read_by_us;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != up_to.saturating_add(1) {
            break;
        }
        up_to = up_to.saturating_add(1);
    }
    tx.prepare_cached("UPDATE messaging_chat SET read_by_us = ?2 WHERE chat = ?1")?
        .execute(params![chat.id, up_to])?;
    Ok(up_to)
}

const LINE_COLUMNS: &str = "line, peer, outgoing, body, sent_at, seq, \
     CASE WHEN outgoing = 1 AND seq <= read_by_peer THEN 3 ELSE state END";

fn line_view(row: &Row<'_>, me: Ipv6Addr) -> rusqlite::Result<LineView> {
    let peer = address(row, 1)?;
    let (from, to) = if row.get(2)? { (me, peer) } else { (peer, me) };
    let state: i64 = row.get(6)?;
    Ok(LineView {
        id: LineId(row.get(0)?),
        chat: peer,
        from,
        to,
        text: row.get(3)?,
        sent_at: row.get(4)?,
        seq: u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default(),
        state: LineState::from_column(state)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(6, state))?,
    })
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Ipv6Addr> {
    Ok(Ipv6Addr::from(row.get::<_, [u8; 16]>(column)?))
}

pub(crate) fn find_line(
    db: &Connection,
    me: Ipv6Addr,
    id: LineId,
) -> rusqlite::Result<Option<LineView>> {
    let sql = format!(
        "SELECT {LINE_COLUMNS} FROM messaging_line JOIN messaging_chat USING (chat) WHERE line = ?1"
    );
    db.prepare_cached(&sql)?.query_row([id.0], |row| line_view(row, me)).optional()
}

/// The newest `limit` lines before `before`, oldest first.
pub(crate) fn list_lines(
    db: &Connection,
    me: Ipv6Addr,
    with: Option<Ipv6Addr>,
    before: Option<LineId>,
    limit: Option<usize>,
) -> rusqlite::Result<Vec<LineView>> {
    let mut sql = format!(
        "SELECT {LINE_COLUMNS} FROM messaging_line AS l JOIN messaging_chat USING (chat) WHERE true"
    );
    if with.is_some() {
        sql.push_str(" AND l.chat = (SELECT chat FROM messaging_chat WHERE peer = :peer)");
    } else {
        sql.push_str(" AND :peer IS NULL");
    }
    if before.is_some() {
        sql.push_str(
            " AND (shown_at, author, seq) <
                 (SELECT shown_at, author, seq FROM messaging_line WHERE line = :before)",
        );
    } else {
        sql.push_str(" AND :before IS NULL");
    }
    sql.push_str(" ORDER BY shown_at DESC, author DESC, seq DESC LIMIT :limit");
    let mut statement = db.prepare_cached(&sql)?;
    let lines = statement.query_map(
        named_params! {
            ":peer": with.map(|peer| peer.octets()),
            ":before": before.map(|id| id.0),
            // A negative limit is none.
            ":limit": limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
        },
        |row| line_view(row, me),
    )?;
    let mut lines = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    lines.reverse();
    Ok(lines)
}

/// Every chat that has a line, the one with the newest line first.
pub(crate) fn list_chats(db: &Connection, me: Ipv6Addr) -> rusqlite::Result<Vec<ChatView>> {
    let sql = format!(
        "SELECT {LINE_COLUMNS},
             (SELECT count(*) FROM messaging_line AS u
              WHERE u.chat = c.chat AND u.outgoing = 0 AND u.state = 5)
         FROM messaging_chat AS c JOIN messaging_line AS l ON l.line =
             (SELECT line FROM messaging_line AS n WHERE n.chat = c.chat
              ORDER BY shown_at DESC, author DESC, seq DESC LIMIT 1)
         ORDER BY shown_at DESC, author DESC, seq DESC"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let chats = statement.query_map([], |row| {
        let last = line_view(row, me)?;
        let unread = u64::try_from(row.get::<_, i64>(7)?).unwrap_or_default();
        Ok(ChatView { peer: last.chat, unread, last })
    })?;
    chats.collect()
}

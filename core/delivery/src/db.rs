//! SQL of the outbox and the peers.

use std::net::Ipv6Addr;
use std::sync::Arc;

use threephone_address::PublicKey;
use threephone_store::rusqlite::{self, Connection, OptionalExtension, params};
use threephone_store::{StoreError, WriteTx};

use crate::engine::Row;
use crate::envelope::{Inner, digest};
use crate::limits::FAILED_KEPT;
use crate::{EnvelopeId, Inbound, Outcome, OutgoingDraft};

/// Puts an envelope into the outbox. Returns its receiver's key, where it is known.
pub(crate) fn insert_outgoing(
    tx: &WriteTx<'_>,
    id: EnvelopeId,
    draft: &OutgoingDraft,
    expires_at: Option<i64>,
    now_ms: i64,
) -> Result<Option<PublicKey>, rusqlite::Error> {
    let address = draft.to.address().octets();
    let key = draft.to.key();
    let (seq, known): (i64, Option<[u8; 32]>) = tx
        .prepare_cached(
            "INSERT INTO delivery_peer (address, node_key, contacted, next_seq)
             VALUES (?1, ?2, 1, 2)
             ON CONFLICT (address) DO UPDATE SET contacted = 1, next_seq = next_seq + 1,
                 node_key = coalesce(node_key, excluded.node_key)
             RETURNING next_seq - 1, node_key",
        )?
        .query_row(params![address, key.as_ref().map(|key| key.as_bytes())], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    tx.prepare_cached(
        "INSERT INTO delivery_outbox (address, seq, id, noun, digest, queued_at, expires_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        address,
        seq,
        id.as_bytes(),
        draft.noun,
        digest(id, draft.noun, &draft.body),
        now_ms,
        expires_at,
        draft.body,
    ])?;
    Ok(known.map(PublicKey::from_bytes))
}

/// Settles an open envelope for good: tells its service, and drops the row or marks it failed.
/// `None` when it is not open (any more).
pub(crate) fn settle(
    tx: &mut WriteTx<'_>,
    id: EnvelopeId,
    outcome: Outcome,
    handlers: &[Arc<dyn Inbound>],
    now_ms: i64,
) -> Result<Option<(Ipv6Addr, u64)>, StoreError> {
    let row = tx
        .prepare_cached(
            "SELECT address, seq, noun FROM delivery_outbox WHERE id = ?1 AND state = 0",
        )?
        .query_row([id.as_bytes()], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((address, seq, noun)) = row else { return Ok(None) };
    match outcome {
        Outcome::Acked | Outcome::Cancelled => {
            tx.prepare_cached("DELETE FROM delivery_outbox WHERE id = ?1")?
                .execute([id.as_bytes()])?;
        }
        Outcome::Refused { .. } | Outcome::Expired => fail(tx, id)?,
    }
    if let Some(handler) = handlers.iter().find(|handler| handler.noun() == noun) {
        handler.delivered(tx, id, outcome, now_ms)?;
    }
    Ok(Some((Ipv6Addr::from(address), u64::try_from(seq).unwrap_or(0))))
}

fn fail(tx: &WriteTx<'_>, id: EnvelopeId) -> Result<(), rusqlite::Error> {
    tx.prepare_cached("UPDATE delivery_outbox SET state = 1, body = x'' WHERE id = ?1")?
        .execute([id.as_bytes()])?;
    tx.prepare_cached(
        "DELETE FROM delivery_outbox WHERE id IN (
             SELECT id FROM delivery_outbox WHERE state = 1 ORDER BY rowid DESC
             LIMIT -1 OFFSET ?1)",
    )?
    .execute([i64::try_from(FAILED_KEPT).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// Open and failed envelopes.
pub(crate) fn count_outgoing(conn: &Connection) -> Result<(u64, u64), rusqlite::Error> {
    let count = |sql: &str| {
        let count = conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        count.map(unsigned)
    };
    let failed = count("SELECT count(*) FROM delivery_outbox WHERE state = 1")?;
    // Over an index, which is a fraction of the table.
    let all = count("SELECT count(*) FROM delivery_outbox")?;
    Ok((all.saturating_sub(failed), failed))
}

/// Who has open envelopes, with the key where it is known.
pub(crate) fn list_waiting(
    conn: &Connection,
) -> Result<Vec<(Ipv6Addr, Option<PublicKey>)>, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT address, node_key FROM delivery_peer AS peer WHERE EXISTS (
             SELECT 1 FROM delivery_outbox WHERE address = peer.address AND state = 0)",
    )?
    .query_map([], |row| {
        let key = row.get::<_, Option<[u8; 32]>>(1)?.map(PublicKey::from_bytes);
        Ok((Ipv6Addr::from(row.get::<_, [u8; 16]>(0)?), key))
    })?
    .collect()
}

/// A page of a peer's open envelopes, without their bodies.
pub(crate) fn list_open(
    conn: &Connection,
    address: Ipv6Addr,
    after: u64,
    limit: usize,
) -> Result<Vec<Row>, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT seq, length(body) FROM delivery_outbox
         WHERE address = ?1 AND seq > ?2 AND state = 0 ORDER BY seq LIMIT ?3",
    )?
    .query_map(params![address.octets(), signed(after), signed(limit as u64)], |row| {
        Ok(Row { seq: unsigned(row.get(0)?), bytes: row.get::<_, u32>(1)? as usize })
    })?
    .collect()
}

/// An open envelope, to be sent.
pub(crate) fn find_open(
    conn: &Connection,
    address: Ipv6Addr,
    seq: u64,
    low: u64,
) -> Result<Option<Inner>, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT id, noun, queued_at, body FROM delivery_outbox
         WHERE address = ?1 AND seq = ?2 AND state = 0",
    )?
    .query_row(params![address.octets(), signed(seq)], |row| {
        let id = EnvelopeId::from_bytes(row.get(0)?);
        let (noun, queued_at, body) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Inner { id, noun, seq, low, queued_at, body })
    })
    .optional()
}

/// Whether an acknowledgement from `address` names this open envelope.
pub(crate) fn is_open(
    conn: &Connection,
    id: EnvelopeId,
    address: Ipv6Addr,
    digest: &[u8; 32],
) -> Result<bool, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT 1 FROM delivery_outbox WHERE id = ?1 AND address = ?2 AND digest = ?3 AND state = 0",
    )?
    .exists(params![id.as_bytes(), address.octets(), digest])
}

/// The noun of an open envelope.
pub(crate) fn find_noun(
    conn: &Connection,
    id: EnvelopeId,
) -> Result<Option<String>, rusqlite::Error> {
    conn.prepare_cached("SELECT noun FROM delivery_outbox WHERE id = ?1 AND state = 0")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()
}

/// Open envelopes whose time is up.
pub(crate) fn list_expired(
    conn: &Connection,
    now_ms: i64,
    limit: usize,
) -> Result<Vec<EnvelopeId>, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT id FROM delivery_outbox WHERE state = 0 AND expires_at <= ?1
         ORDER BY expires_at LIMIT ?2",
    )?
    .query_map(params![now_ms, signed(limit as u64)], |row| {
        Ok(EnvelopeId::from_bytes(row.get(0)?))
    })?
    .collect()
}

/// When the next open envelope expires.
pub(crate) fn find_expiry(conn: &Connection) -> Result<Option<i64>, rusqlite::Error> {
    conn.prepare_cached(
        "SELECT min(expires_at) FROM delivery_outbox WHERE state = 0 AND expires_at IS NOT NULL",
    )?
    .query_row([], |row| row.get(0))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite says of itself, without comments and spaces.
    fn schema(sql: &str) -> Vec<String> {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(sql).unwrap();
        let mut found = conn.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = found.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        let bare = |sql: String| {
            let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
            lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
        };
        rows.filter_map(Result::unwrap).map(bare).collect()
    }

    #[test]
    fn the_documented_schema_is_what_the_migrations_make() {
        let real = schema(&crate::ROOM.migrations.concat());
        assert_eq!(schema(include_str!("../schema.sql")), real);
        assert!(real.len() >= 6);
    }
}

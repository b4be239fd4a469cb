//! Numbered SQL files per room, forward only.
//!
//! One `(room, version)` table of our own, since SQLite's single `user_version` cannot hold several
//! rooms. All rooms are checked before the first one is changed, so that a database of a newer
//! program is left exactly as it was.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::StoreError;

/// A room's tables: its name and its migrations; the first one makes version 1.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The prefix of its tables.
    pub name: &'static str,
    /// SQL scripts, oldest first. Never edited once shipped.
    pub migrations: &'static [&'static str],
}

impl Room {
    fn newest(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

pub(crate) fn migrate(connection: &mut Connection, rooms: &[Room]) -> Result<(), StoreError> {
    let found = versions(connection, rooms)?;
    for (room, version) in rooms.iter().zip(&found) {
        if *version > room.newest() {
            return Err(StoreError::NewerVersion {
                room: room.name.to_owned(),
                found: *version,
                known: room.newest(),
            });
        }
    }
    if rooms.iter().zip(&found).all(|(room, version)| *version == room.newest()) {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS store_migration (
             room TEXT NOT NULL PRIMARY KEY,
             version INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID",
    )?;
    for (room, version) in rooms.iter().zip(found) {
        let done = usize::try_from(version).unwrap_or(0);
        for script in room.migrations.iter().skip(done) {
            tx.execute_batch(script)?;
        }
        tx.execute(
            "INSERT INTO store_migration (room, version) VALUES (?1, ?2)
             ON CONFLICT (room) DO UPDATE SET version = excluded.version",
            params![room.name, room.newest()],
        )?;
    }
    tx.commit()?;
    Ok(())
}

fn versions(connection: &Connection, rooms: &[Room]) -> Result<Vec<i64>, StoreError> {
    if !connection.table_exists(None, "store_migration")? {
        return Ok(vec![0; rooms.len()]);
    }
    let mut statement =
        connection.prepare("SELECT version FROM store_migration WHERE room = ?1")?;
    rooms
        .iter()
        .map(|room| Ok(statement.query_row([room.name], |row| row.get(0)).optional()?.unwrap_or(0)))
        .collect()
}

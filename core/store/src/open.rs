//! Opening connections: key, pragmas, checks.

use std::path::{Path, PathBuf};
#[cfg(feature = "sqlcipher")]
use std::sync::Once;
use std::time::Duration;
#[cfg(feature = "sqlcipher")]
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Room, StoreError, StoreKey};

/// How and where to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The database file; made if it is not there.
    pub path: PathBuf,
    /// What it is encrypted with. Ignored in builds without `sqlcipher`.
    pub key: StoreKey,
    /// Whose tables it holds.
    pub rooms: Vec<Room>,
    /// A registered SQLite file system, for tests.
    pub vfs: Option<String>,
    /// How many threads read.
    pub readers: usize,
}

impl StoreOptions {
    /// A store for `rooms` with two readers on the platform's own file system.
    pub fn new(path: impl Into<PathBuf>, key: StoreKey, rooms: Vec<Room>) -> Self {
        Self { path: path.into(), key, rooms, vfs: None, readers: 2 }
    }

    /// How to open a database that is there on a disk without room, if that is another way. In a
    /// file beside it connections share the index of its log, which has to be made; SQLite's
    /// exclusive mode keeps that in memory, for one process. Such a database can at least be read.
    pub(crate) fn without_room(&self) -> Option<Self> {
        let is_there = std::fs::metadata(&self.path).is_ok_and(|file| file.len() > 0);
        let exclusive = (cfg!(unix) && is_there && self.vfs.is_none()).then_some("unix-excl")?;
        Some(Self { vfs: Some(exclusive.to_owned()), ..self.clone() })
    }

    pub(crate) fn writer(&self) -> Result<Connection, StoreError> {
        let created = self.vfs.is_none() && !self.path.exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = self.connect(flags)?;
        if created {
            restrict(&self.path)?;
        } else {
            self.check_length(&connection)?;
        }
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Denied(format!("journal mode is {mode} instead of wal")));
        }
        // FULL: a commit is on the disk before anybody is told. Checkpoints are ours (see writer).
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA temp_store = MEMORY;",
        )?;
        Ok(connection)
    }

    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;")?;
        Self::trust(&connection)?;
        Ok(connection)
    }

    /// Called once everything about the file is found right.
    pub(crate) fn trust(connection: &Connection) -> Result<(), StoreError> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, StoreError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.path, flags)?,
        };
        connection.busy_timeout(Duration::from_secs(5))?;
        // A refused open must leave a log from before as it is; without this, closing writes it back.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.unlock(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")?;
        Ok(connection)
    }

    /// Whole pages only. SQLite rounds a torn last page up and notices when somebody reads it, which
    /// may be weeks later. With a log beside it the file may be torn: the log holds those pages.
    fn check_length(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let logged = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
        let Ok(file) = std::fs::metadata(&self.path) else { return Ok(()) };
        // SQLCipher answers in text, SQLite in a number.
        let page = match connection.query_row("PRAGMA page_size", [], |row| row.get(0))? {
            Value::Integer(page) => u64::try_from(page).unwrap_or(0),
            Value::Text(page) => page.parse().unwrap_or(0),
            _ => 0,
        };
        if !logged && file.len().checked_rem(page).is_some_and(|rest| rest > 0) {
            return Err(StoreError::Damaged("the file ends within a page".into()));
        }
        Ok(())
    }

    /// Gives the key and reads the first page, which is where a wrong one shows.
    fn unlock(&self, connection: &Connection) -> Result<(), StoreError> {
        #[cfg(feature = "sqlcipher")]
        await_cipher();
        // SQLCipher would print to standard error what we return.
        #[cfg(feature = "sqlcipher")]
        connection.execute_batch("PRAGMA cipher_log_level = NONE")?;
        #[cfg(feature = "sqlcipher")]
        connection.pragma_update(None, "key", self.key.to_literal().as_str())?;
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            .map(|_| ())
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::WrongKey(self.path.clone()),
                _ => error.into(),
            })
    }
}

/// Returns once SQLCipher takes keys. SQLite calls itself ready before SQLCipher has set itself up,
/// so while one thread does that for the process, the keys of the others are refused.
#[cfg(feature = "sqlcipher")]
fn await_cipher() {
    static READY: Once = Once::new();
    READY.call_once(|| {
        // A cipher that cannot be had at all shows in the opening that follows.
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let probe = Connection::open_in_memory().and_then(|probe| {
                probe.execute_batch("PRAGMA cipher_log_level = NONE")?;
                probe.pragma_update(None, "key", "probe")
            });
            if probe.is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    });
}

/// Only its owner may read a profile, whatever the umask says.
fn restrict(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| StoreError::Denied(error.to_string()))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

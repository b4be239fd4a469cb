//! The store through its public handle, on real files.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use threephone_store::{KdfParams, Room, Store, StoreError, StoreKey, StoreOptions};

const ONE: Room = Room {
    name: "note",
    migrations: &["CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"],
};
const TWO: Room = Room {
    name: "note",
    migrations: &[
        "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
        "ALTER TABLE note ADD COLUMN color TEXT NOT NULL DEFAULT 'white'",
    ],
};

fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes([byte; 32])
}

fn open(path: &Path, byte: u8, room: Room) -> Result<Store, StoreError> {
    Store::open(StoreOptions::new(path, key(byte), vec![room]))
}

async fn add(store: &Store, text: &str) -> Result<(), StoreError> {
    let text = text.to_owned();
    store
        .write(move |tx| -> Result<(), StoreError> {
            tx.execute("INSERT INTO note (text) VALUES (?1)", [text])?;
            Ok(())
        })
        .await
}

async fn count(store: &Store) -> i64 {
    store
        .read(|db| -> Result<i64, StoreError> {
            Ok(db.query_row("SELECT count(*) FROM note", [], |row| row.get(0))?)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path, 1, ONE).unwrap();
    add(&store, "milk").await.unwrap();
    store.close().await.unwrap();
    assert!(!folder.path().join("store.db-wal").exists(), "close writes the log back");
    let store = open(&path, 1, ONE).unwrap();
    assert_eq!(count(&store).await, 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_job_changes_nothing_and_takes_nobody_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db"), 1, ONE).unwrap();
    let announced = Arc::new(Mutex::new(Vec::new()));
    let jobs = (0..20).map(|n| {
        let (store, announced) = (store.clone(), announced.clone());
        tokio::spawn(async move {
            store
                .write(move |tx| -> Result<(), StoreError> {
                    tx.execute("INSERT INTO note (text) VALUES (?1)", [n.to_string()])?;
                    tx.after_commit(move || announced.lock().unwrap().push(n));
                    match n % 4 {
                        0 => Err(StoreError::Busy),
                        1 => panic!("job {n}"),
                        _ => Ok(()),
                    }
                })
                .await
        })
    });
    let mut outcomes = Vec::new();
    for job in jobs.collect::<Vec<_>>() {
        outcomes.push(job.await.unwrap());
    }
    for (n, outcome) in outcomes.iter().enumerate() {
        match n % 4 {
            0 => assert!(matches!(outcome, Err(StoreError::Busy))),
            1 => assert!(
                matches!(outcome, Err(StoreError::Panicked(text)) if text.contains(&n.to_string()))
            ),
            _ => assert!(outcome.is_ok()),
        }
    }
    assert_eq!(count(&store).await, 10);
    let announced: Vec<i32> = announced.lock().unwrap().clone();
    assert_eq!(announced.len(), 10);
    assert!(announced.iter().all(|n| n % 4 > 1), "{announced:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_job_whose_caller_left_still_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db"), 1, ONE).unwrap();
    let release = hold_writer(&store).await;
    let mut write = Box::pin(add(&store, "milk"));
    assert!(futures_poll_once(&mut write).await.is_none());
    drop(write);
    release.send(()).unwrap();
    add(&store, "bread").await.unwrap();
    assert_eq!(count(&store).await, 2);
    store.close().await.unwrap();
}

/// Occupies the writer until the returned sender is used or dropped.
async fn hold_writer(store: &Store) -> std::sync::mpsc::Sender<()> {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (begun, running) = tokio::sync::oneshot::channel();
    let store = store.clone();
    tokio::spawn(async move {
        let hold = store.write(move |_| -> Result<(), StoreError> {
            let _ = begun.send(());
            let _ = wait.recv();
            Ok(())
        });
        hold.await.unwrap();
    });
    running.await.unwrap();
    release
}

/// Polls once: enough to queue the job, not enough to hear its answer.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    use std::task::Poll;
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db"), 1, ONE).unwrap();
    let outcome = store
        .read(|db| -> Result<usize, StoreError> { Ok(db.execute("DELETE FROM note", [])?) })
        .await;
    assert!(outcome.is_err());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db"), 1, ONE).unwrap();
    store.clone().close().await.unwrap();
    assert!(matches!(add(&store, "late").await, Err(StoreError::Closed)));
    store.close().await.unwrap();
}

#[cfg(feature = "sqlcipher")]
#[tokio::test]
async fn a_wrong_key_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path, 1, ONE).unwrap();
    add(&store, "milk").await.unwrap();
    store.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(!before.windows(4).any(|four| four == b"milk"), "encrypted");
    assert!(matches!(open(&path, 2, ONE), Err(StoreError::WrongKey(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
}

#[tokio::test]
async fn a_newer_version_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    open(&path, 1, TWO).unwrap().close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = open(&path, 1, ONE).err().unwrap();
    assert!(
        matches!(&error, StoreError::NewerVersion { room, found: 2, known: 1 } if room == "note")
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn an_older_version_is_migrated_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path, 1, ONE).unwrap();
    add(&store, "milk").await.unwrap();
    store.close().await.unwrap();
    let store = open(&path, 1, TWO).unwrap();
    let color: String = store
        .read(|db| -> Result<String, StoreError> {
            Ok(db.query_row("SELECT color FROM note", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(color, "white");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_cut_short_is_an_error_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path, 1, ONE).unwrap();
    for n in 0..200 {
        add(&store, &format!("{n} {}", "x".repeat(500))).await.unwrap();
    }
    store.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 512, 4096, 5000, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = open(&path, 1, ONE).err();
        // Without its first page an encrypted file looks like one of another key.
        let clear = match &error {
            Some(StoreError::Damaged(_)) => true,
            Some(StoreError::WrongKey(_)) => length < 4096,
            _ => false,
        };
        assert!(clear, "cut to {length} of {}: {error:?}", whole.len());
        assert_eq!(std::fs::read(&path).unwrap().len(), length, "the file is kept as it is");
    }
}

#[test]
fn a_passphrase_gives_the_same_key_again_and_bounds_foreign_costs() {
    let mut params = KdfParams::generate().unwrap();
    params.memory_kib = 64;
    let one = StoreKey::from_passphrase(b"correct horse", &params).unwrap();
    let two = StoreKey::from_passphrase(b"correct horse", &params).unwrap();
    let other = StoreKey::from_passphrase(b"battery staple", &params).unwrap();
    assert_eq!(one.as_bytes(), two.as_bytes());
    assert_ne!(one.as_bytes(), other.as_bytes());
    params.memory_kib = u32::MAX;
    assert!(matches!(StoreKey::from_passphrase(b"x", &params), Err(StoreError::Key(_))));
}

#[test]
fn a_folder_that_is_not_there_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("missing/store.db"), 1, ONE).err();
    assert!(matches!(error, Some(StoreError::Denied(_))), "{error:?}");
}

#[cfg(feature = "sqlcipher")]
#[tokio::test]
async fn a_wrong_key_leaves_the_log_of_a_crash_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.db"), folder.path().join("copy.db"));
    let store = open(&path, 1, ONE).unwrap();
    add(&store, "milk").await.unwrap();
    // What a killed process leaves: the database and its log.
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(folder.path().join("store.db-wal"), folder.path().join("copy.db-wal")).unwrap();
    store.close().await.unwrap();
    let bytes = || {
        let log = std::fs::read(folder.path().join("copy.db-wal")).unwrap();
        (std::fs::read(&copy).unwrap(), log)
    };
    let before = bytes();
    assert!(open(&copy, 2, ONE).is_err());
    assert!(bytes() == before, "unchanged");
    let store = open(&copy, 1, ONE).unwrap();
    assert_eq!(count(&store).await, 1);
    store.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_without_write_permission_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    // The administrator may write anywhere; the rule shows only to others.
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        println!("SKIPPED: no folder is closed to root, so the store was not refused one");
        return;
    }
    let error = open(&folder.path().join("store.db"), 1, ONE).err();
    assert!(matches!(error, Some(StoreError::Denied(_))), "{error:?}");
}

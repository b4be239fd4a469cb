//! The store on a disk that is slow, full, broken, or loses what was not synced.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use threephone_store::{Room, Store, StoreError, StoreKey, StoreOptions};
use threephone_testvfs::TestVfs;
use tokio::task::unconstrained;

/// Every job writes a pair of rows, so that half a job would show.
const PAIRS: Room = Room {
    name: "pair",
    migrations: &["CREATE TABLE pair_half (number INTEGER NOT NULL, side INTEGER NOT NULL, \
                   filling BLOB NOT NULL, PRIMARY KEY (number, side)) STRICT"],
};

fn open(vfs: &TestVfs) -> Result<Store, StoreError> {
    let key = StoreKey::from_bytes([7; 32]);
    let mut options = StoreOptions::new("disk.db", key, vec![PAIRS]);
    options.vfs = Some(vfs.name().to_owned());
    options.readers = 1;
    Store::open(options)
}

async fn add(store: &Store, number: i64, bytes: usize) -> Result<(), StoreError> {
    store
        .write(move |tx| -> Result<(), StoreError> {
            let mut insert = tx.prepare_cached("INSERT INTO pair_half VALUES (?1, ?2, ?3)")?;
            for side in 0..2 {
                insert.execute((number, side, vec![7_u8; bytes]))?;
            }
            Ok(())
        })
        .await
}

/// The numbers of whole pairs; panics when it sees half of one.
async fn list(store: &Store) -> BTreeSet<i64> {
    store
        .read(|db| -> Result<BTreeSet<i64>, StoreError> {
            let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            assert_eq!(sound, "ok");
            let mut query = db.prepare("SELECT number, count(*) FROM pair_half GROUP BY number")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
            let mut numbers = BTreeSet::new();
            for row in rows {
                let (number, halves) = row?;
                assert_eq!(halves, 2, "half of job {number} is visible");
                numbers.insert(number);
            }
            Ok(numbers)
        })
        .await
        .unwrap()
}

/// Queues all jobs before the writer can finish one; the outcomes in order.
async fn add_together(store: &Store, numbers: std::ops::Range<i64>) -> Vec<Result<(), StoreError>> {
    let jobs: Vec<_> = numbers
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { add(&store, number, 50).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for job in jobs {
        outcomes.push(job.await.unwrap());
    }
    outcomes
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

#[tokio::test]
async fn a_power_cut_anywhere_loses_nothing_that_was_answered() {
    for seed in 0..200_u64 {
        let vfs = TestVfs::register(&format!("power-cut-{seed}"));
        let mut promised = BTreeSet::new();
        // Cuts while the database is made, while it is written to, and while it is closed.
        vfs.power_cut_after(Some(seed));
        if let Ok(store) = open(&vfs) {
            for round in 0..8_i64 {
                let first = round * 10;
                let count = 1 + i64::try_from(seed % 5).unwrap();
                let outcomes = add_together(&store, first..first + count).await;
                for (number, outcome) in (first..).zip(outcomes) {
                    if outcome.is_ok() {
                        promised.insert(number);
                    }
                }
            }
            let _ = store.close().await;
        }
        vfs.power_cut_after(None);
        vfs.power_cut();
        let store = open(&vfs).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let found = list(&store).await;
        assert!(promised.is_subset(&found), "seed {seed}: {promised:?} against {found:?}");
        add(&store, 1_000, 10).await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_lone_commit_is_one_sync() {
    let vfs = TestVfs::register("lone");
    let store = open(&vfs).unwrap();
    add(&store, 0, 50).await.unwrap();
    let before = vfs.counters().syncs;
    for number in 1..=100 {
        add(&store, number, 50).await.unwrap();
    }
    assert_eq!(vfs.counters().syncs - before, 100);
    store.close().await.unwrap();
}

#[tokio::test]
async fn jobs_that_wait_share_a_commit() {
    let vfs = TestVfs::register("shared");
    vfs.set_sync_delay(Duration::from_millis(5));
    let store = open(&vfs).unwrap();
    add(&store, -1, 50).await.unwrap();
    let before = vfs.counters().syncs;
    let release = hold_writer(&store).await;
    let mut jobs: Vec<_> =
        (0..1_000).map(|number| Box::pin(unconstrained(add(&store, number, 50)))).collect();
    for job in &mut jobs {
        // Polled once, a job is queued.
        let queued = poll_fn(|context| Poll::Ready(job.as_mut().poll(context).is_pending()));
        assert!(queued.await);
    }
    release.send(()).unwrap();
    for job in jobs {
        job.await.unwrap();
    }
    assert_eq!(vfs.counters().syncs - before, 2, "512 jobs a commit at most");
    assert_eq!(list(&store).await.len(), 1_001);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_passes() {
    let vfs = TestVfs::register("full");
    let store = open(&vfs).unwrap();
    add(&store, 0, 50).await.unwrap();
    vfs.set_capacity(Some(vfs.used() + 100_000));
    let mut number = 1;
    let error = loop {
        match add(&store, number, 5_000).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 1_000, "the disk never filled");
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert_eq!(list(&store).await, (0..number).collect());
    assert!(matches!(add(&store, number, 500_000).await, Err(StoreError::Full)));
    vfs.set_capacity(None);
    add(&store, number, 500_000).await.unwrap();
    store.close().await.unwrap();
    let store = open(&vfs).unwrap();
    assert_eq!(list(&store).await, (0..=number).collect());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_broken_disk_fails_jobs_until_it_is_mended() {
    for writes in 0..20 {
        let vfs = TestVfs::register(&format!("broken-{writes}"));
        let store = open(&vfs).unwrap();
        add(&store, 0, 50).await.unwrap();
        vfs.fail_after_writes(Some(writes));
        let mut expected = BTreeSet::from([0]);
        for number in 1..20 {
            if add(&store, number, 50).await.is_ok() {
                expected.insert(number);
            }
        }
        vfs.fail_after_writes(None);
        add(&store, 100, 50).await.unwrap();
        expected.insert(100);
        assert_eq!(list(&store).await, expected, "broken after {writes} writes");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_stays_bounded_and_an_old_snapshot_does_not_cost_syncs() {
    let vfs = TestVfs::register("log");
    let store = open(&vfs).unwrap();
    for number in 0..2_000 {
        add(&store, number, 4_000).await.unwrap();
    }
    // The rows take 16 MB; the log is started over long before it holds them again.
    assert!(vfs.used() < 16_000_000 + 2 * 4_200_000 + 4_000_000, "{}", vfs.used());

    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (begun, running) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .read(move |db| -> Result<i64, StoreError> {
                    let tx = db.unchecked_transaction()?;
                    let count = "SELECT count(*) FROM pair_half";
                    let before: i64 = tx.query_row(count, [], |row| row.get(0))?;
                    let _ = begun.send(());
                    let _ = wait.recv();
                    let after: i64 = tx.query_row(count, [], |row| row.get(0))?;
                    assert_eq!(before, after, "a snapshot does not move");
                    Ok(after)
                })
                .await
        }
    });
    running.await.unwrap();
    let before = vfs.counters().syncs;
    for number in 2_000..3_000 {
        add(&store, number, 4_000).await.unwrap();
    }
    let syncs = vfs.counters().syncs - before;
    assert!(syncs <= 1_020, "{syncs} syncs for 1000 commits");
    release.send(()).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 4_000);
    store.close().await.unwrap();
}

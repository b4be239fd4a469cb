//! The one thread that writes, and how it groups commits.
//!
//! A commit costs one sync of the write-ahead log, milliseconds on a phone. So the thread takes
//! every job that is queued when it becomes free, runs each in a savepoint of its own inside one
//! transaction, commits once and then answers all of them. It never waits for more jobs: a lone
//! job pays one sync and no delay, a hundred concurrent ones share it.
//!
//! Checkpoints copy the log back into the database and cost two syncs. They run when the queue is
//! empty and the log has grown, or at a hard size, so that they rarely stand in a job's way.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, hooks};
use tokio::sync::mpsc;

use crate::StoreError;

/// Jobs waiting for the writer before callers wait too.
pub(crate) const QUEUE: usize = 4096;
/// Jobs in one commit: bounds what one failing disk takes down at once, and how long one commit
/// keeps the first of them waiting.
const BATCH: usize = 512;
/// Log pages (4 KiB) after which an idle writer checkpoints.
const IDLE_CHECKPOINT_PAGES: i32 = 1_000;
/// Log pages after which a busy one does: 64 MiB.
const FORCED_CHECKPOINT_PAGES: i32 = 16_384;

/// A job's view of the open transaction.
///
/// Everything it writes commits or rolls back together. It must not begin or end transactions.
pub struct WriteTx<'a> {
    connection: &'a Connection,
    after_commit: &'a mut Vec<Box<dyn FnOnce() + Send>>,
}

impl WriteTx<'_> {
    /// Runs `hook` on the writer thread once the change is on the disk, in the order of the jobs;
    /// never when it was rolled back. Hooks announce and wake; they must not block or write.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(hook));
    }
}

impl Deref for WriteTx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// A queued piece of work: runs in the transaction, then is told how the commit went.
pub(crate) trait Job: Send {
    /// Whether what it did shall be kept.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// The outcome; `Err` when the transaction around it failed.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

pub(crate) enum Command {
    Write(Box<dyn Job>),
    Close(tokio::sync::oneshot::Sender<Result<(), StoreError>>),
}

pub(crate) fn run(connection: &Connection, mut queue: mpsc::Receiver<Command>) {
    let mut writer = Writer { connection, log_pages: 0, checkpointed: 0 };
    connection.wal_hook(Some(count_pages));
    let mut jobs = Vec::with_capacity(BATCH);
    while let Some(command) = queue.blocking_recv() {
        let mut next = Some(command);
        let mut close = None;
        while let Some(command) = next.take() {
            match command {
                Command::Write(job) => jobs.push(job),
                Command::Close(answer) => {
                    close = Some(answer);
                    break;
                }
            }
            if jobs.len() < BATCH {
                next = queue.try_recv().ok();
            }
        }
        writer.commit(&mut jobs);
        if let Some(answer) = close {
            queue.close();
            while let Some(Command::Write(job)) = queue.blocking_recv() {
                jobs.push(job);
                if jobs.len() == BATCH {
                    writer.commit(&mut jobs);
                }
            }
            writer.commit(&mut jobs);
            let _ = answer.send(writer.checkpoint("TRUNCATE"));
            return;
        }
        writer.checkpoint_if_due(queue.is_empty());
    }
}

thread_local! {
    /// Pages in the log after the last commit of this thread; SQLite's hook takes a plain function.
    static LOG_PAGES: std::cell::Cell<i32> = const { std::cell::Cell::new(0) };
}

fn count_pages(_: &hooks::Wal, pages: i32) -> rusqlite::Result<()> {
    LOG_PAGES.set(pages);
    Ok(())
}

struct Writer<'a> {
    connection: &'a Connection,
    log_pages: i32,
    /// Pages in the log at the last checkpoint. A reader's snapshot can keep the log from starting
    /// over; then only its growth counts, or every commit would pay for a checkpoint too.
    checkpointed: i32,
}

impl Writer<'_> {
    fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let mut hooks = Vec::new();
        let outcome = self.run_all(jobs, &mut hooks);
        if outcome.is_ok() {
            for hook in hooks {
                if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                    tracing::error!("a hook after a commit panicked");
                }
            }
        }
        for job in jobs.drain(..) {
            job.finish(outcome.clone());
        }
        self.log_pages = LOG_PAGES.get();
    }

    fn run_all(
        &self,
        jobs: &mut [Box<dyn Job>],
        hooks: &mut Vec<Box<dyn FnOnce() + Send>>,
    ) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        let done = jobs.iter_mut().try_for_each(|job| self.run_one(job.as_mut(), hooks));
        let committed = done.and_then(|()| self.execute("COMMIT"));
        if committed.is_err() && !self.connection.is_autocommit() {
            // A failed rollback leaves the transaction open; the next BEGIN says so.
            let _ = self.execute("ROLLBACK");
        }
        committed
    }

    fn run_one(
        &self,
        job: &mut dyn Job,
        hooks: &mut Vec<Box<dyn FnOnce() + Send>>,
    ) -> Result<(), StoreError> {
        self.execute("SAVEPOINT job")?;
        let before = hooks.len();
        let keep = job.run(&mut WriteTx { connection: self.connection, after_commit: hooks });
        if self.connection.is_autocommit() {
            // SQLite ends the whole transaction by itself on some errors, a full disk among them.
            return Err(StoreError::Full);
        }
        if !keep {
            hooks.truncate(before);
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn checkpoint_if_due(&mut self, idle: bool) {
        let limit = if idle { IDLE_CHECKPOINT_PAGES } else { FORCED_CHECKPOINT_PAGES };
        if self.log_pages < self.checkpointed {
            self.checkpointed = 0;
        }
        if self.log_pages.saturating_sub(self.checkpointed) < limit {
            return;
        }
        // Nothing depends on it: the log keeps what it holds, and the next commit asks again.
        if let Err(error) = self.checkpoint("PASSIVE") {
            tracing::warn!(%error, "checkpoint failed");
        }
        self.checkpointed = self.log_pages;
    }

    fn checkpoint(&self, mode: &str) -> Result<(), StoreError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&sql, [], |_| Ok(()))?;
        Ok(())
    }
}

/// Runs `work`, turning a panic into its text.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| StoreError::Panicked(text_of(&*panic)))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

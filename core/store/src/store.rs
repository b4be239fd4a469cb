//! The handle: queues jobs for the writer thread and queries for the readers.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::reader::{self, Query};
use crate::writer::{self, Command, Job, WriteTx, guarded};
use crate::{StoreError, StoreOptions, migrate};

/// An open profile database. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    writes: mpsc::Sender<Command>,
    /// Taken out by `close`, so that the readers end.
    reads: Mutex<Option<mpsc::Sender<Query>>>,
    /// The writer, then the readers.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens the database, making or migrating it as needed. Blocks for the time that takes.
    ///
    /// # Errors
    /// See [`StoreError`]; the file is not changed by a wrong key or a newer version.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        match Self::open_once(&options) {
            Err(StoreError::Full) => match options.without_room() {
                Some(options) => Self::open_once(&options).inspect(|_| {
                    tracing::warn!(
                        "the disk is full: what is stored can be read, and nothing written"
                    );
                }),
                None => Err(StoreError::Full),
            },
            opened => opened,
        }
        .map_err(|error| error.about(&options.path))
    }

    fn open_once(options: &StoreOptions) -> Result<Self, StoreError> {
        let mut connection = options.writer()?;
        migrate::migrate(&mut connection, &options.rooms)?;
        StoreOptions::trust(&connection)?;
        let (writes, queue) = mpsc::channel(writer::QUEUE);
        let mut threads = vec![spawn("store-writer", move || writer::run(&connection, queue))?];

        let (reads, queries) = mpsc::channel(reader::QUEUE);
        let queries = Arc::new(Mutex::new(queries));
        for _ in 0..options.readers.max(1) {
            let connection = options.reader()?;
            let queries = queries.clone();
            threads.push(spawn("store-reader", move || reader::run(&connection, &queries))?);
        }
        let (reads, threads) = (Mutex::new(Some(reads)), Mutex::new(threads));
        Ok(Self { shared: Arc::new(Shared { writes, reads, threads }) })
    }

    /// Runs `job` in a transaction on the writer thread and answers once it is on the disk.
    ///
    /// A job that returns an error, or panics, changes nothing. Dropping the returned future does
    /// not stop a job that is queued: it runs and commits.
    ///
    /// # Errors
    /// The job's own, or a [`StoreError`] when the commit failed: then nothing was changed.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Queued { job: Some(job), result: None, answer };
        let queued = self.shared.writes.send(Command::Write(Box::new(job))).await;
        queued.map_err(|_| E::from(StoreError::Closed))?;
        outcome.await.unwrap_or_else(|_| Err(E::from(StoreError::Closed)))
    }

    /// Runs `query` on a reader thread, on a snapshot of what was committed when it began.
    ///
    /// # Errors
    /// The query's own, or a [`StoreError`].
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let query: Query = Box::new(move |connection| {
            let result = guarded(|| query(connection));
            let _ = answer.send(result.unwrap_or_else(|panic| Err(E::from(panic))));
        });
        let reads = self.shared.reads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reads = reads.ok_or_else(|| E::from(StoreError::Closed))?;
        reads.send(query).await.map_err(|_| E::from(StoreError::Closed))?;
        drop(reads);
        outcome.await.unwrap_or_else(|_| Err(E::from(StoreError::Closed)))
    }

    /// Runs what is queued, writes the log back into the database and closes every handle.
    /// A second call, on any clone, does nothing.
    ///
    /// # Errors
    /// When the log could not be written back; it stays beside the database then, nothing is lost.
    pub async fn close(self) -> Result<(), StoreError> {
        self.shared.reads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut threads = self.shared.take_threads();
        let readers = threads.split_off(threads.len().min(1));
        // Readers first: a snapshot in use would keep the log from being written back whole.
        join(readers).await;
        let (answer, outcome) = oneshot::channel();
        let closing = self.shared.writes.send(Command::Close(answer)).await;
        let outcome = match closing {
            Ok(()) => outcome.await.unwrap_or(Ok(())),
            Err(_) => Ok(()),
        };
        join(threads).await;
        outcome
    }
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            let _ = thread.join();
        }
    });
    let _ = joined.await;
}

impl Shared {
    fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Dropped unclosed, the last handle waits for what is queued and for its threads: a thread that is
/// still closing its connection while the process ends would use a cipher that is gone already.
impl Drop for Shared {
    fn drop(&mut self) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.writes = mpsc::channel(1).0; // the queue ends with its last sender
        let own = std::thread::current().id();
        for thread in self.take_threads() {
            // A job that held the last handle cannot wait for itself.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| StoreError::Sqlite(format!("no thread: {error}")))
}

struct Queued<F, T, E> {
    job: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Queued<F, T, E>
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let Some(job) = self.job.take() else { return false };
        let result = guarded(|| job(tx)).unwrap_or_else(|panic| Err(E::from(panic)));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (committed, self.result) {
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Err(error), _) => Err(E::from(error)),
            (Ok(()), None) => Err(E::from(StoreError::Closed)),
        };
        let _ = self.answer.send(answer);
    }
}

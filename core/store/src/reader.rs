//! The threads that read: each has a connection that cannot write and takes the next query.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

pub(crate) type Query = Box<dyn FnOnce(&Connection) + Send>;

/// Queries waiting for a reader before callers wait too.
pub(crate) const QUEUE: usize = 1024;

pub(crate) fn run(connection: &Connection, queue: &Arc<Mutex<mpsc::Receiver<Query>>>) {
    // Whoever holds the lock waits for the next query; the others wait for the lock.
    while let Some(query) = {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.blocking_recv()
    } {
        query(connection);
    }
}

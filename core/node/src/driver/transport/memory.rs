//! Links without sockets, for tests: nodes in one process that share a [`MemoryNetwork`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{DuplexStream, duplex, split};
use tokio::sync::mpsc;

use super::stream::{StreamReader, StreamWriter};
use super::{Arrivals, BoxFuture, Connection, Listener};
use crate::endpoint::Endpoint;

/// Bytes under way in one direction before the writer waits; what a socket holds on a fast link.
const BUFFER: usize = 256 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// Places in memory where nodes listen and are dialled, as [`Endpoint::Memory`]. Clones are the
/// same network; nothing leads from one network to another.
#[derive(Debug, Clone, Default)]
pub struct MemoryNetwork(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    listeners: HashMap<u64, mpsc::Sender<(DuplexStream, u64)>>,
    last: u64,
}

impl Places {
    /// A number that nobody listens on and nobody has dialled from.
    fn free(&mut self) -> u64 {
        loop {
            self.last += 1;
            if !self.listeners.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

impl MemoryNetwork {
    /// A network in which nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Every change is whole before the lock is released, so a poisoned state is a good state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a place; 0 takes a free number.
    pub(super) fn listen(&self, number: u64) -> io::Result<Memory> {
        let mut places = self.lock();
        let number = if number == 0 { places.free() } else { number };
        if places.listeners.get(&number).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, accepted) = mpsc::channel(BACKLOG);
        places.listeners.insert(number, sender);
        Ok(Memory { number, accepted })
    }

    pub(super) async fn dial(self, number: u64) -> io::Result<Connection> {
        let (listener, own) = {
            let mut places = self.lock();
            let listener = places.listeners.get(&number).cloned();
            (listener.ok_or(io::ErrorKind::ConnectionRefused)?, places.free())
        };
        let (ours, theirs) = duplex(BUFFER);
        let sent = listener.send((theirs, own)).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(connection(ours, number))
    }
}

/// A place where connections arrive.
pub(super) struct Memory {
    number: u64,
    accepted: mpsc::Receiver<(DuplexStream, u64)>,
}

impl Listener for Memory {
    fn local(&self) -> io::Result<Endpoint> {
        Ok(Endpoint::Memory(self.number))
    }

    fn run(mut self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Some((stream, from)) = self.accepted.recv().await {
                if !arrivals.hand_over(connection(stream, from)).await {
                    return;
                }
            }
        })
    }
}

fn connection(stream: DuplexStream, remote: u64) -> Connection {
    let (reader, writer) = split(stream);
    Connection {
        remote: Endpoint::Memory(remote),
        local: None,
        tie: None,
        reader: Box::new(StreamReader::new(reader)),
        writer: Box::new(StreamWriter::new(writer)),
    }
}

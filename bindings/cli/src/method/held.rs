//! Messages that a client has been given and has not confirmed yet.
//!
//! A command that cannot write what it was given must not lose it. So a client may ask for a message
//! until it confirms: meanwhile nobody else gets it, and with the connection, or when the client
//! says that it failed, the message goes back to be the next that is received.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use threephone::node::HeldMessage;

use super::{Sink, invalid};
use crate::rpc::Failure;
use crate::server::REQUESTS;

/// Those of one connection.
#[derive(Default)]
pub(crate) struct Held(Mutex<Vec<HeldMessage>>);

impl Held {
    /// Whether one more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.lock().len() < REQUESTS
    }

    pub(super) fn keep(&self, message: HeldMessage) {
        self.lock().push(message);
    }

    /// The message with this id of this sender. A sender that uses an id twice gets what it asked for:
    /// the older goes first.
    fn release(&self, id: &str, src: &str) -> Option<HeldMessage> {
        let mut held = self.lock();
        let is_it = |held: &HeldMessage| {
            let message = held.message();
            message.id.to_string() == id && message.source.to_string() == src
        };
        let position = held.iter().position(is_it)?;
        Some(held.remove(position))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HeldMessage>> {
        // Every change is whole before the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
pub(super) struct Settle {
    id: String,
    src: String,
    /// Whether it arrived where it was to go; else it goes back.
    taken: bool,
}

pub(super) fn settle(params: Settle, sink: &Sink) -> Result<(), Failure> {
    let message = sink.held().and_then(|held| held.release(&params.id, &params.src));
    let message = message.ok_or_else(|| {
        invalid("no such message waits on this connection to be confirmed; see bus.receive")
    })?;
    match params.taken {
        true => drop(message.take()),
        false => drop(message),
    }
    Ok(())
}

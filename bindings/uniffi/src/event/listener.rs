//! The thin signal beside the event stream: "something changed", and nothing else. What changed is
//! asked for with `next_batch`, where being slow or failing costs only the one who is.

use std::sync::{Arc, Mutex, PoisonError};

use threephone::{Cursor, EventLog};
use tokio_util::sync::CancellationToken;

use crate::ListenerError;

/// Is told that something changed. Called on a thread of the phone, never twice at a time; changes
/// that come while it runs are told by one more call. Return at once and read with `next_batch`.
/// One that throws is not called again.
#[uniffi::export(rust, foreign)]
pub trait EventListener: Send + Sync {
    /// There are events that were not there at the call before.
    fn changed(&self) -> Result<(), ListenerError>;
}

/// Who listens now; each new one ends the one before.
#[derive(Default)]
pub(crate) struct Listening(Mutex<CancellationToken>);

impl Listening {
    /// Ends whoever listens; gives what will end the next one.
    pub(crate) fn replace(&self) -> CancellationToken {
        let next = CancellationToken::new();
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, next.clone()).cancel();
        next
    }

    /// Ends whoever listens.
    pub(crate) fn stop(&self) {
        self.replace().cancel();
    }
}

/// Calls a listener for events that come from now on.
pub(super) async fn call(
    log: Arc<EventLog>,
    listener: Arc<dyn EventListener>,
    stopped: CancellationToken,
) {
    let mut seen = log.now();
    while news(&log, seen, &stopped).await {
        // Before the call: what comes during it is news for the next.
        seen = log.now();
        if !tell(listener.clone()).await {
            return;
        }
    }
}

/// Waits for something after `seen`; false when there is nothing to wait for any more.
async fn news(log: &EventLog, seen: Cursor, stopped: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stopped.cancelled() => false,
        batch = log.next_batch(seen, 1) => batch.is_some(),
    }
}

/// Calls the listener; false if it is not to be called again.
async fn tell(listener: Arc<dyn EventListener>) -> bool {
    // The other language may take its time; no worker of the phone waits for it.
    match tokio::task::spawn_blocking(move || listener.changed()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "an event listener is not called again");
            false
        }
        // The phone is closed, or the listener panicked, which is in the log.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answers(Result<(), ListenerError>);

    impl EventListener for Answers {
        fn changed(&self) -> Result<(), ListenerError> {
            self.0.clone()
        }
    }

    #[tokio::test]
    async fn a_listener_that_throws_is_not_called_again() {
        assert!(tell(Arc::new(Answers(Ok(())))).await);
        for error in [ListenerError::Done, ListenerError::Failed] {
            assert!(!tell(Arc::new(Answers(Err(error)))).await);
        }
    }

    #[test]
    fn a_new_listener_ends_the_one_before() {
        let listening = Listening::default();
        let first = listening.replace();
        let second = listening.replace();
        assert!(first.is_cancelled() && !second.is_cancelled());
        listening.stop();
        assert!(second.is_cancelled());
    }
}

//! Handles that end a waiting call. A cancelled Kotlin coroutine or Python task drops the Rust
//! future, a cancelled Swift task does not: so whatever may wait long can be told to stop.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::PhoneError;

/// Ends the calls it was given to: they answer with the error `Cancelled`. It stays cancelled; make
/// a new one for the next call. One handle may be given to several calls.
#[derive(Debug, Default, uniffi::Object)]
pub struct CancelHandle {
    token: CancellationToken,
}

#[uniffi::export]
impl CancelHandle {
    /// A handle that nobody has cancelled yet.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends the calls that this handle was given to, now and later.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// The token of an optional handle, or one that nobody can cancel.
pub(crate) fn token(handle: Option<Arc<CancelHandle>>) -> CancellationToken {
    handle.map_or_else(CancellationToken::new, |handle| handle.token.clone())
}

/// Runs a future until it ends or the token is cancelled; then it is dropped.
pub(crate) async fn until<T, E>(
    token: CancellationToken,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, PhoneError>
where
    PhoneError: From<E>,
{
    tokio::select! {
        biased;
        () = token.cancelled() => Err(PhoneError::Cancelled),
        outcome = future => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancelled_handle_ends_calls_that_wait_and_calls_to_come() {
        let handle = CancelHandle::new();
        let waiting = tokio::spawn(until(
            token(Some(handle.clone())),
            std::future::pending::<Result<(), PhoneError>>(),
        ));
        tokio::task::yield_now().await;
        handle.cancel();
        assert_eq!(waiting.await.unwrap(), Err(PhoneError::Cancelled));
        let later = until(token(Some(handle)), async { Ok::<_, PhoneError>(1) });
        assert_eq!(later.await, Err(PhoneError::Cancelled));
    }

    #[tokio::test]
    async fn a_call_without_a_handle_runs_to_its_end() {
        assert_eq!(until(token(None), async { Ok::<_, PhoneError>(1) }).await, Ok(1));
    }
}

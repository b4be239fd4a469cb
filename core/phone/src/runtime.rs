//! The phone's own tokio runtime: whoever calls in (a Kotlin coroutine, a Swift task, a test) brings
//! no executor that timers and sockets could rely on.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::PhoneError;
use crate::limits::CLOSE_WITHIN;

/// A runtime that may be dropped anywhere, also inside another one.
#[derive(Debug)]
pub(crate) struct OwnRuntime(Option<Runtime>, Handle);

impl OwnRuntime {
    pub(crate) fn start() -> Result<Self, PhoneError> {
        // A phone has few big cores; more threads would only wake more of them.
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("threephone")
            .enable_all()
            .build()
            .map_err(PhoneError::Runtime)?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.1
    }

    /// Runs `last` to its end, then ends all that still runs. Not from inside a runtime.
    pub(crate) fn finish<T>(mut self, last: impl Future<Output = T>) -> Option<T> {
        let runtime = self.0.take()?;
        let output = runtime.block_on(last);
        runtime.shutdown_timeout(CLOSE_WITHIN);
        Some(output)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a future on the runtime behind `handle`; dropping the returned one cancels it.
///
/// # Errors
/// [`PhoneError::Closed`] when the runtime ends first.
///
/// # Panics
/// When the future does: a bug stays visible as one.
pub(crate) async fn run_on<F>(handle: &Handle, future: F) -> Result<F::Output, PhoneError>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut task = CancelOnDrop(handle.spawn(future));
    match (&mut task.0).await {
        Ok(output) => Ok(output),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(PhoneError::Closed),
        },
    }
}

struct CancelOnDrop<T>(JoinHandle<T>);

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

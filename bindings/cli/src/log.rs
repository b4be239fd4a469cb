//! Logs, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs what `THREEPHONE_LOG` says, else what `default` does.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("THREEPHONE_LOG")
        .unwrap_or_else(|_| EnvFilter::try_new(default).unwrap_or_default());
    // A second subscriber in one process is refused; the first one logs.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

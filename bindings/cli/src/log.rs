//! Logs, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs what `THREEPHONE_LOG` says, else what `default` does: levels by part of the program, as in
/// `info,threephone_node=debug`. Filters by span or field would bring regular expressions into a
/// daemon that is to stay small.
pub(crate) fn start(default: &str) {
    let wanted = std::env::var("THREEPHONE_LOG").ok().and_then(|wanted| wanted.parse().ok());
    let filter: Targets = wanted.or_else(|| default.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second subscriber in one process is refused; the first one logs.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

//! Progress bars on standard error: only on a terminal, and only for work that takes over a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter work is done before anybody wonders.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that shows itself when the work takes long.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
}

impl Progress {
    /// Counts `total` bytes.
    pub(crate) fn of_bytes(total: u64, what: &'static str) -> Self {
        Self::new(total, what, "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}")
    }

    /// Counts bytes of which nobody knows how many there will be.
    pub(crate) fn of_unknown(what: &'static str) -> Self {
        let progress = Self::new(0, what, "{spinner} {msg} {binary_bytes} {elapsed}");
        progress.bar.unset_length();
        progress
    }

    fn new(total: u64, what: &'static str, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), shown: false }
    }

    /// So much has been done in all.
    pub(crate) fn set(&mut self, position: u64) {
        if !self.shown && self.started.elapsed() >= PATIENCE {
            self.shown = true;
            // Draws nothing when standard error is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

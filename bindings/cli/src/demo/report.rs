//! What the demo says while it runs and when it ends.

use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::CliError;
use crate::print::{Format, print_line, print_part};

/// Longer than any step takes on a slow machine; a step that hangs must not hang the demo.
const STEP_WITHIN: Duration = Duration::from_secs(30);

/// How many steps there are, for the count in front of each.
pub(crate) const STEPS: usize = 8;

pub(crate) struct Report {
    format: Format,
    started: Instant,
    steps: Vec<StepView>,
    stored: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StepView {
    step: &'static str,
    milliseconds: f64,
    result: String,
}

#[derive(Debug, Serialize)]
struct DemoView<'a> {
    done: bool,
    milliseconds: f64,
    steps: &'a [StepView],
    stored: &'a [String],
}

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, started: Instant::now(), steps: Vec::new(), stored: Vec::new() }
    }

    /// Runs one step; what it returns is shown behind its name and its time.
    pub(crate) async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(T, String), CliError>>,
    ) -> Result<T, CliError> {
        let number = self.steps.len() + 1;
        let started = Instant::now();
        if self.format == Format::Text {
            print_part(&format!("{number}/{STEPS}  {name} … "))?;
        }
        let failed = |why: String| {
            CliError::Failed(format!("step {number} of {STEPS} failed: {name}: {why}"))
        };
        let (value, result) = match tokio::time::timeout(STEP_WITHIN, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("nothing within {} s", STEP_WITHIN.as_secs()))),
        };
        let milliseconds = in_milliseconds(started.elapsed());
        if self.format == Format::Text {
            print_line(&format!("{milliseconds} ms"))?;
            for line in result.lines() {
                print_line(&format!("     {line}"))?;
            }
        }
        self.steps.push(StepView { step: name, milliseconds, result });
        Ok(value)
    }

    /// One line of what lies on disk.
    pub(crate) fn stored(&mut self, line: String) {
        self.stored.push(line);
    }

    /// Prints what was stored and how it ended.
    pub(crate) fn end(self, outcome: Result<(), CliError>) -> Result<(), CliError> {
        let milliseconds = in_milliseconds(self.started.elapsed());
        match self.format {
            Format::Json => {
                let view = DemoView {
                    done: outcome.is_ok(),
                    milliseconds,
                    steps: &self.steps,
                    stored: &self.stored,
                };
                self.format.print(&view, |_| String::new())?;
            }
            Format::Text if outcome.is_ok() => {
                print_line("stored")?;
                for line in &self.stored {
                    print_line(&format!("  {line}"))?;
                }
                print_line(&format!("all {STEPS} steps done in {milliseconds:.0} ms"))?;
            }
            // Ends the line of the step that failed.
            Format::Text => print_line("failed")?,
        }
        outcome
    }
}

fn in_milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

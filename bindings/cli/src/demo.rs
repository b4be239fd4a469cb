//! `demo`: the whole product in one process, step by step with timings.
//!
//! Ann and Ben have a phone each, with profiles in a temporary folder; between them stands a bare
//! node, the only peer of both, so that every byte crosses a router. Each step ends when the thing
//! it shows has happened, known by the phones' events; one that takes too long has failed.

mod report;
mod step;

use crate::command::Context;
use crate::error::CliError;
use report::Report;

/// Runs all steps; the first that fails ends it.
pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let folder = tempfile::tempdir().map_err(CliError::failed)?;
    let mut report = Report::new(context.format);
    let outcome = step::all(folder.path(), &mut report).await;
    report.end(outcome)
}

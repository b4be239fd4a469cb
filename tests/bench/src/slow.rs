//! One message of a million bytes over slow and lossy paths: whole engines with a simulated link
//! between them, in virtual time, so that the figures are the same on every machine.
//!
//! What counts is the time until the receiver has the message, and the bytes that were handed to
//! the link in its direction, by the payload: framing, sealing and repeats.

#[path = "../../../core/node/tests/slow_path/path.rs"]
mod path;

use self::path::{SLOW, Shape, carry};
use crate::Error;
use crate::figure::{LOSSY_BYTES, LOSSY_TIME, SLOW_BYTES, SLOW_DROPS, SLOW_QUEUE, SLOW_TIME};
use crate::report::Report;

const LENGTH: usize = 1_000_000;

/// One run of each.
pub(crate) fn measure(report: &mut Report, seed: u64) -> Result<(), Error> {
    let carried = carry(SLOW, &[LENGTH], seed)?;
    report.add(SLOW_TIME, carried.time.as_secs_f64());
    report.add(SLOW_BYTES, carried.ratio);
    report.add(SLOW_QUEUE, carried.waited.as_secs_f64() * 1e3);
    report.add(SLOW_DROPS, carried.dropped as f64);
    let carried = carry(Shape { lost_per_mille: 20, ..SLOW }, &[LENGTH], seed)?;
    report.add(LOSSY_TIME, carried.time.as_secs_f64());
    report.add(LOSSY_BYTES, carried.ratio);
    Ok(())
}

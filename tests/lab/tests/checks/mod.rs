//! What the scenarios ask of a network.
#![allow(dead_code)] // each test file uses its own part

use std::fmt::Debug;
use std::time::{Duration, Instant};

use threephone_lab::{Ending, NodeId, World};

/// Everyone finds everyone that cables lead to. Where a route ends on the way, nodes look for it
/// as their traffic would have them do.
#[track_caller]
pub(crate) fn all_reach_all(world: &mut World, case: impl Debug) {
    let missing = world.acquire_all(6, Duration::from_millis(500));
    let seed = world.seed();
    assert_eq!(missing, 0, "seed {seed}, {case:?}: {:?}", some(&world.unreached()));
}

/// No loop was ever seen, of whatever sort.
#[track_caller]
pub(crate) fn no_loop_at_all(world: &mut World, case: impl Debug) {
    no_loop_of_one_source(world, &case);
    let verdict = world.verdict();
    let seed = world.seed();
    assert_eq!(verdict.restart_loops + verdict.stock_loops, 0, "seed {seed}, {case:?}");
}

/// What feasibility promises: our nodes never loop over routes of one router id.
#[track_caller]
pub(crate) fn no_loop_of_one_source(world: &mut World, case: impl Debug) {
    let verdict = world.verdict();
    let seed = world.seed();
    assert_eq!(verdict.violation_count, 0, "seed {seed}, {case:?}: {:?}", verdict.violations);
}

/// The first few.
pub(crate) fn some(missing: &[(NodeId, NodeId, Ending)]) -> &[(NodeId, NodeId, Ending)] {
    &missing[..missing.len().min(5)]
}

/// How many seeds a property test tries: 200, or what `LAB_SEEDS` says.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let first = number("LAB_FIRST_SEED").unwrap_or(0);
    first..first + number("LAB_SEEDS").unwrap_or(usual)
}

/// How long a scenario goes on: so many steps, or what `LAB_STEPS` says.
pub(crate) fn steps(usual: u64) -> u64 {
    number("LAB_STEPS").unwrap_or(usual)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// The longest time between two of these.
pub(crate) fn longest_gap(times: &[Instant]) -> Duration {
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

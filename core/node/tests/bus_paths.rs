//! Messages over slow, lossy and shallow paths, in virtual time: what they may take and cost.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // tests panic and tell

#[path = "slow_path/path.rs"]
mod path;

use std::time::Duration;

use self::path::{Carried, SLOW, Shape, carry};

const MILLION: usize = 1_000_000;

fn carried(what: &str, shape: Shape, length: usize, seed: u64) -> Carried {
    let carried = carry(shape, &[length], seed).unwrap();
    println!("{what}, seed {seed}: {carried:?}");
    carried
}

#[test]
fn a_million_bytes_take_the_time_of_the_path_and_each_byte_goes_once() {
    let carried = carried("clean", SLOW, MILLION, 1);
    assert!(carried.time <= Duration::from_secs(5));
    assert!(carried.ratio <= 1.1);
    assert_eq!(carried.dropped, 0);
}

#[test]
fn a_short_message_before_it_slows_a_long_one_down_by_nothing() {
    let alone = carried("alone", SLOW, MILLION, 1);
    let after = carry(SLOW, &[1, MILLION], 1).unwrap();
    println!("after a short one: {after:?}");
    assert!(after.time <= alone.time + Duration::from_millis(50));
    assert!(after.ratio <= 1.1);
    assert_eq!(after.dropped, 0);
}

#[test]
fn two_percent_lost_cost_two_percent_and_no_rate() {
    let shape = Shape { lost_per_mille: 20, ..SLOW };
    for seed in 1..=200 {
        // Each tenth is whole; 68 and 83 lose the INIT.
        let is_whole = seed % 10 == 0 || [68, 83].contains(&seed);
        let length = if is_whole { MILLION } else { MILLION / 10 };
        let carried = carried("2 %", shape, length, seed);
        let most = if is_whole { Duration::from_secs(6) } else { Duration::from_secs(3) };
        assert!(carried.time <= most);
        assert!(carried.ratio <= 1.25 || !is_whole);
    }
}

#[test]
fn a_shallow_queue_is_not_run_over_for_long() {
    for (seed, queue) in [(1, 25), (2, 50), (3, 100)] {
        let shape = Shape { queue: Duration::from_millis(queue), ..SLOW };
        let carried = carried("shallow", shape, MILLION, seed);
        assert!(carried.time <= Duration::from_secs(7));
        assert!(carried.ratio <= 1.3);
    }
}

#[test]
fn a_deep_queue_stays_short_so_that_others_are_not_held_up() {
    let shape = Shape { queue: Duration::from_secs(5), ..SLOW };
    let carried = carried("deep", shape, 4 * MILLION, 1);
    assert!(carried.time <= Duration::from_secs(19));
    assert!(carried.waited <= Duration::from_millis(250));
    assert!(carried.ratio <= 1.1);
}

#[test]
fn a_fast_long_path_is_filled() {
    // 100 Mbit/s and 200 ms: 2.5 MB on the way.
    let shape = Shape {
        bytes_per_second: 12_500_000.0,
        delay: Duration::from_millis(100),
        queue: Duration::from_millis(50),
        lost_per_mille: 5,
    };
    let carried = carried("fast and long", shape, 15 * MILLION, 1);
    assert!(carried.time <= Duration::from_secs(5));
    assert!(carried.ratio <= 1.25);
}

#[test]
fn a_very_slow_path_is_not_flooded() {
    let shape = Shape { bytes_per_second: 8_000.0, queue: Duration::from_secs(4), ..SLOW };
    let carried = carried("very slow", shape, 100_000, 1);
    assert!(carried.time <= Duration::from_secs(16));
    assert!(carried.ratio <= 1.25);
}

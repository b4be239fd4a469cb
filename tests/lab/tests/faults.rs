//! Partitions that heal, next hops that fall silent, nodes that stand still and go on.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, longest_gap, no_loop_at_all, no_loop_of_one_source, seeds};
use threephone_lab::{Cut, Ending, Kind, NodeId, Shape, Wire, World};

/// How long a silent next hop may cost.
const SILENT: Duration = Duration::from_secs(3);
/// How long it goes unnoticed after a packet was sent. With few packets one comes before, and one has
/// to come afterwards, for the gap to be seen.
const NOTICED: Duration = Duration::from_millis(2350);

#[test]
fn a_network_that_is_parted_and_merges_again_is_whole_on_both_occasions() {
    for how in [Cut::Told, Cut::Silent] {
        for seed in seeds(3) {
            let mut world = World::new(seed);
            let nodes =
                world.build(Shape::Random { more_per_ten: 12 }, &[Kind::Ours; 30], Wire::clean(20));
            world.run(Duration::from_secs(5));
            all_reach_all(&mut world, how);
            let cut = world.part(&nodes[..15], how);
            world.run(Duration::from_secs(60));
            all_reach_all(&mut world, (how, "parted"));
            let far = nodes[..15].iter().flat_map(|a| nodes[15..].iter().map(move |b| (*a, *b)));
            for (a, b) in far {
                let ending = world.path(a, b);
                assert!(matches!(ending, Ending::NoRoute(_)), "seed {seed}: {ending:?}");
            }
            for cable in cut {
                world.mend(cable);
            }
            world.run(Duration::from_secs(10));
            all_reach_all(&mut world, (how, "merged"));
            no_loop_of_one_source(&mut world, how);
            assert_eq!(world.verdict().open, 0, "seed {seed}");
        }
    }
}

/// What goes between the two ends of a diamond.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    every: Duration,
    /// Whether something comes back.
    both: bool,
}

const USUAL: Traffic = Traffic { every: Duration::from_millis(50), both: false };

/// Streams of all rates, both ways and one way.
fn traffics() -> impl Iterator<Item = Traffic> {
    [10, 50, 390, 410, 1500].into_iter().flat_map(|every| {
        [false, true].map(|both| Traffic { every: Duration::from_millis(every), both })
    })
}

/// A leaf on the first node of a diamond pings the last; the next hop stands still. How long pings
/// stay away then.
fn gap_in_a_diamond(
    first: Kind,
    traffic: Traffic,
    stop: impl Fn(&mut World, NodeId, NodeId),
) -> Duration {
    let mut longest = Duration::ZERO;
    for seed in seeds(5) {
        let mut world = World::new(seed);
        let kinds = [first, Kind::Ours, Kind::Ours, Kind::Stock];
        let nodes = world.build(Shape::Diamond, &kinds, Wire::clean(5));
        let leaf = world.add(Kind::Stock);
        world.connect(leaf, nodes[0], Wire::clean(1));
        world.run(Duration::from_secs(120));
        all_reach_all(&mut world, "diamond");
        // Not at the same place between two packets or probes each time.
        let before = Duration::from_millis(20_000 + 170 * seed);
        ping_for(&mut world, (leaf, nodes[3]), traffic, before);
        let Ending::Arrives(path) = world.path(nodes[0], nodes[3]) else { panic!("seed {seed}") };
        stop(&mut world, path[0], path[1]);
        let before = world.arrivals(nodes[3]).len();
        let long_enough = Duration::from_secs(if first == Kind::Stock { 90 } else { 8 });
        ping_for(&mut world, (leaf, nodes[3]), traffic, long_enough);
        let gap = longest_gap(&world.arrivals(nodes[3])[before - 1..]);
        longest = longest.max(gap);
        no_loop_of_one_source(&mut world, "diamond");
    }
    longest
}

fn ping_for(world: &mut World, (from, to): (NodeId, NodeId), traffic: Traffic, time: Duration) {
    let end = world.now() + time;
    while world.now() < end {
        world.ping(from, to);
        if traffic.both {
            world.ping(to, from);
        }
        world.run(traffic.every.min(end - world.now()));
    }
}

#[test]
fn a_frozen_next_hop_is_routed_around() {
    for traffic in traffics() {
        let gap = gap_in_a_diamond(Kind::Ours, traffic, |world, _, next| world.freeze(next));
        println!("frozen next hop, {traffic:?}: {gap:?}");
        let most = SILENT.max(NOTICED + 2 * traffic.every);
        assert!(gap <= most, "{traffic:?}: {gap:?}");
    }
}

#[test]
fn a_pulled_cable_is_routed_around() {
    let pull = |world: &mut World, at: NodeId, next: NodeId| {
        let joins = |ends: [NodeId; 2]| ends.contains(&at) && ends.contains(&next);
        let cable = world.cables().find(|cable| joins(world.ends(*cable))).unwrap();
        world.cut(cable, Cut::Silent);
    };
    let gap = gap_in_a_diamond(Kind::Ours, USUAL, pull);
    println!("pulled cable: {gap:?}");
    assert!(gap <= SILENT, "{gap:?}");
}

#[test]
fn the_model_of_a_stock_node_notices_a_frozen_next_hop_as_late_as_a_stock_node() {
    let gap = gap_in_a_diamond(Kind::Stock, USUAL, |world, _, next| world.freeze(next));
    println!("frozen next hop behind a stock node: {gap:?}");
    assert!((Duration::from_secs(24)..Duration::from_secs(54)).contains(&gap), "{gap:?}");
}

#[test]
fn a_node_that_stood_still_goes_on_where_the_network_is() {
    for seconds in [5, 30, 60, 400] {
        let mut world = World::new(seconds);
        let nodes =
            world.build(Shape::Random { more_per_ten: 10 }, &[Kind::Ours; 12], Wire::clean(10));
        world.run(Duration::from_secs(60));
        all_reach_all(&mut world, seconds);
        world.freeze(nodes[4]);
        world.run(Duration::from_secs(seconds));
        world.thaw(nodes[4]);
        world.run(Duration::from_secs(60));
        all_reach_all(&mut world, seconds);
        no_loop_at_all(&mut world, seconds);
    }
}

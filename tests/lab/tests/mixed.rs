//! Our nodes among stock ones, as the network will be for years.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, no_loop_of_one_source, seeds};
use threephone_lab::{CableId, Cut, Kind, NodeId, Shape, Wire, World};

/// So many nodes, of which some are stock.
fn mixed(world: &mut World, count: usize, stock_per_ten: usize) -> Vec<Kind> {
    let stock = |world: &mut World| world.below(10) < stock_per_ten;
    (0..count).map(|_| if stock(world) { Kind::Stock } else { Kind::Ours }).collect()
}

#[test]
fn in_networks_of_any_mixture_everyone_reaches_everyone() {
    for stock_per_ten in [1, 5, 9, 10] {
        for seed in seeds(3) {
            let mut world = World::new(seed);
            let kinds = mixed(&mut world, 40, stock_per_ten);
            world.build(Shape::Random { more_per_ten: 10 }, &kinds, Wire::clean(15));
            world.run(Duration::from_secs(10));
            all_reach_all(&mut world, stock_per_ten);
            no_loop_of_one_source(&mut world, stock_per_ten);
        }
    }
}

/// A cable fails and a node restarts, ten times over; then all is mended.
fn shake(world: &mut World) {
    let (cables, nodes) = (world.cables().count(), world.nodes().count());
    for _ in 0..10 {
        let cable = CableId(world.below(cables));
        let how = if world.below(3) == 0 { Cut::Silent } else { Cut::Told };
        world.cut(cable, how);
        let node = NodeId(world.below(nodes));
        world.stop(node);
        let pause = world.below(6000) as u64;
        world.run(Duration::from_millis(pause));
        world.mend(cable);
        world.start(node);
        let (from, to) = (NodeId(world.below(nodes)), NodeId(world.below(nodes)));
        world.lookup(from, to);
    }
}

#[test]
fn small_mixed_networks_of_random_shape_heal_and_loops_through_stock_nodes_end() {
    let (mut loops, mut longest) = (0, Duration::ZERO);
    for seed in seeds(100) {
        let mut world = World::new(seed);
        let count = 4 + world.below(8);
        let kinds = mixed(&mut world, count, 5);
        let wire = Wire { jitter: Duration::from_millis(40), ..Wire::clean(5) };
        world.build(Shape::Random { more_per_ten: 9 }, &kinds, wire);
        world.run(Duration::from_secs(2));
        shake(&mut world);
        world.run(Duration::from_secs(60));
        let gone =
            world.run_until(LOOPS_END, Duration::from_secs(1), |world| world.verdict().open == 0);
        let verdict = world.verdict();
        assert!(gone.is_some(), "seed {seed}: {verdict:?}");
        all_reach_all(&mut world, &kinds);
        no_loop_of_one_source(&mut world, &kinds);
        assert!(verdict.longest <= LOOPS_END, "seed {seed}: {:?}", verdict.longest);
        loops += verdict.stock_loops + verdict.restart_loops;
        longest = longest.max(verdict.longest);
    }
    println!("{loops} loops through stock nodes or of two lives, the longest {longest:?}");
}

/// A route of a stock node ends after 1050 s; a loop that nobody notices ends with it.
const LOOPS_END: Duration = Duration::from_secs(1060);

#[test]
fn messages_cross_stock_nodes_and_routes_in_use_stay_open_for_hours() {
    use Kind::{Ours, Stock};
    let mut world = World::new(4);
    let nodes = world.build(Shape::Line, &[Ours, Stock, Ours, Stock, Stock, Ours], Wire::clean(10));
    world.run(Duration::from_secs(25));
    for _ in 0..360 {
        world.send(nodes[0], nodes[5], 400);
        world.run(Duration::from_secs(20));
    }
    assert_eq!(world.delays().len(), 360);
    let slow = world.delays().iter().skip(1).filter(|delay| **delay > Duration::from_secs(1));
    assert_eq!(slow.count(), 0, "{:?}", world.delays().iter().max());
}

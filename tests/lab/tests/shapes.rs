//! Small networks of plain shapes: every node finds every other, nothing loops, and a seed replays.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, no_loop_at_all};
use threephone_lab::{Cut, Kind, Shape, Wire, World};

const SHAPES: [Shape; 5] =
    [Shape::Line, Shape::Ring, Shape::Star, Shape::Diamond, Shape::Random { more_per_ten: 8 }];

#[test]
fn in_every_shape_everyone_reaches_everyone() {
    for shape in SHAPES {
        let mut world = World::new(1);
        world.build(shape, &[Kind::Ours; 12], Wire::clean(10));
        world.run(Duration::from_secs(5));
        all_reach_all(&mut world, shape);
        no_loop_at_all(&mut world, shape);
    }
}

#[test]
fn messages_arrive_from_end_to_end_of_every_shape() {
    for shape in SHAPES {
        let mut world = World::new(2);
        let nodes = world.build(shape, &[Kind::Ours; 8], Wire::MOBILE);
        world.run(Duration::from_secs(5));
        for (from, to) in [(0, 7), (7, 0), (3, 5), (5, 1)] {
            assert!(world.send(nodes[from], nodes[to], 3000));
        }
        let took = world.run_until(Duration::from_secs(60), Duration::from_millis(100), |world| {
            world.delays().len() == 4
        });
        assert!(took.is_some(), "{shape:?}: {:?}", world.delays());
    }
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let history = |seed| {
        let mut world = World::new(seed);
        let kinds = [Kind::Ours, Kind::Stock, Kind::Ours, Kind::Ours, Kind::Stock, Kind::Ours];
        let nodes = world.build(Shape::Random { more_per_ten: 8 }, &kinds, Wire::MOBILE);
        world.run(Duration::from_secs(5));
        world.send(nodes[0], nodes[5], 20_000);
        world.run(Duration::from_secs(30));
        world.stop(nodes[2]);
        world.run(Duration::from_secs(60));
        world.start(nodes[2]);
        world.run(Duration::from_secs(60));
        (world.digest(), world.events())
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7).0, history(8).0);
}

#[test]
fn a_ring_that_is_cut_becomes_a_line_and_closes_again() {
    for how in [Cut::Told, Cut::Silent] {
        let mut world = World::new(3);
        world.build(Shape::Ring, &[Kind::Ours; 10], Wire::clean(10));
        world.run(Duration::from_secs(5));
        all_reach_all(&mut world, how);
        let cable = world.cables().next().unwrap();
        world.cut(cable, how);
        world.run(Duration::from_secs(60));
        all_reach_all(&mut world, how);
        world.mend(cable);
        world.run(Duration::from_secs(10));
        all_reach_all(&mut world, how);
        no_loop_at_all(&mut world, how);
    }
}

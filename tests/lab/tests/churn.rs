//! Networks that never rest: nodes stop and start, cables fail and are mended, and what counts is
//! that nothing loops meanwhile and that everyone reaches everyone when it is over.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::{Duration, Instant};

use checks::{all_reach_all, no_loop_of_one_source, seeds, steps};
use threephone_lab::{CableId, Cut, Kind, NodeId, Shape, Wire, World};

/// A loop over routes of a restarted node's old and new router ids is gone within this time, while
/// everything goes on changing: as long as silent cables hide from their ends that they are cut.
const LOOPS_END: Duration = Duration::from_secs(60);

/// One thing at random goes wrong or is mended.
struct Churn {
    cut: Vec<CableId>,
    stopped: Vec<NodeId>,
    /// At most so many of each at a time.
    most: usize,
}

impl Churn {
    fn new(most: usize) -> Self {
        Self { cut: Vec::new(), stopped: Vec::new(), most }
    }

    fn step(&mut self, world: &mut World) {
        let (cables, nodes) = (world.cables().count(), world.nodes().count());
        match world.below(6) {
            0 | 1 if self.cut.len() < self.most => {
                let cable = CableId(world.below(cables));
                let how = if world.below(3) == 0 { Cut::Silent } else { Cut::Told };
                if !self.cut.contains(&cable) {
                    world.cut(cable, how);
                    self.cut.push(cable);
                }
            }
            2 if self.stopped.len() < self.most => {
                let node = NodeId(world.below(nodes));
                if !self.stopped.contains(&node) {
                    world.stop(node);
                    self.stopped.push(node);
                }
            }
            3 | 4 if !self.cut.is_empty() => {
                let index = world.below(self.cut.len());
                world.mend(self.cut.swap_remove(index));
            }
            5 if !self.stopped.is_empty() => {
                let index = world.below(self.stopped.len());
                world.start(self.stopped.swap_remove(index));
            }
            _ => {}
        }
        let (from, to) = (NodeId(world.below(nodes)), NodeId(world.below(nodes)));
        if !self.stopped.contains(&from) && from != to {
            world.lookup(from, to);
        }
    }

    fn heal(&mut self, world: &mut World) {
        for cable in self.cut.drain(..) {
            world.mend(cable);
        }
        for node in self.stopped.drain(..) {
            world.start(node);
        }
    }
}

#[test]
fn three_hundred_nodes_live_through_churn_without_a_loop_and_reach_each_other_afterwards() {
    let begun = Instant::now();
    for seed in seeds(1) {
        let mut world = World::new(seed);
        let wire = Wire { jitter: Duration::from_millis(20), ..Wire::clean(15) };
        world.build(Shape::Random { more_per_ten: 10 }, &[Kind::Ours; 300], wire);
        world.run(Duration::from_secs(30));
        let mut churn = Churn::new(30);
        for _ in 0..steps(30) {
            churn.step(&mut world);
            world.run(Duration::from_secs(1));
        }
        churn.heal(&mut world);
        world.run(Duration::from_secs(60)); // silent cuts come to light
        all_reach_all(&mut world, "after churn");
        no_loop_of_one_source(&mut world, "after churn");
        let verdict = world.verdict();
        assert_eq!(verdict.open, 0, "seed {seed}: a loop stays");
        assert!(verdict.longest <= LOOPS_END, "seed {seed}: {:?}", verdict.longest);
        println!(
            "seed {seed}: {} events in {:?}; {} loops of two router ids, the longest {:?}",
            world.events(),
            begun.elapsed(),
            verdict.restart_loops,
            verdict.longest
        );
    }
}

#[test]
fn small_networks_of_random_shape_never_loop_while_everything_changes() {
    let mut loops = (0, Duration::ZERO);
    for seed in seeds(200) {
        let mut world = World::new(seed);
        let count = 4 + world.below(10);
        let wire = Wire { jitter: Duration::from_millis(40), ..Wire::clean(5) };
        let more_per_ten = world.below(12);
        world.build(Shape::Random { more_per_ten }, &vec![Kind::Ours; count], wire);
        world.run(Duration::from_secs(2));
        let mut churn = Churn::new(3);
        for _ in 0..40 {
            churn.step(&mut world);
            let pause = world.below(3000) as u64;
            world.run(Duration::from_millis(pause));
        }
        churn.heal(&mut world);
        world.run(Duration::from_secs(60));
        all_reach_all(&mut world, "small");
        no_loop_of_one_source(&mut world, "small");
        let verdict = world.verdict();
        assert_eq!(verdict.open, 0, "seed {seed}: a loop stays");
        assert!(verdict.longest <= LOOPS_END, "seed {seed}: {:?}", verdict.longest);
        loops = (loops.0 + verdict.restart_loops, loops.1.max(verdict.longest));
    }
    println!("{} loops of two router ids, the longest {:?}", loops.0, loops.1);
}

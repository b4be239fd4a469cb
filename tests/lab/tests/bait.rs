//! The classical traps of distance-vector routing: counting to infinity, starvation, old and new
//! lives of one node.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, no_loop_at_all, no_loop_of_one_source, seeds};
use threephone_lab::{Cut, Ending, Kind, NodeId, Shape, Wire, World};
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::{Prefix, RouterId, SecretKey};

/// How long a node may go without a route that there is, when only a newer sequence number opens it:
/// the question goes there and the answer comes back.
const STARVED: Duration = Duration::from_secs(1);
/// How long a loop of an old and a new life of one node may stand: each tells its new next hop that
/// it has no way of its own any more.
const TWO_LIVES: Duration = Duration::from_secs(1);

/// A ring behind a bridge: when the bridge falls, each node of the ring hears from another that
/// still has a way.
fn ring_behind_a_bridge(kinds: &[Kind], seed: u64) -> (World, NodeId, Vec<NodeId>) {
    let mut world = World::new(seed);
    let wire = Wire { jitter: Duration::from_millis(80), ..Wire::clean(5) };
    let far = world.add(Kind::Ours);
    let ring = world.build(Shape::Ring, kinds, wire);
    world.connect(far, ring[0], wire);
    world.run(Duration::from_secs(3));
    (world, far, ring)
}

#[test]
fn nobody_counts_to_infinity_when_the_only_way_fails() {
    for seed in seeds(20) {
        let (mut world, far, ring) = ring_behind_a_bridge(&[Kind::Ours; 6], seed);
        all_reach_all(&mut world, "before");
        let before = world.total();
        world.cut(*world.cables().collect::<Vec<_>>().last().unwrap(), Cut::Told);
        world.run(Duration::from_secs(2));
        for node in &ring {
            assert!(matches!(world.path(*node, far), Ending::NoRoute(_)), "seed {seed}: {node:?}");
        }
        let retractions = world.total().since(&before).updates;
        assert!(retractions <= 60, "seed {seed}: {retractions} Updates about one lost node");
        no_loop_at_all(&mut world, "bridge");
    }
}

#[test]
fn stock_nodes_count_no_further_with_ours_among_them_than_by_themselves() {
    let lost_after = |kinds: &[Kind], seed| {
        let (mut world, far, ring) = ring_behind_a_bridge(kinds, seed);
        all_reach_all(&mut world, "before");
        world.cut(*world.cables().collect::<Vec<_>>().last().unwrap(), Cut::Told);
        let every = Duration::from_millis(100);
        let took = world.run_until(Duration::from_secs(120), every, |world| {
            ring.iter().all(|node| matches!(world.path(*node, far), Ending::NoRoute(_)))
        });
        no_loop_of_one_source(&mut world, kinds);
        took.unwrap_or_else(|| panic!("seed {seed}: {kinds:?} believe in a way for two minutes"))
    };
    use Kind::{Ours, Stock};
    for seed in seeds(10) {
        let stock = lost_after(&[Stock; 6], seed);
        let mixed = lost_after(&[Ours, Stock, Ours, Stock, Ours, Stock], seed);
        assert!(mixed <= stock + Duration::from_secs(1), "seed {seed}: {mixed:?}, {stock:?}");
    }
}

#[test]
fn a_longer_way_than_ever_advertised_is_taken_after_asking_the_source() {
    // 0 has 1 beside it; when that cable fails only the way past 2, 3 and 4 is left.
    let mut world = World::new(1);
    let nodes = world.build(Shape::Ring, &[Kind::Ours; 5], Wire::clean(20));
    world.run(Duration::from_secs(120));
    all_reach_all(&mut world, "before");
    world.cut(world.cables().next().unwrap(), Cut::Told);
    let took = world.run_until(STARVED, Duration::from_millis(50), |world| {
        world.lookup(nodes[0], nodes[1]); // as traffic would
        matches!(world.path(nodes[0], nodes[1]), Ending::Arrives(_))
    });
    println!("the long way was found after {took:?}");
    assert!(took.is_some());
    let way = [0, 4, 3, 2, 1].map(|n: usize| nodes[n]).to_vec();
    assert_eq!(world.path(nodes[0], nodes[1]), Ending::Arrives(way));
    no_loop_at_all(&mut world, "ring");
}

/// What a liar says about somebody else.
fn lie(key: &SecretKey, life: u8, metric: u16) -> Tlv {
    let key = key.public_key();
    Tlv::Update(Update {
        interval: 30_000,
        seqno: 0,
        metric,
        prefix: Prefix::subnet_of(key.address()),
        router_id: RouterId::new(key, [life; 6]),
    })
}

#[test]
fn loops_of_an_old_and_a_new_life_are_all_seen_and_gone_in_time() {
    // In each pair two neighbours believe a liar of two lives of one node, each in another; when both
    // are retracted at once, each still has the other's. This also shows that the judge sees loops,
    // and of one prefix as many as there are.
    let mut world = World::new(1);
    let liar = world.add(Kind::Hostile);
    let wire = Wire::clean(50);
    let victim = SecretKey::from_bytes([9; 32]);
    let pairs = [1, 2].map(|_| {
        let pair = [world.add(Kind::Ours), world.add(Kind::Ours)];
        world.connect(pair[0], pair[1], wire);
        for node in pair {
            world.connect(liar, node, wire);
        }
        pair
    });
    world.run(Duration::from_secs(1));
    for node in pairs.into_iter().flatten() {
        world.lookup_address(node, victim.public_key().address());
    }
    world.run(Duration::from_secs(1));
    for metric in [100, u16::MAX] {
        for [one, other] in pairs {
            world.say(liar, one, &lie(&victim, 1, metric));
            world.say(liar, other, &lie(&victim, 2, metric));
        }
        world.run(Duration::from_millis(if metric == 100 { 1000 } else { 100 }));
    }
    assert_eq!(world.verdict().restart_loops, 2, "one went unseen");
    let gone =
        world.run_until(TWO_LIVES, Duration::from_millis(50), |world| world.verdict().open == 0);
    println!("the loops were gone after {gone:?}, {:?}", world.verdict());
    assert!(gone.is_some());
    let verdict = world.verdict();
    assert!(verdict.longest > Duration::ZERO && verdict.longest <= TWO_LIVES, "{verdict:?}");
    assert_eq!(verdict.violation_count, 0);
}

#[test]
fn a_node_that_restarts_again_and_again_is_reached_after_each_start() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        let wire = Wire { jitter: Duration::from_millis(50), ..Wire::clean(20) };
        let nodes = world.build(Shape::Random { more_per_ten: 10 }, &[Kind::Ours; 12], wire);
        world.run(Duration::from_secs(5));
        for _ in 0..8 {
            let restarted = nodes[world.below(12)];
            world.stop(restarted);
            let pause = world.below(8_000) as u64;
            world.run(Duration::from_millis(pause));
            world.start(restarted);
            let pause = world.below(4_000) as u64;
            world.run(Duration::from_millis(pause));
        }
        all_reach_all(&mut world, "restarts");
        no_loop_of_one_source(&mut world, "restarts");
        assert_eq!(world.verdict().open, 0, "seed {seed}");
    }
}

//! Numbers that come to their end: sequence numbers of 16 bits, intervals, and clocks.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, no_loop_at_all, no_loop_of_one_source};
use threephone_lab::{Cut, Ending, Kind, NodeId, Shape, Wire, World};
use threephone_node::wire::control::{Hello, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::{Prefix, RouterId, SecretKey};

/// What a node says of itself, as far as a hostile neighbour heard.
fn own_updates(world: &mut World, listener: NodeId, node: NodeId) -> Vec<Update> {
    let prefix = Prefix::subnet_of(world.address(node));
    let heard = world.heard(listener).into_iter();
    heard
        .filter_map(|tlv| match tlv {
            Tlv::Update(update) if update.prefix == prefix => Some(update),
            _ => None,
        })
        .collect()
}

#[test]
fn a_sequence_number_goes_all_the_way_round_and_the_way_stays_open() {
    // Somebody asks for a newer number every four seconds, three days long.
    let mut world = World::new(1);
    let [source, middle, end] = [(); 3].map(|()| world.add(Kind::Ours));
    let asker = world.add(Kind::Hostile);
    for (a, b) in [(source, middle), (middle, end), (asker, source)] {
        world.connect(a, b, Wire::clean(1));
    }
    world.run(Duration::from_secs(5));
    world.lookup(end, source);
    world.run(Duration::from_secs(1));
    let first = own_updates(&mut world, asker, source).last().copied().unwrap();
    let (mut seqno, mut bumps) = (first.seqno, 0_u32);
    while bumps < 65_540 {
        let (router_id, prefix) = (first.router_id, first.prefix);
        let wanted = seqno.wrapping_add(1);
        let ask = SeqnoRequest { seqno: wanted, hop_count: 64, router_id, prefix };
        world.say(asker, source, &Tlv::SeqnoRequest(ask));
        world.run(Duration::from_millis(4100));
        let now = own_updates(&mut world, asker, source).last().copied().unwrap();
        assert_eq!(now.seqno, wanted);
        (seqno, bumps) = (wanted, bumps + 1);
        if bumps.is_multiple_of(100) {
            world.lookup(end, source); // as traffic would: a route in use stays
        }
        if bumps.is_multiple_of(1000) || bumps > 65_530 {
            world.run(Duration::from_millis(100));
            let way = Ending::Arrives(vec![end, middle, source]);
            assert_eq!(world.path(end, source), way, "after {bumps}");
        }
    }
    assert_eq!(u32::from(seqno), bumps % 65_536);
    no_loop_at_all(&mut world, "wrap");
}

#[test]
fn starvation_ends_also_where_the_number_wraps() {
    for start in [65_533, 65_534, 65_535, 0, 32_766, 32_767, 32_768] {
        let mut world = World::new(u64::from(start));
        use Kind::{Ours, Stock};
        let ring = [Stock, Ours, Ours, Ours, Ours];
        let nodes: Vec<NodeId> = ring.into_iter().map(|kind| world.add(kind)).collect();
        world.set_stock_seqno(nodes[0], start);
        let cables: Vec<_> =
            (0..5).map(|n| world.connect(nodes[n], nodes[(n + 1) % 5], Wire::clean(20))).collect();
        world.run(Duration::from_secs(60));
        all_reach_all(&mut world, start);
        // Each time the short way fails, the long one needs a newer number from the source.
        for round in 0..6 {
            for cable in [cables[0], cables[4]] {
                world.cut(cable, Cut::Told);
                world.run(Duration::from_secs(8));
                all_reach_all(&mut world, (start, round));
                world.mend(cable);
                world.run(Duration::from_secs(8));
            }
        }
        no_loop_of_one_source(&mut world, start);
    }
}

#[test]
fn it_does_not_matter_what_the_clock_shows() {
    // Just before 2^16 milliseconds, centiseconds and seconds, and 2^31 and 2^32 milliseconds.
    let second = Duration::from_secs(1);
    let boundaries = [1 << 16, 10 << 16, 1000 << 16, 1 << 31, 1 << 32, 1_u64 << 40];
    let mut digests = Vec::new();
    for milliseconds in boundaries {
        let age = Duration::from_millis(milliseconds).saturating_sub(10 * second);
        let mut world = World::after(5, age);
        let kinds = [Kind::Ours, Kind::Stock, Kind::Ours, Kind::Ours, Kind::Ours];
        let nodes = world.build(Shape::Ring, &kinds, Wire::clean(10));
        world.run(5 * second);
        world.send(nodes[0], nodes[2], 5000);
        world.run(10 * second);
        assert_eq!(world.delays().len(), 1, "{milliseconds}");
        world.cut(world.cables().next().unwrap(), Cut::Told);
        world.run(60 * second);
        all_reach_all(&mut world, milliseconds);
        world.run(1100 * second);
        all_reach_all(&mut world, milliseconds);
        no_loop_of_one_source(&mut world, milliseconds);
        digests.push(world.events());
    }
    assert!(digests.iter().all(|events| *events == digests[0]), "{digests:?}");
}

#[test]
fn a_link_lives_on_when_its_hellos_have_been_counted_round() {
    // 65,536 Hellos are fifteen days; here a peer counts them from near the end.
    let mut world = World::new(1);
    let (node, peer) = (world.add(Kind::Ours), world.add(Kind::Hostile));
    world.connect(node, peer, Wire::clean(1));
    for seqno in [65_534, 65_535, 0, 1] {
        world.say(peer, node, &Tlv::Hello(Hello { seqno, interval: 2000 }));
        world.run(Duration::from_secs(20));
    }
    let heard = world.heard(peer);
    assert_eq!(heard.iter().filter(|tlv| matches!(tlv, Tlv::Ihu(_))).count(), 4);
    // And our own go round without the peer being given up.
    let before = world.counters(node);
    world.run(Duration::from_secs(22 * 65_600));
    let hellos = world.counters(node).since(&before).hellos;
    assert!(hellos > 65_536, "{hellos}");
    let last = world.heard(peer).into_iter().rev().find_map(|tlv| match tlv {
        Tlv::Hello(hello) => Some(hello.seqno),
        _ => None,
    });
    assert!(u64::from(last.unwrap()) < hellos, "{last:?}");
    world.say(peer, node, &Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None }));
    world.run(Duration::from_secs(1));
    assert!(!own_updates(&mut world, peer, node).is_empty(), "the link is gone");
}

#[test]
fn intervals_of_all_lengths_hold_a_route_three_and_a_half_times_as_long() {
    for interval in [1, 2000, 30_000, 32_767, 32_768, 65_535_u16] {
        let mut world = World::new(1);
        let (node, peer) = (world.add(Kind::Ours), world.add(Kind::Hostile));
        world.connect(node, peer, Wire::clean(1));
        world.run(Duration::from_secs(1));
        let key = SecretKey::from_bytes([5; 32]).public_key();
        let prefix = Prefix::subnet_of(key.address());
        let router_id = RouterId::new(key, [1; 6]);
        let update = Update { interval, seqno: 65_535, metric: 0, prefix, router_id };
        world.say(peer, node, &Tlv::Update(update));
        let hold = Duration::from_millis(35) * u32::from(interval);
        world.run(Duration::from_millis(1) + hold.saturating_sub(Duration::from_millis(5)));
        assert!(world.has_route(node, key.address()), "{interval}: ended early");
        world.run(Duration::from_secs(21)); // its end may wait for the next Hello
        assert!(!world.has_route(node, key.address()), "{interval}: did not end");
    }
}

//! A hostile neighbour that floods: what it costs others, and what is left of it.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod checks;

use std::time::Duration;

use checks::{all_reach_all, no_loop_at_all};
use threephone_lab::{Kind, NodeId, Wire, World};
use threephone_node::limits::Limits;
use threephone_node::router::RouterLimits;
use threephone_node::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::{Prefix, PublicKey, RouterId};

/// A key that nobody has, and its /64.
fn made_up(number: u64) -> (RouterId, Prefix) {
    let mut bytes = [0x77; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let key = PublicKey::from_bytes(bytes);
    (RouterId::new(key, [3; 6]), Prefix::subnet_of(key.address()))
}

fn update(number: u64, metric: u16) -> Tlv {
    let (router_id, prefix) = made_up(number);
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric, prefix, router_id })
}

/// One of each sort of thing a peer can say.
fn nonsense(kind: usize, number: u64) -> Tlv {
    let (router_id, prefix) = made_up(number);
    match kind {
        0 => Tlv::Hello(Hello { seqno: number as u16, interval: 0 }),
        1 => Tlv::Ihu(Ihu { rxcost: 0, interval: 0 }),
        2 => update(number, (number % 65_536) as u16),
        3 => Tlv::RouteRequest(RouteRequest { generation: 0, prefix: Some(prefix) }),
        4 => Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None }),
        _ => Tlv::SeqnoRequest(SeqnoRequest {
            seqno: number as u16,
            hop_count: 64,
            router_id,
            prefix,
        }),
    }
}

/// A packet for somebody whom nobody has.
fn lost_packet(number: u64) -> bytes::Bytes {
    let (source, destination) = (made_up(u64::MAX).1.address(), made_up(number).1.address());
    let mut out = bytes::BytesMut::new();
    let payload = vec![0; 100].into();
    DataPacket { hop_limit: 64, source, destination, payload }.encode(&mut out);
    out.freeze()
}

/// A line of four of ours with a hostile peer at the second.
fn beset(limits: &Limits) -> (World, Vec<NodeId>, NodeId) {
    let mut world = World::new(1);
    let nodes: Vec<NodeId> =
        (0..4).map(|_| world.add_limited(Kind::Ours, limits.clone())).collect();
    for pair in nodes.windows(2) {
        let wire = Wire { rate: Some(10_000_000), ..Wire::clean(10) };
        world.connect(pair[0], pair[1], wire);
    }
    let hostile = world.add(Kind::Hostile);
    world.connect(hostile, nodes[1], Wire::clean(1));
    world.run(Duration::from_secs(5));
    all_reach_all(&mut world, "before the flood");
    (world, nodes, hostile)
}

/// The median time of messages from end to end.
fn usual(
    world: &mut World,
    from: NodeId,
    to: NodeId,
    mut also: impl FnMut(&mut World),
) -> Duration {
    let before = world.delays().len();
    for _ in 0..20 {
        world.send(from, to, 500);
        for _ in 0..20 {
            also(world);
            world.run(Duration::from_millis(50));
        }
    }
    let mut delays = world.delays()[before..].to_vec();
    assert_eq!(delays.len(), 20, "messages are missing");
    delays.sort();
    delays[10]
}

#[test]
fn a_flood_of_any_sort_leaves_messages_of_others_under_twice_their_usual_time() {
    let names = ["Hello", "IHU", "Update", "Route Request", "wildcard", "Seqno Request", "data"];
    for (kind, name) in names.into_iter().enumerate() {
        let (mut world, nodes, hostile) = beset(&Limits::default());
        let quiet = usual(&mut world, nodes[0], nodes[3], |_| {});
        let mut number = 0;
        let flooded = usual(&mut world, nodes[0], nodes[3], |world| {
            for _ in 0..50 {
                number += 1;
                match name {
                    "data" => world.say_bytes(hostile, nodes[1], lost_packet(number)),
                    _ => world.say(hostile, nodes[1], &nonsense(kind, number)),
                } // 1000 a second
            }
        });
        assert!(flooded <= quiet * 2, "{name}: {flooded:?} instead of {quiet:?}");
        all_reach_all(&mut world, name);
        no_loop_at_all(&mut world, name);
    }
}

#[test]
fn a_flood_of_routes_fills_what_one_peer_may_have_and_no_more() {
    let router = RouterLimits { prefixes_per_link: 500, entries: 2000, ..RouterLimits::default() };
    let (mut world, nodes, hostile) = beset(&Limits { router, ..Limits::default() });
    for number in 0..5000 {
        world.say(hostile, nodes[1], &update(number, 5));
    }
    world.run(Duration::from_secs(5));
    assert!(world.route_count(nodes[1]) <= 510, "{}", world.route_count(nodes[1]));
    for node in [nodes[0], nodes[2], nodes[3]] {
        assert!(world.route_count(node) <= 1020, "{}", world.route_count(node));
    }
    all_reach_all(&mut world, "after the flood");
    no_loop_at_all(&mut world, "after the flood");
}

#[test]
fn what_a_hostile_peer_says_costs_those_further_away_little() {
    let (mut world, nodes, hostile) = beset(&Limits::default());
    let before = world.counters(nodes[2]);
    for second in 0..60 {
        for number in 0..1000 {
            let kind = 3 + 2 * (number as usize % 2);
            world.say(hostile, nodes[1], &nonsense(kind, second * 1000 + number));
        }
        world.run(Duration::from_secs(1));
    }
    let sent = world.counters(nodes[2]).since(&before);
    // The second node lets through 500 requests at once and 100 a second.
    assert!(sent.route_requests <= 6600, "{sent:?}");
    assert!(sent.updates <= 100, "{sent:?}");
}

#[test]
fn packets_for_made_up_nodes_are_looked_for_no_faster_than_questions() {
    let (mut world, nodes, hostile) = beset(&Limits::default());
    let before = world.counters(nodes[1]);
    for second in 0..60 {
        for number in 0..1000 {
            world.say_bytes(hostile, nodes[1], lost_packet(second * 1000 + number));
        }
        world.run(Duration::from_secs(1));
    }
    let sent = world.counters(nodes[1]).since(&before);
    assert!(sent.route_requests <= 3 * 6600, "{sent:?}"); // to three peers
    all_reach_all(&mut world, "looked for in between");
}

#[test]
fn bytes_that_make_no_sense_cost_their_sender_the_link_and_nobody_else() {
    let (mut world, nodes, hostile) = beset(&Limits::default());
    for bytes in [&[2, 0, 0, 0][..], &[1, 9, 0, 0], &[1, 1, 0, 0, 42, 3, 0, 0], &[0xff; 100]] {
        world.say_bytes(hostile, nodes[1], bytes::Bytes::from_static(bytes));
        world.run(Duration::from_secs(10));
        all_reach_all(&mut world, bytes);
    }
    no_loop_at_all(&mut world, "nonsense");
}

//! Leaves on routers: the shape of the public network, as large as memory allows.
//!
//! All nodes come up within two minutes, then leaves write to each other and restart at random.

use std::time::{Duration, Instant};

use threephone_lab::{Counters, Kind, NodeId, Shape, Wire, World};
use threephone_node::SecretKey;
use threephone_node::engine::{Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::wire::frame::Packet;
use threephone_node::{LinkId, Prefix, PublicKey, RouterId};

use crate::args::Args;

/// In which all nodes come up.
const START: Duration = Duration::from_secs(120);
/// Messages still under way at the end have this much longer.
const REST: Duration = Duration::from_secs(30);
/// How often something is sent or restarts.
const BEAT: Duration = Duration::from_millis(100);
/// Routes announced to one engine, to see what they weigh.
const WEIGHED: u64 = 100_000;

/// What came out.
pub(crate) struct Outcome {
    pub(crate) nodes: usize,
    pub(crate) sent: usize,
    pub(crate) delays: Vec<Duration>,
    pub(crate) aborted: u64,
    pub(crate) leaves: Counters,
    pub(crate) routers: Counters,
    pub(crate) leaf_count: usize,
    pub(crate) router_count: usize,
    pub(crate) hours: f64,
    pub(crate) leaf_routes: usize,
    pub(crate) router_routes: usize,
    pub(crate) route_bytes: Option<u64>,
    pub(crate) node_bytes: Option<u64>,
    pub(crate) events: u64,
    pub(crate) loops: u64,
    pub(crate) violations: u64,
    pub(crate) took: Duration,
}

/// Runs it; `progress` hears of every part of a thousand.
pub(crate) fn run(args: &Args, mut progress: impl FnMut(u64)) -> Outcome {
    let begun = Instant::now();
    let route_bytes = weigh_routes();
    let before = resident();
    let mut world = World::new(args.seed);
    let (routers, leaves) = bring_up(&mut world, args, &mut progress);
    let after = resident();
    let (first, first_routers) = (sum(&world, &leaves), sum(&world, &routers));
    let length = Duration::from_secs(args.minutes * 60);
    let sent = live(&mut world, args, &leaves, length, &mut progress);
    let hours = length.as_secs_f64() / 3600.0;
    let (last, last_routers) = (sum(&world, &leaves), sum(&world, &routers));
    world.run(REST);
    let verdict = world.verdict();
    let routes = |nodes: &[NodeId]| nodes.iter().map(|node| world.route_count(*node)).sum();
    let nodes = leaves.len() + routers.len();
    let grown = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Outcome {
        nodes,
        sent,
        delays: world.delays().to_vec(),
        aborted: world.aborted(),
        leaves: last.since(&first),
        routers: last_routers.since(&first_routers),
        leaf_count: leaves.len(),
        router_count: routers.len(),
        hours,
        leaf_routes: routes(&leaves),
        router_routes: routes(&routers),
        route_bytes,
        node_bytes: grown.map(|bytes| bytes / nodes as u64),
        events: world.events(),
        loops: verdict.restart_loops + verdict.stock_loops,
        violations: verdict.violation_count,
        took: begun.elapsed(),
    }
}

fn kind(world: &mut World, args: &Args) -> Kind {
    if world.below(10) < usize::from(args.stock_per_ten) { Kind::Stock } else { Kind::Ours }
}

fn bring_up(
    world: &mut World,
    args: &Args,
    progress: &mut impl FnMut(u64),
) -> (Vec<NodeId>, Vec<NodeId>) {
    // Whoever runs a router for so many lets them in; the default suits a phone.
    let mut open = Limits::default();
    open.router.links = open.router.links.max(args.leaves);
    let kinds: Vec<Kind> = (0..args.routers).map(|_| kind(world, args)).collect();
    let wire = Wire { rate: Some(100_000_000), queue: 1 << 20, ..Wire::clean(10) };
    let routers = world.build_limited(Shape::Random { more_per_ten: 20 }, &kinds, wire, &open);
    let pause = START / args.leaves.max(1) as u32;
    let mut leaves = Vec::new();
    for number in 0..args.leaves {
        let kind = kind(world, args);
        let leaf = world.add(kind);
        let router = routers[world.below(routers.len())];
        world.connect(leaf, router, Wire { rate: Some(20_000_000), ..Wire::clean(25) });
        leaves.push(leaf);
        world.run(pause);
        progress(100 * number as u64 / args.leaves as u64);
    }
    world.run(Duration::from_secs(30));
    (routers, leaves)
}

/// Leaves write and restart; how many messages were taken for sending.
fn live(
    world: &mut World,
    args: &Args,
    leaves: &[NodeId],
    length: Duration,
    progress: &mut impl FnMut(u64),
) -> usize {
    let beats = (length.as_millis() / BEAT.as_millis()) as u64;
    let share = |an_hour: usize| an_hour as f64 * BEAT.as_secs_f64() / 3600.0;
    let mut due = (0.0, 0.0);
    let mut stopped: Vec<(u64, NodeId)> = Vec::new();
    let mut sent = 0;
    for beat in 0..beats {
        due.0 += share(args.messages * leaves.len());
        due.1 += share(leaves.len() * args.restarts / 100);
        while due.0 >= 1.0 {
            due.0 -= 1.0;
            let (from, to) = (leaves[world.below(leaves.len())], leaves[world.below(leaves.len())]);
            let is_stopped = |node| stopped.iter().any(|(_, other)| *other == node);
            if from != to && world.kind(to) == Kind::Ours && !is_stopped(from) && !is_stopped(to) {
                sent += usize::from(world.send(from, to, 300));
            }
        }
        while due.1 >= 1.0 {
            due.1 -= 1.0;
            let leaf = leaves[world.below(leaves.len())];
            world.stop(leaf);
            stopped.push((beat + 50, leaf));
        }
        while let Some(index) = stopped.iter().position(|(at, _)| *at <= beat) {
            world.start(stopped.swap_remove(index).1);
        }
        world.run(BEAT);
        progress(100 + 900 * beat / beats);
    }
    sent
}

fn sum(world: &World, nodes: &[NodeId]) -> Counters {
    let mut sum = Counters::default();
    for node in nodes {
        sum.add(&world.counters(*node));
    }
    sum
}

/// What a route weighs in an engine that learns many from one peer.
fn weigh_routes() -> Option<u64> {
    let now = Instant::now();
    let config = EngineConfig {
        secret: SecretKey::from_bytes([1; 32]),
        router_random: [1; 6],
        seed: [1; 32],
        limits: Limits::default(),
    };
    let mut engine = Engine::new(config, now);
    engine.link_up(LinkId(1), 10, now);
    while engine.poll_action().is_some() {}
    let before = resident()?;
    for number in 0..WEIGHED {
        let mut bytes = [0x33; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let key = PublicKey::from_bytes(bytes);
        let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [1; 6]));
        let update = Update { interval: 30_000, seqno: 0, metric: 100, prefix, router_id };
        engine.handle_packet(LinkId(1), Packet::Control(Tlv::Update(update)), now);
        while engine.poll_action().is_some() {}
    }
    let routes = engine.routes().count() as u64;
    Some(resident()?.saturating_sub(before) / routes.max(1))
}

/// Bytes of memory this process holds, where the system says so.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

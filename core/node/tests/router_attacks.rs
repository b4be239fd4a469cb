//! The known weaknesses of the routing protocol as attacks, each replayed against a router.
//!
//! | Weakness (spec) | Test |
//! |---|---|
//! | IPv4 Route Request (6.13) | `an_ipv4_request_is_malformed_and_stops_nothing` |
//! | Queried state poisons lookups (6.13) | `router_hostile.rs`: `short_and_foreign_requests_…`, `a_request_for_a_longer_prefix_…` |
//! | Generation 255 (6.13) | `router_hostile.rs`: `requests_travel_fifteen_links_and_never_wrap` |
//! | No rate limits (6.13, 2.2) | `every_kind_of_packet_is_rationed_per_peer`, `one_peer_cannot_use_up_the_lookups_of_others`, `packets_of_made_up_nodes_…` |
//! | Unlimited growth (6.13, 11.1) | `nobody_fills_the_table_above_the_soft_limit_with_what_nobody_asked_for` |
//! | Metric and seqno unauthenticated (6.13) | `a_route_that_swallows_packets_is_left`, `what_a_node_says_by_itself_…`, `a_forged_sequence_number_is_overtaken`, `a_node_whose_number_is_forged_…`, `a_number_far_ahead_…`; with the bus: `engine_attacks.rs` |
//! | New router ids of a key (1.7) | `another_router_id_takes_no_proven_route`, `a_flood_of_router_ids_is_rationed` |
//! | Second key for a /64 (1.7) | `router::tests`: `another_key_takes_no_64_…`, `two_keys_never_have_routes_to_one_64` |
//! | Low-order keys (1.7) | `router_hostile.rs`: `nobody_announces_…` |
//! | Configured peers first (2.2) | `where_routes_conflict_the_owners_peers_count_more` |
//! | Flapping (6.13) | `a_flapping_route_is_told_of_a_few_times_and_no_more` |
//! | Floods towards slow links | `a_peer_that_reads_slowly_is_told_no_more_than_a_window` |
//! | Timers per packet (6.13) | `router_hostile.rs`: `routes_end_after_…_and_are_refreshed_when_used` |
//! | Source entries of own retractions (6.13) | `router::tests`: `what_is_lost_and_retracted_leaves_no_more_behind_…` |

#![allow(clippy::unwrap_used)] // in the functions that make inputs

mod router_network;

use std::time::{Duration, Instant};

use router_network::{key, router};
use threephone_node::router::{LookupState, RouteLookup, Router, RouterLimits, RouterOutput};
use threephone_node::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{LinkId, Prefix, RouterId};

const INFINITE: u16 = u16::MAX;
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const SECOND: Duration = Duration::from_secs(1);

fn subnet(number: usize) -> Prefix {
    Prefix::subnet_of(key(number).address())
}

fn update(number: usize, random: u8, seqno: u16, metric: u16) -> Update {
    let router_id = RouterId::new(key(number), [random; 6]);
    Update { interval: 30_000, seqno, metric, prefix: subnet(number), router_id }
}

fn announce(number: usize, random: u8, seqno: u16, metric: u16) -> Tlv {
    Tlv::Update(update(number, random, seqno, metric))
}

fn request(number: usize) -> Tlv {
    Tlv::RouteRequest(RouteRequest { generation: 0, prefix: Some(subnet(number)) })
}

fn hello() -> Tlv {
    Tlv::Hello(Hello { seqno: 0, interval: 2000 })
}

fn ihu() -> Tlv {
    Tlv::Ihu(Ihu { rxcost: 10, interval: 6000 })
}

fn alice(limits: RouterLimits) -> (Router, Instant) {
    let now = Instant::now();
    let mut router = router(0, limits, now);
    router.link_up(A, 10, now);
    router.link_up(B, 10, now);
    sent(&mut router);
    (router, now)
}

fn sent(router: &mut Router) -> Vec<(LinkId, Tlv)> {
    std::iter::from_fn(|| router.poll_output())
        .filter_map(|output| match output {
            RouterOutput::Send { link, tlv } => Some((link, tlv)),
            _ => None,
        })
        .collect()
}

fn updates_to(link: LinkId, sent: &[(LinkId, Tlv)]) -> Vec<Update> {
    let update = |(to, tlv): &(LinkId, Tlv)| match tlv {
        Tlv::Update(update) if *to == link => Some(*update),
        _ => None,
    };
    sent.iter().filter_map(update).collect()
}

fn next_hop(router: &Router, number: usize) -> Option<LinkId> {
    match router.route(key(number).address()) {
        RouteLookup::Selected { link, .. } => Some(link),
        _ => None,
    }
}

#[test]
fn an_ipv4_request_is_malformed_and_stops_nothing() {
    let (mut router, now) = alice(RouterLimits::default());
    let ipv4 = [1, 1, 0, 0, 42, 3, 0, 7, 9, 5, 0, 1, 16, 10, 0];
    let mut good = bytes::BytesMut::new();
    request(5).encode(&mut good);
    let mut decoder = Decoder::new();
    decoder.push(&ipv4);
    decoder.push(&ipv4);
    decoder.push(&good);
    let packets: Vec<Packet> = std::iter::from_fn(|| decoder.next().unwrap()).collect();
    assert_eq!((packets.len(), decoder.malformed()), (1, 2));
    for packet in packets {
        let Packet::Control(tlv) = packet else { unreachable!() };
        router.handle_tlv(A, tlv, now);
    }
    assert!(matches!(&sent(&mut router)[..], [(B, Tlv::RouteRequest(_))]), "it goes on");
}

#[test]
fn every_kind_of_packet_is_rationed_per_peer() {
    let limits = RouterLimits {
        hellos_burst: 20,
        updates_burst: 50,
        requests_burst: 30,
        ..RouterLimits::default()
    };
    let (mut router, now) = alice(limits);
    for number in 10..1010 {
        let seqno_request = SeqnoRequest {
            seqno: 9,
            hop_count: 64,
            router_id: RouterId::new(key(number), [1; 6]),
            prefix: subnet(number),
        };
        router.handle_tlv(A, hello(), now);
        router.handle_tlv(A, ihu(), now);
        router.handle_tlv(A, announce(number, 1, 0, 5), now);
        router.handle_tlv(A, request(number + 10_000), now);
        router.handle_tlv(A, Tlv::SeqnoRequest(seqno_request), now);
    }
    let counters = router.counters();
    assert_eq!(counters.hellos_over_rate, 980);
    assert_eq!(counters.ihus_over_rate, 999, "one answers the open Hello");
    assert_eq!(counters.updates_over_rate, 950);
    assert_eq!(counters.route_requests_over_rate, 970);
    assert_eq!(counters.seqno_requests_over_rate, 970);
    sent(&mut router);
    router.handle_tlv(B, hello(), now);
    router.handle_tlv(B, announce(5000, 1, 0, 5), now);
    assert_eq!(
        (sent(&mut router).len(), next_hop(&router, 5000)),
        (1, Some(B)),
        "B is not affected"
    );
    // A retraction of what was taken in counts always: the route would lead nowhere.
    router.handle_tlv(A, announce(10, 1, 0, INFINITE), now);
    assert_eq!(next_hop(&router, 10), None);
}

#[test]
fn one_peer_cannot_use_up_the_lookups_of_others() {
    let limits = RouterLimits {
        lookups: 100,
        lookups_per_link: 20,
        requests_burst: 10_000,
        ..RouterLimits::default()
    };
    let (mut router, now) = alice(limits);
    for number in 1000..2000 {
        router.handle_tlv(A, request(number), now);
    }
    assert_eq!(router.queries().count(), 20);
    router.handle_tlv(B, request(5), now);
    router.lookup(key(6).address(), now);
    assert_eq!(router.queries().count(), 22);
}

#[test]
fn nobody_fills_the_table_above_the_soft_limit_with_what_nobody_asked_for() {
    let limits = RouterLimits { soft_entries: 50, entries: 100, ..RouterLimits::default() };
    let (mut router, now) = alice(limits);
    for number in 1000..2000 {
        // As a stranger far away, and as one who says to be all of them.
        router.handle_tlv(A, announce(number, 1, 0, u16::from(number % 2 == 0)), now);
    }
    assert!(router.routes().count() <= 54, "{}", router.routes().count());
    router.handle_tlv(B, announce(5, 1, 0, 0), now);
    assert_eq!(next_hop(&router, 5), Some(B), "direct neighbours are taken in");
    router.lookup(key(6).address(), now);
    router.handle_tlv(A, announce(6, 1, 0, 70), now);
    assert_eq!(next_hop(&router, 6), Some(A), "and what this node asked for");
}

#[test]
fn a_route_that_swallows_packets_is_left() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, announce(5, 1, 0, 500), now);
    router.handle_tlv(B, announce(5, 1, 7, 0), now);
    assert_eq!(next_hop(&router, 5), Some(B), "nothing tells a lie from the truth yet");
    for second in 0..=1 {
        router.expect_answer(key(5).address(), now + second * SECOND);
    }
    assert_eq!(next_hop(&router, 5), Some(B), "an answer may take its time");
    for second in 2..=4 {
        router.expect_answer(key(5).address(), now + second * SECOND);
    }
    assert_eq!(next_hop(&router, 5), Some(A));
    assert_eq!(router.counters().undelivered, 1);
    // The liar repeats itself; the route that delivers stays.
    let later = now + 8 * SECOND;
    router.confirm_answer(key(5), later);
    router.handle_tlv(B, announce(5, 1, 9, 0), later);
    assert_eq!(next_hop(&router, 5), Some(A));
}

#[test]
fn what_a_node_says_by_itself_does_not_prove_that_packets_reach_it() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, announce(5, 1, 0, 500), now);
    router.handle_tlv(B, announce(5, 1, 0, 0), now);
    assert_eq!(next_hop(&router, 5), Some(B), "the liar is nearer");
    for second in 0..=4 {
        let at = now + second * SECOND;
        router.confirm(key(5), at); // by the way through A, since B swallows its acknowledgements
        router.expect_answer(key(5).address(), at);
    }
    assert_eq!(next_hop(&router, 5), Some(A));
}

#[test]
fn packets_of_made_up_nodes_cost_their_link_and_no_lookups_of_this_node() {
    let limits = RouterLimits { lookups: 100, lookups_per_link: 20, ..RouterLimits::default() };
    let (mut router, now) = alice(limits);
    for number in 100..5100 {
        router.lookup_for(A, key(number).address(), now);
    }
    assert_eq!(router.queries().count(), 20);
    assert!(router.counters().route_requests_over_rate > 4000);
    assert_eq!(sent(&mut router).len(), 2 * 20);
    assert_eq!(router.lookup(key(6).address(), now), LookupState::Started);
    router.lookup_for(B, key(7).address(), now);
    assert_eq!(router.queries().count(), 22, "others are served too");
    router.handle_timeout(now + 16 * SECOND);
    let failed = std::iter::from_fn(|| router.poll_output());
    let failed = failed.filter(|output| matches!(output, RouterOutput::LookupFailed { .. }));
    assert_eq!(failed.count(), 1, "only the own one is told");
}

#[test]
fn another_router_id_takes_no_proven_route() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, announce(5, 1, 0, 500), now);
    router.handle_tlv(B, announce(5, 1, 0, 900), now);
    router.confirm_answer(key(5), now);
    router.handle_tlv(B, announce(5, 66, 0, 0), now + SECOND);
    assert_eq!(next_hop(&router, 5), Some(A));
    assert_eq!(router.counters().other_router_id, 1);
    // A node that was really restarted does not answer under its old id any more.
    router.handle_tlv(B, announce(5, 66, 0, 0), now + 20 * SECOND);
    assert_eq!(next_hop(&router, 5), Some(B));
}

#[test]
fn a_flood_of_router_ids_is_rationed() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, announce(5, 1, 0, 500), now);
    router.handle_tlv(B, request(5), now);
    sent(&mut router);
    let mut told = 0;
    for random in 2..=200 {
        router.handle_tlv(A, announce(5, random, 0, 0), now);
        told += updates_to(B, &sent(&mut router)).len();
    }
    assert!(told <= 4, "{told} Updates");
}

#[test]
fn where_routes_conflict_the_owners_peers_count_more() {
    let (mut router, now) = alice(RouterLimits::default());
    router.trust(A);
    router.handle_tlv(B, announce(5, 66, 0, 0), now);
    router.handle_tlv(A, announce(5, 1, 0, 800), now);
    assert_eq!(next_hop(&router, 5), Some(A));
    router.handle_tlv(A, announce(6, 1, 0, 800), now);
    router.handle_tlv(B, announce(6, 1, 0, 100), now);
    assert_eq!(next_hop(&router, 6), Some(B), "without a conflict the cost decides");
}

#[test]
fn a_forged_sequence_number_is_overtaken() {
    let (mut router, now) = alice(RouterLimits::default());
    let forged = Update { router_id: router.router_id(), ..update(0, 1, 50, 0) };
    router.handle_tlv(A, Tlv::Update(forged), now);
    assert_eq!(router.counters().own_forged, 1);
    router.handle_timeout(now + 4 * SECOND);
    assert_eq!(router.seqno(), 51);
    let own = updates_to(B, &sent(&mut router));
    assert!(own.iter().any(|update| update.seqno == 51 && update.metric == 0));
}

#[test]
fn a_node_whose_number_is_forged_out_of_reach_begins_another_life_and_not_too_often() {
    let (mut router, now) = alice(RouterLimits::default());
    let first = router.router_id();
    let forge = |router: &mut Router, at| {
        let forged = Update { router_id: router.router_id(), ..update(0, 1, 0x5000, 0) };
        router.handle_tlv(A, Tlv::Update(forged), at);
    };
    forge(&mut router, now);
    let second = router.router_id();
    assert!(second != first && second.public_key() == first.public_key());
    for link in [A, B] {
        let told = updates_to(link, &sent(&mut router));
        assert!(told.iter().all(|told| told.router_id == second && told.seqno == 0), "{told:?}");
    }
    // Who was taken in asks for a number that only the forger can have told.
    let (router_id, prefix) = (second, subnet(0));
    let request = SeqnoRequest { seqno: 0x5001, hop_count: 9, router_id, prefix };
    router.handle_tlv(B, Tlv::SeqnoRequest(request), now + 59 * SECOND);
    assert_eq!(router.router_id(), second);
    router.handle_tlv(B, Tlv::SeqnoRequest(request), now + 60 * SECOND);
    assert_ne!(router.router_id(), second);
    for minute in 2..100 {
        forge(&mut router, now + 30 * minute * SECOND);
    }
    assert!(router.counters().lives <= 51);
}

#[test]
fn a_number_far_ahead_shuts_no_true_route_out() {
    for ahead in [0x2000, 0x4001, 0x7000, 0x8001, 0xd000] {
        let (mut router, now) = alice(RouterLimits::default());
        // Somebody has the route from here, so that there is a distance to keep.
        let c = LinkId(3);
        router.link_up(c, 10, now);
        router.handle_tlv(c, request(5), now);
        router.handle_tlv(A, announce(5, 1, 7, 100), now);
        assert_eq!(next_hop(&router, 5), Some(A));
        let forged = 7_u16.wrapping_add(ahead);
        router.handle_tlv(B, announce(5, 1, forged, 0), now + SECOND);
        assert_eq!(next_hop(&router, 5), Some(B), "better, and nothing speaks against it yet");
        router.handle_tlv(B, announce(5, 1, forged, INFINITE), now + 2 * SECOND);
        assert_eq!(next_hop(&router, 5), Some(A), "{ahead:#x}");
        // Nor does one that was heard first.
        router.handle_tlv(A, announce(5, 1, 7, INFINITE), now + 3 * SECOND);
        router.handle_tlv(A, announce(5, 1, 8, 100), now + 4 * SECOND);
        assert_eq!(next_hop(&router, 5), Some(A), "{ahead:#x}");
        // And what the route was advertised with still counts: this one could be a loop.
        router.handle_tlv(A, announce(5, 1, 8, INFINITE), now + 5 * SECOND);
        router.handle_tlv(B, announce(5, 1, 8, 5000), now + 6 * SECOND);
        assert_eq!(next_hop(&router, 5), None, "{ahead:#x}");
    }
}

#[test]
fn a_flapping_route_is_told_of_a_few_times_and_no_more() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, announce(5, 1, 0, 5), now);
    router.handle_tlv(B, request(5), now);
    sent(&mut router);
    let mut told = 0;
    for round in 0..1000_u32 {
        let at = now + round * Duration::from_millis(100);
        router.handle_timeout(at);
        let metric = if round % 2 == 0 { INFINITE } else { 5 };
        router.handle_tlv(A, announce(5, 1, 0, metric), at);
        router.handle_tlv(A, ihu(), at);
        router.handle_tlv(B, ihu(), at);
        told += updates_to(B, &sent(&mut router)).iter().filter(|u| u.prefix == subnet(5)).count();
    }
    assert!(told < 20, "{told} Updates in 100 s");
    assert!(router.counters().damped > 100);
    // Who asks is answered nevertheless, and when it is quiet all hear of it.
    let end = now + 101 * SECOND;
    router.handle_tlv(A, announce(5, 1, 0, 5), end);
    router.handle_tlv(B, request(5), end);
    assert_eq!(updates_to(B, &sent(&mut router)).len(), 1);
    router.handle_timeout(end + 20 * SECOND);
    assert_eq!(next_hop(&router, 5), Some(A));
    assert!(updates_to(B, &sent(&mut router)).iter().any(|update| update.metric != INFINITE));
}

#[test]
fn a_peer_that_reads_slowly_is_told_no_more_than_a_window() {
    let (mut router, now) = alice(RouterLimits::default());
    for number in 10..5010 {
        router.handle_tlv(A, announce(number, 1, 0, 5), now);
    }
    let wildcard = Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None });
    router.handle_tlv(B, wildcard, now);
    // All of it comes and goes meanwhile.
    for round in 0..3_u16 {
        for number in 10..5010 {
            router.handle_tlv(A, announce(number, 1, round, INFINITE), now);
            router.handle_tlv(A, announce(number, 1, round + 1, 5), now);
        }
    }
    let first = updates_to(B, &sent(&mut router)).len();
    assert!((400..=490).contains(&first), "{first} Updates before any was read");
    let (mut told, mut at) = (first, now);
    for _ in 0..200 {
        at += Duration::from_millis(60);
        router.handle_timeout(at);
        router.handle_tlv(B, ihu(), at); // it has read, and says so
        let more = updates_to(B, &sent(&mut router)).len();
        assert!(more <= 490);
        told += more;
    }
    assert!((5000..=12_000).contains(&told), "each at least once, the newest: {told}");
}

#[test]
fn a_lost_route_leaves_nothing_behind() {
    let (mut router, now) = alice(RouterLimits::default());
    for number in 10..1010 {
        router.handle_tlv(A, announce(number, 1, 0, 5), now);
    }
    router.link_down(A, now);
    assert!(updates_to(B, &sent(&mut router)).is_empty(), "B was told of none of them");
    router.handle_timeout(now + 7 * SECOND);
    assert_eq!(router.routes().count(), 0);
    // And nothing is remembered that would make a worse route infeasible.
    router.handle_tlv(B, announce(10, 1, 0, 9000), now + 8 * SECOND);
    assert_eq!(next_hop(&router, 10), Some(B));
}

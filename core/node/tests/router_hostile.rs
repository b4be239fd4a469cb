//! What strangers may send, and what a router does about it (the weaknesses of spec section 6).

#![allow(clippy::unwrap_used)] // in the functions that make inputs

mod router_network;

use std::time::{Duration, Instant};

use router_network::{key, router};
use threephone_node::router::{LookupState, RouteLookup, Router, RouterLimits, RouterOutput};
use threephone_node::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::{LinkId, Prefix, PublicKey, RouterId};

const INFINITE: u16 = u16::MAX;
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

fn subnet(number: usize) -> Prefix {
    Prefix::subnet_of(key(number).address())
}

fn id(number: usize) -> RouterId {
    RouterId::new(key(number), [1; 6])
}

fn update(number: usize, seqno: u16, metric: u16) -> Update {
    Update { interval: 30_000, seqno, metric, prefix: subnet(number), router_id: id(number) }
}

fn request(prefix: &str, generation: u8) -> Tlv {
    let prefix = Some(prefix.parse().unwrap());
    Tlv::RouteRequest(RouteRequest { generation, prefix })
}

/// Router 0 with the peers A and B, its greetings taken out.
fn alice(limits: RouterLimits) -> (Router, Instant) {
    let now = Instant::now();
    let mut router = router(0, limits, now);
    router.link_up(A, 10, now);
    router.link_up(B, 10, now);
    drain(&mut router);
    (router, now)
}

fn drain(router: &mut Router) -> Vec<RouterOutput> {
    std::iter::from_fn(|| router.poll_output()).collect()
}

fn sent(router: &mut Router) -> Vec<(LinkId, Tlv)> {
    let outputs = drain(router).into_iter();
    outputs
        .filter_map(|output| match output {
            RouterOutput::Send { link, tlv } => Some((link, tlv)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_link_starts_with_the_own_route_and_one_hello() {
    let now = Instant::now();
    let mut router = router(0, RouterLimits::default(), now);
    router.link_up(A, 10, now);
    let hello = Tlv::Hello(Hello { seqno: 0, interval: 2000 });
    assert_eq!(sent(&mut router), [(A, Tlv::Update(update(0, 0, 0))), (A, hello)]);
}

#[test]
fn every_hello_gets_one_ihu_and_nothing_else_does() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Hello(Hello { seqno: 9, interval: 1 }), now);
    assert_eq!(sent(&mut router), [(A, Tlv::Ihu(Ihu { rxcost: 1010, interval: 6000 }))]);
    router.handle_timeout(now + Duration::from_secs(20));
    assert_eq!(sent(&mut router), [], "the first Hello is still unanswered, and no IHU is due");
}

#[test]
fn short_and_foreign_requests_neither_travel_nor_stop_lookups() {
    let (mut router, now) = alice(RouterLimits::default());
    for prefix in ["::/0", "400::/7", "400::/63", "200:1::/64", "fe80::/64", "400:1::1/128"] {
        router.handle_tlv(A, request(prefix, 0), now);
        assert_eq!(sent(&mut router), [], "{prefix}");
    }
    assert_eq!(router.lookup(key(5).address(), now), LookupState::Started);
    assert_eq!(sent(&mut router).len(), 2);
}

#[test]
fn a_request_for_a_longer_prefix_is_answered_and_hides_no_route() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Update(update(5, 0, 0)), now);
    drain(&mut router);
    router.handle_tlv(B, request(&format!("{}/128", key(5).address()), 0), now);
    assert!(matches!(
        &sent(&mut router)[..],
        [(B, Tlv::Update(answer))] if answer.prefix == subnet(5) && answer.metric == 1010
    ));
    assert!(matches!(router.route(key(5).address()), RouteLookup::Selected { link: A, .. }));
    router.handle_tlv(B, request(&format!("{}/128", key(0).address()), 0), now);
    assert_eq!(sent(&mut router), [(B, Tlv::Update(update(0, 0, 0)))]);
}

#[test]
fn requests_travel_fifteen_links_and_never_wrap() {
    for (generation, forwarded) in [(0, true), (14, true), (15, false), (16, false), (255, false)] {
        let (mut router, now) = alice(RouterLimits::default());
        router.handle_tlv(A, request("400:1::/64", generation), now);
        let expected = forwarded.then(|| (B, request("400:1::/64", generation.wrapping_add(1))));
        assert_eq!(sent(&mut router), Vec::from_iter(expected), "{generation}");
    }
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, request(&subnet(0).to_string(), 255), now);
    assert_eq!(sent(&mut router), []);
}

#[test]
fn a_repeated_request_is_swallowed_while_the_first_runs() {
    let (mut router, now) = alice(RouterLimits::default());
    for _ in 0..3 {
        router.handle_tlv(A, request("400:1::/64", 3), now);
    }
    assert_eq!(sent(&mut router).len(), 1);
}

#[test]
fn a_flood_of_requests_is_cut_off_per_peer() {
    let limits = RouterLimits { requests_burst: 20, ..RouterLimits::default() };
    let (mut router, now) = alice(limits);
    for number in 0..1000 {
        router.handle_tlv(A, request(&format!("400:{number:x}::/64"), 0), now);
    }
    assert_eq!(sent(&mut router).len(), 20);
    router.handle_tlv(B, request("401:1::/64", 0), now);
    assert_eq!(sent(&mut router).len(), 1, "another peer is not affected");
}

#[test]
fn the_wildcard_gets_the_table_and_then_has_to_wait() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Update(update(5, 0, 0)), now);
    router.handle_tlv(B, Tlv::Update(update(6, 0, 0)), now);
    drain(&mut router);
    let wildcard = Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None });
    let mut counts = Vec::new();
    for _ in 0..4 {
        router.handle_tlv(B, wildcard.clone(), now);
        counts.push(sent(&mut router).len());
    }
    assert_eq!(counts, [2, 2, 0, 0]);
}

#[test]
fn tables_stay_within_their_bounds() {
    let limits = RouterLimits { prefixes_per_link: 10, entries: 15, ..RouterLimits::default() };
    let (mut router, now) = alice(limits);
    for number in 10..100 {
        router.handle_tlv(A, Tlv::Update(update(number, 0, 5)), now);
    }
    assert_eq!(router.routes().count(), 10);
    for number in 100..200 {
        router.handle_tlv(B, Tlv::Update(update(number, 0, 5)), now);
    }
    assert_eq!(router.routes().count(), 15);
    // What this node looks for finds room.
    router.lookup(key(500).address(), now);
    router.handle_tlv(A, Tlv::Update(update(500, 0, 5)), now);
    assert!(matches!(router.route(key(500).address()), RouteLookup::Selected { .. }));
    assert_eq!(router.routes().count(), 15);
}

#[test]
fn nobody_announces_this_nodes_own_addresses_or_a_key_without_a_secret() {
    let (mut router, now) = alice(RouterLimits::default());
    let own = format!("{}/128", key(0).address()).parse().unwrap();
    router.handle_tlv(A, Tlv::Update(update(0, 9, 0)), now);
    router.handle_tlv(A, Tlv::Update(Update { prefix: own, ..update(0, 9, 0) }), now);
    let null = PublicKey::from_bytes([0; 32]);
    let update = Update {
        prefix: Prefix::subnet_of(null.address()),
        router_id: RouterId::new(null, [0; 6]),
        ..update(0, 0, 0)
    };
    router.handle_tlv(A, Tlv::Update(update), now);
    assert_eq!((router.routes().count(), sent(&mut router)), (0, vec![]));
}

#[test]
fn infeasible_updates_cost_one_seqno_request_more_in_four_seconds() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Update(update(5, 7, 0)), now);
    router.handle_tlv(B, request(&subnet(5).to_string(), 0), now);
    router.handle_tlv(A, Tlv::Update(update(5, 7, INFINITE)), now);
    for _ in 0..10 {
        router.handle_tlv(B, Tlv::Update(update(5, 7, 5000)), now);
    }
    let expected = SeqnoRequest { seqno: 8, hop_count: 64, router_id: id(5), prefix: subnet(5) };
    let mut sent = sent(&mut router);
    sent.retain(|(link, tlv)| *link == B && matches!(tlv, Tlv::SeqnoRequest(_)));
    // One because the route was lost, and one because B had none then and has one now.
    assert_eq!(sent, vec![(B, Tlv::SeqnoRequest(expected)); 2]);
    router.handle_tlv(B, Tlv::Update(update(5, 8, 5000)), now);
    assert!(matches!(router.route(key(5).address()), RouteLookup::Selected { link: B, .. }));
}

#[test]
fn a_seqno_request_for_the_own_prefix_is_always_answered() {
    let (mut router, now) = alice(RouterLimits::default());
    let ask = |seqno, router_id| {
        Tlv::SeqnoRequest(SeqnoRequest { seqno, hop_count: 1, router_id, prefix: subnet(0) })
    };
    router.handle_tlv(A, ask(0, id(0)), now);
    assert_eq!(sent(&mut router), [(A, Tlv::Update(update(0, 0, 0)))]);
    router.handle_tlv(A, ask(30_000, RouterId::new(key(0), [9; 6])), now);
    assert_eq!(sent(&mut router), [(A, Tlv::Update(update(0, 0, 0)))]);
    // A newer number comes once in 4 s, by one.
    router.handle_tlv(A, ask(50, id(0)), now);
    assert_eq!(sent(&mut router), []);
    let later = now + Duration::from_secs(4);
    assert_eq!(router.poll_timeout(), Some(later));
    router.handle_timeout(later);
    let update = Tlv::Update(update(0, 1, 0));
    assert_eq!(sent(&mut router), [(A, update.clone()), (B, update)]);
}

#[test]
fn an_update_that_ends_at_once_makes_no_flood() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Update(Update { interval: 0, ..update(5, 0, 0) }), now);
    assert_eq!((router.routes().count(), sent(&mut router)), (0, vec![]));
}

#[test]
fn a_retraction_keeps_the_key_for_six_seconds_and_then_nothing_is_left() {
    let (mut router, now) = alice(RouterLimits::default());
    router.link_up(LinkId(3), 10, now);
    router.handle_tlv(A, Tlv::Update(update(5, 0, 0)), now);
    router.handle_tlv(B, request(&subnet(5).to_string(), 0), now);
    drain(&mut router);
    let retraction = Update { router_id: id(77), ..update(5, 3, INFINITE) };
    router.handle_tlv(A, Tlv::Update(retraction), now);
    assert_eq!(router.route(key(5).address()), RouteLookup::Unselected { key: key(5) });
    let own = Update { router_id: id(0), ..update(5, 0, INFINITE) };
    let updates: Vec<_> =
        sent(&mut router).into_iter().filter(|(_, tlv)| matches!(tlv, Tlv::Update(_))).collect();
    assert_eq!(updates, [(B, Tlv::Update(own))], "only who had the route hears that it is gone");
    router.handle_timeout(now + Duration::from_secs(6));
    assert_eq!(router.route(key(5).address()), RouteLookup::Unknown);
}

#[test]
fn routes_end_after_three_and_a_half_intervals_and_are_refreshed_when_used() {
    let (mut router, now) = alice(RouterLimits::default());
    router.handle_tlv(A, Tlv::Update(update(5, 0, 0)), now);
    drain(&mut router);
    router.use_route(key(5).address(), now + Duration::from_secs(1000));
    assert_eq!(sent(&mut router), []);
    for _ in 0..5 {
        router.use_route(key(5).address(), now + Duration::from_secs(1040));
    }
    let asked = sent(&mut router);
    assert_eq!(asked.len(), 2, "each peer once, however many packets pass: {asked:?}");
    assert!(router.routes().all(|r| r.expires == now + Duration::from_secs(1050)));
}

#[test]
fn a_peer_that_never_answers_a_hello_is_given_up_after_43_seconds() {
    let start = Instant::now();
    let mut router = router(0, RouterLimits::default(), start);
    router.link_up(A, 10, start);
    let closed = loop {
        let now = router.poll_timeout().unwrap();
        router.handle_timeout(now);
        // Its own Hellos and an IHU that nobody asked for do not keep it alive.
        router.handle_tlv(A, Tlv::Hello(Hello { seqno: 0, interval: 2000 }), now);
        if drain(&mut router).iter().any(|o| matches!(o, RouterOutput::Close { link: A, .. })) {
            break now;
        }
    };
    assert_eq!(closed - start, Duration::from_secs(43));
}

#[test]
fn a_flood_of_hellos_gets_twenty_answers_and_then_one_a_second() {
    let limits = RouterLimits { hellos_burst: 20, hellos_per_second: 1, ..RouterLimits::default() };
    let (mut router, now) = alice(limits);
    let hello = Tlv::Hello(Hello { seqno: 0, interval: 2000 });
    let mut answers = |at| {
        (0..1000).for_each(|_| router.handle_tlv(A, hello.clone(), at));
        sent(&mut router).len()
    };
    assert_eq!(answers(now), 20);
    assert_eq!(answers(now + Duration::from_secs(3)), 3);
    assert_eq!(answers(now + Duration::from_secs(60)), 20);
}

#[test]
fn links_beyond_the_limit_are_closed() {
    let (mut router, now) = alice(RouterLimits { links: 2, ..RouterLimits::default() });
    router.link_up(LinkId(3), 10, now);
    assert!(matches!(&drain(&mut router)[..], [RouterOutput::Close { link: LinkId(3), .. }]));
}

//! What keeps a large network quiet (spec 11.3): who hears of a new route, of a lost one, and how
//! often a lookup that failed is tried again.
#![allow(clippy::unwrap_used)] // in the functions that make inputs

mod router_network;

use std::time::{Duration, Instant};

use router_network::{key, router};
use threephone_node::router::{Router, RouterLimits, RouterOutput};
use threephone_node::wire::control::{Ihu, RouteRequest, Tlv, Update};
use threephone_node::{LinkId, Prefix, RouterId};

const INFINITE: u16 = u16::MAX;
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);
const D: LinkId = LinkId(4);
const SECOND: Duration = Duration::from_secs(1);

fn announce(number: usize, metric: u16) -> Tlv {
    let (prefix, router_id) =
        (Prefix::subnet_of(key(number).address()), RouterId::new(key(number), [1; 6]));
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric, prefix, router_id })
}

fn request(number: usize) -> Tlv {
    let prefix = Some(Prefix::subnet_of(key(number).address()));
    Tlv::RouteRequest(RouteRequest { generation: 0, prefix })
}

/// A router with four peers.
fn alice() -> (Router, Instant) {
    let now = Instant::now();
    let mut router = router(0, RouterLimits::default(), now);
    for link in [A, B, C, D] {
        router.link_up(link, 10, now);
    }
    sent(&mut router);
    (router, now)
}

fn sent(router: &mut Router) -> Vec<(LinkId, Tlv)> {
    let outputs = std::iter::from_fn(|| router.poll_output());
    let sent = outputs.filter_map(|output| match output {
        RouterOutput::Send { link, tlv } => Some((link, tlv)),
        _ => None,
    });
    sent.collect()
}

/// Who was told of a route or of its end.
fn told(router: &mut Router) -> Vec<(LinkId, bool)> {
    let updates = sent(router).into_iter().filter_map(|(link, tlv)| match tlv {
        Tlv::Update(update) => Some((link, update.metric != INFINITE)),
        _ => None,
    });
    updates.collect()
}

/// To whom lookups went.
fn asked(router: &mut Router) -> Vec<LinkId> {
    let requests = sent(router).into_iter();
    let requests = requests.filter(|(_, tlv)| matches!(tlv, Tlv::RouteRequest(_)));
    requests.map(|(link, _)| link).collect()
}

#[test]
fn a_new_route_is_told_to_all_that_asked_and_to_nobody_else() {
    let (mut router, now) = alice();
    router.handle_tlv(A, announce(5, 0), now);
    assert_eq!(told(&mut router), [], "nobody asked");
    router.handle_tlv(B, request(6), now);
    router.handle_tlv(C, request(6), now);
    sent(&mut router);
    router.handle_tlv(A, announce(6, 0), now);
    assert_eq!(told(&mut router), [(B, true), (C, true)]);
}

#[test]
fn a_lost_route_is_told_to_those_that_had_it_and_to_nobody_else() {
    let (mut router, now) = alice();
    router.handle_tlv(A, announce(5, 0), now);
    router.handle_tlv(A, announce(6, 0), now);
    router.handle_tlv(B, request(6), now);
    sent(&mut router);
    router.link_down(A, now);
    assert_eq!(told(&mut router), [(B, false)]);
}

#[test]
fn the_own_prefix_is_told_to_everybody_every_five_minutes() {
    let (mut router, now) = alice();
    let mut count = 0;
    for second in 1..=3600 {
        let at = now + second * SECOND;
        for link in [A, B, C, D] {
            router.handle_tlv(link, Tlv::Ihu(Ihu { rxcost: 10, interval: 6000 }), at);
        }
        router.handle_timeout(at);
        count += told(&mut router).len();
    }
    assert_eq!(count, 4 * 12);
}

#[test]
fn a_lookup_that_failed_just_now_is_not_tried_again_at_once() {
    let (mut router, now) = alice();
    router.handle_tlv(B, request(5), now);
    assert_eq!(asked(&mut router), [A, C, D]);
    let failed = now + 15 * SECOND;
    router.handle_timeout(failed);
    sent(&mut router);
    for (seconds, again) in [(0, vec![]), (2, vec![]), (3, vec![A, C, D])] {
        router.handle_tlv(B, request(5), failed + seconds * SECOND);
        assert_eq!(asked(&mut router), again, "{seconds} s after it failed");
    }
}

//! What only the inside of a router shows: keys that share a /64 cannot be made for a test, and what
//! is remembered of sources is told to nobody.

use super::clock::Tick;
use super::destination::Entry;
use super::*;
use crate::wire::control::{Ihu, Update};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const SECOND: Duration = Duration::from_secs(1);

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn subnet(number: u8) -> Prefix {
    Prefix::subnet_of(key(number).address())
}

fn announce(number: u8, metric: u16) -> Tlv {
    let (prefix, router_id) = (subnet(number), RouterId::new(key(number), [1; 6]));
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric, prefix, router_id })
}

fn request(number: u8) -> Tlv {
    Tlv::RouteRequest(RouteRequest { generation: 0, prefix: Some(subnet(number)) })
}

/// A router with two links.
fn alice() -> (Router, Instant) {
    let now = Instant::now();
    let router_id = RouterId::new(key(1), [1; 6]);
    let (prefix, limits) = (subnet(1), RouterLimits::default());
    let mut router = Router::new(RouterConfig { router_id, prefix, seed: [1; 32], limits }, now);
    router.link_up(A, 10, now);
    router.link_up(B, 10, now);
    (router, now)
}

fn is_selected(router: &Router, number: u8) -> bool {
    router.selected(key(number).address()).is_some()
}

#[test]
fn another_key_takes_no_64_from_one_that_has_proven_itself() {
    let (mut router, now) = alice();
    // Key 9 stands for one that has the same /64 as key 5.
    let tick = router.clock.tick(now);
    router.pins.confirm(subnet(5), key(9), 10, tick);
    router.handle_tlv(A, announce(5, 0), now);
    assert_eq!((is_selected(&router, 5), router.counters().other_key), (false, 1));
    router.handle_tlv(A, announce(6, 0), now);
    assert!(is_selected(&router, 6), "others are not affected");
    let day_later = now + Duration::from_secs(24 * 3600);
    router.handle_tlv(A, announce(5, 0), day_later);
    assert!(is_selected(&router, 5), "of the first nothing was heard for a day");
}

#[test]
fn two_keys_never_have_routes_to_one_64() {
    let (mut router, now) = alice();
    let first = Entry {
        router_id: RouterId::new(key(9), [1; 6]),
        link: B,
        expires: router.clock.after(1000 * SECOND, now),
        doubted: Tick::START,
        metric: 500,
        seqno: 0,
        selected: false,
    };
    router.table.insert(subnet(5), first);
    router.reselect(subnet(5), None, now);
    router.handle_tlv(A, announce(5, 0), now);
    assert_eq!(router.selected(key(5).address()).unwrap().key, key(9));
    assert_eq!((router.routes().count(), router.counters().other_key), (1, 1));
    router.drop_entry(subnet(5), B, now);
    router.handle_tlv(A, announce(5, 0), now);
    assert_eq!(router.selected(key(5).address()).unwrap().key, key(5));
}

#[test]
fn what_is_lost_and_retracted_leaves_no_more_behind_than_what_was_advertised() {
    let (mut router, now) = alice();
    for number in 10..110 {
        router.handle_tlv(A, announce(number, 5), now);
        router.handle_tlv(B, request(number), now);
    }
    assert_eq!(router.table.distances(), 100, "of each the way that B was told");
    while router.poll_output().is_some() {}
    router.link_down(A, now);
    let is_retraction = |output: &RouterOutput| {
        matches!(output, RouterOutput::Send { link: B, tlv: Tlv::Update(update) }
            if update.metric == metric::INFINITE)
    };
    let retracted = std::iter::from_fn(|| router.poll_output()).filter(is_retraction).count();
    assert_eq!((retracted, router.table.distances()), (100, 100), "own retractions are no sources");
    // And those end by themselves.
    let mut at = now;
    while at < now + Duration::from_secs(1900) {
        at += SECOND;
        router.handle_tlv(B, Tlv::Ihu(Ihu { rxcost: 1, interval: 6000 }), at);
        router.handle_timeout(at);
    }
    assert_eq!((router.table.distances(), router.table.after(None)), (0, None));
}

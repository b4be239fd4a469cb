//! What was captured between older nodes, said by ours in the same place.

use std::time::Instant;

use serde_json::Value;
use threephone_node::router::{Router, RouterConfig, RouterLimits, RouterOutput};
use threephone_node::wire::control::{RouteRequest, Tlv};
use threephone_node::{LinkId, Prefix, RouterId, SecretKey};

use crate::{decode_tlv, encode, hex, list, secret, vectors};

/// Node B of the captures, with peer 1 (which announces the prefix of A) and peer 2, both over
/// TCP and IPv4.
struct Exchange {
    router: Router,
    now: Instant,
}

pub(crate) const PEER_1: LinkId = LinkId(1);
const PEER_2: LinkId = LinkId(2);

pub(crate) fn secret_a() -> SecretKey {
    secret(&vectors()["identity"][1], "secret")
}

pub(crate) fn secret_b() -> SecretKey {
    secret(&vectors()["identity"][2], "secret")
}

/// The random part of B's router id when the captures were made.
pub(crate) const RANDOM_B: [u8; 6] = [0x82, 0xb9, 0x94, 0x00, 0x78, 0xdf];

impl Exchange {
    fn new() -> Self {
        let key = secret_b().public_key();
        let config = RouterConfig {
            router_id: RouterId::new(key, RANDOM_B),
            prefix: Prefix::subnet_of(key.address()),
            seed: [7; 32],
            limits: RouterLimits::default(),
        };
        let now = Instant::now();
        Self { router: Router::new(config, now), now }
    }

    fn with_two_peers() -> Self {
        let mut exchange = Self::new();
        exchange.router.link_up(PEER_1, 15, exchange.now);
        exchange.router.link_up(PEER_2, 15, exchange.now);
        exchange.sent();
        exchange
    }

    fn receive(&mut self, link: LinkId, packet: &[u8]) {
        self.router.handle_tlv(link, decode_tlv(packet), self.now);
    }

    /// A peer asks for the route of the capture, as it must before it is told of it.
    fn look_up(&mut self, link: LinkId) {
        let prefix = Some(Prefix::subnet_of(secret_a().public_key().address()));
        self.router.handle_tlv(
            link,
            Tlv::RouteRequest(RouteRequest { generation: 0, prefix }),
            self.now,
        );
        self.sent();
    }

    /// All that was sent since the last call.
    fn sent(&mut self) -> Vec<(LinkId, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(output) = self.router.poll_output() {
            if let RouterOutput::Send { link, tlv } = output {
                sent.push((link, encode(&tlv)));
            }
        }
        sent
    }
}

pub(crate) fn capture(name: &str) -> Value {
    let capture = vectors()["captures"][name].clone();
    assert!(capture.is_object(), "{name}");
    capture
}

#[test]
fn the_first_packet_on_a_link_is_the_captured_update() {
    let mut exchange = Exchange::new();
    exchange.router.link_up(PEER_1, 15, exchange.now);
    let expected = hex(&capture("tcp_connect_first_bytes_from_listener"), "hex");
    assert_eq!(exchange.sent()[0], (PEER_1, expected));
}

#[test]
fn a_hello_is_answered_by_the_captured_ihu_alone() {
    let (mut exchange, capture) = (Exchange::with_two_peers(), capture("ihu_reply_to_hello"));
    exchange.receive(PEER_1, &hex(&capture, "sent"));
    assert_eq!(exchange.sent(), [(PEER_1, hex(&capture, "received"))]);
}

#[test]
fn a_new_route_is_told_to_the_other_peer_as_captured() {
    let mut exchange = Exchange::with_two_peers();
    let capture = capture("triggered_update_to_other_peer");
    exchange.look_up(PEER_2);
    exchange.receive(PEER_1, &hex(&capture, "sent_by_peer_1"));
    assert_eq!(exchange.sent(), [(PEER_2, hex(&capture, "received_by_peer_2"))]);
}

#[test]
fn requests_are_forwarded_as_captured() {
    let mut exchange = Exchange::with_two_peers();
    let lookup = capture("route_request_forwarded");
    exchange.receive(PEER_2, &hex(&lookup, "sent_by_peer_2"));
    assert_eq!(exchange.sent(), [(PEER_1, hex(&lookup, "received_by_peer_1"))]);

    let route = capture("triggered_update_to_other_peer");
    exchange.receive(PEER_1, &hex(&route, "sent_by_peer_1"));
    exchange.sent();
    let newer = capture("seqno_request_forwarded");
    exchange.receive(PEER_2, &hex(&newer, "sent_by_peer_2"));
    assert_eq!(exchange.sent(), [(PEER_1, hex(&newer, "received_by_peer_1"))]);
}

#[test]
fn a_lost_route_is_retracted_as_captured() {
    let mut exchange = Exchange::with_two_peers();
    let route = capture("triggered_update_to_other_peer");
    exchange.look_up(PEER_2);
    exchange.receive(PEER_1, &hex(&route, "sent_by_peer_1"));
    exchange.sent();
    exchange.router.link_down(PEER_1, exchange.now);
    let expected = hex(&capture("retraction_after_peer_disconnect"), "received_by_peer_2");
    assert!(exchange.sent().contains(&(PEER_2, expected)));
}

#[test]
fn malformed_requests_that_decode_are_dropped_by_the_router() {
    let vectors = vectors();
    let malformed = list(&vectors, "malformed");
    let packet = |name: &str| {
        let case = malformed.iter().find(|case| case["name"] == name);
        hex(case.unwrap_or_else(|| panic!("{name} is a case")), "hex")
    };
    let mut exchange = Exchange::with_two_peers();
    exchange.receive(PEER_2, &packet("route request generation 255"));
    assert_eq!(exchange.sent(), [], "not forwarded");
    exchange.receive(PEER_2, &packet("route request for ::/0 as AE 2"));
    assert_eq!(exchange.sent(), [], "not forwarded");
    let lookup = capture("route_request_forwarded");
    exchange.receive(PEER_2, &hex(&lookup, "sent_by_peer_2"));
    let forwarded = (PEER_1, hex(&lookup, "received_by_peer_1"));
    assert_eq!(exchange.sent(), [forwarded], "lookups of other prefixes go on");
}

#[test]
fn a_discovery_beacon_names_the_router_id_that_its_node_would_announce() {
    // What a beacon holds; beacons themselves are tested where they are heard.
    let beacon = hex(&capture("link_local_discovery_beacon"), "hex");
    let id = RouterId::from_bytes(beacon[10..].try_into().unwrap());
    assert_eq!(id.public_key(), secret_b().public_key());
}

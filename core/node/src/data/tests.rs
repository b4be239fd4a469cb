//! The data plane between a real router and hand-made packets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_core::SeedableRng;

mod unreachable;

use super::waiting::PATIENCE;
use super::*;
use crate::RouterId;
use crate::router::{RouterConfig, RouterLimits, RouterOutput};
use crate::seal::ReplayBudget;
use crate::wire::control::{Tlv, Update};
use crate::wire::frame::{Decoder, Packet};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

fn secret(name: u8) -> SecretKey {
    SecretKey::from_bytes([name; 32])
}

fn address(name: u8) -> Ipv6Addr {
    secret(name).public_key().address()
}

/// Node 1 with two links.
struct World {
    router: Router,
    data: DataPlane,
    now: Instant,
}

impl World {
    fn new(limits: DataLimits) -> Self {
        let now = Instant::now();
        let config = RouterConfig {
            router_id: RouterId::new(secret(1).public_key(), [1; 6]),
            prefix: Prefix::subnet_of(address(1)),
            seed: [1; 32],
            limits: RouterLimits::default(),
        };
        let mut router = Router::new(config, now);
        router.link_up(A, 10, now);
        router.link_up(B, 10, now);
        let data = DataPlane::new(secret(1), limits, ChaCha20Rng::seed_from_u64(1), now);
        Self { router, data, now }
    }

    /// A node announces itself on a link, and the data plane hears of it.
    fn announce(&mut self, name: u8, link: LinkId, metric: u16) {
        let key = secret(name).public_key();
        let prefix = Prefix::subnet_of(key.address());
        let router_id = RouterId::new(key, [0; 6]);
        let update = Update { interval: 30_000, seqno: 0, metric, prefix, router_id };
        self.router.handle_tlv(link, Tlv::Update(update), self.now);
        while let Some(output) = self.router.poll_output() {
            if let RouterOutput::RouteAcquired { prefix, .. } = output {
                self.data.release(prefix, &mut self.router, self.now);
            }
        }
    }

    fn handle(&mut self, link: LinkId, packet: DataPacket) {
        self.data.handle(link, packet, &mut self.router, self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.data.poll_output()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.data.handle_timeout(self.now);
    }

    fn requests(&mut self) -> usize {
        let requests = std::iter::from_fn(|| self.router.poll_output()).filter(|output| {
            matches!(output, RouterOutput::Send { tlv: Tlv::RouteRequest(_), .. })
        });
        requests.count()
    }
}

static SEALED: AtomicU64 = AtomicU64::new(0);

/// A packet that node `from` sealed for node `to`.
fn sealed(from: u8, to: u8, kind: u8, body: &[u8]) -> DataPacket {
    let (own, peer) = (secret(from).public_key(), secret(to).public_key());
    let shared = secret(from).shared_secret(&peer).unwrap();
    let start = SEALED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut nonce = [9; 12];
    nonce[..8].copy_from_slice(&start); // as good as random: no two packets are replays
    let budget = ReplayBudget::new(0);
    let sealer = Sealer::new(&shared, &own, &peer, nonce, budget).unwrap();
    let mut payload = BytesMut::from(&[VERSION, kind, 0, 0][..]);
    payload.put_slice(body);
    assert!(sealer.seal(&mut payload, 0));
    let payload = payload.freeze();
    DataPacket { hop_limit: 64, source: address(from), destination: address(to), payload }
}

fn decoded(bytes: &[u8]) -> DataPacket {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    let Some(Packet::Data(packet)) = decoder.next().unwrap() else { panic!("a data packet") };
    packet
}

#[test]
fn a_packet_from_an_unknown_sender_waits_for_its_key_and_fifteen_seconds_at_most() {
    let mut world = World::new(DataLimits::default());
    world.handle(A, sealed(2, 1, TYPE_MESSAGE, b"early"));
    assert!(world.outputs().is_empty());
    assert_eq!(world.requests(), 2, "both peers are asked");
    world.announce(2, A, 0);
    let expected = Output::Message {
        source: address(2),
        destination: address(1),
        key: secret(2).public_key(),
        body: Bytes::from_static(b"early"),
    };
    assert_eq!(world.outputs(), [expected]);
    world.handle(A, sealed(3, 1, TYPE_MESSAGE, b"too early"));
    world.pass(PATIENCE);
    world.announce(3, A, 0);
    assert!(world.outputs().is_empty());
    assert_eq!(world.data.counters().no_route, 1);
    assert_eq!(world.data.poll_timeout(), None);
}

#[test]
fn a_packet_for_an_unknown_node_waits_for_a_route_and_fifteen_seconds_at_most() {
    let mut world = World::new(DataLimits::default());
    world.handle(A, sealed(2, 3, TYPE_MESSAGE, b"passing"));
    assert!(world.outputs().is_empty());
    world.announce(3, B, 0);
    let [Output::Transmit { link: B, bytes }] = &world.outputs()[..] else { panic!("one packet") };
    assert_eq!(decoded(bytes).hop_limit, 63, "one hop however long it waited");
    world.handle(A, sealed(2, 4, TYPE_MESSAGE, b"passing"));
    world.pass(PATIENCE);
    world.announce(4, B, 0);
    assert!(world.outputs().is_empty());
}

#[test]
fn both_waiting_queues_are_bounded_and_ask_once() {
    let limits = DataLimits { inbound_per_subnet: 3, outbound_per_subnet: 5, ..Default::default() };
    let mut world = World::new(limits);
    for _ in 0..1000 {
        world.handle(A, sealed(2, 1, TYPE_MESSAGE, b"in"));
        world.handle(A, sealed(2, 3, TYPE_MESSAGE, b"through"));
    }
    assert_eq!(world.data.counters().no_route, 997 + 995);
    assert_eq!(world.requests(), 4, "for each /64 each peer once");
    world.announce(2, A, 0);
    world.announce(3, B, 0);
    assert_eq!(world.outputs().len(), 3 + 5);
}

#[test]
fn reports_go_only_back_to_where_the_source_is_and_at_a_limited_rate() {
    let mut world = World::new(DataLimits { errors_per_second: 50, ..Default::default() });
    let expired = DataPacket { hop_limit: 1, ..sealed(2, 3, TYPE_MESSAGE, b"tired") };
    world.handle(A, expired.clone());
    assert!(world.outputs().is_empty(), "nobody knows where the source is");
    assert_eq!(world.requests(), 0, "and nobody looks for it");
    world.announce(2, A, 0);
    world.handle(B, expired.clone());
    assert!(world.outputs().is_empty(), "whoever is behind B made the source up");
    for _ in 0..1000 {
        world.handle(A, expired.clone());
    }
    assert_eq!(world.outputs().len(), 5);
    world.now += Duration::from_secs(1);
    world.handle(A, expired);
    let [Output::Transmit { link: A, bytes }] = &world.outputs()[..] else { panic!("a report") };
    let report = decoded(bytes);
    assert_eq!(report.source, Prefix::subnet_of(address(1)).address());
    assert_eq!((report.destination, report.hop_limit), (address(2), 63));
}

#[test]
fn a_node_that_is_known_but_cannot_be_reached_gives_a_report_and_no_wait() {
    let mut world = World::new(DataLimits::default());
    world.announce(2, A, 0);
    world.announce(3, B, 0);
    world.announce(3, B, u16::MAX);
    world.handle(A, sealed(2, 3, TYPE_MESSAGE, b"late"));
    assert!(matches!(&world.outputs()[..], [Output::Transmit { link: A, .. }]));
    assert_eq!(world.data.poll_timeout(), None);
}

#[test]
fn a_packet_that_arrives_with_hop_limit_one_is_not_delivered() {
    let mut world = World::new(DataLimits::default());
    world.announce(2, A, 0);
    for (hop_limit, delivered) in [(0, 0), (1, 0), (2, 1)] {
        world.handle(A, DataPacket { hop_limit, ..sealed(2, 1, TYPE_MESSAGE, b"m") });
        let messages = world.outputs().into_iter();
        let messages = messages.filter(|output| matches!(output, Output::Message { .. }));
        assert_eq!(messages.count(), delivered, "{hop_limit}");
    }
}

#[test]
fn what_opens_is_counted_by_what_it_is_and_what_does_not_open_is_dropped() {
    let mut world = World::new(DataLimits::default());
    world.announce(2, A, 0);
    let ip = |source: Ipv6Addr| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        packet.extend(source.octets());
        packet.extend(address(1).octets());
        packet
    };
    world.handle(A, sealed(2, 1, TYPE_L3, &ip(address(2))));
    world.handle(A, sealed(2, 1, TYPE_L3, &ip(address(3))));
    world.handle(A, sealed(2, 1, TYPE_L3, b"short"));
    world.handle(A, sealed(2, 1, 7, b"of no known type"));
    world.handle(A, sealed(2, 1, TYPE_ICMP, b"short"));
    world.handle(A, DataPacket { source: address(2), ..sealed(3, 1, TYPE_MESSAGE, b"forged") });
    world.handle(A, DataPacket { payload: Bytes::new(), ..sealed(2, 1, TYPE_MESSAGE, b"") });
    let expected =
        DataCounters { l3: 1, malformed: 3, spoofed: 1, unopened: 2, ..Default::default() };
    assert_eq!(world.data.counters(), expected);
    assert!(world.outputs().is_empty());
}

#[test]
fn a_reflected_packet_is_dropped() {
    let mut world = World::new(DataLimits::default());
    world.announce(2, A, 0);
    let ends = (address(1), address(2));
    let write = |out: &mut BytesMut| out.put_slice(b"hello");
    let way = world.data.way(ends.1, &mut world.router, world.now).unwrap();
    world.data.send_message(ends, &way, 5, write);
    let [Output::Transmit { bytes, .. }] = &world.outputs()[..] else { panic!("one packet") };
    let sent = decoded(bytes);
    world.handle(A, DataPacket { source: address(2), destination: address(1), ..sent });
    assert!(world.outputs().is_empty());
    assert_eq!(world.data.counters().reflected, 1);
}

#[test]
fn no_more_ciphers_are_kept_than_allowed_and_all_peers_are_served() {
    let mut world = World::new(DataLimits { ciphers: 3, ..Default::default() });
    for name in 2..20 {
        world.announce(name, A, 0);
        world.handle(A, sealed(name, 1, TYPE_MESSAGE, b"m"));
        assert_eq!(world.outputs().len(), 1);
    }
}

#[test]
fn a_route_costs_no_key_agreement_until_it_is_used() {
    let mut world = World::new(DataLimits { ciphers: 1, ..Default::default() });
    for name in 2..=200 {
        world.announce(name, A, 0);
    }
    // Every agreement but the first would have pushed out another.
    assert_eq!(world.data.evictions(), 0);
    for name in [2, 3, 3] {
        world.handle(A, sealed(name, 1, TYPE_MESSAGE, b"m"));
    }
    assert_eq!((world.outputs().len(), world.data.evictions()), (3, 1));
}

//! The public network's test vectors: bytes and rules as its nodes produce and follow them. One
//! test a section, so that a section that is not covered is seen.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use serde_json::Value;
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::router::{Router, RouterConfig, RouterLimits, RouterOutput};
use threephone_node::seal::{ReplayBudget, Sealer};
use threephone_node::wire::control::{
    Hello, Ihu, MalformedTlv, RouteRequest, SeqnoRequest, Tlv, Update,
};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, FrameError, Packet};
use threephone_node::wire::message::{MessageBody, MessageId, MessagePacket};
use threephone_node::{LinkId, Prefix, PublicKey, RouterId, SecretKey, Target};

/// What section each test covers; that of QUIC is read by the tests of transports.
const SECTIONS: [&str; 14] = [
    "identity",
    "router_id",
    "shared_secret",
    "aead",
    "seqno_compare",
    "metric_add",
    "link_cost_smoothing",
    "update_filters",
    "control_packets",
    "data_packets",
    "messages",
    "message_length_interop",
    "captures",
    "malformed",
];

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../fixtures/wire/mycelium-vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is a text in {value}"))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} is a number in {value}"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a Vec<Value> {
    let list = value[field].as_array().unwrap_or_else(|| panic!("{field} is a list in {value}"));
    assert!(!list.is_empty());
    list
}

fn hex(value: &Value, field: &str) -> Vec<u8> {
    HEXLOWER.decode(text(value, field).as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value, field: &str) -> [u8; N] {
    hex(value, field).try_into().unwrap()
}

fn secret(value: &Value, field: &str) -> SecretKey {
    SecretKey::from_bytes(array(value, field))
}

/// All packets of a stream, and how many malformed ones were skipped.
fn decode(stream: &[u8]) -> Result<(Vec<Packet>, u64), FrameError> {
    let mut decoder = Decoder::new();
    decoder.push(stream);
    let mut packets = Vec::new();
    while let Some(packet) = decoder.next()? {
        packets.push(packet);
    }
    assert!(!decoder.is_inside_packet());
    Ok((packets, decoder.malformed()))
}

fn decode_one(packet: &[u8]) -> Packet {
    let (mut packets, malformed) = decode(packet).unwrap();
    assert_eq!((packets.len(), malformed), (1, 0));
    packets.remove(0)
}

fn decode_tlv(packet: &[u8]) -> Tlv {
    match decode_one(packet) {
        Packet::Control(tlv) => tlv,
        Packet::Data(data) => panic!("{data:?} is no control packet"),
    }
}

fn decode_data(packet: &[u8]) -> DataPacket {
    match decode_one(packet) {
        Packet::Data(data) => data,
        Packet::Control(tlv) => panic!("{tlv:?} is no data packet"),
    }
}

fn encode(tlv: &Tlv) -> Vec<u8> {
    let mut out = BytesMut::new();
    tlv.encode(&mut out);
    out.to_vec()
}

fn encode_message(packet: &MessagePacket) -> Vec<u8> {
    let mut out = BytesMut::from(&[1, 1, 0, 0][..]);
    packet.encode(&mut out);
    out.to_vec()
}

fn decode_message(plaintext: &[u8]) -> MessagePacket {
    assert_eq!(plaintext[..4], [1, 1, 0, 0], "user header of a message");
    MessagePacket::decode(Bytes::copy_from_slice(&plaintext[4..])).unwrap()
}

#[test]
fn every_section_but_quic_has_its_test_here() {
    let vectors = vectors();
    for (section, value) in vectors.as_object().unwrap() {
        let known = SECTIONS.contains(&section.as_str());
        assert!(known || section == "quic" || value.is_string(), "{section} is not covered");
    }
}

#[test]
fn keys_and_addresses_are_derived_as_in_the_identity_section() {
    for case in list(&vectors(), "identity") {
        let key = secret(case, "secret").public_key();
        assert_eq!(key.to_string(), text(case, "public"));
        assert_eq!(key, text(case, "public").to_uppercase().parse().unwrap());
        let hash = blake3::hash(key.as_bytes());
        assert_eq!(hash.as_bytes()[..16], hex(case, "blake3_first16")[..]);
        assert_eq!(key.address().octets(), array(case, "address_bytes"));
        assert_eq!(key.address().to_string(), text(case, "address"));
        assert_eq!(Prefix::subnet_of(key.address()).to_string(), text(case, "subnet"));
    }
}

#[test]
fn router_ids_have_the_bytes_and_text_of_the_router_id_section() {
    let case = &vectors()["router_id"];
    let id = RouterId::from_bytes(array(case, "bytes"));
    assert_eq!(id.to_string(), text(case, "text"));
    let key: PublicKey = text(case, "text")[..64].parse().unwrap();
    assert_eq!(id.public_key(), key);
    assert_eq!(RouterId::new(key, [0x10, 0x20, 0x30, 0x40, 0x50, 0x60]), id);
}

#[test]
fn both_sides_share_the_secret_of_the_shared_secret_section() {
    for case in list(&vectors(), "shared_secret") {
        let (a, b) = (secret(case, "secret_a"), secret(case, "secret_b"));
        assert_eq!(a.public_key().to_string(), text(case, "public_a"));
        assert_eq!(b.public_key().to_string(), text(case, "public_b"));
        let shared = array(case, "shared");
        assert_eq!(a.shared_secret(&b.public_key()).unwrap().as_bytes(), &shared);
        assert_eq!(b.shared_secret(&a.public_key()).unwrap().as_bytes(), &shared);
    }
}

fn expected_tlv(fields: &Value) -> Tlv {
    let short = |field| u16::try_from(number(fields, field)).unwrap();
    let byte = |field| u8::try_from(number(fields, field)).unwrap();
    let prefix = || {
        let mut octets = [0; 16];
        let bytes = hex(fields, "prefix_hex");
        octets[..bytes.len()].copy_from_slice(&bytes);
        Prefix::new(octets.into(), byte("prefix_len")).unwrap()
    };
    let router_id = || RouterId::from_bytes(array(fields, "router_id_hex"));
    match text(fields, "name") {
        "hello" => {
            assert_eq!(number(fields, "flags"), 0x8000);
            Tlv::Hello(Hello { seqno: short("seqno"), interval: short("interval_cs") })
        }
        "ihu" => Tlv::Ihu(Ihu { rxcost: short("rxcost"), interval: short("interval_cs") }),
        "update" => Tlv::Update(Update {
            interval: short("interval_cs"),
            seqno: short("seqno"),
            metric: short("metric"),
            prefix: prefix(),
            router_id: router_id(),
        }),
        "route_request" => Tlv::RouteRequest(RouteRequest {
            generation: byte("generation"),
            prefix: (number(fields, "ae") != 0).then(prefix),
        }),
        "seqno_request" => Tlv::SeqnoRequest(SeqnoRequest {
            seqno: short("seqno"),
            hop_count: byte("hop_count"),
            router_id: router_id(),
            prefix: prefix(),
        }),
        other => panic!("{other} is no TLV"),
    }
}

#[test]
fn control_packets_decode_and_encode_as_in_their_section() {
    for case in list(&vectors(), "control_packets") {
        let (bytes, fields) = (hex(case, "hex"), &case["fields"]);
        if case["must_not_send"] == true {
            // Not ours to send, and on receipt not ours to act on.
            assert_eq!(decode(&bytes).unwrap(), (vec![], 1), "{case}");
            continue;
        }
        let tlv = expected_tlv(fields);
        assert_eq!(decode_tlv(&bytes), tlv, "{case}");
        let with_address = fields["address_hex"].as_str().is_some_and(|hex| !hex.is_empty());
        if !with_address {
            assert_eq!(encode(&tlv), bytes, "{case}");
        }
    }
}

#[test]
fn data_packets_decode_and_encode_as_in_their_section() {
    for case in list(&vectors(), "data_packets") {
        let bytes = hex(case, "hex");
        let address = |field| text(case, field).parse::<Ipv6Addr>().unwrap();
        let packet = DataPacket {
            hop_limit: u8::try_from(number(case, "hop_limit")).unwrap(),
            source: address("source"),
            destination: address("destination"),
            payload: hex(case, "payload_hex").into(),
        };
        assert_eq!(packet.payload.len() as u64, number(case, "length"));
        assert_eq!(decode_data(&bytes), packet);
        let mut out = BytesMut::new();
        assert!(packet.encode(&mut out));
        assert_eq!(out, bytes);
    }
}

#[test]
fn message_packets_decode_and_encode_as_in_the_messages_section() {
    let vectors = vectors();
    let messages = &vectors["messages"];
    let data = hex(messages, "message_data_hex");
    let hash = *blake3::hash(&data).as_bytes();
    assert_eq!(hash, array(messages, "message_data_blake3_hex"));
    let (topic, length) = (Bytes::from_static(b"example.topic"), 1310);
    let data = Bytes::from(data);
    let (topic_length, empty) = (13, Bytes::new());
    for case in list(messages, "packets") {
        let body = match text(case, "name") {
            "init_topic" => MessageBody::Init { length, topic: topic.clone(), reply: false },
            "init_ack_of_init_topic" => MessageBody::InitAck { length, topic_length, reply: false },
            "init_notopic" => MessageBody::Init { length: 5, topic: empty.clone(), reply: false },
            "init_reply" => MessageBody::Init { length: 5, topic: empty.clone(), reply: true },
            "init_ack_of_init_reply" => {
                MessageBody::InitAck { length: 5, topic_length: 0, reply: true }
            }
            "chunk_0" => MessageBody::Chunk { index: 0, offset: 0, data: data.slice(..1300) },
            "chunk_0_ack" => MessageBody::ChunkAck { index: 0, offset: 0, size: 1300 },
            "chunk_1" => MessageBody::Chunk { index: 1, offset: 1300, data: data.slice(1300..) },
            "chunk_1_ack" => MessageBody::ChunkAck { index: 1, offset: 1300, size: 10 },
            "done" => MessageBody::Done { chunks: 2, hash },
            "done_ack" => MessageBody::DoneAck { chunks: 2, hash },
            "done_empty" => MessageBody::Done { chunks: 0, hash: blake3::hash(b"").into() },
            "read" => MessageBody::Read,
            "aborted" => MessageBody::Aborted,
            other => panic!("{other} is no message packet"),
        };
        let id = MessageId(array(case, "message_id_hex"));
        assert_eq!(id.to_string(), text(case, "message_id_hex"));
        let (packet, plaintext) = (MessagePacket { id, body }, hex(case, "plaintext_hex"));
        assert_eq!(decode_message(&plaintext), packet, "{case}");
        assert_eq!(encode_message(&packet), plaintext, "{case}");
        let flags = u16::try_from(number(case, "flags")).unwrap();
        assert_eq!(plaintext[12..14], flags.to_be_bytes());
    }
}

/// A packet that must come through after whatever came before.
const FOLLOWER: &[u8] = &[1, 1, 0, 0, 0x2a, 3, 0, 8, 4, 6, 0x80, 0, 0, 9, 7, 0xd0];

fn follower() -> Packet {
    Packet::Control(Tlv::Hello(Hello { seqno: 9, interval: 2000 }))
}

#[test]
fn malformed_packets_cost_at_most_what_their_section_allows() {
    let hello = |seqno| Packet::Control(Tlv::Hello(Hello { seqno, interval: 2000 }));
    let route_request = |generation, prefix: &str| {
        let prefix = Some(prefix.parse().unwrap());
        Packet::Control(Tlv::RouteRequest(RouteRequest { generation, prefix }))
    };
    for case in list(&vectors(), "malformed") {
        let mut stream = hex(case, "hex");
        stream.extend_from_slice(FOLLOWER);
        let decoded = decode(&stream);
        let (before, malformed) = match text(case, "name") {
            "unknown TLV type 77" => (vec![], 0),
            "two TLVs in one body" => (vec![hello(1), hello(1)], 0),
            "TLV with trailing bytes inside the body" => (vec![hello(1)], 0),
            "reserved outer bytes set" => (vec![hello(1)], 0),
            // What these must not do is the router's to see to; its tests send them again.
            "route request for ::/0 as AE 2" => (vec![route_request(0, "::/0")], 0),
            "route request generation 255" => {
                (vec![route_request(255, "430:9364:d8d8:84a9::/64")], 0)
            }
            "unknown outer version" => {
                assert_eq!(decoded, Err(FrameError::Version(2)));
                continue;
            }
            "unknown outer type" => {
                assert_eq!(decoded, Err(FrameError::Type(2)));
                continue;
            }
            "wrong babel magic"
            | "wrong babel version"
            | "empty body"
            | "TLV length larger than body"
            | "update with prefix length 200"
            | "IPv4 route request"
            | "seqno request with hop count 0" => (vec![], 1),
            other => panic!("{other} is not covered"),
        };
        let expected = [before, vec![follower()]].concat();
        assert_eq!(decoded, Ok((expected, malformed)), "{case}");
    }
}

#[test]
fn a_truncated_tlv_is_malformed_whatever_its_type() {
    for case in list(&vectors(), "control_packets") {
        let bytes = hex(case, "hex");
        for end in 10..bytes.len() {
            let decoded = Tlv::decode(bytes[8], &bytes[10..end]);
            assert_eq!(decoded, Err(MalformedTlv), "{case} cut at {end}");
        }
    }
}

/// Node B of the captures, with peer 1 (which announces the prefix of A) and peer 2, both over
/// TCP and IPv4.
struct Exchange {
    router: Router,
    now: Instant,
}

const PEER_1: LinkId = LinkId(1);
const PEER_2: LinkId = LinkId(2);

fn secret_a() -> SecretKey {
    secret(&vectors()["identity"][1], "secret")
}

fn secret_b() -> SecretKey {
    secret(&vectors()["identity"][2], "secret")
}

/// The random part of B's router id when the captures were made.
const RANDOM_B: [u8; 6] = [0x82, 0xb9, 0x94, 0x00, 0x78, 0xdf];

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

fn capture(name: &str) -> Value {
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

/// What A uses towards B.
fn sealer_a() -> Sealer {
    let (a, b) = (secret_a(), secret_b());
    let shared = a.shared_secret(&b.public_key()).unwrap();
    Sealer::new(&shared, &a.public_key(), &b.public_key(), [1; 12], ReplayBudget::new(0)).unwrap()
}

#[test]
fn sealed_payloads_open_as_in_the_aead_section() {
    let shared = secret_a().shared_secret(&secret_b().public_key()).unwrap();
    for case in list(&vectors(), "aead") {
        assert_eq!(shared.as_bytes(), &array(case, "key"));
        let sealed = hex(case, "ciphertext_tag_nonce");
        assert!(sealed.ends_with(&hex(case, "nonce")));
        let plaintext = [hex(case, "user_header"), hex(case, "body")].concat();
        assert_eq!(plaintext, hex(case, "plaintext"));
        assert_eq!(sealer_a().open(&sealed.into()).unwrap(), plaintext);
    }
}

#[test]
fn captured_message_packets_open_and_decode() {
    let id = MessageId(array(&capture("message_init_on_the_wire"), "message_id"));
    let (topic, data) = (Bytes::from_static(b"example.topic"), Bytes::from_static(b"hello"));
    let init = MessageBody::Init { length: 5, topic, reply: false };
    let chunk = MessageBody::Chunk { index: 0, offset: 0, data };
    for (name, body) in [("message_init_on_the_wire", init), ("message_chunk_on_the_wire", chunk)] {
        let capture = capture(name);
        let packet = decode_data(&hex(&capture, "received"));
        assert_eq!(packet.source, secret_b().public_key().address());
        assert_eq!(packet.destination, secret_a().public_key().address());
        let plaintext = sealer_a().open(&packet.payload).unwrap();
        assert_eq!(plaintext, hex(&capture, "received_plaintext"));
        assert_eq!(decode_message(&plaintext), MessagePacket { id, body });
    }
}

fn engine(secret: SecretKey) -> Engine {
    let (router_random, seed) = (RANDOM_B, [7; 32]);
    let limits = Limits::default();
    Engine::new(EngineConfig { secret, router_random, seed, limits }, Instant::now())
}

/// The data packets an engine wants to send.
fn sent_data(engine: &mut Engine) -> Vec<DataPacket> {
    let mut packets = Vec::new();
    while let Some(action) = engine.poll_action() {
        if let Action::Transmit { class: Class::Data, bytes, .. } = action {
            packets.push(decode_data(&bytes));
        }
    }
    packets
}

#[test]
fn an_expired_hop_limit_is_reported_as_captured() {
    let (now, capture) = (Instant::now(), capture("oob_icmp_time_exceeded"));
    let mut b = engine(secret_b());
    b.link_up(PEER_1, 15, now);
    let route = vectors()["captures"]["triggered_update_to_other_peer"].clone();
    for packet in [hex(&route, "sent_by_peer_1"), hex(&capture, "sent")] {
        b.handle_packet(PEER_1, decode_one(&packet), now);
    }
    let expected = decode_data(&hex(&capture, "received"));
    let [report] = &sent_data(&mut b)[..] else { panic!("one report") };
    // All but the nonce, and with it the ciphertext, is as captured.
    assert_eq!((report.source, report.destination), (expected.source, expected.destination));
    assert_eq!(report.hop_limit, expected.hop_limit);
    let plaintext = hex(&capture, "received_plaintext");
    assert_eq!(sealer_a().open(&expected.payload).unwrap(), plaintext);
    assert_eq!(sealer_a().open(&report.payload).unwrap(), plaintext);
}

/// The sizes of the chunks in which a message of this length leaves an engine, taken from the
/// packets themselves. The receiver acknowledges everything at once.
fn chunk_sizes(length: usize) -> Vec<usize> {
    let now = Instant::now();
    let (mut a, mut b) = (engine(secret_a()), engine(secret_b()));
    a.link_up(PEER_1, 15, now);
    b.link_up(PEER_1, 15, now);
    let to = Target::Key(secret_a().public_key());
    b.send_message(to, Bytes::new(), vec![7; length].into(), now).unwrap();
    let mut sizes = Vec::new();
    loop {
        let mut quiet = true;
        let mut carry = |from: &mut Engine, to: &mut Engine, sealer: Option<&Sealer>| {
            while let Some(action) = from.poll_action() {
                let Action::Transmit { bytes, .. } = action else { continue };
                quiet = false;
                let packet = decode_one(&bytes);
                if let (Packet::Data(data), Some(sealer)) = (&packet, sealer)
                    && let MessageBody::Chunk { data, .. } =
                        decode_message(&sealer.open(&data.payload).unwrap()).body
                {
                    sizes.push(data.len());
                }
                to.handle_packet(PEER_1, packet, now);
            }
        };
        carry(&mut b, &mut a, Some(&sealer_a()));
        carry(&mut a, &mut b, None);
        if quiet {
            break;
        }
    }
    assert!(a.take(&|_| true, now).is_some_and(|message| message.payload.len() == length));
    sizes
}

#[test]
fn every_length_is_split_so_that_older_receivers_take_it() {
    let vectors = vectors();
    let section = &vectors["message_length_interop"];
    assert_eq!(section["even_split_1310_in_2_chunks_of_655"], true);
    assert_eq!(chunk_sizes(1310), [655, 655]);
    let lengths = section["verified"].as_object().unwrap();
    for length in lengths.keys().map(|length| length.parse().unwrap()).chain([0, 1, 1_366_549]) {
        let sizes = chunk_sizes(length);
        assert_eq!(sizes.len(), length.div_ceil(1300), "{length}");
        let long_enough = sizes.len() == 1 || sizes.iter().all(|size| (250..=1300).contains(size));
        assert!(long_enough, "{length}");
        assert_eq!(sizes.iter().sum::<usize>(), length);
    }
}

#[test]
fn a_discovery_beacon_names_the_router_id_that_its_node_would_announce() {
    // What a beacon holds; beacons themselves are tested where they are heard.
    let beacon = hex(&capture("link_local_discovery_beacon"), "hex");
    let id = RouterId::from_bytes(beacon[10..].try_into().unwrap());
    assert_eq!(id.public_key(), secret_b().public_key());
}

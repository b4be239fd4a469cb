//! The public network's test vectors: bytes and rules as its nodes produce and follow them. One
//! test a section, so that a section that is not covered is seen.

use std::net::Ipv6Addr;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use serde_json::Value;
use threephone_node::wire::control::{
    Hello, Ihu, MalformedTlv, RouteRequest, SeqnoRequest, Tlv, Update,
};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, FrameError, Packet};
use threephone_node::wire::message::{MessageBody, MessageId, MessagePacket};
use threephone_node::{Prefix, PublicKey, RouterId, SecretKey};

/// What section each test covers; the two last come with QUIC and with discovery.
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
fn every_section_but_quic_has_its_test() {
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
            "init_ack_of_init_topic" => {
                MessageBody::InitAck { length, topic_length, reply: false }
            }
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

//! The public network's test vectors: bytes and rules as its nodes produce and follow them. One
//! test a section, so that a section that is not covered is seen.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod vectors {
    mod captures;
    mod packets;
    mod sealed;
}

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use serde_json::Value;
use threephone_node::wire::control::Tlv;
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, FrameError, Packet};
use threephone_node::wire::message::MessagePacket;
use threephone_node::{Prefix, PublicKey, RouterId, SecretKey};

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

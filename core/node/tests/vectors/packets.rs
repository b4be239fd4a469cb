//! Packets as bytes: those that are right, and what malformed ones cost.

use std::net::Ipv6Addr;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use threephone_node::wire::control::{
    Hello, Ihu, MalformedTlv, RouteRequest, SeqnoRequest, Tlv, Update,
};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{FrameError, Packet};
use threephone_node::wire::message::{MessageBody, MessageId, MessagePacket};
use threephone_node::{Prefix, RouterId};

use crate::{
    array, decode, decode_data, decode_message, decode_tlv, encode, encode_message, hex, list,
    number, text, vectors,
};

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

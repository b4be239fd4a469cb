//! What is sealed: payloads, messages in pieces, and reports.

use std::time::Instant;

use bytes::Bytes;
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::seal::{ReplayBudget, Sealer};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::Packet;
use threephone_node::wire::message::{MessageBody, MessageId, MessagePacket};
use threephone_node::{SecretKey, Target};

use super::captures::{PEER_1, RANDOM_B, capture, secret_a, secret_b};
use crate::{array, decode_data, decode_message, decode_one, hex, list, vectors};

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

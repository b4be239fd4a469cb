//! The fuzz functions over their corpus and over random bytes, on any compiler. A crash found by
//! the fuzzer becomes one more file of the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // tests panic and tell

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use threephone_node::fuzzing;
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz").join(target);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(inputs.len() > 10, "{} has been emptied", folder.display());
    inputs
}

/// Every input, every beginning of it, and it with each byte changed.
fn replay(target: &str, run: fn(&[u8])) {
    for (path, input) in corpus(target) {
        println!("{}", path.display());
        run(&input);
        for position in 0..input.len() {
            run(&input[..position]);
            for change in [0x01, 0x80, 0xff] {
                let mut changed = input.clone();
                changed[position] ^= change;
                run(&changed);
            }
        }
    }
}

#[test]
fn the_frame_corpus_breaks_no_property() {
    replay("frame", fuzzing::frame);
}

#[test]
fn the_tlv_corpus_breaks_no_property() {
    replay("tlv", fuzzing::tlv);
}

#[test]
fn the_message_corpus_breaks_no_property() {
    replay("message", fuzzing::message);
}

#[test]
fn the_bus_corpus_breaks_no_property() {
    for (path, input) in corpus("bus") {
        println!("{}", path.display());
        fuzzing::bus(&input);
        for position in 0..input.len() {
            let mut changed = input.clone();
            changed[position] ^= 0x1f;
            fuzzing::bus(&changed);
        }
    }
}

#[test]
fn the_router_corpus_breaks_no_property() {
    for (path, input) in corpus("router") {
        println!("{}", path.display());
        fuzzing::router(&input);
        for position in (0..input.len()).step_by(5) {
            let mut changed = input.clone();
            changed[position] ^= 1 << (position % 8);
            fuzzing::router(&changed);
        }
    }
}

/// Something that looks like a control packet, so that random bytes reach the TLVs.
fn control_like() -> impl Strategy<Value = Vec<u8>> {
    let tlv = (prop_oneof![Just(4), Just(5), 8..=10_u8, any::<u8>()], vec(any::<u8>(), 0..80));
    (vec(tlv, 0..4), any::<i8>()).prop_map(|(tlvs, lie)| {
        let mut body = Vec::new();
        for (kind, tlv) in tlvs {
            body.extend_from_slice(&[kind, tlv.len() as u8]);
            body.extend_from_slice(&tlv);
        }
        let length = (body.len() as u16).saturating_add_signed(lie.into()).to_be_bytes();
        [&[1, 1, 0, 0, 42, 3], &length[..], &body].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes_break_no_property(bytes in vec(any::<u8>(), 0..300)) {
        fuzzing::frame(&bytes);
        fuzzing::tlv(&bytes);
        fuzzing::message(&bytes);
    }

    #[test]
    fn random_programs_break_no_property_of_the_bus(program in vec(any::<u8>(), 0..400)) {
        fuzzing::bus(&program);
    }

    #[test]
    fn random_events_break_no_property_of_the_router(bytes in vec(any::<u8>(), 0..1200)) {
        fuzzing::router(&bytes);
    }

    #[test]
    fn random_control_packets_break_no_property(packets in vec(control_like(), 1..6)) {
        fuzzing::frame(&packets.concat());
    }

    #[test]
    fn random_message_packets_break_no_property(
        flag in 0..8_u32, ack: bool, body in vec(any::<u8>(), 0..100),
    ) {
        let flags = ((0x8000 >> flag) | if ack { 0x0100 } else { 0 }) as u16;
        fuzzing::message(&[&[7; 8], &flags.to_be_bytes()[..], &[0, 0], &body].concat());
    }

    #[test]
    fn a_frame_of_any_size_comes_through_in_any_pieces(
        size in prop_oneof![0..2000_usize, 65_000..=65_535_usize], piece in 1..5000_usize,
    ) {
        let (source, destination) = ("400::1".parse().unwrap(), "500::1".parse().unwrap());
        let packet =
            DataPacket { hop_limit: 64, source, destination, payload: vec![7; size].into() };
        let mut bytes = BytesMut::new();
        prop_assert!(packet.encode(&mut bytes));
        let (mut decoder, mut packets) = (Decoder::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            packets.extend(decoder.next().unwrap());
        }
        prop_assert_eq!(packets, [Packet::Data(packet)]);
    }
}

#[test]
fn a_payload_over_the_16_bit_length_is_not_encoded() {
    let (source, destination) = ("400::1".parse().unwrap(), "500::1".parse().unwrap());
    let packet = DataPacket { hop_limit: 64, source, destination, payload: vec![0; 65_536].into() };
    let mut out = BytesMut::new();
    assert!(!packet.encode(&mut out));
    assert!(out.is_empty());
}

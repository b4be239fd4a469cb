//! Cutting and putting together, against packets made the slow way.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::coalesce::{Coalescer, Group};
use super::offload::{Offload, Segments};
use super::split::{longest, narrow, split};
use crate::wire::checksum::Sum;

const ANN: Ipv6Addr = Ipv6Addr::new(0x400, 1, 1, 1, 0, 0, 0, 1);
const BEN: Ipv6Addr = Ipv6Addr::new(0x400, 2, 2, 2, 0, 0, 0, 2);
const TCP: u8 = 6;
const UDP: u8 = 17;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
const FIN: u8 = 0x01;

fn ip(protocol: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((upper.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend(ANN.octets());
    packet.extend(BEN.octets());
    packet.extend(upper);
    packet
}

/// A TCP segment with a timestamp option and the right checksum.
fn tcp(port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut upper = port.to_be_bytes().to_vec();
    upper.extend(443_u16.to_be_bytes());
    upper.extend(sequence.to_be_bytes());
    upper.extend([0, 0, 0, 9, 8 << 4, flags, 1, 0, 0, 0, 0, 0]);
    upper.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    upper.extend(payload);
    let sum = Sum::pseudo(ANN, BEN, upper.len(), TCP).with(&upper).checksum();
    upper[16..18].copy_from_slice(&sum);
    ip(TCP, &upper)
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut upper = port.to_be_bytes().to_vec();
    upper.extend(53_u16.to_be_bytes());
    upper.extend((8 + payload.len() as u16).to_be_bytes());
    upper.extend([0, 0]);
    upper.extend(payload);
    let sum = Sum::pseudo(ANN, BEN, upper.len(), UDP).with(&upper).checksum();
    upper[6..8].copy_from_slice(if sum == [0, 0] { &[0xff, 0xff] } else { &sum });
    ip(UDP, &upper)
}

fn pieces(offload: &Offload, packet: &mut [u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    split(offload, packet, |headers, payload| pieces.push([headers, payload].concat())).unwrap();
    pieces
}

/// Coalesces packets, and reads what would be written.
fn coalesced(packets: &[Vec<u8>]) -> Vec<(Offload, Vec<u8>)> {
    let mut buffer = packets.concat();
    let mut coalescer = Coalescer::new(true);
    let mut start = 0;
    for packet in packets {
        coalescer.add(&buffer, start..start + packet.len());
        start += packet.len();
    }
    let groups = coalescer.finish(&mut buffer);
    let whole = |group: Group| {
        let parts = group.parts.into_iter();
        let bytes = parts.flat_map(|part| buffer[part].to_vec()).collect();
        (Offload::decode(&group.header).unwrap(), bytes)
    };
    groups.into_iter().map(whole).collect()
}

fn payload(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// What whoever cuts the coalesced packets again gets: the system, on the receiving side.
fn cut_again(groups: Vec<(Offload, Vec<u8>)>) -> Vec<Vec<u8>> {
    groups.into_iter().flat_map(|(offload, mut bytes)| pieces(&offload, &mut bytes)).collect()
}

#[test]
fn segments_of_one_size_with_a_shorter_last_one_become_one_packet() {
    let segments: Vec<Vec<u8>> = [1300, 1300, 1300, 7]
        .iter()
        .enumerate()
        .map(|(number, length)| {
            let flags = if number == 3 { ACK | PUSH } else { ACK };
            tcp(1, number as u32 * 1300, flags, &payload(*length, number as u8))
        })
        .collect();
    let groups = coalesced(&segments);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].0.segments, Segments::Tcp(1300));
    assert_eq!(groups[0].0.header_length, 72);
    assert_eq!(cut_again(groups), segments);
}

#[test]
fn nothing_follows_a_datagram_of_another_size() {
    let sizes = [500, 500, 300, 500, 700, 500, 500];
    let datagrams: Vec<Vec<u8>> = sizes.iter().map(|size| udp(1, &payload(*size, 1))).collect();
    let groups = coalesced(&datagrams);
    let lengths: Vec<usize> = groups.iter().map(|(_, bytes)| bytes.len() - 48).collect();
    assert_eq!(lengths, [1300, 500, 1200, 500]);
    assert_eq!(cut_again(groups), datagrams, "every boundary where it was");
}

#[test]
fn a_gap_a_flag_a_window_or_a_wrong_checksum_ends_what_is_put_together() {
    let first = tcp(1, 0, ACK, &payload(100, 1));
    let gap = tcp(1, 101, ACK, &payload(100, 2));
    let finish = tcp(1, 100, ACK | FIN, &payload(100, 2));
    let mut wrong = tcp(1, 100, ACK, &payload(100, 2));
    wrong[100] ^= 1;
    let pushed = [tcp(1, 0, ACK | PUSH, &payload(100, 1)), tcp(1, 100, ACK, &payload(100, 1))];
    for packets in [[first.clone(), gap], [first.clone(), finish], [first, wrong.clone()], pushed] {
        assert_eq!(coalesced(&packets).len(), 2);
    }
    let header = {
        let mut coalescer = Coalescer::new(true);
        coalescer.add(&wrong, 0..wrong.len());
        coalescer.finish(&mut wrong.clone()).remove(0).header
    };
    assert_eq!(
        header,
        Offload::NONE.encode(),
        "the system checks what this node did not find right"
    );
}

#[test]
fn a_pure_acknowledgement_does_not_let_data_overtake_it() {
    let packets = [
        tcp(1, 0, ACK, &payload(100, 1)),
        tcp(1, 100, ACK, b""),
        tcp(1, 100, ACK, &payload(100, 2)),
    ];
    let written: Vec<Vec<u8>> = coalesced(&packets).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(written, packets);
}

#[test]
fn a_begun_checksum_is_finished() {
    for (whole, place) in [(tcp(1, 5, ACK, &payload(301, 1)), 56), (udp(7, &payload(33, 1)), 46)] {
        let mut begun = whole.clone();
        let protocol = whole[6];
        let sum = Sum::pseudo(ANN, BEN, whole.len() - 40, protocol).folded();
        begun[place..place + 2].copy_from_slice(&sum);
        let offload = Offload { checksum: Some((40, place - 40)), ..Offload::NONE };
        assert_eq!(pieces(&offload, &mut begun), [whole]);
    }
}

#[test]
fn what_contradicts_its_description_is_refused() {
    let packet = tcp(1, 5, ACK, &payload(301, 1));
    for offload in [
        Offload { segments: Segments::Tcp(100), ..Offload::NONE },
        Offload { segments: Segments::Tcp(100), checksum: Some((4, 16)), header_length: 0 },
        Offload { segments: Segments::Tcp(100), checksum: Some((60_000, 16)), header_length: 0 },
        Offload { checksum: Some((60_000, 16)), ..Offload::NONE },
        Offload { checksum: Some((usize::MAX, 16)), ..Offload::NONE },
    ] {
        assert!(split(&offload, &mut packet.clone(), |_, _| {}).is_err(), "{offload:?}");
    }
    for kind in [1, 3, 7] {
        assert_eq!(Offload::decode(&[0, kind, 0, 0, 1, 0, 0, 0, 0, 0]), None, "kind {kind}");
    }
}

#[test]
fn only_plain_tcp_is_cut_smaller() {
    let checksum = |offset| Some((40, offset));
    let of = |segments, offset| Offload { segments, checksum: checksum(offset), header_length: 0 };
    let datagrams = udp(1, &payload(5000, 1));
    for segments in [Segments::One, Segments::Udp(1300)] {
        assert_eq!(narrow(of(segments, 6), &datagrams, 1000), of(segments, 6));
    }
    for flag in [0x02, 0x04, 0x20] {
        let packet = tcp(1, 5, ACK | flag, &payload(1300, 1));
        assert_eq!(narrow(of(Segments::One, 16), &packet, 1000), of(Segments::One, 16));
    }
    let whole = Offload { checksum: None, ..of(Segments::One, 16) };
    assert_eq!(narrow(whole, &tcp(1, 5, ACK, &payload(1300, 1)), 1000), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_large_packet_is_cut_into_packets_that_say_the_same(
        length in 1usize..60_000, size in 1u16..2000, is_tcp: bool, flags in prop::sample::select(
            vec![ACK, ACK | PUSH, ACK | FIN, ACK | PUSH | FIN]),
    ) {
        prop_assume!(length / usize::from(size) < 500);
        let data = payload(length, 3);
        let (mut large, headers, offset) = if is_tcp {
            (tcp(1, u32::MAX - 1000, flags, &data), 72, 16)
        } else {
            (udp(1, &data), 48, 6)
        };
        let segments = if is_tcp { Segments::Tcp(size) } else { Segments::Udp(size) };
        let offload = Offload { segments, checksum: Some((40, offset)), header_length: headers };
        let longest = longest(&offload, &large);
        let pieces = pieces(&offload, &mut large);
        prop_assert_eq!(pieces.iter().map(Vec::len).max(), Some(longest));
        let mut expected = Vec::new();
        let count = length.div_ceil(usize::from(size));
        for (number, data) in data.chunks(usize::from(size)).enumerate() {
            let kept = if number + 1 == count { flags } else { flags & !(PUSH | FIN) };
            let start = (u32::MAX - 1000).wrapping_add((number * usize::from(size)) as u32);
            expected.push(if is_tcp { tcp(1, start, kept, data) } else { udp(1, data) });
        }
        prop_assert_eq!(pieces, expected);
    }

    #[test]
    fn tcp_is_cut_smaller_for_a_narrow_link_and_says_the_same(
        length in 1usize..20_000, size in 600u16..1400, most in 500usize..1500, is_one: bool,
        flags in prop::sample::select(vec![ACK, ACK | PUSH, ACK | FIN, ACK | PUSH | FIN]),
    ) {
        let (length, segments) = match is_one {
            true => (length % 1328 + 1, Segments::One),
            false => (length, Segments::Tcp(size)),
        };
        let data = payload(length, 3);
        let mut large = tcp(1, u32::MAX - 1000, flags, &data);
        let begun = Sum::pseudo(ANN, BEN, large.len() - 40, TCP).folded();
        large[56..58].copy_from_slice(&begun); // as the system leaves it
        let offload = Offload { segments, checksum: Some((40, 16)), header_length: 72 };
        let narrowed = narrow(offload, &large, most);
        let can = most >= 72 + 512;
        prop_assert_eq!(narrowed == offload, !can || longest(&offload, &large) <= most);
        let pieces = pieces(&narrowed, &mut large);
        prop_assert!(!can || pieces.iter().all(|piece| piece.len() <= most));
        let (mut start, count) = (u32::MAX - 1000, pieces.len());
        for (number, piece) in pieces.iter().enumerate() {
            let kept = if number + 1 == count { flags } else { flags & !(PUSH | FIN) };
            prop_assert_eq!(piece, &tcp(1, start, kept, &piece[72..]));
            start = start.wrapping_add((piece.len() - 72) as u32);
        }
        prop_assert_eq!(pieces.iter().flat_map(|piece| &piece[72..]).copied().collect::<Vec<_>>(), data);
    }

    #[test]
    fn what_is_put_together_comes_apart_as_it_was(
        steps in prop::collection::vec((0u16..4, 1usize..1400, 0u8..8), 1..60), sizes: bool,
    ) {
        let mut next = [0_u32; 4];
        let packets: Vec<Vec<u8>> = steps.iter().map(|(port, length, kind)| {
            let length = if sizes { 1000 } else { *length };
            let data = payload(length, *kind);
            let at = &mut next[usize::from(*port)];
            match kind {
                0 => udp(*port, &data),
                1 => tcp(*port, *at, ACK, b""),
                2 => tcp(*port, *at ^ 77, ACK, &data),
                _ => {
                    let packet = tcp(*port, *at, if *kind == 3 { ACK | PUSH } else { ACK }, &data);
                    *at += data.len() as u32;
                    packet
                }
            }
        }).collect();
        let again = cut_again(coalesced(&packets));
        prop_assert_eq!(again.len(), packets.len());
        for port in 0..4_u16 {
            for protocol in [TCP, UDP] {
                let of = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
                    let is = |packet: &&Vec<u8>| {
                        packet[6] == protocol && packet[40..42] == port.to_be_bytes()
                    };
                    packets.iter().filter(is).cloned().collect()
                };
                prop_assert_eq!(of(&again), of(&packets));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), header: [u8; 10],
    ) {
        if let Some(offload) = Offload::decode(&header) {
            let _ = longest(&offload, &bytes);
            let _ = split(&offload, &mut bytes.clone(), |_, _| {});
        }
        let mut coalescer = Coalescer::new(true);
        let mut buffer = bytes.clone();
        let middle = bytes.len() / 2;
        coalescer.add(&buffer, 0..middle);
        coalescer.add(&buffer, middle..bytes.len());
        prop_assert_eq!(coalescer.finish(&mut buffer).len(), 2);
    }
}

//! The known weaknesses of the data plane of older nodes (spec section 7), replayed against an
//! engine by strangers with keys of their own. What needs sockets and the fast path is in
//! `data_attacks_live.rs`.
//!
//! | Weakness (spec) | Test |
//! |---|---|
//! | Reflection: one key for both directions (7.4) | `what_the_victim_sent_does_not_come_back_to_it` |
//! | No replay protection (7.4) | `a_copy_of_a_packet_does_nothing_however_late_it_comes` |
//! | Random nonces under a static key (7.4) | `no_nonce_comes_twice_in_either_direction_nor_after_a_restart` |
//! | Addresses and hop limit not authenticated (7.4) | `a_packet_whose_ends_were_changed_on_the_way_is_dropped` |
//! | Any inner source is believed (7.4) | `an_inner_packet_that_says_other_than_its_envelope_is_dropped` |
//! | No forward secrecy (7.4) | none: not answered, the protocol has no room for it |
//! | Delivery with hop limit 1 (7.2) | `a_packet_without_hops_goes_no_further_wherever_it_is_for` |
//! | A report for each packet (7.6) | `a_storm_of_lost_packets_brings_a_trickle_of_reports` |
//! | Reports to made-up sources, lookups for them (7.6) | `a_made_up_source_is_told_nothing_and_looked_for_by_nobody` |
//! | Lookups of the own prefix (7.6) | `a_packet_in_our_own_name_is_dropped_and_starts_nothing` |
//! | Reports about reports (7.6) | `nothing_is_reported_about_a_report` |
//! | Quoted messages are unwrapped (7.6) | `a_report_counts_only_with_an_ip_packet_of_ours_in_it` |
//! | Lookups for destinations outside the overlay (7.7) | `what_cannot_be_in_the_overlay_is_not_looked_for` |
//! | Foreign sources are sealed and sent (7.7) | `the_host_sends_in_no_name_but_its_own` |
//! | No Packet Too Big (7.7) | `the_host_is_told_which_size_fits` |
//! | Datagrams put together wrongly (7.8) | unit tests of `tun` |
//! | Echo for whoever asks, without a TUN | `pings_without_a_tun_are_answered_at_a_limited_rate` |
//! | Packets wait without limit (11.1) | `packets_that_wait_for_made_up_ends_take_a_bounded_room_and_few_questions` |
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "data_attacks/stranger.rs"]
mod stranger;

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stranger::{ICMP, ICMPV6, L3, MESSAGE, Stranger, UDP, checksum, decoded, ip};
use threephone_node::engine::{Action, Class, DataCounters, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::control::Tlv;
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::Packet;
use threephone_node::{LinkId, Prefix, SecretKey, Target};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x5ff, 1, 2, 3, 0, 0, 0, 4);

/// A node with a TUN and two links; Eve is behind link A.
struct Victim {
    engine: Engine,
    eve: Stranger,
    now: Instant,
}

/// What a node said.
#[derive(Default)]
struct Said {
    data: Vec<(LinkId, DataPacket)>,
    delivered: Vec<Bytes>,
    control: usize,
}

impl Victim {
    fn new() -> Self {
        Self::started_with([1; 32])
    }

    fn started_with(seed: [u8; 32]) -> Self {
        let mut victim = Self::without_tun(seed);
        victim.engine.attach_tun();
        victim
    }

    fn without_tun(seed: [u8; 32]) -> Self {
        let (now, secret) = (Instant::now(), SecretKey::from_bytes([1; 32]));
        let eve = Stranger::new(2, secret.public_key());
        let config =
            EngineConfig { secret, router_random: [1; 6], seed, limits: Limits::default() };
        let mut engine = Engine::new(config, now);
        engine.link_up(A, 10, now);
        engine.link_up(B, 10, now);
        let mut victim = Self { engine, eve, now };
        victim.meet(A, 2);
        victim
    }

    /// Somebody announces themselves on a link.
    fn meet(&mut self, link: LinkId, name: u8) -> Stranger {
        let stranger = Stranger::new(name, self.engine.public_key());
        let update = Packet::Control(Tlv::Update(stranger.announcement()));
        self.engine.handle_packet(link, update, self.now);
        self.said();
        stranger
    }

    fn take(&mut self, link: LinkId, packet: DataPacket) {
        self.engine.handle_packet(link, Packet::Data(packet), self.now);
    }

    fn said(&mut self) -> Said {
        let mut said = Said::default();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Transmit { class: Class::Control, .. } => said.control += 1,
                Action::Transmit { link, bytes, .. } => said.data.push((link, decoded(&bytes))),
                Action::Deliver { packet } => said.delivered.push(packet),
                _ => {}
            }
        }
        said
    }

    /// An IP packet of the host, as it left.
    fn sent(&mut self, to: Ipv6Addr, protocol: u8, body: &[u8]) -> DataPacket {
        let packet = ip(self.engine.address(), to, protocol, body);
        self.engine.handle_ip(packet.into(), self.now);
        let [(_, packet)] = &self.said().data[..] else { panic!("one packet leaves") };
        packet.clone()
    }

    fn counters(&self) -> DataCounters {
        self.engine.data_counters()
    }
}

#[test]
fn what_the_victim_sent_does_not_come_back_to_it() {
    let mut victim = Victim::new();
    let (own, eve) = (victim.engine.address(), victim.eve.address);
    let sent = victim.sent(eve, UDP, b"12345678");
    let to = Target::Address(eve);
    victim.engine.send_message(to, "t".into(), "hello".into(), victim.now).unwrap();
    let message = victim.said().data[0].1.clone();
    for packet in [sent, message] {
        victim.take(A, DataPacket { source: eve, destination: own, ..packet });
    }
    let said = victim.said();
    assert_eq!((said.data.len(), said.delivered.len()), (0, 0), "nor acknowledged");
    assert_eq!(victim.counters().reflected, 2);
}

#[test]
fn a_copy_of_a_packet_does_nothing_however_late_it_comes() {
    let mut victim = Victim::new();
    let packets: Vec<_> = (0..5000).map(|number| victim.eve.ping(number)).collect();
    for packet in &packets {
        victim.take(A, packet.clone());
    }
    assert_eq!(victim.said().delivered.len(), 5000);
    for seconds in [0, 60] {
        victim.now += Duration::from_secs(seconds);
        for packet in &packets {
            victim.take(B, packet.clone());
        }
        assert_eq!(victim.said().delivered.len(), 0);
    }
    assert_eq!(victim.counters().replayed, 10_000);
}

#[test]
fn no_nonce_comes_twice_in_either_direction_nor_after_a_restart() {
    let mut nonces = HashSet::new();
    for seed in [1, 2] {
        let mut victim = Victim::started_with([seed; 32]);
        for number in 0..500 {
            let sent = victim.sent(victim.eve.address, UDP, b"the same every time").payload;
            assert!(nonces.insert(sent.slice(sent.len() - 12..)));
            let back = victim.eve.ping(number).payload;
            assert!(seed > 1 || nonces.insert(back.slice(back.len() - 12..)));
        }
    }
}

#[test]
fn a_packet_whose_ends_were_changed_on_the_way_is_dropped() {
    let mut victim = Victim::new();
    let mallory = victim.meet(A, 3);
    let own = victim.engine.address();
    let beside = |address: Ipv6Addr| Ipv6Addr::from_bits(address.to_bits() ^ 1);
    let packet = victim.eve.ping(1);
    for (what, changed) in [
        ("another host here", DataPacket { destination: beside(own), ..packet.clone() }),
        ("another host there", DataPacket { source: beside(victim.eve.address), ..packet.clone() }),
        ("another node", DataPacket { source: mallory.address, ..packet.clone() }),
        ("no address at all", DataPacket { source: Ipv6Addr::LOCALHOST, ..packet.clone() }),
    ] {
        victim.take(A, changed);
        assert_eq!(victim.said().delivered.len(), 0, "{what}");
    }
    let counters = victim.counters();
    assert_eq!((counters.spoofed, counters.unopened), (1, 1), "{counters:?}");
}

#[test]
fn an_inner_packet_that_says_other_than_its_envelope_is_dropped() {
    let mut victim = Victim::new();
    let (own, eve) = (victim.engine.address(), victim.eve.address);
    let outside: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let good = ip(eve, own, UDP, b"12345678");
    let mut packets: Vec<_> = [outside, Ipv6Addr::LOCALHOST, own, victim.meet(A, 3).address]
        .map(|source| ip(source, own, UDP, b"12345678"))
        .to_vec();
    packets.extend([outside, eve, NOWHERE].map(|to| ip(eve, to, UDP, b"12345678")));
    packets.push([&[0x45][..], &good[1..]].concat()); // IPv4
    packets.push([&good[..], b"more than it says"].concat());
    packets.extend((0..good.len()).map(|length| good[..length].to_vec()));
    for packet in &packets {
        let sealed = victim.eve.sealed(L3, packet);
        victim.take(A, sealed);
        assert_eq!(victim.said().delivered.len(), 0, "{packet:?}");
    }
    let sealed = victim.eve.sealed(L3, &good);
    victim.take(A, sealed);
    assert_eq!(victim.said().delivered.len(), 1);
    assert_eq!(victim.counters().spoofed + victim.counters().malformed, packets.len() as u64);
}

#[test]
fn a_packet_without_hops_goes_no_further_wherever_it_is_for() {
    let mut victim = Victim::new();
    let ben = victim.meet(B, 3);
    for (hop_limit, passes) in [(0, false), (1, false), (2, true), (255, true)] {
        let here = DataPacket { hop_limit, ..victim.eve.ping(1) };
        victim.take(A, here);
        assert_eq!(victim.said().delivered.len() == 1, passes, "{hop_limit}");
        let through = DataPacket { hop_limit, destination: ben.address, ..victim.eve.ping(1) };
        victim.take(A, through);
        let sent = victim.said().data;
        let onwards: Vec<_> = sent.iter().filter(|(link, _)| *link == B).collect();
        assert_eq!(onwards.len() == 1, passes, "{hop_limit}");
        assert!(onwards.iter().all(|(_, packet)| packet.hop_limit == hop_limit - 1));
    }
}

#[test]
fn a_storm_of_lost_packets_brings_a_trickle_of_reports() {
    let mut victim = Victim::new();
    let mut reports = 0;
    for _ in 0..10 {
        for _ in 0..2000 {
            let tired = DataPacket { hop_limit: 1, destination: NOWHERE, ..victim.eve.ping(1) };
            victim.take(A, tired);
        }
        reports += victim.said().data.len();
        victim.now += Duration::from_secs(1);
    }
    assert_eq!(reports, 10 * 10, "ten a second");
    assert_eq!(victim.counters().hop_limit, 20_000);
}

#[test]
fn a_made_up_source_is_told_nothing_and_looked_for_by_nobody() {
    let mut victim = Victim::new();
    let ben = victim.meet(B, 3);
    // Ben is elsewhere, Carl is nowhere.
    for source in [ben.address, NOWHERE, "2001:db8::1".parse().unwrap(), Ipv6Addr::UNSPECIFIED] {
        let tired = DataPacket { hop_limit: 1, source, ..victim.eve.ping(1) };
        victim.take(A, DataPacket { destination: NOWHERE, ..tired.clone() });
        victim.take(A, tired);
        let said = victim.said();
        assert_eq!((said.data.len(), said.control), (0, 0), "{source}");
    }
}

#[test]
fn a_packet_in_our_own_name_is_dropped_and_starts_nothing() {
    let mut victim = Victim::new();
    let own = victim.engine.address();
    for source in [own, Prefix::subnet_of(own).address()] {
        for hop_limit in [1, 64] {
            for destination in [own, NOWHERE, victim.eve.address] {
                let packet = DataPacket { hop_limit, source, destination, ..victim.eve.ping(1) };
                victim.take(A, packet);
            }
        }
    }
    let said = victim.said();
    assert_eq!((said.data.len(), said.delivered.len(), said.control), (0, 0, 0));
}

#[test]
fn nothing_is_reported_about_a_report() {
    let mut victim = Victim::new();
    // A report comes from the network address of its reporter, here one that ran out of hops.
    let source = Prefix::subnet_of(victim.eve.address).address();
    let report = victim.eve.sealed(ICMP, &[0; 64]);
    victim.take(A, DataPacket { hop_limit: 1, source, destination: NOWHERE, ..report });
    assert_eq!(victim.said().data.len(), 0);
    // And the host gets no error about an error of its own.
    let error = ip(victim.engine.address(), "2001:db8::1".parse().unwrap(), ICMPV6, &[1; 8]);
    victim.engine.handle_ip(error.into(), victim.now);
    assert_eq!(victim.said().delivered.len(), 0);
}

/// A report of Eve's about a packet to her, quoting `quote`.
fn report(victim: &Victim, quote: &[u8]) -> DataPacket {
    let (own, eve) = (victim.engine.address(), victim.eve.address);
    let reporter = Prefix::subnet_of(eve).address();
    let mut error = [&[3, 0, 0, 0, 0, 0, 0, 0][..], quote].concat();
    let sum = checksum(reporter, own, ICMPV6, &error);
    error[2..4].copy_from_slice(&sum);
    let body = [&eve.octets()[..], &ip(reporter, own, ICMPV6, &error)].concat();
    DataPacket { source: reporter, ..victim.eve.sealed(ICMP, &body) }
}

#[test]
fn a_report_counts_only_with_an_ip_packet_of_ours_in_it() {
    let mut victim = Victim::new();
    let eve = victim.eve.address;
    victim.engine.send_message(Target::Address(eve), "t".into(), "m".into(), victim.now).unwrap();
    let message = victim.said().data[0].1.payload.clone();
    let hers = victim.eve.sealed(L3, &ip(victim.engine.address(), eve, UDP, b"12345678")).payload;
    for (what, quote) in [
        ("a message of ours", &message[..]),
        ("a packet that she sealed in our name", &hers[..]),
        ("nothing", b""),
        ("noise", &[7; 100]),
    ] {
        let report = report(&victim, quote);
        victim.take(A, report);
        assert_eq!(victim.said().delivered.len(), 0, "{what}");
    }
    assert_eq!(victim.counters().malformed, 4);
    let ours = victim.sent(eve, UDP, b"12345678").payload;
    let honest = report(&victim, &ours);
    victim.take(A, honest);
    assert_eq!(victim.said().delivered.len(), 1);
}

#[test]
fn what_cannot_be_in_the_overlay_is_not_looked_for() {
    let mut victim = Victim::new();
    for to in ["ff02::1", "ff05::2", "2001:db8::1", "fe80::1", "::1", "600::1", "3ff::1"] {
        let destination: Ipv6Addr = to.parse().unwrap();
        let packet = ip(victim.engine.address(), destination, UDP, b"12345678");
        victim.engine.handle_ip(packet.into(), victim.now);
        victim.take(A, DataPacket { destination, ..victim.eve.ping(1) });
        let said = victim.said();
        assert_eq!((said.data.len(), said.control), (0, 0), "{to}");
        let is_told = !destination.is_multicast();
        assert_eq!(said.delivered.len(), usize::from(is_told), "an error for one host alone: {to}");
    }
}

#[test]
fn the_host_sends_in_no_name_but_its_own() {
    let mut victim = Victim::new();
    let eve = victim.eve.address;
    for source in [eve, NOWHERE, "fe80::1".parse().unwrap(), Ipv6Addr::UNSPECIFIED] {
        victim.engine.handle_ip(ip(source, eve, UDP, b"12345678").into(), victim.now);
        let said = victim.said();
        assert_eq!((said.data.len(), said.control), (0, 0), "{source}");
    }
    assert_eq!(victim.counters().refused, 4);
}

#[test]
fn the_host_is_told_which_size_fits() {
    let mut victim = Victim::new();
    let (own, eve) = (victim.engine.address(), victim.eve.address);
    victim.sent(eve, UDP, &[0; 1360]);
    victim.engine.handle_ip(ip(own, eve, UDP, &[0; 1361]).into(), victim.now);
    let said = victim.said();
    assert_eq!(said.data.len(), 0);
    assert_eq!(said.delivered[0][40..42], [2, 0], "Packet Too Big");
    assert_eq!(said.delivered[0][44..48], 1400_u32.to_be_bytes());
    // What comes from others may have any size that fits a packet; it is theirs to choose.
    let most = 65_535 - 32 - 40;
    let long = victim.eve.sealed(L3, &ip(eve, own, UDP, &vec![7; most]));
    victim.take(A, long);
    assert_eq!(victim.said().delivered[0].len(), most + 40);
}

#[test]
fn packets_that_wait_for_made_up_ends_take_a_bounded_room_and_few_questions() {
    let mut victim = Victim::new();
    let mut control = 0;
    for number in 0..30_000_u128 {
        let made_up = Ipv6Addr::from_bits((0x400 << 112) | (number << 64) | 1);
        let packet = victim.eve.sealed(MESSAGE, &[0; 16]);
        victim.take(A, DataPacket { source: made_up, ..packet.clone() });
        victim.take(A, DataPacket { destination: made_up, ..packet });
        control += victim.said().control;
    }
    let waiting = 60_000 - victim.counters().no_route;
    assert!(waiting <= 10_000 + 2000, "{waiting} packets wait");
    assert!(control < 10_000, "{control} questions");
}

#[test]
fn pings_without_a_tun_are_answered_at_a_limited_rate() {
    let mut victim = Victim::without_tun([1; 32]);
    for second in 1..4 {
        for number in 0..1000 {
            let ping = victim.eve.ping(number);
            victim.take(A, ping);
        }
        let answers = victim.said().data;
        assert_eq!(answers.len(), 100, "for one /64");
        assert_eq!(victim.counters().echoed, 100 * second);
        victim.now += Duration::from_secs(1);
    }
}

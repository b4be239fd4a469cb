//! The attacks of `data_attacks.rs` on a running node, where packets of known flows pass beside the
//! core: a stranger on a TCP link of their own, and one end of a socket pair as TUN. Each test first
//! lets honest packets through, so that what follows finds the way known.
//!
//! | Weakness (spec) | Test |
//! |---|---|
//! | Inner source, replay, reflection (7.4) | `nothing_forged_repeated_or_reflected_reaches_the_host` |
//! | Foreign sources, destinations outside, size (7.7) | `what_the_host_may_not_send_does_not_leave` |
//! | Hop limit (7.2) | `a_packet_of_a_known_flow_without_hops_is_not_delivered` |
//! | Nobody answers a ping without a TUN (7.5) | `a_node_without_a_tun_answers_a_ping_and_no_copy_of_it` |
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "data_attacks/stranger.rs"]
mod stranger;

use std::net::Ipv6Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use stranger::{ICMPV6, L3, Stranger, UDP, encoded, encoded_tlv, ip};
use threephone_node::wire::control::Tlv;
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{Node, NodeConfig, NodeEvent, SecretKey, Tun};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixDatagram};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);
/// Packets after which a flow surely passes beside the core.
const WARM: u16 = 5;

/// A node, and Eve on a link to it.
struct Scene {
    node: Node,
    eve: Stranger,
    stream: TcpStream,
    decoder: Decoder,
}

impl Scene {
    async fn new(tun: Tun) -> Self {
        let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
        config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
        config.tun = tun;
        let node = Node::start(config).await.unwrap();
        let mut events = node.events();
        let eve = Stranger::new(2, node.public_key());
        let address = node.listening()[0].address().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let update = encoded_tlv(Tlv::Update(eve.announcement()));
        stream.write_all(&update).await.unwrap();
        let known =
            async { while !matches!(events.next().await.unwrap(), NodeEvent::Reachable { .. }) {} };
        tokio::time::timeout(LONG, known).await.expect("Eve is known");
        Self { node, eve, stream, decoder: Decoder::new() }
    }

    async fn with_host() -> (Self, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let tun = OwnedFd::from(theirs.into_std().unwrap());
        (Self::new(Tun::Fd(tun)).await, ours)
    }

    async fn send(&mut self, packet: &DataPacket) {
        self.stream.write_all(&encoded(packet)).await.unwrap();
    }

    /// The next data packet that the node sends to Eve.
    async fn next(&mut self) -> DataPacket {
        loop {
            while let Some(packet) = self.decoder.next().unwrap() {
                if let Packet::Data(packet) = packet {
                    return packet;
                }
            }
            let read = self.stream.read_buf(self.decoder.buffer());
            let bytes = tokio::time::timeout(LONG, read).await.expect("something comes").unwrap();
            assert!(bytes > 0, "the link is up");
        }
    }

    /// The IP packet in it.
    async fn next_opened(&mut self) -> Vec<u8> {
        let packet = self.next().await;
        self.eve.sealer.open(&packet.payload).unwrap().slice(4..).to_vec()
    }
}

async fn heard(host: &UnixDatagram) -> Vec<u8> {
    let mut packet = vec![0; 65_536];
    let received = tokio::time::timeout(LONG, host.recv(&mut packet)).await;
    packet.truncate(received.expect("something comes").unwrap());
    packet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_forged_repeated_or_reflected_reaches_the_host() {
    let (mut scene, host) = Scene::with_host().await;
    let (own, eve) = (scene.node.address(), scene.eve.address);
    let mut honest = Vec::new();
    for number in 0..WARM {
        let packet = DataPacket { hop_limit: 40, ..scene.eve.ping(number) };
        scene.send(&packet).await;
        let arrived = heard(&host).await;
        assert_eq!((&arrived[8..24], arrived[7]), (&eve.octets()[..], 39));
        honest.push(packet);
    }
    host.send(&ip(own, eve, UDP, b"12345678")).await.unwrap();
    let ours = scene.next().await;
    let mut forged = Vec::new();
    let third = SecretKey::from_bytes([3; 32]).public_key().address();
    for source in [third, own, Ipv6Addr::LOCALHOST, "2001:db8::1".parse().unwrap()] {
        forged.push(scene.eve.sealed(L3, &ip(source, own, UDP, b"forged")));
    }
    forged.push(scene.eve.sealed(L3, &ip(eve, third, UDP, b"forged")));
    forged.extend(honest);
    forged.push(DataPacket { source: eve, destination: own, ..ours });
    for packet in &forged {
        scene.send(packet).await;
    }
    let last = ip(eve, own, UDP, b"the last");
    let packet = scene.eve.sealed(L3, &last);
    scene.send(&packet).await;
    assert_eq!(heard(&host).await[8..], last[8..], "nothing before it");
    let counters = scene.node.data_counters();
    assert_eq!((counters.spoofed, counters.replayed, counters.reflected), (5, 5, 1));
    scene.node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_host_may_not_send_does_not_leave() {
    let (mut scene, host) = Scene::with_host().await;
    let (own, eve) = (scene.node.address(), scene.eve.address);
    let good = ip(own, eve, UDP, b"12345678");
    for _ in 0..WARM {
        host.send(&good).await.unwrap();
        assert_eq!(scene.next_opened().await, good);
    }
    let beside = Ipv6Addr::from_bits(own.to_bits() ^ 1);
    let elsewhere: Ipv6Addr = "2001:db8::1".parse().unwrap();
    for bad in [
        ip(eve, eve, UDP, b"12345678"),
        ip(elsewhere, eve, UDP, b"12345678"),
        ip(own, elsewhere, UDP, b"12345678"),
        ip(own, beside, UDP, b"12345678"),
        ip(own, "ff02::1".parse().unwrap(), UDP, b"12345678"),
        ip(own, eve, UDP, &[0; 1361]),
        [&[0x45][..], &good[1..]].concat(),
        good[..39].to_vec(),
    ] {
        host.send(&bad).await.unwrap();
    }
    let last = ip(own, eve, UDP, b"the last");
    host.send(&last).await.unwrap();
    assert_eq!(scene.next_opened().await, last, "nothing before it");
    for (what, error) in [
        ("a source that is not in the overlay", [1, 5]),
        ("a destination that is not", [1, 0]),
        ("nobody in the own /64", [1, 3]),
        ("too big", [2, 0]),
    ] {
        let told = heard(&host).await;
        assert_eq!((told[6], &told[40..42]), (ICMPV6, &error[..]), "{what}");
    }
    scene.node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_of_a_known_flow_without_hops_is_not_delivered() {
    let (mut scene, host) = Scene::with_host().await;
    for number in 0..WARM {
        let packet = scene.eve.ping(number);
        scene.send(&packet).await;
        heard(&host).await;
    }
    for hop_limit in [1, 0, 2] {
        let packet = DataPacket { hop_limit, ..scene.eve.ping(9) };
        scene.send(&packet).await;
    }
    assert_eq!(heard(&host).await[7], 1, "only the one that had two");
    assert_eq!(scene.node.data_counters().hop_limit, 2);
    scene.node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_tun_answers_a_ping_and_no_copy_of_it() {
    let mut scene = Scene::new(Tun::None).await;
    for number in 0..WARM {
        let packet = scene.eve.ping(number);
        scene.send(&packet).await;
        scene.send(&packet).await;
        let answer = scene.next_opened().await;
        assert_eq!((answer[40], &answer[46..48]), (129, &number.to_be_bytes()[..]));
    }
    scene.node.close().await;
}

//! One suite for every transport, and what is peculiar to some.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // tests panic and tell

mod transports {
    mod narrow;
    #[cfg(feature = "private-network")]
    mod private;
    pub(crate) mod suite;
    mod wire;
}

#[cfg(feature = "private-network")]
use threephone_node::PrivateNetwork;
use threephone_node::{
    Endpoint, MemoryNetwork, NodeConfig, NodeError, NodeEvent, PeerState, SecretKey,
};

use self::transports::suite::{self, LONG, Setup};

fn plain(listen: &str) -> Setup {
    Setup::new(vec![listen.parse().unwrap()])
}

fn memory() -> Setup {
    let mut setup = Setup::new(vec![Endpoint::Memory(0)]);
    setup.memory = MemoryNetwork::new();
    setup
}

macro_rules! suite {
    ($transport:ident, $setup:expr) => {
        mod $transport {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn messages_go_both_ways() {
                suite::messages_go_both_ways($setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_message_of_a_megabyte_goes_both_ways() {
                suite::a_message_of_a_megabyte_goes_both_ways($setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_closed_node_that_comes_back_is_found_again() {
                suite::a_closed_node_that_comes_back_is_found_again($setup).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_removed_peer_is_gone_on_both_sides() {
                suite::a_removed_peer_is_gone_on_both_sides($setup).await;
            }
        }
    };
}

suite!(tcp, plain("tcp://127.0.0.1:0"));
suite!(quic, plain("quic://127.0.0.1:0"));
suite!(quic_ipv6, plain("quic://[::1]:0"));
suite!(memory_links, memory());
#[cfg(feature = "private-network")]
suite!(tls, private("tcp://127.0.0.1:0"));

#[cfg(feature = "private-network")]
fn private(listen: &str) -> Setup {
    let mut setup = plain(listen);
    setup.private_network = Some(PrivateNetwork::new("testnet", [7; 32]).unwrap());
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_not_there_is_passed_over_for_one_that_is() {
    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let places = format!("tcp://127.0.0.1:1,{}", ann.listening()[0]);
    let ben = suite::start(2, &setup, false, vec![places.parse().unwrap()]).await;
    suite::exchange(&ben, &ann).await;
    let peers = ben.peers().await;
    assert_eq!(peers[0].endpoint.to_string(), places);
    let routes = ben.routes().await;
    let way = routes.iter().find(|route| route.selected).unwrap().next_hop;
    assert_eq!(way, Some(ann.listening()[0]));
    suite::close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_is_dialled_by_its_name() {
    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let port = ann.listening()[0].address().unwrap().port();
    let name = format!("quic://localhost:{port}").parse().unwrap();
    let ben = suite::start(2, &setup, false, vec![name]).await;
    suite::exchange(&ann, &ben).await;
    suite::exchange(&ben, &ann).await;
    suite::close([ann, ben]).await;
}

/// Each listens where the other dials it from, so either connection is the other's peer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_dial_each_other_at_the_same_time_keep_one_link() {
    let setup = plain("quic://127.0.0.1:0");
    let mut pairs = Vec::new();
    for _ in 0..10 {
        let (ann, ben) =
            (suite::start(1, &setup, true, vec![]), suite::start(2, &setup, true, vec![]));
        let (ann, ben) = tokio::join!(ann, ben);
        let (way, back) = (ann.listening()[0], ben.listening()[0]);
        let (one, other) = tokio::join!(ann.add_peer(back), ben.add_peer(way));
        one.and(other).unwrap();
        suite::exchange(&ann, &ben).await;
        suite::exchange(&ben, &ann).await;
        pairs.extend([ann, ben]);
    }
    let mut crossed = 0;
    for node in &pairs {
        let peers = node.peers().await;
        assert!(matches!(&peers[..], [peer] if peer.state == PeerState::Alive), "{peers:?}");
        assert!(peers[0].connects <= 2, "both links were lost: {peers:?}");
        crossed += peers[0].connects - 1;
    }
    println!("{crossed} nodes saw both links");
    suite::close(pairs).await;
}

/// 10 handshakes have room. Packets that look like the start of one and go on no further must not
/// fill it, nor connections that open no stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_quic_handshakes_keep_no_node_out() {
    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let silent = suite::QuicClient::new();
    let address = ann.listening()[0].address().unwrap();
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(silent.connect(address).await);
    }
    let ben = suite::start(2, &setup, false, vec![ann.listening()[0].into()]).await;
    suite::exchange(&ben, &ann).await;
    assert_eq!(ann.peers().await.len(), 1, "who opened no stream is no peer");
    suite::close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_without_a_whole_packet_cost_themselves_and_not_the_link() {
    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let client = suite::QuicClient::new();
    let mut link = client.link(ann.listening()[0].address().unwrap()).await;
    let hello = suite::hello();
    for bad in [&b""[..], &b"\x01"[..], &hello[..hello.len() - 1], &b"\x07\x00data"[..]] {
        link.connection.send_datagram(bad.to_vec().into()).unwrap();
    }
    // One packet a datagram: what follows is not read.
    let twice = [&hello[..], &hello[..]].concat();
    link.connection.send_datagram(twice.into()).unwrap();
    link.read_ihus(1).await;
    let peers = ann.peers().await;
    assert!((3..=4).contains(&peers[0].malformed), "{}", peers[0].malformed);
    suite::close([ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_opens_stream_after_stream_is_hung_up_on() {
    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let client = suite::QuicClient::new();
    let link = client.link(ann.listening()[0].address().unwrap()).await;
    let flood = async {
        while let Ok((mut send, _)) = link.connection.open_bi().await {
            let _ = send.write_all(&[0; 1000]).await;
            let _ = send.finish();
        }
    };
    tokio::time::timeout(LONG, flood).await.expect("the node hangs up");
    suite::close([ann]).await;
}

/// The figures are those of the vectors: the largest packet that an older node can send over QUIC
/// goes in a datagram, and what is larger, which makes an older node lose the link, on the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_that_fits_no_datagram_goes_on_the_stream() {
    let vectors = include_str!("../../../fixtures/wire/mycelium-vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let figure = |name: &str| vectors["quic"][name].as_u64().unwrap() as usize;
    let largest = figure("largest_l3_packet") + figure("packet_overhead_bytes");
    let advertised = figure("max_udp_payload_advertised");
    assert_eq!(largest, advertised - figure("overhead_per_datagram_bytes"));

    let setup = plain("quic://127.0.0.1:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let address = ann.listening()[0].address().unwrap();
    let mut events = ann.events();
    let (sender, receiver) = (suite::QuicClient::new(), suite::QuicClient::new());
    let (mut from, mut to) = (sender.link(address).await, receiver.link(address).await);
    let key = SecretKey::from_bytes([7; 32]).public_key();
    to.write(&suite::announcement(key)).await;
    suite::wait_for(&mut events, |event| matches!(event, NodeEvent::Reachable { .. })).await;
    assert_eq!(from.connection.max_datagram_size(), Some(largest));

    for length in [largest - 1, largest, largest + 1, 1400 + 72, 65_575] {
        let packet = suite::data_packet(key.address(), length);
        from.write(&packet).await;
        let connection = to.connection.clone();
        let datagram = connection.read_datagram();
        let received = if length <= largest {
            tokio::time::timeout(LONG, datagram).await.unwrap().unwrap().len()
        } else {
            tokio::select! {
                _ = datagram => panic!("{length} bytes do not fit a datagram"),
                length = to.read_data() => length,
            }
        };
        assert_eq!(received, length);
    }
    // Data on the stream or in datagrams, both are taken.
    from.connection.send_datagram(suite::data_packet(key.address(), 500)).unwrap();
    let datagram = tokio::time::timeout(LONG, to.connection.read_datagram()).await;
    assert_eq!(datagram.unwrap().unwrap().len(), 500);
    suite::close([ann]).await;
}

#[tokio::test]
async fn a_tls_peer_outside_a_private_network_is_refused_with_what_to_do() {
    let setup = plain("tcp://127.0.0.1:0");
    let ann = suite::start(1, &setup, false, vec![]).await;
    let peer: threephone_node::PeerAddress = "tls://router.example:1".parse().unwrap();
    let error = ann.add_peer(&peer).await.unwrap_err();
    assert!(matches!(error, NodeError::NotDiallable { .. }));
    assert!(error.to_string().contains("the network's name and key"), "{error}");
    let both: threephone_node::PeerAddress = "tls://127.0.0.1:1,tcp://127.0.0.1:1".parse().unwrap();
    ann.add_peer(&both).await.unwrap();
    suite::close([ann]).await;
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["tls://127.0.0.1:0".parse().unwrap()];
    let Err(error) = threephone_node::Node::start(config).await else { panic!("no key") };
    assert!(error.to_string().ends_with("or use tcp://"), "{error}");
}

/// CID 1 is this machine; a kernel without the vsock loopback has nobody there.
#[cfg(all(feature = "vsock", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_one_machine_meet_over_vsock() {
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["vsock://1:4294967295".parse().unwrap()];
    match threephone_node::Node::start(config).await {
        Err(error) => println!("SKIPPED: this kernel has no vsock loopback: {error}"),
        Ok(ann) => {
            let peers = vec![ann.listening()[0].into()];
            let ben = suite::start(2, &plain("tcp://127.0.0.1:0"), false, peers).await;
            suite::exchange(&ben, &ann).await;
            suite::exchange(&ann, &ben).await;
            suite::close([ann, ben]).await;
        }
    }
}

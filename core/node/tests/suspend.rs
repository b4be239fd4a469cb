//! A suspended node is not there: no socket, no attempt, no wake-up; and it is back at once.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use threephone_node::ledger::Cause;
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerAddress, PeerState, PowerMode, SecretKey, SendState, Target,
    TopicFilter,
};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

async fn start(name: u8, listen: &[&str], peers: Vec<PeerAddress>) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = listen.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    config.peers = peers;
    Node::start(config).await.unwrap()
}

async fn exchange(from: &Node, to: &Node) {
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert!(matches!(sent, Ok(SendState::Received | SendState::Read)), "{sent:?}");
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
}

async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it comes to that");
}

fn address(endpoint: Endpoint) -> SocketAddr {
    endpoint.address().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_node_listens_nowhere_and_then_where_it_did() {
    let ann = start(1, &["tcp://127.0.0.1:0", "quic://127.0.0.1:0"], vec![]).await;
    let [tcp, quic] = [ann.listening()[0], ann.listening()[1]];
    let ben = start(2, &[], vec![tcp.into()]).await;
    let chris = start(3, &[], vec![quic.into()]).await;
    exchange(&ben, &ann).await;
    exchange(&chris, &ann).await;
    assert_eq!(ann.set_power(PowerMode::Suspended).await, PowerMode::Suspended);
    // Both ports are anybody's now.
    drop(TcpListener::bind(address(tcp)).unwrap());
    drop(UdpSocket::bind(address(quic)).unwrap());
    assert!(TcpStream::connect(address(tcp)).is_err());
    assert_eq!(ann.set_power(PowerMode::Active).await, PowerMode::Active);
    assert!(TcpStream::connect(address(tcp)).is_ok(), "it listens as soon as it is awake");
    assert!(UdpSocket::bind(address(quic)).is_err());
    for node in [&ben, &chris] {
        node.network_changed().await; // spares us their pause
        exchange(node, &ann).await;
        exchange(&ann, node).await;
    }
    for node in [ann, ben, chris] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knocks_at_a_suspended_node_wakes_nothing() {
    let ann = start(1, &["tcp://127.0.0.1:0", "quic://127.0.0.1:0"], vec![]).await;
    let [tcp, quic] = [address(ann.listening()[0]), address(ann.listening()[1])];
    ann.set_power(PowerMode::Suspended).await;
    let wake_ups = async || {
        let ledger = ann.ledger().await.unwrap();
        let others = ledger.causes.iter().filter(|(cause, _)| *cause != Cause::Call);
        others.map(|(_, cost)| cost.wake_ups).sum::<u64>()
    };
    let before = wake_ups().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        assert!(TcpStream::connect(tcp).is_err());
        let _ = stranger.send_to(&[0xc0; 1200], quic); // refused, or lost
    }
    assert_eq!(wake_ups().await, before);
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_was_taken_meanwhile_is_asked_for_again_and_holds_nothing_up() {
    let ben = start(2, &["tcp://127.0.0.1:0"], vec![]).await;
    let ann = start(1, &["tcp://127.0.0.1:0"], vec![ben.listening()[0].into()]).await;
    ann.set_power(PowerMode::Suspended).await;
    let port = address(ann.listening()[0]);
    let thief = TcpListener::bind(port).unwrap();
    ann.set_power(PowerMode::Active).await;
    exchange(&ann, &ben).await;
    drop(thief);
    let chris = start(3, &[], vec![ann.listening()[0].into()]).await;
    exchange(&chris, &ann).await;
    for node in [ann, ben, chris] {
        node.close().await;
    }
}

/// A stand-in hears the first packets of attempts and answers none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_ends_with_the_suspension_and_begins_anew_after_it() {
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    mute.set_read_timeout(Some(LONG)).unwrap();
    let way = Endpoint::Quic(mute.local_addr().unwrap());
    let ann = start(1, &[], vec![way.into()]).await;
    let mut datagram = [0; 2048];
    let (_, first) = mute.recv_from(&mut datagram).unwrap();
    ann.set_power(PowerMode::Suspended).await;
    assert!(ann.peers().await.iter().all(|peer| peer.state == PeerState::Dead));
    ann.set_power(PowerMode::Active).await;
    until(async || mute.recv_from(&mut datagram).unwrap().1 != first).await;
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modes_that_change_faster_than_doors_leave_the_last_one() {
    let ben = start(2, &["quic://127.0.0.1:0"], vec![]).await;
    let ann = start(1, &["quic://127.0.0.1:0"], vec![ben.listening()[0].into()]).await;
    exchange(&ann, &ben).await;
    for _ in 0..5 {
        tokio::join!(
            ann.set_power(PowerMode::Suspended),
            ann.set_power(PowerMode::Active),
            ann.set_power(PowerMode::Suspended),
            ann.set_power(PowerMode::Idle),
        );
    }
    exchange(&ann, &ben).await;
    ann.close().await;
    ben.close().await;
}

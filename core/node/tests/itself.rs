//! A node that was told to connect to itself, as by a list of peers that all machines share.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::time::Duration;

use bytes::Bytes;
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerAddress, PeerState, PowerMode, SecretKey, SendState, Target,
    TopicFilter,
};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

async fn start(name: u8, listen: &str) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = vec![listen.parse().unwrap()];
    Node::start(config).await.unwrap()
}

/// Waits until a state is reached that events do not tell.
async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it comes to that");
}

/// The table as it is once the links of a moment ago are gone.
async fn is_only_itself(node: &Node) -> bool {
    let peers = node.peers().await;
    matches!(&peers[..], [only] if only.state == PeerState::Itself)
}

async fn recognises_itself(listen: &str, way: impl Fn(Endpoint) -> PeerAddress) {
    let ann = start(1, listen).await;
    ann.add_peer(way(ann.listening()[0])).await.unwrap();
    until(async || is_only_itself(&ann).await).await;
    let connects = ann.peers().await[0].connects;
    assert!(connects <= 1, "{connects} times");
    // Another network may have somebody else there.
    ann.network_changed().await;
    until(async || ann.peers().await[0].connects > connects || is_only_itself(&ann).await).await;
    until(async || is_only_itself(&ann).await).await;
    // It keeps nobody from being the one peer of an idle node.
    let ben = start(2, "tcp://127.0.0.1:0").await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    ann.add_peer(ben.listening()[0]).await.unwrap();
    let payload = Bytes::from_static(b"hello");
    let sent = ann.send_and_wait(Target::Address(ben.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_it_leaves_itself_alone() {
    recognises_itself("tcp://127.0.0.1:0", PeerAddress::from).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic_it_leaves_itself_alone() {
    recognises_itself("quic://127.0.0.1:0", PeerAddress::from).await;
}

/// By a name, the accepted end comes from what looks like another peer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic_by_a_name_it_leaves_itself_alone() {
    let by_name = |endpoint: Endpoint| {
        format!("quic://localhost:{}", endpoint.address().unwrap().port()).parse().unwrap()
    };
    recognises_itself("quic://127.0.0.1:0", by_name).await;
}

/// Each is a node of its own, with one key or with two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_one_machine_are_not_taken_for_one() {
    for listen in ["tcp://127.0.0.1:0", "quic://127.0.0.1:0"] {
        for key in [1, 2] {
            let (ann, ben) = (start(1, listen).await, start(key, listen).await);
            ann.add_peer(ben.listening()[0]).await.unwrap();
            ben.add_peer(ann.listening()[0]).await.unwrap();
            // Every link has carried an announcement both ways by then.
            let has_heard = async |node: &Node| {
                let peers = node.peers().await;
                let dialled = peers.iter().find(|peer| peer.remote == Some(peer_of(peer)));
                dialled.is_some_and(|peer| peer.state == PeerState::Alive && peer.rx_packets >= 3)
            };
            until(async || has_heard(&ann).await && has_heard(&ben).await).await;
            for node in [ann, ben] {
                let peers = node.peers().await;
                assert!(peers.iter().all(|peer| peer.state != PeerState::Itself), "{peers:?}");
                node.close().await;
            }
        }
    }
}

fn peer_of(peer: &threephone_node::PeerStatus) -> Endpoint {
    peer.endpoint.as_endpoint().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_different_nodes_exchange_messages_beside_each_other() {
    let (ann, ben) = (start(1, "quic://127.0.0.1:0").await, start(2, "tcp://127.0.0.1:0").await);
    ann.add_peer(ben.listening()[0]).await.unwrap();
    let payload = Bytes::from_static(b"hello");
    let sent = ann.send_and_wait(Target::Address(ben.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    assert!(ben.receive(TopicFilter::Any, LONG).await.is_some());
    ann.close().await;
    ben.close().await;
}

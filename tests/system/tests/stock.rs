//! Bus messages between our node and a stock daemon, and through one.
//!
//! The sizes are those at which splitting goes wrong: nothing, one chunk and its edges, short last
//! chunks, and the length at which cutting off equal pieces leaves one of 249 bytes.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Duration;

use bytes::Bytes;
use threephone_node::{Node, NodeConfig, PeerAddress, SecretKey, SendState, Target, TopicFilter};
use threephone_system_tests::StockDaemon;

const SIZES: [usize; 9] = [0, 1, 249, 1300, 1310, 1549, 5000, 1_000_000, 1_366_549];
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &[u8] = b"interop";

/// What a stock sender can carry to a stock receiver says nothing about us: our receiver takes
/// short last chunks, so every size arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_come_from_a_stock_node() {
    let node = node(1, &[]).await;
    let Some(stock) = StockDaemon::start(&[node.listening()[0].to_string()]) else {
        node.close().await;
        return;
    };
    for size in SIZES {
        let payload = payload(size);
        stock.send(node.address(), TOPIC, &payload).unwrap();
        let message = node.receive(TopicFilter::Is(Bytes::from_static(TOPIC)), PATIENCE).await;
        let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
        assert_eq!(message.payload, payload, "{size} bytes");
        assert_eq!(message.source, stock.address());
    }
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_go_to_a_stock_node() {
    let Some(stock) = StockDaemon::start(&[]) else { return };
    let node = node(2, &[stock.endpoint()]).await;
    for size in SIZES {
        let payload = payload(size);
        send(&node, Target::Address(stock.address()), &payload).await;
        let message = tokio::task::block_in_place(|| stock.receive(TOPIC, PATIENCE)).unwrap();
        let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
        assert_eq!(message.payload, payload, "{size} bytes");
        assert_eq!(message.source, node.address());
    }
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_cross_a_stock_router() {
    let Some(stock) = StockDaemon::start(&[]) else { return };
    let (ann, ben) = (node(3, &[stock.endpoint()]).await, node(4, &[stock.endpoint()]).await);
    for (from, to) in [(&ann, &ben), (&ben, &ann)] {
        for size in SIZES {
            let payload = payload(size);
            send(from, Target::Key(to.public_key()), &payload).await;
            let message = to.receive(TopicFilter::Any, PATIENCE).await;
            let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
            assert_eq!(message.payload, payload, "{size} bytes");
            assert_eq!(message.source_key, from.public_key());
        }
    }
    ann.close().await;
    ben.close().await;
}

async fn node(secret: u8, peers: &[String]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([secret; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.peers = peers.iter().map(|peer| peer.parse::<PeerAddress>().unwrap()).collect();
    Node::start(config).await.unwrap()
}

async fn send(from: &Node, to: Target, payload: &Bytes) {
    let state = from.send_and_wait(to, TOPIC, payload.clone(), PATIENCE).await.unwrap();
    assert!(
        matches!(state, SendState::Received | SendState::Read),
        "{} bytes: {state:?}",
        payload.len()
    );
}

fn payload(size: usize) -> Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}

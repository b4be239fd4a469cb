//! QUIC links between our node and a stock daemon, whoever dials, and through one to another node.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Duration;

use bytes::Bytes;
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerAddress, SecretKey, SendState, Target, TopicFilter,
};
use threephone_system_tests::StockDaemon;

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &[u8] = b"interop";
/// Nothing, a chunk, and what fills the congestion window.
const SIZES: [usize; 3] = [0, 1300, 1_000_000];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_node_dials_ours_over_quic() {
    let ann = node(21, &[]).await;
    let Some(stock) = StockDaemon::start(&[ann.listening()[0].to_string()]) else {
        ann.close().await;
        return;
    };
    both_ways(&ann, &stock).await;
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_node_dials_a_stock_one_over_quic() {
    let Some(stock) = StockDaemon::start(&[]) else { return };
    let ann = node(22, &[stock.quic_endpoint()]).await;
    both_ways(&ann, &stock).await;
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_router_joins_two_of_ours_over_quic() {
    let Some(stock) = StockDaemon::start(&[]) else { return };
    let way = [stock.quic_endpoint()];
    let (ann, ben) = (node(23, &way).await, node(24, &way).await);
    for (from, to) in [(&ann, &ben), (&ben, &ann)] {
        for size in SIZES {
            send(from, Target::Key(to.public_key()), &payload(size)).await;
            let message = to.receive(TopicFilter::Any, PATIENCE).await.unwrap();
            assert_eq!((message.payload.len(), message.source), (size, from.address()));
        }
    }
    ann.close().await;
    ben.close().await;
}

async fn both_ways(ann: &Node, stock: &StockDaemon) {
    for size in SIZES {
        stock.send(ann.address(), TOPIC, &payload(size)).unwrap();
        let message = ann.receive(TopicFilter::Any, PATIENCE).await;
        let message = message.unwrap_or_else(|| panic!("{size} bytes did not come"));
        assert_eq!(message.payload, payload(size));
        send(ann, Target::Address(stock.address()), &payload(size)).await;
        let received = tokio::task::block_in_place(|| stock.receive(TOPIC, PATIENCE)).unwrap();
        let received = received.unwrap_or_else(|| panic!("{size} bytes did not go"));
        assert_eq!(received.payload, payload(size));
    }
    let peers = ann.peers().await;
    assert_eq!(peers.len(), 1, "one link carried it all: {peers:?}");
    assert!(peers[0].endpoint.to_string().starts_with("quic://"));
}

async fn node(secret: u8, peers: &[String]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([secret; 32]));
    config.listen = vec!["quic://127.0.0.1:0".parse::<Endpoint>().unwrap()];
    config.peers = peers.iter().map(|peer| peer.parse::<PeerAddress>().unwrap()).collect();
    Node::start(config).await.unwrap()
}

async fn send(from: &Node, to: Target, payload: &Bytes) {
    let state = from.send_and_wait(to, TOPIC, payload.clone(), PATIENCE).await.unwrap();
    assert!(matches!(state, SendState::Received | SendState::Read), "{}: {state:?}", payload.len());
}

fn payload(size: usize) -> Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}

//! Nodes as they should be, and the first words of a peer that is not.
#![allow(dead_code)] // each test file uses its own part

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use threephone_node::wire::control::{Hello, Tlv, Update};
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerKind, Prefix, PublicKey, RouterId, SecretKey, SendState,
    Target, TopicFilter,
};

/// Nothing here takes that long unless it never comes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn start(name: u8, listen: &[&str], peers: &[Endpoint]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = listen.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    config.peers = peers.iter().map(|peer| (*peer).into()).collect();
    Node::start(config).await.unwrap()
}

pub(crate) async fn exchange(from: &Node, to: &Node) {
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
}

pub(crate) async fn inbound(node: &Node) -> usize {
    node.peers().await.iter().filter(|peer| peer.kind == PeerKind::Inbound).count()
}

/// Waits until a state is reached that events do not tell.
pub(crate) async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it comes to that");
}

pub(crate) fn encoded(tlv: &Tlv) -> Bytes {
    let mut out = BytesMut::new();
    tlv.encode(&mut out);
    out.freeze()
}

pub(crate) fn hello() -> Bytes {
    encoded(&Tlv::Hello(Hello { seqno: 0, interval: 2000 }))
}

pub(crate) fn announcement(key: PublicKey) -> Bytes {
    let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]));
    encoded(&Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 0, prefix, router_id }))
}

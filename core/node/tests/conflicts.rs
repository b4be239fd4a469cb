//! Two peers that name different ways to one node: the one that the owner chose counts more.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::{Endpoint, Node, NodeConfig, Prefix, RouterId, SecretKey};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

/// Somebody says how to get to the node of that key.
fn announcement(random: u8, metric: u16) -> Bytes {
    let key = SecretKey::from_bytes([7; 32]).public_key();
    let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [random; 6]));
    let mut out = BytesMut::new();
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric, prefix, router_id }).encode(&mut out);
    out.freeze()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owners_peer_is_believed_before_whoever_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chosen = Endpoint::Tcp(listener.local_addr().unwrap());
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.peers = vec![chosen.into()];
    let ann = Node::start(config).await.unwrap();
    let (mut friend, _) = tokio::time::timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut stranger = TcpStream::connect(ann.listening()[0].address().unwrap()).await.unwrap();
    stranger.write_all(&announcement(66, 0)).await.unwrap();
    friend.write_all(&announcement(1, 800)).await.unwrap();
    let both = async {
        loop {
            let routes = ann.routes().await;
            if routes.len() == 2 {
                return routes;
            }
            tokio::task::yield_now().await;
        }
    };
    let routes = tokio::time::timeout(LONG, both).await.expect("both are heard");
    let way = routes.iter().find(|route| route.selected).unwrap();
    assert_eq!((way.next_hop, way.metric), (Some(chosen), 800));
    ann.close().await;
}

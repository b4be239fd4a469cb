//! Places for links: strangers cannot take those of the peers that the owner chose.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use threephone_node::wire::control::{Hello, Tlv};
use threephone_node::{Node, NodeConfig, SecretKey, SendState, Target, TopicFilter};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talkative_strangers_do_not_keep_a_node_from_the_peer_its_owner_chose() {
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.limits.router.links = 4;
    let ann = Node::start(config).await.unwrap();
    let address = ann.listening()[0].address().unwrap();
    let mut hello = BytesMut::new();
    Tlv::Hello(Hello { seqno: 0, interval: 2000 }).encode(&mut hello);
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        let _ = stranger.write_all(&hello).await; // who is refused may hear so first
        strangers.push(stranger);
    }
    // Half of the places are taken, and by those who have spoken.
    let taken = async {
        while ann.peers().await.iter().filter(|peer| peer.rx_packets > 0).count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, taken).await.unwrap();
    let mut config = NodeConfig::new(SecretKey::from_bytes([2; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let ben = Node::start(config).await.unwrap();
    ann.add_peer(ben.listening()[0]).await.unwrap();
    let payload = Bytes::from_static(b"hello");
    let sent = ann.send_and_wait(Target::Address(ben.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    assert!(ben.receive(TopicFilter::Any, LONG).await.is_some());
    drop(strangers);
    ann.close().await;
    ben.close().await;
}

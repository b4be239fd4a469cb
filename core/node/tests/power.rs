//! What a node does for the battery, over real TCP.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::time::Duration;

use bytes::Bytes;
use threephone_node::ledger::Cause;
use threephone_node::{
    Node, NodeConfig, NodeEvent, PeerAddress, PeerState, PowerMode, PowerPolicy, SecretKey,
    SendState, Target, TopicFilter,
};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

async fn start(name: u8, peers: Vec<PeerAddress>) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.peers = peers;
    Node::start(config).await.unwrap()
}

fn way_to(node: &Node) -> PeerAddress {
    node.listening()[0].into()
}

async fn exchange(from: &Node, to: &Node) {
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
}

async fn alive(node: &Node) -> usize {
    node.peers().await.iter().filter(|peer| peer.state == PeerState::Alive).count()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_keeps_one_of_its_peers_and_finds_another_when_that_one_goes() {
    let (ben, chris) = (start(2, vec![]).await, start(3, vec![]).await);
    let ann = start(1, vec![way_to(&ben), way_to(&chris)]).await;
    until(async || alive(&ann).await == 2).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    // It gives up none before one has brought a packet.
    until(async || alive(&ann).await == 1).await;
    until(async || alive(&ben).await + alive(&chris).await == 1).await;
    let (kept, other) = if alive(&ben).await == 1 { (ben, chris) } else { (chris, ben) };
    exchange(&kept, &ann).await;
    kept.close().await;
    until(async || alive(&other).await == 1).await;
    exchange(&ann, &other).await;
    assert_eq!(ann.set_power(PowerMode::Active).await, PowerMode::Active);
    ann.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_node_closes_its_links_and_goes_on_at_once_when_it_resumes() {
    let ben = start(2, vec![]).await;
    let ann = start(1, vec![way_to(&ben)]).await;
    exchange(&ann, &ben).await;
    assert_eq!(ann.set_power(PowerMode::Suspended).await, PowerMode::Suspended);
    assert_eq!(alive(&ann).await, 0);
    until(async || alive(&ben).await == 0).await;
    let payload = Bytes::from_static(b"later");
    let id = ann.send(Target::Address(ben.address()), b"", payload).await.unwrap();
    let mut events = ann.events();
    assert_eq!(ann.set_power(PowerMode::Active).await, PowerMode::Active);
    assert_eq!(ann.wait(id, LONG).await, SendState::Received);
    let up = async { while !matches!(events.next().await, Some(NodeEvent::PeerUp { .. })) {} };
    tokio::time::timeout(LONG, up).await.unwrap();
    ann.close().await;
    ben.close().await;
}

/// A stand-in for a peer hangs up again and again, until its next turn is at least 3.2 s away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_network_dials_who_waits_at_once() {
    const HANG_UPS: usize = 6;
    let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = threephone_node::Endpoint::Tcp(rude.local_addr().unwrap());
    let ann = start(1, vec![way.into()]).await;
    let mut events = ann.events();
    for _ in 0..HANG_UPS {
        drop(tokio::time::timeout(LONG, rude.accept()).await.unwrap().unwrap());
        let down =
            async { while !matches!(events.next().await, Some(NodeEvent::PeerDown { .. })) {} };
        tokio::time::timeout(LONG, down).await.unwrap();
    }
    ann.network_changed().await;
    let dialled = tokio::time::timeout(Duration::from_secs(3), rude.accept()).await;
    assert!(dialled.is_ok(), "it waits for its turn");
    assert_eq!(ann.ledger().await.unwrap().network_changes, 1);
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_says_what_each_peer_and_cause_has_cost() {
    let ben = start(2, vec![]).await;
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.peers = vec![way_to(&ben)];
    config.power = PowerPolicy::Auto;
    let ann = Node::start(config).await.unwrap();
    exchange(&ann, &ben).await;
    // What was written is counted a moment after it left: the answer can be here before that.
    let counted = async {
        loop {
            let ledger = ann.ledger().await.unwrap();
            if ledger.peers.iter().all(|peer| peer.tx_bytes > 0) {
                return ledger;
            }
            tokio::task::yield_now().await;
        }
    };
    let ledger = tokio::time::timeout(LONG, counted).await.unwrap();
    assert_eq!(ledger.mode, PowerMode::Active);
    let [peer] = &ledger.peers[..] else { panic!("{ledger:?}") };
    assert!(peer.wake_ups > 0 && peer.rx_packets > 0 && peer.tx_packets > 0, "{peer:?}");
    assert!(peer.rx_bytes > 0 && peer.tx_bytes > 0 && peer.connects == 1, "{peer:?}");
    assert!(peer.last_connected.is_some_and(|ago| ago <= peer.known_for));
    let packets = ledger.causes.iter().find(|(cause, _)| *cause == Cause::Packets).unwrap().1;
    assert_eq!(packets.wake_ups, peer.wake_ups);
    assert!(packets.cpu >= peer.cpu && peer.cpu > Duration::ZERO);
    ann.close().await;
    assert_eq!(ann.ledger().await, None);
    ben.close().await;
}

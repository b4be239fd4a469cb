//! An idle node keeps one peer, over real TCP: it must be one that answers and leads somewhere.
//!
//! Dora is reached over Ben and over Chris; Ann keeps one of them, or somebody who leads nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerAddress, PeerState, PowerMode, SecretKey, SendState, Target,
    TopicFilter,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

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

/// How long a message took.
async fn exchange(from: &Node, to: &Node) -> Duration {
    let begun = Instant::now();
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert!(matches!(sent, Ok(SendState::Received | SendState::Read)), "{sent:?}");
    let took = begun.elapsed();
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
    took
}

async fn alive(node: &Node) -> Vec<PeerAddress> {
    let peers = node.peers().await.into_iter();
    peers.filter(|peer| peer.state == PeerState::Alive).map(|peer| peer.endpoint).collect()
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

/// Stands before a node: passes everything on until it falls silent; then it accepts everything and
/// answers nothing, as a machine that has lost its way or a process that was stopped.
struct Front {
    way: PeerAddress,
    is_silent: Arc<AtomicBool>,
    accepted: Arc<Mutex<usize>>,
}

impl Front {
    async fn before(node: &Node) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Endpoint::Tcp(listener.local_addr().unwrap()).into();
        let front = Self { way, is_silent: Arc::default(), accepted: Arc::default() };
        let to = node.listening()[0].address().unwrap();
        let (is_silent, accepted) = (Arc::clone(&front.is_silent), Arc::clone(&front.accepted));
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                *accepted.lock().unwrap() += 1;
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass_on(near_in, far_out, Arc::clone(&is_silent)));
                tokio::spawn(pass_on(far_in, near_out, Arc::clone(&is_silent)));
            }
        });
        front
    }

    fn falls_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    fn speaks(&self) {
        self.is_silent.store(false, Ordering::SeqCst);
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_silent: Arc<AtomicBool>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !is_silent.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_whose_peer_falls_silent_takes_another_within_three_seconds() {
    let (ben, chris) = (start(2, vec![]).await, start(3, vec![]).await);
    let dora = start(4, vec![way_to(&ben), way_to(&chris)]).await;
    let front = Front::before(&ben).await;
    let ann = start(1, vec![front.way.clone()]).await;
    exchange(&ann, &dora).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    ann.add_peer(way_to(&chris)).await.unwrap();
    exchange(&ann, &dora).await;
    assert_eq!(alive(&ann).await, std::slice::from_ref(&front.way), "one is enough");
    front.falls_silent();
    let gap = exchange(&ann, &dora).await;
    assert!(gap <= Duration::from_secs(3), "{gap:?} without deliveries");
    until(async || alive(&ann).await == [way_to(&chris)]).await;
    exchange(&dora, &ann).await;
    for node in [ann, ben, chris, dora] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_whose_only_peer_falls_silent_dials_it_anew() {
    let ben = start(2, vec![]).await;
    let front = Front::before(&ben).await;
    let ann = start(1, vec![front.way.clone()]).await;
    exchange(&ann, &ben).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    let before = *front.accepted.lock().unwrap();
    front.falls_silent();
    let payload = Bytes::from_static(b"later");
    let id = ann.send(Target::Address(ben.address()), b"", payload).await.unwrap();
    until(async || *front.accepted.lock().unwrap() > before).await;
    front.speaks();
    assert_eq!(ann.wait(id, LONG).await, SendState::Received);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_that_keeps_a_dead_end_finds_who_leads_on() {
    let (dead_end, chris) = (start(2, vec![]).await, start(3, vec![]).await);
    let dora = start(4, vec![way_to(&chris)]).await;
    let ann = start(1, vec![way_to(&dead_end)]).await;
    until(async || alive(&ann).await.len() == 1).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    exchange(&ann, &dead_end).await;
    ann.add_peer(way_to(&chris)).await.unwrap();
    assert_eq!(alive(&ann).await, [way_to(&dead_end)], "one is enough while it leads on");
    let gap = exchange(&ann, &dora).await;
    assert!(gap <= Duration::from_secs(3), "{gap:?} without deliveries");
    until(async || alive(&ann).await == [way_to(&chris)]).await;
    exchange(&dora, &ann).await;
    for node in [ann, dead_end, chris, dora] {
        node.close().await;
    }
}

/// Costs are all the same here; the link that was opened first would be kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_peers_the_one_that_leads_somewhere_is_kept() {
    let (dead_end, chris) = (start(2, vec![]).await, start(3, vec![]).await);
    let dora = start(4, vec![way_to(&chris)]).await;
    let ann = start(1, vec![way_to(&dead_end)]).await;
    exchange(&ann, &dead_end).await;
    ann.add_peer(way_to(&chris)).await.unwrap();
    exchange(&ann, &dora).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    assert_eq!(alive(&ann).await, [way_to(&chris)]);
    exchange(&dora, &ann).await;
    for node in [ann, dead_end, chris, dora] {
        node.close().await;
    }
}

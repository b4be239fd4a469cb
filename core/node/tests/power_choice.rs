//! An idle node keeps one peer, over real TCP: it must be one that answers and leads somewhere.
//!
//! Dora is reached over Ben and over Chris; Ann keeps one of them, or somebody who leads nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

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
    accepted: Arc<Mutex<usize>>,
    passing: Passing,
}

/// Whether bytes are passed on, and how many went to whoever dialled.
type Passing = Arc<tokio::sync::Mutex<(Mood, u64)>>;

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Speaks,
    IsSilent,
}

impl Front {
    async fn before(node: &Node) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Endpoint::Tcp(listener.local_addr().unwrap()).into();
        let passing = Arc::new(tokio::sync::Mutex::new((Mood::Speaks, 0)));
        let front = Self { way, accepted: Arc::default(), passing };
        let to = node.listening()[0].address().unwrap();
        let (passing, accepted) = (Arc::clone(&front.passing), Arc::clone(&front.accepted));
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                *accepted.lock().unwrap() += 1;
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass_on(near_in, far_out, Arc::clone(&passing), 0));
                tokio::spawn(pass_on(far_in, near_out, Arc::clone(&passing), 1));
            }
        });
        front
    }

    /// Returns when `node` has read everything that was said before: what comes late would count
    /// as a sign of life.
    async fn falls_silent(&self, node: &Node) {
        let said = {
            let mut passing = self.passing.lock().await;
            passing.0 = Mood::IsSilent;
            passing.1
        };
        until(async || {
            let peers = node.peers().await;
            peers.iter().any(|peer| peer.endpoint == self.way && peer.rx_bytes == said)
        })
        .await;
    }

    async fn speaks(&self) {
        self.passing.lock().await.0 = Mood::Speaks;
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passing: Passing, counts: u64) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let mut passing = passing.lock().await;
        if passing.0 == Mood::Speaks {
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
            passing.1 += counts * count as u64;
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
    front.falls_silent(&ann).await;
    let gap = exchange(&ann, &dora).await;
    println!("{gap:?} without deliveries");
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
    front.falls_silent(&ann).await;
    let payload = Bytes::from_static(b"later");
    let id = ann.send(Target::Address(ben.address()), b"", payload).await.unwrap();
    let begun = Instant::now();
    until(async || *front.accepted.lock().unwrap() > before).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}: it waited until the link counted as dead");
    front.speaks().await;
    assert_eq!(ann.wait(id, LONG).await, SendState::Received);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_that_keeps_a_dead_end_finds_who_leads_on() {
    let (dead_end, chris) = (start(2, vec![]).await, start(3, vec![]).await);
    let dora = start(4, vec![way_to(&chris)]).await;
    let ann = start(1, vec![way_to(&dead_end)]).await;
    exchange(&ann, &dead_end).await;
    assert_eq!(ann.set_power(PowerMode::Idle).await, PowerMode::Idle);
    ann.add_peer(way_to(&chris)).await.unwrap();
    assert_eq!(alive(&ann).await, [way_to(&dead_end)], "one is enough while it leads on");
    let gap = exchange(&ann, &dora).await;
    println!("{gap:?} without deliveries");
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

//! A node in a world of its own: what names mean there, and how long the machine slept.
//!
//! Linux has all of 127.0.0.0/8 on its loopback, so one port can be that of several machines.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use threephone_address::Target;
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::SecretKey;
use crate::driver::outside::{Outside, Resolver};
use crate::message::{SendState, TopicFilter};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

/// What every name means.
type Addresses = Arc<Mutex<Vec<IpAddr>>>;

fn addresses(texts: &[&str]) -> Addresses {
    Arc::new(Mutex::new(texts.iter().map(|text| text.parse().unwrap()).collect()))
}

fn names_mean(addresses: &Addresses) -> Outside {
    let addresses = Arc::clone(addresses);
    let given = move |_: &str| addresses.lock().unwrap().clone();
    Outside { resolver: Resolver::Given(Arc::new(given)), ..Outside::default() }
}

async fn start(name: u8, listen: &str) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = vec![listen.parse().unwrap()];
    Node::start(config).await.unwrap()
}

async fn start_with_peer(peer: &str, outside: Outside) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.peers = vec![peer.parse().unwrap()];
    Node::start_in(config, outside).await.unwrap()
}

fn port_of(node: &Node) -> u16 {
    node.listening()[0].address().unwrap().port()
}

async fn exchange(from: &Node, to: &Node) {
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert!(matches!(sent, Ok(SendState::Received | SendState::Read)), "{sent:?}");
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
}

#[tokio::test]
async fn a_peer_that_moved_to_another_address_is_found_by_its_name_again() {
    let ben = start(2, "tcp://127.0.0.1:0").await;
    let port = port_of(&ben);
    let addresses = addresses(&["127.0.0.1"]);
    let peer = format!("tcp://router.example:{port}");
    let ann = start_with_peer(&peer, names_mean(&addresses)).await;
    exchange(&ann, &ben).await;
    ben.close().await;
    let ben = start(2, &format!("tcp://127.0.0.2:{port}")).await;
    *addresses.lock().unwrap() = vec!["127.0.0.2".parse().unwrap()];
    exchange(&ann, &ben).await;
    let peers = ann.peers().await;
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].endpoint.to_string(), peer);
    assert_eq!(peers[0].remote, Some(ben.listening()[0]));
    ann.close().await;
    ben.close().await;
}

/// The first swallows what it is sent: alone it would cost the ten seconds of a handshake.
#[tokio::test]
async fn the_addresses_of_a_name_race_and_the_one_that_answers_wins() {
    let ben = start(2, "quic://127.0.0.1:0").await;
    let port = port_of(&ben);
    let _mute = UdpSocket::bind(("127.0.0.2", port)).await.unwrap();
    let begun = Instant::now();
    let outside = names_mean(&addresses(&["127.0.0.2", "127.0.0.1"]));
    let ann = start_with_peer(&format!("quic://router.example:{port}"), outside).await;
    exchange(&ann, &ben).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(ann.peers().await[0].remote, Some(ben.listening()[0]));
    ann.close().await;
    ben.close().await;
}

/// The places of a peer race as the addresses of a name do, over different transports too.
#[tokio::test]
async fn the_transports_of_a_peer_race() {
    let ben = start(2, "quic://127.0.0.1:0").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let peer = format!("tcp://{closed},{}", ben.listening()[0]);
    let ann = start_with_peer(&peer, Outside::default()).await;
    exchange(&ann, &ben).await;
    assert_eq!(ann.peers().await[0].remote, Some(ben.listening()[0]));
    ann.close().await;
    ben.close().await;
}

/// A machine that can be said to have slept, in seconds.
fn sleeper() -> (Arc<AtomicU64>, Outside) {
    let slept = Arc::new(AtomicU64::new(0));
    let (clock, start) = (Arc::clone(&slept), Instant::now());
    let sleep_clock = Arc::new(move || {
        Some(start.elapsed() + Duration::from_secs(1000 + clock.load(Ordering::SeqCst)))
    });
    (slept, Outside { sleep_clock, ..Outside::default() })
}

async fn sleeps(node: &Node) -> u64 {
    node.ledger().await.unwrap().sleeps
}

/// A stand-in for a peer hangs up again and again, until its next turn is at least 3.2 s away.
#[tokio::test]
async fn a_machine_that_slept_dials_who_waits_at_once() {
    const HANG_UPS: usize = 6;
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (slept, outside) = sleeper();
    let ann = start_with_peer(&format!("tcp://{}", rude.local_addr().unwrap()), outside).await;
    let mut events = ann.events();
    for _ in 0..HANG_UPS {
        drop(tokio::time::timeout(LONG, rude.accept()).await.unwrap().unwrap());
        let down =
            async { while !matches!(events.next().await, Some(NodeEvent::PeerDown { .. })) {} };
        tokio::time::timeout(LONG, down).await.unwrap();
    }
    assert_eq!(sleeps(&ann).await, 0);
    slept.store(8 * 3600, Ordering::SeqCst);
    // Whatever the node wakes up for.
    assert_eq!(sleeps(&ann).await, 1);
    let dialled = tokio::time::timeout(Duration::from_secs(3), rude.accept()).await;
    assert!(dialled.is_ok(), "it waits for its turn");
    ann.close().await;
}

/// The stand-in accepts and says nothing: a link that did not live through the night.
#[tokio::test]
async fn a_link_that_died_while_the_machine_slept_is_replaced_within_seconds() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (slept, outside) = sleeper();
    let ann = start_with_peer(&format!("tcp://{}", mute.local_addr().unwrap()), outside).await;
    let _first = tokio::time::timeout(LONG, mute.accept()).await.unwrap().unwrap();
    let connected = async {
        while ann.peers().await[0].state != PeerState::Alive {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(LONG, connected).await.unwrap();
    slept.store(8 * 3600, Ordering::SeqCst);
    assert_eq!(sleeps(&ann).await, 1);
    // Without news of the sleep it would count as alive for 43 s.
    let again = tokio::time::timeout(Duration::from_secs(20), mute.accept()).await;
    assert!(again.is_ok(), "it believes in the dead link");
    ann.close().await;
}

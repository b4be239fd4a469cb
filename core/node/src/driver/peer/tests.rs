//! The table in virtual time.

mod crossing;
mod discovered;
mod idle;
mod inbound;
mod itself;
mod power;
mod public;

use super::entry::{FIRST_PAUSE, LONGEST_PAUSE};
use super::*;
use crate::endpoint::Endpoint;
use crate::node::PeerState;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

const LINKS: usize = 256;

fn table() -> (Peers, Instant) {
    let now = Instant::now();
    (Peers::new([7; 32], Duration::from_secs(5), LINKS, now), now)
}

#[test]
fn a_new_static_peer_is_dialled_at_once_and_only_once_at_a_time() {
    let (mut peers, now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    assert_eq!(peers.poll_timeout(), Some(now));
    assert_eq!(peers.take_due(now), [ann]);
    assert!(peers.take_due(now + LONGEST_PAUSE).is_empty());
    assert_eq!(peers.poll_timeout(), None);
}

#[test]
fn pauses_double_from_a_fifth_of_a_second_to_fifteen_seconds() {
    let (mut peers, mut now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    for failure in 0..12 {
        assert_eq!(peers.take_due(now), [ann]);
        assert_eq!(peers.dial_failed(&ann.into(), now), failure == 0, "told once");
        let due = peers.poll_timeout().unwrap();
        let longest = (FIRST_PAUSE * (1 << failure)).min(LONGEST_PAUSE);
        assert!(due - now >= longest / 2 && due - now <= longest, "failure {failure}");
        now = due;
    }
}

#[test]
fn a_good_link_forgets_the_failures_before_it() {
    let (mut peers, mut now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    for _ in 0..8 {
        peers.take_due(now);
        peers.dial_failed(&ann.into(), now);
        now = peers.poll_timeout().unwrap();
    }
    peers.take_due(now);
    peers.dialled(&ann.into(), LinkId(1), None, now).unwrap();
    now += GOOD_LINK;
    peers.link_down(&ann.into(), LinkId(1), now);
    assert!(peers.poll_timeout().unwrap() - now <= FIRST_PAUSE);
}

#[test]
fn a_peer_that_hangs_up_at_once_is_not_dialled_in_a_tight_loop() {
    let (mut peers, mut now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    let mut last = Duration::ZERO;
    for link in 0..10 {
        peers.take_due(now);
        peers.dialled(&ann.into(), LinkId(link), None, now).unwrap();
        peers.link_down(&ann.into(), LinkId(link), now);
        last = peers.poll_timeout().unwrap() - now;
        now += last;
    }
    assert!(last >= LONGEST_PAUSE / 2);
}

#[test]
fn a_peer_removed_while_being_dialled_is_hung_up_on() {
    let (mut peers, now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    peers.take_due(now);
    assert!(peers.remove(ann.into()).unwrap().is_none());
    assert!(peers.dialled(&ann.into(), LinkId(1), None, now).is_none());
    assert!(matches!(peers.remove(ann.into()), Err(NodeError::UnknownPeer(_))));
}

fn beacon(host: u16, port: u16) -> Endpoint {
    endpoint(&format!("tcp://[fe80::{host:x}%3]:{port}"))
}

/// Dials whoever is due, and nobody answers.
fn fail_due(peers: &mut Peers, now: Instant) -> Vec<PeerAddress> {
    let due = peers.take_due(now);
    for endpoint in &due {
        peers.dial_failed(endpoint, now);
    }
    due
}

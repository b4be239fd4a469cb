//! Peers that were heard on the local network.

use super::*;
use crate::driver::peer::discovered::{DISCOVERED_PEERS, THEIR_TURN};

#[test]
fn one_that_was_inbound_or_discovered_stays_once_it_is_named() {
    let (mut peers, now) = table();
    let (ann, ben) = (endpoint("tcp://192.0.2.1:1"), beacon(1, 1));
    peers.accept(ann, LinkId(1), None, now).unwrap();
    assert!(peers.discover(ben, Turn::Ours, now));
    for peer in [ann, ben] {
        peers.add(peer.into(), now).unwrap();
        assert!(matches!(peers.add(peer.into(), now), Err(NodeError::PeerExists(_))));
    }
    peers.link_down(&ann.into(), LinkId(1), now);
    assert!(peers.statuses(|_| None, now).iter().all(|peer| peer.kind == PeerKind::Static));
    assert_eq!(peers.peers.len(), 2);
}

#[test]
fn a_discovered_peer_is_forgotten_after_three_failures() {
    let (mut peers, mut now) = table();
    assert!(peers.discover(beacon(1, 1), Turn::Ours, now));
    assert!(!peers.discover(beacon(1, 1), Turn::Ours, now), "it is known");
    for _ in 0..3 {
        assert_eq!(fail_due(&mut peers, now), [beacon(1, 1)]);
        now = peers.poll_timeout().unwrap_or(now);
    }
    assert_eq!((peers.peers.len(), peers.poll_timeout()), (0, None));
}

/// Weakness 3.4: beacons make a node dial whatever they name.
#[test]
fn a_flood_of_beacons_makes_few_peers_and_those_slowly() {
    let (mut peers, mut now) = table();
    let mut dialled = 0;
    for second in 0..600 {
        for host in 0..100 {
            peers.discover(beacon(host, second), Turn::Ours, now);
        }
        assert!(peers.peers.len() <= DISCOVERED_PEERS);
        dialled += fail_due(&mut peers, now).len();
        now += Duration::from_secs(1);
    }
    // 8 at once and 40 more in ten minutes, each dialled three times.
    assert!((48 * 2..=48 * 3).contains(&dialled), "{dialled}");
}

#[test]
fn many_ports_of_one_address_are_two_peers() {
    let (mut peers, now) = table();
    let new = (1..100).filter(|port| peers.discover(beacon(1, *port), Turn::Ours, now));
    assert_eq!(new.count(), 2);
}

#[test]
fn a_discovered_peer_that_accepts_and_says_nothing_counts_as_one_that_failed() {
    let (mut peers, mut now) = table();
    peers.discover(beacon(1, 22), Turn::Ours, now);
    for link in 0..3 {
        assert_eq!(peers.take_due(now), [beacon(1, 22)]);
        peers.dialled(&beacon(1, 22).into(), LinkId(link), None, now).unwrap();
        assert!(!peers.is_alive(&beacon(1, 22).into()));
        now = peers.poll_timeout().unwrap();
        assert_eq!(peers.overdue(now), [(LinkId(link), "it brought no packet in time")]);
        peers.link_down(&beacon(1, 22).into(), LinkId(link), now);
        now = peers.poll_timeout().unwrap_or(now);
    }
    assert_eq!(peers.peers.len(), 0);
}

#[test]
fn of_two_that_hear_each_other_one_dials_and_the_other_waits_for_it() {
    let (mut peers, now) = table();
    peers.discover(beacon(1, 1), Turn::Theirs, now);
    assert!(peers.take_due(now).is_empty());
    peers.accept(beacon(1, 40_000), LinkId(1), None, now).unwrap();
    peers.heard(&beacon(1, 40_000).into(), LinkId(1), now);
    let later = now + THEIR_TURN;
    assert!(peers.take_due(later).is_empty());
    assert!(peers.poll_timeout().unwrap() > later, "it does not ask in a tight loop");
    peers.link_down(&beacon(1, 40_000).into(), LinkId(1), later);
    assert_eq!(peers.take_due(later + Duration::from_secs(60)), [beacon(1, 1)]);
}

#[test]
fn of_two_that_hear_each_other_the_second_dials_when_the_first_does_not() {
    let (mut peers, now) = table();
    peers.discover(beacon(1, 1), Turn::Theirs, now);
    assert_eq!(peers.take_due(now + THEIR_TURN), [beacon(1, 1)]);
}

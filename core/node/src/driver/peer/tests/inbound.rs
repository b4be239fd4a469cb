//! Those who dial us.

use super::super::inbound::{INBOUND_PEERS_PER_SOURCE, inbound_places};
use super::*;

/// Of [`LINKS`], without those kept for peers that are dialled.
const INBOUND_PEERS: usize = 224;

#[test]
fn one_source_cannot_take_all_inbound_places() {
    let (mut peers, now) = table();
    let from = |port: usize, host: &str| endpoint(&format!("tcp://{host}:{}", 1000 + port));
    for port in 0..INBOUND_PEERS_PER_SOURCE {
        peers.accept(from(port, "192.0.2.1"), LinkId(port as u64), None, now).unwrap();
        peers.heard(&from(port, "192.0.2.1").into(), LinkId(port as u64), now);
    }
    let mapped = "[::ffff:192.0.2.1]";
    assert_eq!(
        peers.accept(from(999, mapped), LinkId(999), None, now).unwrap_err(),
        Refused::TooMany
    );
    peers.accept(from(0, "192.0.2.2"), LinkId(1000), None, now).unwrap();
    peers.link_down(&from(0, "192.0.2.1").into(), LinkId(0), now);
    peers.accept(from(999, mapped), LinkId(999), None, now).unwrap();
}

#[test]
fn a_newcomer_takes_the_place_of_the_oldest_silent_link_of_its_source() {
    let (mut peers, now) = table();
    let from = |port: u64| endpoint(&format!("tcp://192.0.2.1:{}", 1000 + port));
    for port in 0..INBOUND_PEERS_PER_SOURCE as u64 {
        peers.accept(from(port), LinkId(port), None, now).unwrap();
    }
    peers.accept(endpoint("tcp://192.0.2.2:1"), LinkId(100), None, now).unwrap();
    peers.heard(&from(0).into(), LinkId(0), now);
    assert_eq!(peers.accept(from(101), LinkId(101), None, now).unwrap().replaced, Some(LinkId(1)));
    assert_eq!(peers.accept(from(102), LinkId(102), None, now).unwrap().replaced, Some(LinkId(2)));
    assert_eq!(peers.peers.len(), INBOUND_PEERS_PER_SOURCE + 1);
}

#[test]
fn silent_links_of_many_sources_make_room_and_others_do_not() {
    let (mut peers, now) = table();
    let from = |host: u64| endpoint(&format!("tcp://192.0.{}.{}:1", host / 256, host % 256));
    for host in 0..INBOUND_PEERS as u64 {
        peers.accept(from(host), LinkId(host), None, now).unwrap();
    }
    assert_eq!(peers.accept(from(999), LinkId(999), None, now).unwrap().replaced, Some(LinkId(0)));
    peers.heard(&from(999).into(), LinkId(999), now);
    (1..INBOUND_PEERS as u64).for_each(|host| peers.heard(&from(host).into(), LinkId(host), now));
    assert_eq!(peers.accept(from(998), LinkId(998), None, now).unwrap_err(), Refused::TooMany);
}

#[test]
fn strangers_leave_places_for_the_peers_that_are_dialled() {
    for (links, inbound) in [(256, 224), (64, 32), (33, 16), (4, 2), (1, 0)] {
        assert_eq!(inbound_places(links), inbound);
    }
    let (mut peers, now) = table();
    let from = |n: u64| endpoint(&format!("tcp://192.0.2.{}:{}", n / 32, n % 32 + 1));
    for number in 0..300 {
        if peers.accept(from(number), LinkId(number), None, now).is_ok() {
            peers.heard(&from(number).into(), LinkId(number), now);
        }
    }
    assert_eq!(peers.count(PeerKind::Inbound), INBOUND_PEERS);
    let ann = endpoint("tcp://192.0.2.99:1");
    peers.add(ann.into(), now).unwrap();
    assert_eq!(peers.take_due(now), [ann]);
    assert!(peers.dialled(&ann.into(), LinkId(999), None, now).is_some());
}

#[test]
fn a_link_is_overdue_until_its_first_packet() {
    let (mut peers, now) = table();
    let (ann, late) = (endpoint("tcp://192.0.2.1:1"), now + Duration::from_secs(5));
    peers.accept(ann, LinkId(1), None, now).unwrap();
    assert_eq!(peers.statuses(|_| None, now)[0].state, PeerState::Connecting);
    assert_eq!(peers.poll_timeout(), Some(late));
    assert_eq!(peers.overdue(now), []);
    assert_eq!(peers.overdue(late), [(LinkId(1), "it brought no packet in time")]);
    peers.heard(&ann.into(), LinkId(1), now);
    assert_eq!(peers.statuses(|_| None, now)[0].state, PeerState::Alive);
    assert_eq!((peers.overdue(late), peers.poll_timeout()), (vec![], None));
}

#[test]
fn a_second_connection_from_the_same_endpoint_takes_over() {
    let (mut peers, now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    peers.take_due(now);
    peers.dialled(&ann.into(), LinkId(1), None, now).unwrap();
    assert_eq!(peers.accept(ann, LinkId(2), None, now).unwrap().replaced, Some(LinkId(1)));
    peers.heard(&ann.into(), LinkId(2), now);
    peers.link_down(&ann.into(), LinkId(1), now);
    let status = &peers.statuses(|_| Some(15), now)[0];
    assert_eq!((status.kind, status.state), (PeerKind::Static, PeerState::Alive));
    assert_eq!(status.link_cost, Some(15));
}

#[test]
fn a_static_peer_that_dials_us_first_stays_static_when_its_link_ends() {
    let (mut peers, now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    peers.accept(ann, LinkId(1), None, now).unwrap();
    peers.heard(&ann.into(), LinkId(1), now);
    let (later, status) = (now + GOOD_LINK, |peers: &Peers| peers.statuses(|_| None, now)[0].kind);
    assert_eq!(status(&peers), PeerKind::Static);
    peers.link_down(&ann.into(), LinkId(1), later);
    assert_eq!(status(&peers), PeerKind::Static);
    assert_eq!(peers.take_due(later + LONGEST_PAUSE), [ann]);
}

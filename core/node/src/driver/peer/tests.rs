//! The table in virtual time.

mod crossing;

use super::entry::{FIRST_PAUSE, LONGEST_PAUSE};
use super::inbound::INBOUND_PEERS_PER_SOURCE;
use super::mode::DOUBT;
use super::*;
use crate::endpoint::Endpoint;
use crate::node::PeerState;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

/// Of [`LINKS`], without those kept for peers that are dialled.
const INBOUND_PEERS: usize = 224;
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

#[test]
fn one_source_cannot_take_all_inbound_places() {
    let (mut peers, now) = table();
    let from = |port: usize, host: &str| endpoint(&format!("tcp://{host}:{}", 1000 + port));
    for port in 0..INBOUND_PEERS_PER_SOURCE {
        peers.accept(from(port, "192.0.2.1"), LinkId(port as u64), None, now).unwrap();
        peers.heard(&from(port, "192.0.2.1").into(), LinkId(port as u64));
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
    peers.heard(&from(0).into(), LinkId(0));
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
    peers.heard(&from(999).into(), LinkId(999));
    (1..INBOUND_PEERS as u64).for_each(|host| peers.heard(&from(host).into(), LinkId(host)));
    assert_eq!(peers.accept(from(998), LinkId(998), None, now).unwrap_err(), Refused::TooMany);
}

#[test]
fn strangers_leave_places_for_the_peers_that_are_dialled() {
    for (links, inbound) in [(256, 224), (64, 32), (33, 16), (4, 2), (1, 0)] {
        assert_eq!(super::inbound::inbound_places(links), inbound);
    }
    let (mut peers, now) = table();
    let from = |n: u64| endpoint(&format!("tcp://192.0.2.{}:{}", n / 32, n % 32 + 1));
    for number in 0..300 {
        if peers.accept(from(number), LinkId(number), None, now).is_ok() {
            peers.heard(&from(number).into(), LinkId(number));
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
    peers.heard(&ann.into(), LinkId(1));
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
    peers.heard(&ann.into(), LinkId(2));
    peers.link_down(&ann.into(), LinkId(1), now);
    let status = &peers.statuses(|_| Some(15), now)[0];
    assert_eq!((status.kind, status.state), (PeerKind::Static, PeerState::Alive));
    assert_eq!(status.link_cost, Some(15));
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

#[test]
fn a_static_peer_that_dials_us_first_stays_static_when_its_link_ends() {
    let (mut peers, now) = table();
    let ann = endpoint("tcp://192.0.2.1:1");
    peers.add(ann.into(), now).unwrap();
    peers.accept(ann, LinkId(1), None, now).unwrap();
    peers.heard(&ann.into(), LinkId(1));
    let (later, status) = (now + GOOD_LINK, |peers: &Peers| peers.statuses(|_| None, now)[0].kind);
    assert_eq!(status(&peers), PeerKind::Static);
    peers.link_down(&ann.into(), LinkId(1), later);
    assert_eq!(status(&peers), PeerKind::Static);
    assert_eq!(peers.take_due(later + LONGEST_PAUSE), [ann]);
}

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
        assert!(peers.peers.len() <= discovered::DISCOVERED_PEERS);
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
    peers.heard(&beacon(1, 40_000).into(), LinkId(1));
    let later = now + discovered::THEIR_TURN;
    assert!(peers.take_due(later).is_empty());
    assert!(peers.poll_timeout().unwrap() > later, "it does not ask in a tight loop");
    peers.link_down(&beacon(1, 40_000).into(), LinkId(1), later);
    assert_eq!(peers.take_due(later + Duration::from_secs(60)), [beacon(1, 1)]);
}

#[test]
fn of_two_that_hear_each_other_the_second_dials_when_the_first_does_not() {
    let (mut peers, now) = table();
    peers.discover(beacon(1, 1), Turn::Theirs, now);
    assert_eq!(peers.take_due(now + discovered::THEIR_TURN), [beacon(1, 1)]);
}

fn with_public(nodes: u8) -> (Peers, Instant) {
    let (mut peers, now) = table();
    let node = |node: u8| {
        let v4 = endpoint(&format!("tcp://192.0.2.{node}:1"));
        vec![v4, endpoint(&format!("tcp://[2001:db8::{node}]:1"))]
    };
    peers.add_public((0..nodes).map(node).collect(), now);
    (peers, now)
}

#[test]
fn a_few_public_peers_are_dialled_and_not_all() {
    let (mut peers, now) = with_public(10);
    let due = peers.take_due(now);
    assert_eq!(due.len(), public::PUBLIC_LINKS);
    for (link, peer) in due.iter().enumerate() {
        peers.dialled(peer, LinkId(link as u64), None, now).unwrap();
    }
    assert_eq!((peers.take_due(now), peers.poll_timeout()), (vec![], None));
}

#[test]
fn a_public_peer_that_cannot_be_reached_makes_place_for_others_and_for_its_other_addresses() {
    let (mut peers, mut now) = with_public(10);
    let mut tried = std::collections::BTreeSet::new();
    while tried.len() < 20 {
        let due = fail_due(&mut peers, now);
        assert!(due.len() <= public::PUBLIC_LINKS);
        tried.extend(due);
        now = peers.poll_timeout().unwrap();
    }
    assert!(peers.peers.len() <= public::PUBLIC_LINKS);
}

#[test]
fn a_public_peer_whose_link_was_good_is_tried_once_more() {
    let (mut peers, mut now) = with_public(1);
    let due = peers.take_due(now);
    peers.dialled(&due[0], LinkId(1), None, now).unwrap();
    now += GOOD_LINK;
    peers.link_down(&due[0], LinkId(1), now);
    now = peers.poll_timeout().unwrap();
    assert_eq!(fail_due(&mut peers, now), due);
    assert_eq!(peers.peers.len(), 0);
}

#[test]
fn a_change_of_network_makes_who_waits_due_and_doubts_who_is_connected() {
    let (mut peers, mut now) = table();
    let (ann, ben) = (endpoint("tcp://192.0.2.1:1"), endpoint("tcp://192.0.2.2:1"));
    peers.add(ann.into(), now).unwrap();
    for _ in 0..10 {
        fail_due(&mut peers, now);
        now = peers.poll_timeout().unwrap();
    }
    fail_due(&mut peers, now);
    peers.add(ben.into(), now).unwrap();
    peers.take_due(now);
    let Accepted { counters, .. } = peers.dialled(&ben.into(), LinkId(1), None, now).unwrap();
    assert_eq!(peers.network_changed(now), [LinkId(1)]);
    assert_eq!(fail_due(&mut peers, now), [ann]);
    assert!(peers.poll_timeout().unwrap() - now <= FIRST_PAUSE, "its failures are forgotten");
    peers.remove(ann.into()).unwrap();
    assert_eq!(peers.poll_timeout(), Some(now + DOUBT));
    assert_eq!(peers.overdue(now + DOUBT).len(), 1, "it said nothing");
    peers.network_changed(now);
    counters.rx_bytes.fetch_add(1, Ordering::Relaxed);
    assert_eq!((peers.overdue(now + DOUBT), peers.poll_timeout()), (vec![], None));
}

#[test]
fn idle_keeps_the_best_link_and_dials_only_when_it_is_gone() {
    let (mut peers, now) = table();
    let cost = |link: LinkId| Some([100, 10, 50][link.0 as usize]);
    let names = [1, 2, 3].map(|host| endpoint(&format!("tcp://192.0.2.{host}:1")));
    names.iter().for_each(|name| peers.add(name.into(), now).unwrap());
    peers.take_due(now);
    for (link, name) in names.iter().enumerate() {
        peers.dialled(&name.into(), LinkId(link as u64), None, now).unwrap();
    }
    peers.accept(endpoint("tcp://192.0.2.9:9"), LinkId(9), None, now).unwrap();
    peers.heard(&endpoint("tcp://192.0.2.9:9").into(), LinkId(9));
    assert_eq!(peers.set_mode(PowerMode::Idle, cost, now), [LinkId(2), LinkId(0)]);
    peers.link_down(&names[2].into(), LinkId(2), now);
    peers.link_down(&names[0].into(), LinkId(0), now);
    assert_eq!((peers.take_due(now + LONGEST_PAUSE), peers.poll_timeout()), (vec![], None));
    let later = now + GOOD_LINK;
    peers.link_down(&names[1].into(), LinkId(1), later);
    let due = peers.take_due(later + LONGEST_PAUSE);
    assert_eq!(due.len(), 3, "whoever answers first is kept");
    peers.dialled(&due[0], LinkId(10), None, later).unwrap();
    assert!(peers.dialled(&due[1], LinkId(11), None, later).is_none());
    peers.dial_failed(&due[2], later);
    assert_eq!(peers.poll_timeout(), None);
    assert_eq!(peers.set_mode(PowerMode::Active, cost, later), []);
    assert_eq!(peers.take_due(later).len(), 2);
}

#[test]
fn suspended_closes_all_and_has_no_timer_until_it_is_told_otherwise() {
    let (mut peers, now) = table();
    let (ann, ben) = (endpoint("tcp://192.0.2.1:1"), endpoint("tcp://192.0.2.2:2"));
    peers.add(ann.into(), now).unwrap();
    peers.take_due(now);
    peers.dialled(&ann.into(), LinkId(1), None, now).unwrap();
    peers.accept(ben, LinkId(2), None, now).unwrap();
    let mut links = peers.set_mode(PowerMode::Suspended, |_| None, now);
    links.sort_unstable();
    assert_eq!(links, [LinkId(1), LinkId(2)]);
    peers.link_down(&ann.into(), LinkId(1), now);
    peers.link_down(&ben.into(), LinkId(2), now);
    assert!(!peers.discover(beacon(1, 1), Turn::Ours, now));
    let later = now + Duration::from_secs(3600);
    assert_eq!((peers.take_due(later), peers.poll_timeout()), (vec![], None));
    assert_eq!(peers.set_mode(PowerMode::Active, |_| None, later), []);
    assert_eq!((peers.take_due(later), peers.peers.len()), (vec![ann.into()], 1));
}

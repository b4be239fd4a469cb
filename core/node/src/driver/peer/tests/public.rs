//! Entry peers of the public network.

use super::*;
use crate::driver::peer::choice::SETTLES;
use crate::driver::peer::public::PUBLIC_LINKS;
use crate::engine::Standing;

fn with_public(nodes: u8) -> (Peers, Instant) {
    let (mut peers, now) = table();
    let node =
        |node: u8| format!("tcp://192.0.2.{node}:1,tcp://[2001:db8::{node}]:1").parse().unwrap();
    peers.add_public((0..nodes).map(node).collect(), now);
    (peers, now)
}

#[test]
fn a_few_public_peers_are_dialled_and_not_all() {
    let (mut peers, now) = with_public(10);
    let due = peers.take_due(now);
    assert_eq!(due.len(), PUBLIC_LINKS);
    for (link, peer) in due.iter().enumerate() {
        peers.dialled(peer, LinkId(link as u64), None, now).unwrap();
    }
    assert_eq!((peers.take_due(now), peers.poll_timeout()), (vec![], None));
}

#[test]
fn public_peers_that_cannot_be_reached_make_place_for_all_others() {
    let (mut peers, mut now) = with_public(10);
    let mut tried = std::collections::BTreeSet::new();
    while tried.len() < 10 {
        let due = fail_due(&mut peers, now);
        assert!(due.len() <= PUBLIC_LINKS);
        assert!(due.iter().all(|peer| peer.places().len() == 2), "all places are raced");
        tried.extend(due);
        now = peers.poll_timeout().unwrap();
    }
    assert!(peers.peers.len() <= PUBLIC_LINKS);
}

#[test]
fn a_public_peer_that_the_owner_named_too_is_dialled_once() {
    let (mut peers, now) = with_public(1);
    let named = PeerAddress::from(endpoint("tcp://[2001:db8::0]:1"));
    peers.add(named.clone(), now).unwrap();
    assert_eq!(peers.take_due(now), [named]);
}

#[test]
fn an_idle_node_has_one_public_peer_and_takes_another_when_that_is_silent() {
    let (mut peers, now) = with_public(3);
    peers.set_mode(PowerMode::Idle, |_, _| Standing::default(), now);
    let due = peers.take_due(now);
    assert_eq!(due.len(), 1);
    peers.dialled(&due[0], LinkId(1), None, now).unwrap();
    peers.heard(&due[0], LinkId(1), now);
    let later = now + SETTLES;
    assert!(peers.surplus(|_, _| Standing::default(), later).is_empty());
    assert!(peers.take_due(later).is_empty());
    peers.note_silence(LinkId(1), true, later);
    let others = peers.take_due(later);
    assert_eq!(others.len(), 1);
    assert_ne!(others, due);
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

//! Peers that turn out to be this node.

use super::super::entry::ITSELF_PAUSE;
use super::*;

fn state(peers: &Peers, now: Instant) -> PeerState {
    peers.statuses(|_| None, now)[0].state
}

#[test]
fn this_node_itself_is_left_alone_for_an_hour_or_until_the_network_changes() {
    let (mut peers, mut now) = table();
    let own = PeerAddress::from(endpoint("tcp://192.0.2.1:1"));
    peers.add(own.clone(), now).unwrap();
    for round in 0..3 {
        assert_eq!(peers.take_due(now), std::slice::from_ref(&own));
        peers.dialled(&own, LinkId(round), None, now).unwrap();
        assert!(peers.note_itself(&own, LinkId(round)));
        assert_eq!(peers.is_itself_news(&own), round == 0, "told once");
        peers.link_down(&own, LinkId(round), now);
        assert_eq!(state(&peers, now), PeerState::Itself);
        assert_eq!(peers.poll_timeout(), Some(now + ITSELF_PAUSE));
        match round {
            0 => drop(peers.network_changed(now)),
            _ => now += ITSELF_PAUSE,
        }
    }
}

/// The address is another machine's by now, which is not up yet.
#[test]
fn where_nobody_answers_any_more_is_not_this_node() {
    let (mut peers, now) = table();
    let own = PeerAddress::from(endpoint("tcp://192.0.2.1:1"));
    peers.add(own.clone(), now).unwrap();
    peers.take_due(now);
    peers.dialled(&own, LinkId(1), None, now).unwrap();
    peers.note_itself(&own, LinkId(1));
    peers.link_down(&own, LinkId(1), now);
    peers.network_changed(now);
    assert_eq!(peers.take_due(now), std::slice::from_ref(&own));
    peers.dial_failed(&own, now);
    assert!(peers.poll_timeout().is_some_and(|at| at <= now + LONGEST_PAUSE));
}

/// Anybody can say that they are this node.
#[test]
fn an_accepted_link_is_not_believed_to_be_this_node() {
    let (mut peers, now) = table();
    let stranger = endpoint("tcp://192.0.2.1:4000");
    peers.accept(stranger, LinkId(1), None, now).unwrap();
    peers.heard(&stranger.into(), LinkId(1), now);
    assert!(!peers.note_itself(&stranger.into(), LinkId(1)));
    assert_eq!(state(&peers, now), PeerState::Alive);
}

/// Over QUIC the accepted end comes from the very endpoint that is dialled.
#[test]
fn both_ends_of_one_connection_are_recognised_in_either_order() {
    for dialled_first in [true, false] {
        let (mut peers, now) = table();
        let own = endpoint("quic://192.0.2.1:1");
        peers.add(own.into(), now).unwrap();
        peers.take_due(now);
        let tie = Some([7; 16]);
        if dialled_first {
            assert!(peers.dialled(&own.into(), LinkId(1), tie, now).is_some());
            assert_eq!(peers.accept(own, LinkId(2), tie, now).unwrap_err(), Refused::Itself);
        } else {
            assert!(peers.accept(own, LinkId(1), tie, now).is_ok());
            assert!(peers.dialled(&own.into(), LinkId(2), tie, now).is_none());
        }
        assert!(peers.is_itself_news(&own.into()));
        peers.link_down(&own.into(), LinkId(1), now);
        assert_eq!(state(&peers, now), PeerState::Itself);
        assert_eq!(peers.poll_timeout(), Some(now + ITSELF_PAUSE));
    }
}

#[test]
fn a_public_peer_that_is_this_node_makes_place_for_another() {
    let (mut peers, now) = table();
    let nodes =
        ["tcp://192.0.2.1:1", "tcp://192.0.2.2:1", "tcp://192.0.2.3:1", "tcp://192.0.2.4:1"];
    peers.add_public(nodes.iter().map(|node| node.parse().unwrap()).collect(), now);
    let due = peers.take_due(now);
    peers.dialled(&due[0], LinkId(1), None, now).unwrap();
    assert!(peers.note_itself(&due[0], LinkId(1)));
    peers.link_down(&due[0], LinkId(1), now);
    let others = peers.take_due(now);
    assert!(others.len() == 1 && !due.contains(&others[0]));
}

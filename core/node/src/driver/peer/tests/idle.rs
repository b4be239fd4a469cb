//! Which link an idle node keeps, and when it looks for another.

use super::super::choice::SETTLES;
use super::super::entry::REDIAL;
use super::*;
use crate::Prefix;
use crate::engine::Standing;

/// An idle node with peers that it has dialled: peer `n` has link `n`.
struct Idle {
    peers: Peers,
    names: Vec<Endpoint>,
    /// By link.
    standings: Vec<Standing>,
    now: Instant,
}

fn costs(cost: u16) -> Standing {
    Standing { cost, ..Standing::default() }
}

fn somebody() -> Prefix {
    "400:1::/64".parse().unwrap()
}

impl Idle {
    /// A node that was active and is idle now; gives the links that it closed for that.
    fn after_activity(standings: Vec<Standing>) -> (Self, Vec<LinkId>) {
        let (peers, now) = table();
        let name = |host| endpoint(&format!("tcp://192.0.2.{host}:1"));
        let names: Vec<Endpoint> = (0..standings.len()).map(name).collect();
        let mut idle = Self { peers, names, standings, now };
        idle.names.iter().for_each(|name| idle.peers.add(name.into(), now).unwrap());
        idle.peers.take_due(now);
        for peer in 0..idle.names.len() {
            idle.connects(peer, peer as u64);
        }
        let standings = idle.standings.clone();
        let standing = |link: LinkId, _: &[Prefix]| standings[link.0 as usize];
        let closed = idle.peers.set_mode(PowerMode::Idle, standing, now);
        closed.iter().for_each(|link| idle.ends(link.0 as usize, link.0));
        (idle, closed)
    }

    /// Whether the connection is taken; then its peer says something.
    fn connects(&mut self, peer: usize, link: u64) -> bool {
        let name = PeerAddress::from(self.names[peer]);
        let taken = self.peers.dialled(&name, LinkId(link), None, self.now).is_some();
        self.peers.heard(&name, LinkId(link), self.now);
        taken
    }

    fn ends(&mut self, peer: usize, link: u64) {
        self.peers.link_down(&self.names[peer].into(), LinkId(link), self.now);
    }

    /// Who is dialled now.
    fn dials(&mut self) -> Vec<usize> {
        let due = self.peers.take_due(self.now);
        let place = |peer: &PeerAddress| self.names.iter().position(|name| peer == name).unwrap();
        let mut dialled: Vec<usize> = due.iter().map(place).collect();
        dialled.sort_unstable();
        dialled
    }

    fn fails(&mut self, peer: usize) {
        self.peers.dial_failed(&self.names[peer].into(), self.now);
    }

    /// What is closed when the links are compared.
    fn surplus(&mut self) -> Vec<LinkId> {
        let standings = &self.standings;
        self.peers.surplus(|link, _| standings[link.0 as usize], self.now)
    }

    fn silent(&mut self, link: u64, is_silent: bool) {
        self.peers.note_silence(LinkId(link), is_silent, self.now);
    }

    fn is_at_rest(&mut self) -> bool {
        self.now += LONGEST_PAUSE;
        self.dials().is_empty() && self.peers.poll_timeout().is_none()
    }
}

#[test]
fn of_links_that_lead_equally_far_the_cheapest_is_kept_and_nothing_is_dialled() {
    let (mut idle, closed) = Idle::after_activity(vec![costs(100), costs(10), costs(50)]);
    assert_eq!(closed, [LinkId(2), LinkId(0)]);
    assert!(idle.is_at_rest());
}

#[test]
fn who_dialled_this_node_stays() {
    let (mut peers, now) = table();
    peers.accept(endpoint("tcp://192.0.2.9:9"), LinkId(9), None, now).unwrap();
    peers.heard(&endpoint("tcp://192.0.2.9:9").into(), LinkId(9), now);
    assert_eq!(peers.set_mode(PowerMode::Idle, |_, _| costs(1), now), []);
}

#[test]
fn a_link_with_more_routes_is_kept_before_a_cheaper_one() {
    let leads = Standing { routes: 3, ..costs(100) };
    let (_, closed) = Idle::after_activity(vec![costs(10), leads, costs(1)]);
    assert_eq!(closed, [LinkId(2), LinkId(0)]);
}

#[test]
fn a_silent_link_is_not_kept_however_cheap() {
    let (mut peers, now) = table();
    let names = [1, 2].map(|host| endpoint(&format!("tcp://192.0.2.{host}:1")));
    names.iter().for_each(|name| peers.add(name.into(), now).unwrap());
    peers.take_due(now);
    for (link, name) in names.iter().enumerate() {
        peers.dialled(&name.into(), LinkId(link as u64), None, now).unwrap();
        peers.heard(&name.into(), LinkId(link as u64), now);
    }
    peers.note_silence(LinkId(0), true, now);
    let standing = |link: LinkId, _: &[Prefix]| costs(10 + link.0 as u16);
    assert_eq!(peers.set_mode(PowerMode::Idle, standing, now), [LinkId(0)]);
}

#[test]
fn when_the_kept_link_ends_all_are_dialled_and_after_a_while_the_best_stays() {
    let (mut idle, _) = Idle::after_activity(vec![costs(100), costs(10), costs(50)]);
    idle.standings.resize(13, costs(30));
    idle.standings[11].routes = 2;
    idle.now += GOOD_LINK;
    idle.ends(1, 1);
    idle.now += LONGEST_PAUSE;
    assert_eq!(idle.dials(), [0, 1, 2]);
    assert!(idle.connects(0, 10) && idle.connects(1, 11) && idle.connects(2, 12));
    assert_eq!(idle.surplus(), []);
    assert_eq!(idle.peers.poll_timeout(), Some(idle.now + SETTLES));
    idle.now += SETTLES;
    assert_eq!(idle.surplus(), [LinkId(10), LinkId(12)]);
    idle.ends(0, 10);
    idle.ends(2, 12);
    assert!(idle.is_at_rest());
}

#[test]
fn whoever_connects_after_the_choice_is_hung_up_on_until_it_is_wanted() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    idle.standings.resize(12, costs(30));
    idle.ends(0, 0);
    idle.now += LONGEST_PAUSE;
    assert_eq!(idle.dials(), [0, 1]);
    assert!(idle.connects(0, 10));
    idle.now += SETTLES;
    assert_eq!(idle.surplus(), []);
    assert!(!idle.connects(1, 11));
    assert!(idle.is_at_rest());
    let standing = |_: LinkId, _: &[Prefix]| costs(1);
    assert_eq!(idle.peers.set_mode(PowerMode::Active, standing, idle.now), []);
    assert_eq!(idle.dials(), [1]);
}

#[test]
fn when_the_kept_link_is_silent_another_is_dialled_at_once_and_takes_its_place() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    idle.standings.resize(12, costs(100));
    idle.silent(0, true);
    assert_eq!(idle.dials(), [1]);
    assert!(idle.connects(1, 11));
    idle.now += SETTLES;
    assert_eq!(idle.surplus(), [LinkId(0)]);
    idle.ends(0, 0);
    assert!(idle.is_at_rest());
}

#[test]
fn a_silent_link_is_kept_while_nobody_else_is_there_and_when_it_speaks_again() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    idle.silent(0, true);
    assert_eq!(idle.dials(), [1]);
    idle.fails(1);
    idle.now += FIRST_PAUSE;
    assert_eq!(idle.dials(), [1], "it is tried on");
    idle.fails(1);
    assert_eq!(idle.surplus(), []);
    idle.silent(0, false);
    assert!(idle.is_at_rest());
}

#[test]
fn a_peer_whose_link_stays_silent_is_dialled_anew() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10)]);
    idle.silent(0, true);
    assert!(idle.dials().is_empty());
    assert_eq!(idle.peers.poll_timeout(), Some(idle.now + REDIAL));
    idle.now += REDIAL;
    assert_eq!((idle.dials(), idle.dials()), (vec![0], vec![]));
    idle.fails(0);
    idle.now += LONGEST_PAUSE;
    assert_eq!(idle.dials(), [0]);
    let name = idle.names[0].into();
    let accepted = idle.peers.dialled(&name, LinkId(10), None, idle.now).unwrap();
    assert_eq!(accepted.replaced, Some(LinkId(0)));
    idle.ends(0, 0);
    assert_eq!(idle.peers.statuses(|_| None, idle.now)[0].state, PeerState::Alive);
}

#[test]
fn a_second_connection_is_hung_up_on_when_the_first_speaks_again_meanwhile() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10)]);
    for mode in [PowerMode::Active, PowerMode::Idle] {
        idle.peers.set_mode(mode, |_, _| costs(10), idle.now);
        idle.silent(0, true);
        idle.now += REDIAL;
        assert_eq!(idle.dials(), [0]);
        idle.silent(0, false);
        assert!(!idle.connects(0, 10));
        assert!(idle.is_at_rest());
    }
}

/// Over QUIC the other end has taken the new connection in place of the old one by then.
#[test]
fn where_the_peer_has_given_up_the_first_connection_for_the_second_so_does_this_node() {
    for mode in [PowerMode::Active, PowerMode::Idle] {
        let (mut peers, now) = table();
        let name = PeerAddress::from(endpoint("quic://192.0.2.1:1"));
        peers.add(name.clone(), now).unwrap();
        peers.take_due(now);
        assert!(peers.dialled(&name, LinkId(1), Some([1; 16]), now).is_some());
        peers.heard(&name, LinkId(1), now);
        peers.set_mode(mode, |_, _| costs(10), now);
        peers.note_silence(LinkId(1), true, now);
        let later = now + REDIAL;
        assert_eq!(peers.take_due(later), std::slice::from_ref(&name));
        peers.note_silence(LinkId(1), false, later);
        let renewed = peers.dialled(&name, LinkId(2), Some([2; 16]), later).unwrap();
        assert_eq!(renewed.replaced, Some(LinkId(1)));
        peers.link_down(&name, LinkId(1), later);
        assert_eq!(peers.statuses(|_| None, later)[0].state, PeerState::Alive);
    }
}

/// The kept peer leads nowhere, another one to the node that is looked for.
#[test]
fn a_dead_end_is_left_for_a_peer_that_leads_to_the_node_that_was_looked_for() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    idle.standings[0].routes = 5;
    idle.standings.resize(11, Standing { wanted: 1, routes: 2, cost: 100 });
    idle.peers.look_around(somebody(), idle.now);
    assert_eq!(idle.dials(), [1]);
    assert!(idle.connects(1, 10));
    idle.now += SETTLES;
    assert_eq!(idle.surplus(), [LinkId(0)]);
}

#[test]
fn nodes_that_are_nowhere_are_looked_for_ever_less() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    let end = idle.now + Duration::from_secs(24 * 3600);
    let mut dialled = 0;
    while idle.now < end {
        idle.peers.look_around(somebody(), idle.now);
        for peer in idle.dials() {
            dialled += 1;
            idle.fails(peer);
        }
        idle.now += Duration::from_secs(20);
        assert_eq!(idle.surplus(), []);
    }
    assert!((20..100).contains(&dialled), "{dialled}");
    idle.peers.network_changed(idle.now);
    idle.now += LONGEST_PAUSE;
    idle.peers.look_around(somebody(), idle.now);
    assert_eq!(idle.dials(), [1], "another network, another chance");
}

/// Each of two peers leads to one half of those that this node talks with.
#[test]
fn an_idle_node_goes_to_and_fro_between_its_peers_ever_less() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    let end = idle.now + Duration::from_secs(24 * 3600);
    let (mut kept, mut changes, mut link) = (0, 0, 2);
    while idle.now < end {
        idle.peers.look_around(somebody(), idle.now);
        for peer in idle.dials() {
            idle.standings.resize(link, costs(50));
            idle.standings.push(Standing { wanted: 1, routes: 2, cost: 50 });
            assert!(idle.connects(peer, link as u64));
            idle.now += SETTLES;
            assert_eq!(idle.surplus(), [LinkId(kept)]);
            idle.ends(1 - peer, kept);
            idle.standings[link] = costs(50); // it is the other half that is looked for next
            (kept, link, changes) = (link as u64, link + 1, changes + 1);
        }
        idle.now += Duration::from_secs(20);
    }
    assert!((20..40).contains(&changes), "{changes}");
}

#[test]
fn what_a_stranger_nearby_claims_to_lead_to_moves_nobody_from_the_owners_peer() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10)]);
    let stranger = endpoint("tcp://192.0.2.99:1");
    idle.peers.set_mode(PowerMode::Active, |_, _| costs(10), idle.now);
    assert!(idle.peers.discover(stranger, Turn::Ours, idle.now));
    idle.peers.take_due(idle.now);
    assert!(idle.peers.dialled(&stranger.into(), LinkId(1), None, idle.now).is_some());
    idle.peers.heard(&stranger.into(), LinkId(1), idle.now);
    idle.standings.push(Standing { wanted: 16, routes: 100_000, cost: 1 });
    let standings = idle.standings.clone();
    let standing = |link: LinkId, _: &[Prefix]| standings[link.0 as usize];
    assert_eq!(idle.peers.set_mode(PowerMode::Idle, standing, idle.now), [LinkId(1)]);
}

#[test]
fn an_active_node_looks_around_for_nobody() {
    let (mut idle, _) = Idle::after_activity(vec![costs(10), costs(50)]);
    idle.peers.set_mode(PowerMode::Active, |_, _| costs(10), idle.now);
    assert_eq!(idle.dials(), [1]);
    idle.fails(1);
    idle.peers.look_around(somebody(), idle.now);
    assert!(idle.dials().is_empty());
}

#[test]
fn a_peer_that_accepts_and_says_nothing_keeps_nobody_out() {
    let (mut peers, now) = table();
    let names = [1, 2].map(|host| PeerAddress::from(endpoint(&format!("tcp://192.0.2.{host}:1"))));
    peers.set_mode(PowerMode::Idle, |_, _| costs(10), now);
    names.iter().for_each(|name| peers.add(name.clone(), now).unwrap());
    peers.take_due(now);
    peers.dialled(&names[0], LinkId(1), None, now).unwrap();
    peers.dial_failed(&names[1], now);
    let later = now + SETTLES;
    assert_eq!(peers.surplus(|_, _| costs(10), later), []);
    assert_eq!(peers.take_due(later), [names[1].clone()]);
    peers.dialled(&names[1], LinkId(2), None, later).unwrap();
    peers.heard(&names[1], LinkId(2), later);
    assert_eq!(peers.surplus(|_, _| costs(10), later + SETTLES), [LinkId(1)]);
}

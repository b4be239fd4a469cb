//! Lookups without a router.

use super::*;

const LIMITS: LookupLimits = LookupLimits { running: 10, per_peer: 10, failures: 10 };

fn prefix(number: u16) -> Prefix {
    format!("400:{number:x}::/64").parse().unwrap()
}

fn links(places: &[u16]) -> LinkSet {
    let mut set = LinkSet::default();
    places.iter().for_each(|place| set.insert(*place));
    set
}

fn all(places: &[u16]) -> Rounds {
    Rounds { first: links(places), second: LinkSet::default() }
}

#[test]
fn peers_asked_within_15_s_are_not_asked_again_unless_the_request_is_closer() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    let mut start = |generation, places: &[u16]| {
        lookups.start(prefix(1), Asker::Peer(9), generation, all(places), now).unwrap()
    };
    assert_eq!(start(3, &[1, 2]), links(&[1, 2]));
    assert_eq!(start(3, &[1, 2, 3]), links(&[3]));
    assert_eq!(start(2, &[1]), links(&[1]));
}

#[test]
fn everyone_who_asked_gets_the_answer_once() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    lookups.start(prefix(1), Asker::Peer(1), 1, all(&[3]), now).unwrap();
    assert!(lookups.join(prefix(1), Asker::Peer(2), now));
    assert_eq!(lookups.answer(prefix(1)), links(&[1, 2]));
    assert!(!lookups.join(prefix(1), Asker::Peer(4), now), "there is a route to answer with");
    assert_eq!(lookups.answer(prefix(1)), links(&[]));
}

#[test]
fn a_failed_lookup_is_told_once_and_remembered_for_some_seconds() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut lookups = Lookups::new(LIMITS);
    lookups.start(prefix(1), Asker::This, 0, all(&[1]), start).unwrap();
    assert!(lookups.join(prefix(1), Asker::This, start));
    assert_eq!(lookups.pop_failed(at(14)), None);
    assert_eq!(lookups.pop_failed(at(15)), Some(prefix(1)));
    assert_eq!(lookups.pop_failed(at(15)), None);
    assert!(lookups.start(prefix(1), Asker::This, 0, all(&[1]), at(19)).is_none());
    assert!(lookups.start(prefix(1), Asker::This, 0, all(&[1]), at(20)).is_some());
}

#[test]
fn after_a_found_route_is_lost_everybody_is_asked_anew() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    let start = |lookups: &mut Lookups| lookups.start(prefix(1), Asker::This, 0, all(&[1]), now);
    start(&mut lookups);
    lookups.answer(prefix(1));
    assert_eq!(start(&mut lookups), Some(links(&[])), "asked just now");
    lookups.answer(prefix(1));
    lookups.renew(prefix(1));
    assert_eq!(start(&mut lookups), Some(links(&[1])));
}

#[test]
fn an_answered_lookup_does_not_fail() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    lookups.start(prefix(1), Asker::This, 0, all(&[1]), now).unwrap();
    lookups.answer(prefix(1));
    assert_eq!(lookups.pop_failed(now + TIMEOUT), None);
    assert_eq!(lookups.next_timeout(), None);
}

#[test]
fn strangers_take_half_of_the_room_and_each_its_share_at_most() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LookupLimits { running: 8, per_peer: 3, failures: 2 });
    let mut start =
        |number, asker| lookups.start(prefix(number), asker, 1, all(&[1]), now).is_some();
    assert_eq!((0..10).filter(|number| start(*number, Asker::Peer(1))).count(), 3);
    assert_eq!((10..20).filter(|number| start(*number, Asker::Peer(2))).count(), 1);
    assert_eq!((20..30).filter(|number| start(*number, Asker::This)).count(), 4);
    while lookups.pop_failed(now + TIMEOUT).is_some() {}
    assert_eq!(lookups.failures.len(), 2);
    let again = lookups.start(prefix(40), Asker::Peer(1), 1, all(&[1]), now + TIMEOUT);
    assert!(again.is_some(), "what has ended is not counted");
}

#[test]
fn those_who_never_spoke_for_others_are_asked_when_the_rest_brings_nothing() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    let rounds = || Rounds { first: links(&[1]), second: links(&[2, 3]) };
    let start = |lookups: &mut Lookups, number| {
        lookups.start(prefix(number), Asker::Peer(9), 1, rounds(), now).unwrap()
    };
    assert_eq!(start(&mut lookups, 1), links(&[1]));
    assert_eq!(start(&mut lookups, 2), links(&[1]));
    lookups.answer(prefix(1));
    lookups.link_down(3);
    assert_eq!(lookups.next_timeout(), Some(now + SECOND_ROUND));
    let question = Question { prefix: prefix(2), generation: 1, to: links(&[2]) };
    assert_eq!(lookups.pop_second_round(now + SECOND_ROUND), Some(question));
    assert_eq!(lookups.pop_second_round(now + SECOND_ROUND), None);
    lookups.answer(prefix(2));
    assert_eq!(start(&mut lookups, 2), links(&[3]), "all the others were asked just now");
    let nobody = Rounds { first: links(&[]), second: links(&[4]) };
    let asked = lookups.start(prefix(3), Asker::This, 0, nobody, now);
    assert_eq!(asked, Some(links(&[4])), "nobody is waited for");
}

#[test]
fn what_others_look_for_wakes_nobody_and_is_over_in_time() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LIMITS);
    lookups.start(prefix(1), Asker::Peer(1), 1, all(&[2]), now).unwrap();
    assert_eq!(lookups.next_timeout(), None);
    assert!(lookups.join(prefix(1), Asker::Peer(2), now + TIMEOUT / 2));
    assert!(!lookups.join(prefix(1), Asker::Peer(2), now + TIMEOUT));
    let again = |lookups: &mut Lookups, at| {
        lookups.start(prefix(1), Asker::Peer(1), 1, all(&[2]), at).is_some()
    };
    assert!(!again(&mut lookups, now + TIMEOUT), "it failed just now");
    assert!(again(&mut lookups, now + TIMEOUT + RELAYED_FAILURE));
    assert!(lookups.join(prefix(1), Asker::This, now + TIMEOUT + RELAYED_FAILURE));
    assert_eq!(lookups.next_timeout(), Some(now + 2 * TIMEOUT + RELAYED_FAILURE));
}

#[test]
fn nobody_takes_over_the_lookups_of_this_node_beyond_its_share() {
    let now = Instant::now();
    let mut lookups = Lookups::new(LookupLimits { running: 8, per_peer: 2, failures: 2 });
    for number in 0..6 {
        lookups.start(prefix(number), Asker::This, 0, all(&[1]), now).unwrap();
        lookups.answer(prefix(number));
        // The route is there, and a peer has it looked up anew.
        lookups.start(prefix(number), Asker::Peer(9), 1, all(&[1, 2]), now).unwrap();
    }
    let census = lookups.census();
    assert_eq!((census.running, census.of_a_peer), (6, 2));
}

//! Power modes, and other networks.

use super::super::mode::DOUBT;
use super::*;
use crate::Prefix;
use crate::engine::Standing;

fn no_standing(_: LinkId, _: &[Prefix]) -> Standing {
    Standing::default()
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
fn suspended_closes_all_and_has_no_timer_until_it_is_told_otherwise() {
    let (mut peers, now) = table();
    let (ann, ben) = (endpoint("tcp://192.0.2.1:1"), endpoint("tcp://192.0.2.2:2"));
    peers.add(ann.into(), now).unwrap();
    peers.take_due(now);
    peers.dialled(&ann.into(), LinkId(1), None, now).unwrap();
    peers.accept(ben, LinkId(2), None, now).unwrap();
    let mut links = peers.set_mode(PowerMode::Suspended, no_standing, now);
    links.sort_unstable();
    assert_eq!(links, [LinkId(1), LinkId(2)]);
    peers.link_down(&ann.into(), LinkId(1), now);
    peers.link_down(&ben.into(), LinkId(2), now);
    assert!(!peers.discover(beacon(1, 1), Turn::Ours, now));
    let later = now + Duration::from_secs(3600);
    assert_eq!((peers.take_due(later), peers.poll_timeout()), (vec![], None));
    assert_eq!(peers.set_mode(PowerMode::Active, no_standing, later), []);
    assert_eq!((peers.take_due(later), peers.peers.len()), (vec![ann.into()], 1));
}

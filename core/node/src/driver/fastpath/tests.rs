//! The fast path without a core: what it takes, what it leaves, what it forgets.

use std::time::Duration;

use super::*;
use crate::engine::EngineConfig;
use crate::limits::Limits;
use crate::seal::{ReplayBudget, Sealer};
use crate::wire::data::DataPacket;
use crate::wire::frame::Packet;
use crate::{PublicKey, SecretKey};

const FROM: LinkId = LinkId(1);
const TO: LinkId = LinkId(2);

struct Bench {
    fast: FastPath,
    out: Arc<Outbox>,
    core: mpsc::Receiver<Input>,
}

/// A fast path with room for `limit` addresses and a link either way.
fn bench(limit: usize) -> Bench {
    // It has run for a while, so that it is time to tell of traffic.
    let now = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    let secret = SecretKey::from_bytes([1; 32]);
    let limits = Limits::default();
    let config = EngineConfig { secret, router_random: [0; 6], seed: [0; 32], limits };
    let (to_core, core) = mpsc::channel(8);
    let fast = FastPath::new(Engine::new(config, now).shared(), Vec::new(), limit, to_core, now);
    let out = Arc::new(Outbox::default());
    fast.link_up(FROM, Arc::default(), Arc::default());
    fast.link_up(TO, Arc::clone(&out), Arc::default());
    Bench { fast, out, core }
}

fn person(number: u8) -> PublicKey {
    SecretKey::from_bytes([number; 32]).public_key()
}

fn leads_to(link: LinkId, number: u8) -> Known {
    Known { link: Some(link), key: person(number), sealer: None }
}

fn packet(from: u8, to: u8, hop_limit: u8) -> Packet {
    let (source, destination) = (person(from).address(), person(to).address());
    let payload = Bytes::from_static(&[7; 40]);
    Packet::Data(DataPacket { hop_limit, source, destination, payload })
}

async fn leaving(out: &Outbox) -> usize {
    let mut data = Vec::new();
    let some = tokio::time::timeout(Duration::ZERO, out.take_data(&mut data)).await;
    if some.is_ok() { data.len() } else { 0 }
}

#[tokio::test]
async fn what_is_known_is_forwarded_and_the_rest_is_left_to_the_core() {
    let bench = bench(8);
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    let mut packets = vec![packet(2, 3, 64), packet(2, 3, 64), packet(2, 4, 64)];
    let (opened, holds) = bench.fast.intercept(FROM, &mut packets);
    assert_eq!((packets.len(), opened.len(), holds.len()), (1, 0, 1), "one address is unknown");
    assert_eq!(leaving(&bench.out).await, 2);
}

/// Otherwise a node that only forwards would take itself for idle.
#[tokio::test]
async fn the_core_hears_of_packets_that_are_only_forwarded() {
    let mut bench = bench(8);
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    for _ in 0..3 {
        let mut packets = vec![packet(2, 3, 64)];
        bench.fast.intercept(FROM, &mut packets);
        assert!(packets.is_empty(), "the core is not needed");
    }
    assert!(matches!(bench.core.try_recv(), Ok(Input::Traffic)));
    assert!(bench.core.try_recv().is_err(), "once in a while is enough");
}

#[tokio::test]
async fn what_follows_a_packet_of_the_core_goes_to_the_core_too() {
    let bench = bench(8);
    let mut first = vec![packet(2, 3, 64)];
    let (_, holds) = bench.fast.intercept(FROM, &mut first);
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    let mut second = vec![packet(2, 3, 64)];
    let (_, more) = bench.fast.intercept(FROM, &mut second);
    assert_eq!((second.len(), leaving(&bench.out).await), (1, 0), "it would overtake the first");
    drop(holds);
    let mut third = vec![packet(2, 3, 64)];
    let (_, yet_more) = bench.fast.intercept(FROM, &mut third);
    assert_eq!(third.len(), 1, "the second is still there");
    drop((more, yet_more));
    let mut last = vec![packet(2, 3, 64)];
    bench.fast.intercept(FROM, &mut last);
    assert_eq!((last.len(), leaving(&bench.out).await), (0, 1));
}

#[tokio::test]
async fn packets_that_never_reach_the_core_hold_nothing_up() {
    let bench = bench(8);
    let mut packets = (2..100).map(|from| packet(from, 3, 64)).collect();
    let (_, holds) = bench.fast.intercept(FROM, &mut packets);
    // As when the reader of a closed link is stopped while the core is busy.
    drop((packets, holds));
    assert!(!bench.fast.holds.is_held(person(3).address()));
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    let mut packets = vec![packet(2, 3, 64)];
    bench.fast.intercept(FROM, &mut packets);
    assert_eq!((packets.len(), leaving(&bench.out).await), (0, 1));
}

#[tokio::test]
async fn hops_that_run_out_and_packets_in_our_name_are_left_to_the_core() {
    let bench = bench(8);
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    let mut packets = vec![packet(2, 3, 1), packet(2, 3, 0)];
    drop(bench.fast.intercept(FROM, &mut packets));
    assert_eq!(packets.len(), 2);
    let mut packets = vec![packet(1, 3, 64)];
    drop(bench.fast.intercept(FROM, &mut packets));
    assert_eq!((packets.len(), leaving(&bench.out).await), (1, 0));
}

#[tokio::test]
async fn a_link_that_is_gone_is_not_used() {
    let bench = bench(8);
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    bench.fast.link_down(TO);
    let mut packets = vec![packet(2, 3, 64)];
    drop(bench.fast.intercept(FROM, &mut packets));
    assert_eq!(packets.len(), 1);
    // Written down by a core that had not heard yet.
    bench.fast.insert(person(3).address(), leads_to(TO, 3));
    drop(bench.fast.intercept(FROM, &mut packets));
    assert_eq!((packets.len(), leaving(&bench.out).await), (1, 0));
}

#[test]
fn the_address_that_was_used_least_recently_makes_room() {
    let fast = bench(3).fast;
    for number in 2..5 {
        fast.insert(person(number).address(), leads_to(TO, number));
        let paths = fast.paths.read().unwrap();
        paths[&person(number).address()].used.store(100 - u64::from(number), Ordering::Relaxed);
    }
    fast.insert(person(9).address(), leads_to(TO, 9));
    let paths = fast.paths.read().unwrap();
    assert_eq!(paths.len(), 3);
    assert!(!paths.contains_key(&person(4).address()));
}

#[test]
fn forwarding_takes_no_sealer_from_an_address() {
    let fast = bench(8).fast;
    let (ann, ben) = (SecretKey::from_bytes([1; 32]), person(3));
    let secret = ann.shared_secret(&ben).unwrap();
    let budget = ReplayBudget::new(1 << 20);
    let sealer = Sealer::new(&secret, &ann.public_key(), &ben, [0; 12], budget).map(Arc::new);
    assert!(sealer.is_some(), "it is to be lost");
    fast.insert(ben.address(), Known { sealer, ..leads_to(TO, 3) });
    fast.insert(ben.address(), leads_to(TO, 3));
    assert!(fast.paths.read().unwrap()[&ben.address()].known.sealer.is_some());
}

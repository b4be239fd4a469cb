//! Disks that count, fill up, or lose what was not synced.

use std::collections::BTreeSet;

use threephone_delivery::testing::SimNet;
use threephone_delivery::{DeliveryError, Timing};
use threephone_store::StoreError;
use threephone_testvfs::TestVfs;

use super::person::{FAST, Person, good, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_costs_one_sync_a_side_until_it_is_applied() {
    let net = SimNet::new(1, good());
    let (ours, theirs) = (TestVfs::register("one-sync-a"), TestVfs::register("one-sync-b"));
    // Neither repeats nor reports may fall into what is counted.
    let timing = Timing { ack_wait_ms: 600_000, sent_report_ms: 600_000, ..Timing::default() };
    let mut ann = Person::on(&net, 1, &ours, timing).await;
    let mut ben = Person::on(&net, 2, &theirs, timing).await;
    ann.send(ben.target(), "the first pins keys and starts the logs", None).await;
    ann.settled().await;
    for n in 0..20 {
        let before = (ours.counters().syncs, theirs.counters().syncs);
        ann.send(ben.target(), &format!("note {n}"), None).await;
        assert!(ours.counters().syncs - before.0 >= 1, "queued but not durable");
        ann.settled().await;
        let (queued_and_settled, applied) =
            (ours.counters().syncs - before.0, theirs.counters().syncs - before.1);
        assert_eq!((queued_and_settled, applied), (2, 1));
    }
    ann.stop().await;
    ben.stop().await;
}

/// Both write to each other; at a seeded write or sync the power of one goes away. How often that
/// fell into the middle of something.
async fn cut_power(seed: u64) -> u64 {
    let net = SimNet::new(seed, good());
    let disks: Vec<_> =
        (0..2).map(|n| TestVfs::register(&format!("delivery-cut-{seed}-{n}"))).collect();
    let mut people =
        [Person::on(&net, 1, &disks[0], FAST).await, Person::on(&net, 2, &disks[1], FAST).await];
    let mut amid = 0;
    let mut promised: [BTreeSet<String>; 2] = Default::default();
    for round in 0..3u64 {
        let victim = usize::try_from((seed + round) % 2).unwrap();
        let cuts = disks[victim].power_cuts();
        disks[victim].power_cut_after(Some((seed * 7 + round * 13) % 45));
        for n in 0..8 {
            for from in 0..2 {
                let (body, to) = (format!("{from} {round} {n}"), people[1 - from].target());
                if people[from].try_send(to, body.as_str(), None).await.is_ok() {
                    promised[from].insert(body);
                }
            }
        }
        people[victim].crash().await;
        amid += disks[victim].power_cuts() - cuts;
        disks[victim].power_cut_after(None);
        disks[victim].power_cut();
        people[victim].start().await;
    }
    for person in &people {
        person.settled().await;
    }
    for from in 0..2 {
        let found = people[1 - from].notes().await;
        let once: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(once.len(), found.len(), "seed {seed}: applied twice in {found:?}");
        let lost: Vec<_> = promised[from].difference(&once).collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
    }
    for person in &mut people {
        person.stop().await;
    }
    amid
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_on_either_side_loses_nothing_and_applies_nothing_twice() {
    let mut amid = 0;
    for seed in 0..50 {
        amid += cut_power(seed).await;
    }
    assert!(amid >= 100, "only {amid} of 150 cuts fell into the middle of something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_a_full_disk_acknowledges_nothing_until_there_is_room() {
    let net = SimNet::new(1, good());
    let disk = TestVfs::register("full-receiver");
    let mut ann = Person::new(&net, 1).await;
    let mut ben = Person::on(&net, 2, &disk, FAST).await;
    ann.send(ben.target(), "before", None).await;
    ann.settled().await;
    disk.set_capacity(Some(disk.used()));
    let (a, b) = (ann.me.node_key, ben.me.node_key);
    let sent = |from| net.log().iter().filter(|(sender, ..)| *sender == from).count();
    let (sends, acks) = (sent(a), sent(b));
    ann.send(ben.target(), "during", None).await;
    until(&net, async || sent(a) >= sends + 3).await;
    assert_eq!((ann.open().await, sent(b) - acks), (1, 0));
    assert_eq!(ben.notes().await, ["before"]);
    disk.set_capacity(None);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["before", "during"]);
    assert_eq!(ann.ends().await, ["Acked", "Acked"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_with_a_full_disk_is_told_and_keeps_what_it_has() {
    let net = SimNet::new(1, good());
    let disk = TestVfs::register("full-sender");
    let mut ann = Person::on(&net, 1, &disk, FAST).await;
    let mut ben = Person::new(&net, 2).await;
    net.set_connected(ben.me.node_key, false);
    ann.send(ben.target(), "before", None).await;
    disk.set_capacity(Some(disk.used()));
    let failed = ann.try_send(ben.target(), vec![b'x'; 50_000], None).await;
    assert!(matches!(failed, Err(DeliveryError::Store(StoreError::Full))), "{failed:?}");
    assert_eq!(ann.open().await, 1);
    disk.set_capacity(None);
    ann.send(ben.target(), "later", None).await;
    net.set_connected(ben.me.node_key, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["before", "later"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_a_full_disk_cannot_record_come_again() {
    let net = SimNet::new(1, good());
    let disk = TestVfs::register("full-settler");
    let mut ann = Person::on(&net, 1, &disk, FAST).await;
    let mut ben = Person::new(&net, 2).await;
    net.set_connected(ben.me.node_key, false);
    for n in 0..5 {
        ann.send(ben.target(), &format!("note {n}"), None).await;
    }
    disk.set_capacity(Some(disk.used()));
    net.set_connected(ben.me.node_key, true);
    let b = ben.me.node_key;
    until(&net, async || net.log().iter().filter(|(from, ..)| *from == b).count() >= 3).await;
    assert_eq!(ann.open().await, 5);
    disk.set_capacity(None);
    ann.settled().await;
    assert_eq!(ben.notes().await.len(), 5);
    ann.stop().await;
    ben.stop().await;
}

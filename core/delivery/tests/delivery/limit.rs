//! Sizes, quotas, pages, and services that fail.

use threephone_delivery::testing::{SimNet, forge_ack};
use threephone_delivery::{
    DeliveryError, Limits, MAX_BODY_BYTES, OutgoingDraft, RefusalKind, Timing,
};

use super::person::{FAST, Making, Person, good, until};

async fn count(person: &Person, sql: &'static str) -> usize {
    person.strings(sql).await[0].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_fills_its_quota_and_gets_through_once_it_is_answered() {
    let net = SimNet::new(1, good());
    let limits = Limits { stranger_envelopes: 3, strangers: 2, ..Limits::default() };
    let mut ben = Person::made(&net, 2, Making { limits, ..Making::default() }).await;
    let (mut eve, mut mal) = (Person::new(&net, 3).await, Person::new(&net, 4).await);
    let mut zoe = Person::new(&net, 5).await;
    for n in 0..5 {
        eve.send(ben.target(), &format!("eve {n}"), None).await;
    }
    eve.until_open(2).await;
    until(&net, async || ben.refused(RefusalKind::StrangerQuota) >= 5).await;
    assert_eq!((ben.notes().await.len(), eve.open().await), (3, 2));
    mal.send(ben.target(), "mal", None).await;
    mal.settled().await;
    let before = ben.refused(RefusalKind::StrangerQuota);
    net.set_connected(eve.me.node_key, false);
    zoe.send(ben.target(), "one stranger too many", None).await;
    until(&net, async || ben.refused(RefusalKind::StrangerQuota) > before + 2).await;
    assert_eq!((ben.notes().await.len(), zoe.open().await), (4, 1));
    net.set_connected(eve.me.node_key, true);
    ben.send(eve.target(), "hello Eve", None).await;
    eve.settled().await;
    zoe.settled().await; // Eve is a stranger no more, so there is room
    assert_eq!(ben.notes().await.len(), 7);
    for person in [&mut ben, &mut eve, &mut mal, &mut zoe] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_share_a_quota_of_bytes_and_contacts_have_none() {
    let net = SimNet::new(1, good());
    let limits =
        Limits { stranger_bytes: 10_000, all_strangers_bytes: 15_000, ..Limits::default() };
    let mut ben = Person::made(&net, 2, Making { limits, ..Making::default() }).await;
    let (mut eve, mut mal) = (Person::new(&net, 3).await, Person::new(&net, 4).await);
    let mut ann = Person::new(&net, 1).await;
    ben.send(ann.target(), "hello Ann", None).await;
    ben.settled().await;
    eve.try_send(ben.target(), vec![b'e'; 9_000], None).await.unwrap();
    eve.settled().await;
    eve.try_send(ben.target(), vec![b'e'; 2_000], None).await.unwrap();
    until(&net, async || ben.refused(RefusalKind::StrangerQuota) >= 1).await;
    mal.try_send(ben.target(), vec![b'm'; 7_000], None).await.unwrap();
    ann.try_send(ben.target(), vec![b'a'; 50_000], None).await.unwrap();
    ann.settled().await;
    until(&net, async || ben.refused(RefusalKind::StrangerQuota) >= 4).await;
    assert_eq!((eve.open().await, mal.open().await), (1, 1));
    assert_eq!(ben.notes().await.len(), 2);
    for person in [&mut ben, &mut eve, &mut mal, &mut ann] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_waiting_envelopes_go_out_a_window_at_a_time() {
    let net = SimNet::new(1, good());
    // No repeats, so that what is sent can be counted.
    let timing = Timing { ack_wait_ms: 600_000, ..FAST };
    let making = Making { timing: Some(timing), ..Making::default() };
    let (mut ann, mut ben) = (Person::made(&net, 1, making).await, Person::new(&net, 2).await);
    net.set_connected(ben.me.node_key, false);
    let (store, delivery) = ann.running.clone().unwrap();
    let to = ben.target();
    store
        .write(move |tx| -> Result<(), DeliveryError> {
            for n in 0..3_333 {
                let body = format!("{n:04}").into_bytes();
                delivery.enqueue(tx, OutgoingDraft { to, noun: "note/1", body, ttl: None }, 0)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    drop(store);
    assert_eq!(ann.open().await, 3_333);
    net.set_connected(ben.me.node_key, true);
    ann.settled().await; // checks the window while it waits
    let expected: Vec<_> = (0..3_333).map(|n| format!("{n:04}")).collect();
    assert_eq!(ben.notes().await, expected);
    assert_eq!(ann.ends().await.len(), 3_333);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_hears_that_the_node_has_taken_what_is_not_acknowledged() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    ben.stop().await;
    // Ben's node is there, and nobody behind it.
    let node = net.link(ben.me.node_key);
    ann.send(ben.target(), "taken", None).await;
    let sql = "SELECT CAST(count(*) AS TEXT) FROM note_sent";
    until(&net, async || count(&ann, sql).await > 0).await;
    assert_eq!((ann.open().await, ann.ends().await.len()), (1, 0));
    drop(node);
    ben.start().await;
    ann.settled().await;
    assert_eq!((ben.notes().await, ann.ends().await), (vec!["taken".into()], vec!["Acked".into()]));
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_arrives_and_a_larger_one_is_refused_at_once() {
    let net = SimNet::new(1, good());
    let timing = Timing::default();
    let making = Making { timing: Some(timing), ..Making::default() };
    let mut ann = Person::made(&net, 1, making.clone()).await;
    let mut ben = Person::made(&net, 2, making).await;
    let over = ann.try_send(ben.target(), vec![b'x'; MAX_BODY_BYTES + 1], None).await;
    let (bytes, limit) = (MAX_BODY_BYTES + 1, MAX_BODY_BYTES);
    assert!(
        matches!(over, Err(DeliveryError::TooLarge { bytes: b, limit: l }) if (b, l) == (bytes, limit))
    );
    assert_eq!(ann.open().await, 0);
    for _ in 0..3 {
        ann.try_send(ben.target(), vec![b'x'; MAX_BODY_BYTES], None).await.unwrap();
    }
    ann.send(ben.target(), "and a line", None).await;
    ann.settled().await;
    let sizes = ben.strings("SELECT CAST(length(body) AS TEXT) FROM note ORDER BY length(body)");
    assert_eq!(sizes.await, ["10", "8388608", "8388608", "8388608"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_link_cannot_carry_fails_and_the_rest_goes_on() {
    let net = SimNet::new(1, good());
    net.set_max_bytes(1_000);
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    ann.try_send(ben.target(), vec![b'x'; 2_000], None).await.unwrap();
    ann.send(ben.target(), "short", None).await;
    ann.settled().await;
    let mut ends = ann.ends().await;
    ends.sort();
    assert_eq!(
        (ends, ben.notes().await.len()),
        (vec!["Acked".into(), "Refused { code: 2 }".into()], 1)
    );
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_always_fails_stops_neither_others_nor_the_clock() {
    let net = SimNet::new(1, good());
    let timing =
        Timing { retry_first_ms: 20, retry_last_ms: 60_000, ack_wait_ms: 20, sent_report_ms: 5 };
    let making = Making { timing: Some(timing), ..Making::default() };
    let (mut ann, mut ben) = (Person::made(&net, 1, making).await, Person::new(&net, 2).await);
    ann.send(ben.target(), "poison", None).await;
    for n in 0..50 {
        ann.send(ben.target(), &format!("note {n}"), None).await;
    }
    ann.until_open(1).await;
    assert_eq!((ann.open().await, ben.notes().await.len()), (1, 50));
    let a = ann.me.node_key;
    let sends = net.log().iter().filter(|(from, ..)| *from == a).count();
    assert!(sends < 200, "{sends} sends of 51 envelopes");
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_cannot_be_noted_keeps_no_other_from_being_noted() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let (a, b) = (ann.me.node_key, ben.me.node_key);
    net.set_connected(b, false);
    let cursed = ann.send(ben.target(), "cursed", None).await;
    *ann.cursed.lock().unwrap() = Some(cursed);
    let mut ids = vec![(cursed, "cursed".to_owned())];
    for n in 0..50 {
        let note = format!("note {n}");
        ids.push((ann.send(ben.target(), &note, None).await, note));
    }
    // All of them in one acknowledgement.
    let named: Vec<_> = ids.iter().map(|(id, note)| (*id, "note/1", note.as_bytes())).collect();
    net.inject(a, b.address(), b, forge_ack(&ben.me.device, &b, &a, &named).into());
    ann.until_open(1).await;
    assert_eq!((ann.open().await, ann.ends().await.len()), (1, 50));
    *ann.cursed.lock().unwrap() = None;
    net.set_connected(b, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["cursed"]);
    ann.stop().await;
    ben.stop().await;
}

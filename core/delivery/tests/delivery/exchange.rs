//! What two devices send each other arrives once, whatever the network and strangers do.

use std::sync::Arc;
use std::time::Duration;

use threephone_address::{PublicKey, Target};
use threephone_delivery::testing::{SimConfig, SimNet};
use threephone_delivery::{DeliveryEvent, RefusalKind};
use threephone_identity::DeviceKey;

use super::person::{Person, good};

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_over_a_bad_network_with_restarts_of_both() {
    for seed in 0..6u64 {
        let bad = SimConfig {
            loss_percent: 20,
            duplicate_percent: 20,
            delay: Duration::from_millis(8),
            timeout: Duration::from_millis(20),
        };
        let net = SimNet::new(seed, bad);
        let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
        for n in 0..40 {
            ann.send(ben.target(), &format!("a{n:03}"), None).await;
            ben.send(ann.target(), &format!("b{n:03}"), None).await;
            if (n + seed) % 8 == 0 {
                ann.stop().await;
                ann.start().await;
            }
            if (n + seed) % 10 == 5 {
                ben.stop().await;
                ben.start().await;
            }
        }
        ann.settled().await;
        ben.settled().await;
        let expected = |c| (0..40).map(|n| format!("{c}{n:03}")).collect::<Vec<_>>();
        assert_eq!(ben.notes().await, expected('a'), "seed {seed}");
        assert_eq!(ann.notes().await, expected('b'), "seed {seed}");
        assert_eq!(ann.ends().await, vec!["Acked"; 40]);
        ann.stop().await;
        ben.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_a_tampered_readdressed_or_future_envelope_change_nothing() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let mut eve = Person::new(&net, 3).await;
    ann.send(ben.target(), "once", None).await;
    ann.settled().await;
    let (a, b, e) = (ann.me.node_key, ben.me.node_key, eve.me.node_key);
    let bytes = net.log().into_iter().find(|(from, ..)| *from == a).unwrap().2;
    let mut tampered = bytes.to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    let mut future = bytes.to_vec();
    assert_eq!(&future[1..4], b"\x61v\x01");
    future[3] = 2;
    net.inject(b, a.address(), a, bytes.clone()); // replay: acknowledged again
    net.inject(b, a.address(), a, tampered.into());
    net.inject(b, a.address(), a, future.into());
    net.inject(b, a.address(), e, bytes.clone()); // the key is not the address's
    net.inject(b, e.address(), e, bytes.clone()); // passed off as Eve's
    net.inject(e, a.address(), a, bytes); // carried to Eve
    let mut kinds: Vec<_> = ben.refusals(4).await.into_iter().map(|e| format!("{e:?}")).collect();
    kinds.sort();
    let has = |kind: RefusalKind| kinds.iter().filter(|k| k.contains(&format!("{kind:?}"))).count();
    assert_eq!(
        (
            has(RefusalKind::BadSignature),
            has(RefusalKind::FutureVersion),
            has(RefusalKind::AddressMismatch)
        ),
        (2, 1, 1)
    );
    assert_eq!(eve.refusals(1).await.len(), 1);
    assert!(eve.notes().await.is_empty());
    ann.send(ben.target(), "two", None).await;
    ann.settled().await;
    assert_eq!(ben.notes().await, ["once", "two"]);
    for person in [&mut ann, &mut ben, &mut eve] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_device_key_for_a_known_address_is_refused_and_told() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    ann.send(ben.target(), "mine", None).await;
    ann.settled().await;
    ann.stop().await;
    ann.me.device = Arc::new(DeviceKey::from_seed(&[9; 32]));
    ann.start().await;
    ann.send(ben.target(), "not mine", None).await;
    let events = ben.refusals(2).await;
    assert!(events.iter().any(|event| matches!(event, DeliveryEvent::PeerKeyChanged { .. })));
    assert_eq!(ben.notes().await, ["mine"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_content_is_refused_for_good_and_leaves_no_trace() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    ann.send(ben.target(), "bad", None).await;
    ann.settled().await;
    assert_eq!(ann.ends().await, ["Refused { code: 1234 }"]);
    assert!(ben.notes().await.is_empty());
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_peer_holds_up_nobody_and_what_waits_can_expire_or_be_cancelled() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let nobody = Target::Key(PublicKey::from_bytes([77; 32]));
    ann.send(nobody, "late", Some(Duration::from_millis(1))).await;
    let id = ann.send(nobody, "never", None).await;
    ann.send(ben.target(), "hello", None).await;
    let (_, delivery) = ann.running.clone().unwrap();
    assert!(delivery.cancel(id).await.unwrap());
    assert!(!delivery.cancel(id).await.unwrap());
    drop(delivery);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["hello"]);
    let mut ends = ann.ends().await;
    ends.sort();
    assert_eq!(ends, ["Acked", "Cancelled", "Expired"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_by_a_third_party_settles_nothing() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let mut eve = Person::new(&net, 3).await;
    // Ben's real acknowledgement, caught on the way, replayed by Eve and for another envelope.
    ann.send(ben.target(), "one", None).await;
    ann.settled().await;
    let (a, b, e) = (ann.me.node_key, ben.me.node_key, eve.me.node_key);
    let ack = net.log().into_iter().find(|(from, ..)| *from == b).unwrap().2;
    net.set_connected(b, false);
    ann.send(ben.target(), "two", None).await;
    net.inject(a, e.address(), e, ack.clone());
    net.inject(a, b.address(), b, ack);
    assert_eq!(ann.refusals(1).await.len(), 1);
    let (_, delivery) = ann.running.clone().unwrap();
    let counts = delivery.outbox_counts().await.unwrap();
    assert_eq!(counts.queued + counts.sending, 1);
    drop(delivery);
    net.set_connected(b, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["one", "two"]);
    for person in [&mut ann, &mut ben, &mut eve] {
        person.stop().await;
    }
}

//! Envelopes of programs to come, forged acknowledgements, and clocks that jump.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use threephone_address::PublicKey;
use threephone_delivery::RefusalKind;
use threephone_delivery::testing::{SimNet, forge_ack};

use super::person::{Person, good, until};

/// The same bytes under version 2.
fn of_the_future(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    assert_eq!(&bytes[1..4], b"\x61v\x01");
    bytes[3] = 2;
    bytes.into()
}

fn first_from(net: &SimNet, key: PublicKey) -> Bytes {
    net.log().into_iter().find(|(from, ..)| *from == key).unwrap().2
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_of_a_future_version_is_counted_and_breaks_nothing_for_later() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let (a, b) = (ann.me.node_key, ben.me.node_key);
    // Ann knows Ben's key by this, so what follows is sent although he is gone.
    ann.send(ben.target(), "one", None).await;
    ann.settled().await;
    net.set_connected(b, false);
    let before = net.log().len();
    ann.send(ben.target(), "two", None).await;
    until(&net, async || net.log().iter().skip(before).any(|(from, ..)| *from == a)).await;
    let bytes = net.log().into_iter().skip(before).find(|(from, ..)| *from == a).unwrap().2;
    for _ in 0..20 {
        net.inject(b, a.address(), a, of_the_future(&bytes));
    }
    until(&net, async || ben.refused(RefusalKind::FutureVersion) == 20).await;
    assert_eq!(ben.running.as_ref().unwrap().1.refused_count(), 20);
    assert_eq!(ben.notes().await, ["one"]);
    // The same envelope in a version that is understood: as if Ben had been updated.
    net.set_connected(b, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["one", "two"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_a_future_version_settles_nothing() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let (a, b) = (ann.me.node_key, ben.me.node_key);
    ann.send(ben.target(), "one", None).await;
    ann.settled().await;
    net.set_connected(b, false);
    ann.send(ben.target(), "two", None).await;
    net.inject(a, b.address(), b, of_the_future(&first_from(&net, b)));
    until(&net, async || ann.refused(RefusalKind::FutureVersion) == 1).await;
    assert_eq!(ann.open().await, 1);
    net.set_connected(b, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["one", "two"]);
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_forged_by_eve_settles_nothing() {
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    let mut eve = Person::new(&net, 3).await;
    let (a, b, e) = (ann.me.node_key, ben.me.node_key, eve.me.node_key);
    ann.send(ben.target(), "pins Ben's key", None).await;
    ann.settled().await;
    // Ann knows Eve too, and has something open for her.
    ann.send(eve.target(), "hello Eve", None).await;
    ann.settled().await;
    net.set_connected(b, false);
    let id = ann.send(ben.target(), "for Ben", None).await;
    let named = [(id, "note/1", b"for Ben".as_slice())];
    // As herself; as herself in Ben's name; and signed for another receiver.
    net.inject(a, e.address(), e, forge_ack(&eve.me.device, &e, &a, &named).into());
    net.inject(a, b.address(), b, forge_ack(&eve.me.device, &b, &a, &named).into());
    net.inject(a, b.address(), b, forge_ack(&ben.me.device, &b, &e, &named).into());
    // Ben's own, but for a body that Ann did not send.
    let other = [(id, "note/1", b"for Eve".as_slice())];
    net.inject(a, b.address(), b, forge_ack(&ben.me.device, &b, &a, &other).into());
    until(&net, async || {
        ann.refused(RefusalKind::KeyChanged) == 1 && ann.refused(RefusalKind::BadSignature) == 1
    })
    .await;
    assert_eq!(ann.open().await, 1);
    net.set_connected(b, true);
    ann.settled().await;
    assert_eq!(ben.notes().await, ["for Ben", "pins Ben's key"]);
    // With Ben's key and the right body it does settle: the forgery above failed for its reasons.
    net.set_connected(b, false);
    let id = ann.send(ben.target(), "two", None).await;
    let named = [(id, "note/1", b"two".as_slice())];
    net.inject(a, b.address(), b, forge_ack(&ben.me.device, &b, &a, &named).into());
    ann.settled().await;
    for person in [&mut ann, &mut ben, &mut eve] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_jump_by_years_lose_nothing() {
    const YEAR: i64 = 365 * 86_400_000;
    let net = SimNet::new(1, good());
    let (mut ann, mut ben) = (Person::new(&net, 1).await, Person::new(&net, 2).await);
    for n in 0..12i64 {
        let jump = [9 * YEAR, -20 * YEAR, 30 * YEAR, -19 * YEAR][(n % 4) as usize];
        ann.clock.fetch_add(jump, Ordering::Relaxed);
        ben.clock.fetch_sub(jump / 2, Ordering::Relaxed);
        net.set_connected(ben.me.node_key, n % 3 != 1);
        ann.send(ben.target(), &format!("a{n:02}"), None).await;
        ben.send(ann.target(), &format!("b{n:02}"), None).await;
        if n % 5 == 2 {
            ann.stop().await;
            ann.start().await;
        }
    }
    net.set_connected(ben.me.node_key, true);
    ann.settled().await;
    ben.settled().await;
    let expected = |c| (0..12).map(|n| format!("{c}{n:02}")).collect::<Vec<_>>();
    assert_eq!((ben.notes().await, ann.notes().await), (expected('a'), expected('b')));
    assert_eq!(ann.ends().await, vec!["Acked"; 12]);
    ann.stop().await;
    ben.stop().await;
}

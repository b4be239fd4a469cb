//! Two devices over the simulated network, with real databases.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may fail by panicking

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threephone_address::{PublicKey, Target};
use threephone_delivery::testing::{SimConfig, SimNet};
use threephone_delivery::{
    Delivery, DeliveryConfig, DeliveryError, DeliveryEvent, EnvelopeId, Inbound, Outcome,
    OutgoingDraft, Refusal, RefusalKind, Sender, Timing,
};
use threephone_identity::{DeviceKey, Me, Profile};
use threephone_store::{Room, Store, StoreError, StoreKey, StoreOptions, WriteTx};

const NOTES: Room = Room {
    name: "note",
    migrations: &["CREATE TABLE note (n INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
                   CREATE TABLE note_end (id BLOB NOT NULL, outcome TEXT NOT NULL) STRICT;"],
};
const FAST: Timing =
    Timing { retry_first_ms: 20, retry_last_ms: 100, ack_wait_ms: 50, sent_report_ms: 5 };

struct Notes;

impl Inbound for Notes {
    fn noun(&self) -> &'static str {
        "note/1"
    }

    fn apply(
        &self,
        tx: &mut WriteTx<'_>,
        _: &Sender,
        _: EnvelopeId,
        body: &[u8],
        _: i64,
    ) -> Result<(), Refusal> {
        tx.execute("INSERT INTO note (body) VALUES (?1)", [body])?;
        if body.starts_with(b"bad") {
            return Err(Refusal::content(1234, "bad"));
        }
        Ok(())
    }

    fn delivered(
        &self,
        tx: &mut WriteTx<'_>,
        id: EnvelopeId,
        outcome: Outcome,
        _: i64,
    ) -> Result<(), StoreError> {
        let row = (id.as_bytes(), format!("{outcome:?}"));
        tx.execute("INSERT INTO note_end (id, outcome) VALUES (?1, ?2)", row)?;
        Ok(())
    }
}

struct Person {
    path: PathBuf,
    _folder: tempfile::TempDir,
    me: Me,
    net: SimNet,
    events: Arc<Mutex<Vec<DeliveryEvent>>>,
    running: Option<(Store, Delivery)>,
}

impl Person {
    async fn new(net: &SimNet, n: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile { name: format!("P{n}"), created_at: 0 };
        let node_key = PublicKey::from_bytes([n; 32]);
        let me = Me::new(&profile, DeviceKey::from_seed(&[n; 32]), node_key);
        let (path, events) = (folder.path().join("store.db"), Arc::default());
        let mut person =
            Self { path, _folder: folder, me, net: net.clone(), events, running: None };
        person.start().await;
        person
    }

    async fn start(&mut self) {
        let key = StoreKey::from_bytes([1; 32]);
        let rooms = vec![threephone_delivery::ROOM, NOTES];
        let store = Store::open(StoreOptions::new(&self.path, key, rooms)).unwrap();
        let events = self.events.clone();
        let config = DeliveryConfig { timing: FAST, seed: 1, ..DeliveryConfig::default() }
            .with_events(move |event| events.lock().unwrap().push(event));
        let link = self.net.link(self.me.node_key);
        let handlers: Vec<Arc<dyn Inbound>> = vec![Arc::new(Notes)];
        let delivery =
            Delivery::open(store.clone(), self.me.clone(), Some(link), handlers, config).await;
        self.running = Some((store, delivery.unwrap()));
    }

    async fn stop(&mut self) {
        let (store, delivery) = self.running.take().unwrap();
        delivery.close().await;
        store.close().await.unwrap();
    }

    fn target(&self) -> Target {
        Target::Address(self.me.node_key.address())
    }

    async fn send(&self, to: Target, body: &str, ttl: Option<Duration>) -> EnvelopeId {
        let (store, delivery) = self.running.clone().unwrap();
        let draft = OutgoingDraft { to, noun: "note/1", body: body.into(), ttl };
        store
            .write(move |tx| -> Result<_, DeliveryError> { delivery.enqueue(tx, draft, 0) })
            .await
            .unwrap()
    }

    async fn strings(&self, sql: &'static str) -> Vec<String> {
        let (store, _) = self.running.as_ref().unwrap();
        store
            .read(move |conn| -> Result<Vec<String>, StoreError> {
                let mut statement = conn.prepare(sql)?;
                let rows = statement.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
            .unwrap()
    }

    async fn notes(&self) -> Vec<String> {
        self.strings("SELECT CAST(body AS TEXT) FROM note ORDER BY body").await
    }

    async fn ends(&self) -> Vec<String> {
        self.strings("SELECT outcome FROM note_end").await
    }

    async fn settled(&self) {
        let (_, delivery) = self.running.as_ref().unwrap();
        for _ in 0..2000 {
            let counts = delivery.outbox_counts().await.unwrap();
            if counts.queued + counts.sending == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the outbox did not empty");
    }

    async fn refusals(&self, at_least: usize) -> Vec<DeliveryEvent> {
        for _ in 0..500 {
            if self.events.lock().unwrap().len() >= at_least {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.events.lock().unwrap().clone()
    }
}

fn good() -> SimConfig {
    SimConfig { timeout: Duration::from_millis(20), ..SimConfig::default() }
}

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

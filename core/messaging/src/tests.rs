//! What a chat becomes, whatever order its pieces arrive in.
//!
//! Driven through the trait that delivery calls, with payloads of the real wire format, on a real
//! database.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use threephone_address::{PublicKey, Target};
use threephone_delivery::{
    Delivery, DeliveryConfig, EnvelopeId, Inbound, Outcome, Refusal, Sender,
};
use threephone_identity::{DeviceKey, Me, Profile};
use threephone_store::{Store, StoreError, StoreKey, StoreOptions};

use crate::limits::MAX_STRANGER_BYTES;
use crate::wire::{self, Payload};
use crate::{LineQuery, LineState, LineView, Messaging, MessagingError, MessagingEvent, ROOM};

const NOW: i64 = 1_700_000_000_000;

/// Ben's phone without a network, and what it announced.
struct Ben {
    store: Store,
    messaging: Messaging,
    inbound: Arc<dyn Inbound>,
    delivery: Delivery,
    events: Arc<Mutex<Vec<MessagingEvent>>>,
    _folder: tempfile::TempDir,
}

impl Ben {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions::new(
            folder.path().join("store.db"),
            StoreKey::from_bytes([7; 32]),
            vec![threephone_delivery::ROOM, ROOM],
        ))
        .unwrap();
        let profile = Profile { name: "Ben".into(), created_at: NOW };
        let me = Me::new(&profile, DeviceKey::from_seed(&[2; 32]), key(2));
        let events = Arc::new(Mutex::new(Vec::new()));
        let messaging = Messaging::open(store.clone(), me.clone(), {
            let events = events.clone();
            move |event| events.lock().unwrap().push(event)
        });
        let inbound = messaging.inbound();
        let config = DeliveryConfig::default();
        let delivery =
            Delivery::open(store.clone(), me, None, vec![inbound.clone()], config).await.unwrap();
        messaging.attach(delivery.clone());
        Self { store, messaging, inbound, delivery, events, _folder: folder }
    }

    async fn take(&self, person: u8, payload: &Payload) -> Result<(), Refusal> {
        let (inbound, sender) = (self.inbound.clone(), sender(person));
        let body = wire::encode(payload).unwrap();
        self.store.write(move |tx| inbound.apply(tx, &sender, envelope(9), &body, NOW)).await
    }

    async fn settle(&self, id: EnvelopeId, outcome: Option<Outcome>) {
        let inbound = self.inbound.clone();
        self.store
            .write(move |tx| -> Result<(), StoreError> {
                match outcome {
                    Some(outcome) => inbound.delivered(tx, id, outcome, NOW),
                    None => inbound.sent(tx, id, NOW),
                }
            })
            .await
            .unwrap();
    }

    /// The envelope that carries our line.
    async fn envelope_of(&self, line: &LineView) -> EnvelopeId {
        let id = line.id.0;
        let bytes = self
            .store
            .read(move |db| -> Result<[u8; 16], StoreError> {
                let sql = "SELECT envelope FROM messaging_line WHERE line = ?1";
                Ok(db.query_row(sql, [id], |row| row.get(0))?)
            })
            .await
            .unwrap();
        EnvelopeId::from_bytes(bytes)
    }

    async fn lines(&self) -> Vec<LineView> {
        self.messaging.list_lines(LineQuery::default()).await.unwrap()
    }

    async fn texts(&self) -> Vec<String> {
        self.lines().await.into_iter().map(|line| line.text).collect()
    }

    async fn state(&self, line: &LineView) -> LineState {
        self.messaging.line(line.id).await.unwrap().unwrap().state
    }

    async fn close(self) {
        self.delivery.close().await;
        self.store.close().await.unwrap();
    }
}

fn key(person: u8) -> PublicKey {
    PublicKey::from_bytes([person; 32])
}

fn ann() -> Target {
    Target::Key(key(1))
}

fn sender(person: u8) -> Sender {
    Sender {
        address: key(person).address(),
        node_key: key(person),
        device_key: DeviceKey::from_seed(&[person; 32]).public(),
    }
}

fn envelope(byte: u8) -> EnvelopeId {
    EnvelopeId::from_bytes([byte; 16])
}

fn line(seq: u64, text: &str, stamp: i64) -> Payload {
    Payload::Line { seq, text: text.into(), sent_at: stamp, stamp }
}

#[tokio::test]
async fn a_line_goes_through_its_states_and_never_back() {
    let ben = Ben::new().await;
    let sent = ben.messaging.send(ann(), "hello", NOW).await.unwrap();
    assert_eq!((sent.seq, sent.state), (1, LineState::Queued));
    let id = ben.envelope_of(&sent).await;
    ben.settle(id, None).await;
    assert_eq!(ben.state(&sent).await, LineState::Sent);
    ben.settle(id, Some(Outcome::Acked)).await;
    assert_eq!(ben.state(&sent).await, LineState::Delivered);
    ben.settle(id, None).await;
    ben.settle(id, Some(Outcome::Expired)).await;
    assert_eq!(ben.state(&sent).await, LineState::Delivered);
    ben.take(1, &Payload::Read { up_to: 1 }).await.unwrap();
    assert_eq!(ben.state(&sent).await, LineState::Read);
    ben.close().await;
}

#[tokio::test]
async fn a_receipt_before_the_acknowledgement_counts_and_one_for_the_future_does_not() {
    let ben = Ben::new().await;
    let first = ben.messaging.send(ann(), "one", NOW).await.unwrap();
    ben.take(1, &Payload::Read { up_to: 99 }).await.unwrap();
    assert_eq!(ben.state(&first).await, LineState::Read);
    let second = ben.messaging.send(ann(), "two", NOW).await.unwrap();
    assert_eq!(ben.state(&second).await, LineState::Queued);
    ben.close().await;
}

#[tokio::test]
async fn a_refused_line_fails() {
    let ben = Ben::new().await;
    let sent = ben.messaging.send(ann(), "hello", NOW).await.unwrap();
    let id = ben.envelope_of(&sent).await;
    ben.settle(id, Some(Outcome::Refused { code: 7 })).await;
    assert_eq!(ben.state(&sent).await, LineState::Failed);
    ben.close().await;
}

#[tokio::test]
async fn an_answer_stands_after_what_it_answers_with_any_clock() {
    let ben = Ben::new().await;
    ben.take(1, &line(1, "from 2040", NOW + 500_000_000_000)).await.unwrap();
    ben.messaging.send(ann(), "what year is it?", NOW).await.unwrap();
    assert_eq!(ben.texts().await, ["from 2040", "what year is it?"]);
    ben.close().await;
}

#[tokio::test]
async fn one_sequence_holds_one_body() {
    let ben = Ben::new().await;
    ben.take(1, &line(1, "yes", NOW)).await.unwrap();
    ben.take(1, &line(1, "yes", NOW)).await.unwrap();
    let refused = ben.take(1, &line(1, "no", NOW)).await;
    assert!(matches!(refused, Err(Refusal::Content { .. })));
    assert_eq!(ben.texts().await, ["yes"]);
    assert_eq!(ben.events.lock().unwrap().len(), 1, "a repeat announces nothing");
    ben.close().await;
}

#[tokio::test]
async fn reading_tells_the_peer_up_to_the_first_gap_once() {
    let ben = Ben::new().await;
    for seq in [1, 2, 4] {
        ben.take(1, &line(seq, "text", NOW)).await.unwrap();
    }
    let queued = || async { ben.delivery.outbox_counts().await.unwrap().queued };
    assert_eq!(ben.messaging.list_chats().await.unwrap()[0].unread, 3);
    assert_eq!(ben.messaging.mark_read(ann(), NOW).await.unwrap(), 3);
    assert_eq!(queued().await, 1);
    assert_eq!(ben.messaging.mark_read(ann(), NOW).await.unwrap(), 0);
    assert_eq!(queued().await, 1, "nothing new, nothing said");
    ben.take(1, &line(3, "late", NOW)).await.unwrap();
    assert_eq!(ben.messaging.list_chats().await.unwrap()[0].unread, 1);
    assert_eq!(ben.messaging.mark_read(ann(), NOW).await.unwrap(), 1);
    assert_eq!(queued().await, 2);
    assert!(ben.lines().await.iter().all(|line| line.state == LineState::Read));
    ben.close().await;
}

#[tokio::test]
async fn listing_pages_upwards_and_does_not_mark_as_read() {
    let ben = Ben::new().await;
    for n in 1..=7u64 {
        ben.take(1, &line(n, &n.to_string(), NOW)).await.unwrap();
    }
    ben.take(3, &line(1, "eve", NOW)).await.unwrap();
    let page = |before| {
        let messaging = ben.messaging.clone();
        async move {
            let query = LineQuery { with: Some(ann()), limit: Some(3), before };
            messaging.list_lines(query).await.unwrap()
        }
    };
    let texts = |lines: &[LineView]| -> Vec<String> {
        lines.iter().map(|line| line.text.clone()).collect()
    };
    let newest = page(None).await;
    assert_eq!(texts(&newest), ["5", "6", "7"]);
    let older = page(Some(newest[0].id)).await;
    assert_eq!(texts(&older), ["2", "3", "4"]);
    assert_eq!(texts(&page(Some(older[0].id)).await), ["1"]);
    assert!(newest.iter().all(|line| line.state == LineState::Received));
    ben.close().await;
}

#[tokio::test]
async fn a_stranger_fills_a_share_and_somebody_we_wrote_to_does_not() {
    let ben = Ben::new().await;
    let text = "x".repeat(crate::MAX_TEXT_BYTES);
    let fits = u64::try_from(MAX_STRANGER_BYTES / crate::db::cost(&text)).unwrap();
    for seq in 1..=fits {
        ben.take(1, &line(seq, &text, NOW)).await.unwrap();
    }
    let refused = ben.take(1, &line(fits + 1, &text, NOW)).await;
    assert!(matches!(refused, Err(Refusal::Content { .. })), "{refused:?}");
    ben.messaging.send(ann(), "hello", NOW).await.unwrap();
    ben.take(1, &line(fits + 1, &text, NOW)).await.unwrap();
    ben.close().await;
}

#[tokio::test]
async fn a_text_that_is_no_line_is_refused_and_takes_no_sequence() {
    let ben = Ben::new().await;
    let empty = ben.messaging.send(ann(), "", NOW).await;
    assert!(matches!(empty, Err(MessagingError::Text(_))));
    let to_self = ben.messaging.send(Target::Key(key(2)), "me", NOW).await;
    assert!(matches!(to_self, Err(MessagingError::Delivery(_))));
    assert_eq!(ben.messaging.send(ann(), "hello", NOW).await.unwrap().seq, 1);
    ben.close().await;
}

#[tokio::test]
async fn a_line_costs_the_same_in_a_long_chat() {
    let ben = Ben::new().await;
    let plan = ben.store.read(|db| -> Result<_, StoreError> {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {}", crate::db::RAISE_LATER))?;
        let steps = plan.query_map([None::<i64>; 4], |row| row.get::<_, String>(3))?;
        Ok(steps.collect::<Result<Vec<_>, _>>()?)
    });
    let steps = plan.await.unwrap();
    for step in steps.iter().filter(|step| !step.contains("SUBQUERY")) {
        // By the author's sequence, not through all lines of the chat.
        assert!(step.starts_with("SEARCH") && step.contains("seq>?"), "{step}");
    }
    ben.close().await;
}

#[tokio::test]
async fn the_documented_schema_is_the_real_one() {
    let ben = Ben::new().await;
    let read = |sql: &str| {
        let db = threephone_store::rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        tables(&db)
    };
    let real =
        ben.store.read(|db| -> Result<Vec<String>, StoreError> { Ok(tables(db)) }).await.unwrap();
    assert_eq!(real, read(include_str!("../schema.sql")));
    ben.close().await;
}

fn tables(db: &threephone_store::rusqlite::Connection) -> Vec<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE name LIKE 'messaging_%' AND sql IS NOT NULL
               ORDER BY name";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A line of one of two authors, with clocks that jump.
#[derive(Debug, Clone)]
struct Arrival {
    person: u8,
    seq: u64,
    stamp: i64,
}

fn arrivals() -> impl Strategy<Value = (Vec<Arrival>, Vec<Arrival>)> {
    let stamps = proptest::collection::vec((prop_oneof![Just(1u8), Just(3u8)], 0i64..50), 1..12);
    stamps.prop_flat_map(|stamps| {
        let mut next = [0u64; 4];
        let lines: Vec<Arrival> = stamps
            .into_iter()
            .map(|(person, stamp)| {
                next[usize::from(person)] += 1;
                Arrival { person, seq: next[usize::from(person)], stamp }
            })
            .collect();
        let repeated: Vec<Arrival> = lines.iter().chain(&lines).cloned().collect();
        (Just(lines), Just(repeated).prop_shuffle())
    })
}

async fn listing(arrivals: &[Arrival]) -> Vec<(Ipv6Addr, u64, String)> {
    let ben = Ben::new().await;
    for arrival in arrivals {
        let text = format!("{} {}", arrival.person, arrival.seq);
        ben.take(arrival.person, &line(arrival.seq, &text, arrival.stamp)).await.unwrap();
    }
    let lines = ben.lines().await;
    ben.close().await;
    lines.into_iter().map(|line| (line.from, line.seq, line.text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_order_of_arrival_gives_the_same_list((lines, shuffled) in arrivals()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (one, other) =
            runtime.block_on(async { (listing(&lines).await, listing(&shuffled).await) });
        prop_assert_eq!(&one, &other);
        for author in [key(1).address(), key(3).address()] {
            let seqs: Vec<u64> =
                one.iter().filter(|(from, ..)| *from == author).map(|(_, seq, _)| *seq).collect();
            prop_assert!(seqs.is_sorted(), "{:?}", seqs);
        }
    }
}

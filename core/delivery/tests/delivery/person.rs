//! A person with a device: a database, a delivery, and a service that keeps notes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use threephone_address::{PublicKey, Target};
use threephone_delivery::testing::{SimConfig, SimNet};
use threephone_delivery::{
    Delivery, DeliveryConfig, DeliveryError, DeliveryEvent, EnvelopeId, Inbound, Limits, Outcome,
    OutgoingDraft, Refusal, RefusalKind, Sender, Timing,
};
use threephone_identity::{DeviceKey, Me, Profile};
use threephone_store::{Room, Store, StoreError, StoreKey, StoreOptions, WriteTx};
use threephone_testvfs::TestVfs;

const NOTES: Room = Room {
    name: "note",
    migrations: &["CREATE TABLE note (n INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
                   CREATE TABLE note_sent (id BLOB NOT NULL) STRICT;
                   CREATE TABLE note_end (id BLOB NOT NULL, outcome TEXT NOT NULL) STRICT;"],
};

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

/// Real disks and a network without delay need no more.
pub(crate) const FAST: Timing =
    Timing { retry_first_ms: 20, retry_last_ms: 100, ack_wait_ms: 50, sent_report_ms: 5 };

/// A network that works; what is lost is known after 20 ms.
pub(crate) fn good() -> SimConfig {
    SimConfig { timeout: Duration::from_millis(20), ..SimConfig::default() }
}

/// Keeps notes. Refuses those that begin with `bad`, fails at those that begin with `poison`, and
/// at the end of the envelope in `cursed`.
struct Notes {
    cursed: Arc<Mutex<Option<EnvelopeId>>>,
    net: SimNet,
}

impl Notes {
    /// Tells the test once what is written in `tx` is on the disk.
    fn report(&self, tx: &mut WriteTx<'_>) {
        let net = self.net.clone();
        tx.after_commit(move || net.report());
    }
}

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
        self.report(tx);
        tx.execute("INSERT INTO note (body) VALUES (?1)", [body])?;
        if body.starts_with(b"bad") {
            return Err(Refusal::content(1234, "bad"));
        }
        if body.starts_with(b"poison") {
            return Err(StoreError::Sqlite("poisoned".to_owned()).into());
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
        self.report(tx);
        let row = (id.as_bytes(), format!("{outcome:?}"));
        tx.execute("INSERT INTO note_end (id, outcome) VALUES (?1, ?2)", row)?;
        if *self.cursed.lock().unwrap() == Some(id) {
            return Err(StoreError::Sqlite("cursed".to_owned()));
        }
        Ok(())
    }

    fn sent(&self, tx: &mut WriteTx<'_>, id: EnvelopeId, _: i64) -> Result<(), StoreError> {
        self.report(tx);
        tx.execute("INSERT INTO note_sent (id) VALUES (?1)", [id.as_bytes()])?;
        Ok(())
    }
}

/// What a person can be made with; the default is a folder on the real disk.
#[derive(Clone, Default)]
pub(crate) struct Making {
    pub(crate) vfs: Option<TestVfs>,
    pub(crate) limits: Limits,
    pub(crate) timing: Option<Timing>,
}

/// Somebody with a device.
pub(crate) struct Person {
    pub(crate) me: Me,
    pub(crate) running: Option<(Store, Delivery)>,
    pub(crate) events: Arc<Mutex<Vec<DeliveryEvent>>>,
    /// How far the wall clock is off, in milliseconds.
    pub(crate) clock: Arc<AtomicI64>,
    /// The envelope whose end the service fails to note.
    pub(crate) cursed: Arc<Mutex<Option<EnvelopeId>>>,
    pub(crate) making: Making,
    path: PathBuf,
    _folder: tempfile::TempDir,
    net: SimNet,
}

impl Person {
    pub(crate) async fn new(net: &SimNet, n: u8) -> Self {
        Self::made(net, n, Making::default()).await
    }

    pub(crate) async fn on(net: &SimNet, n: u8, vfs: &TestVfs, timing: Timing) -> Self {
        let (vfs, timing) = (Some(vfs.clone()), Some(timing));
        Self::made(net, n, Making { vfs, timing, ..Making::default() }).await
    }

    pub(crate) async fn made(net: &SimNet, n: u8, making: Making) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile { name: format!("P{n}"), created_at: 0 };
        let node_key = PublicKey::from_bytes([n; 32]);
        let me = Me::new(&profile, DeviceKey::from_seed(&[n; 32]), node_key);
        let path = match making.vfs {
            Some(_) => PathBuf::from("store.db"),
            None => folder.path().join("store.db"),
        };
        let mut person = Self {
            me,
            running: None,
            events: Arc::default(),
            clock: Arc::default(),
            cursed: Arc::default(),
            making,
            path,
            _folder: folder,
            net: net.clone(),
        };
        person.start().await;
        person
    }

    pub(crate) async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    /// Opens database and delivery, which fails while the disk does.
    pub(crate) async fn try_start(&mut self) -> Result<(), DeliveryError> {
        let key = StoreKey::from_bytes([1; 32]);
        let rooms = vec![threephone_delivery::ROOM, NOTES];
        let mut options = StoreOptions::new(&self.path, key, rooms);
        options.vfs = self.making.vfs.as_ref().map(|vfs| vfs.name().to_owned());
        let store = Store::open(options)?;
        let (events, clock) = (self.events.clone(), self.clock.clone());
        let config = DeliveryConfig {
            timing: self.making.timing.unwrap_or(FAST),
            limits: self.making.limits,
            seed: 1,
            clock: Arc::new(move || now_with(&clock)),
            ..DeliveryConfig::default()
        };
        let net = self.net.clone();
        let config = config.with_events(move |event| {
            events.lock().unwrap().push(event);
            net.report();
        });
        let link = self.net.link(self.me.node_key);
        let handlers: Vec<Arc<dyn Inbound>> =
            vec![Arc::new(Notes { cursed: self.cursed.clone(), net: self.net.clone() })];
        let me = self.me.clone();
        let delivery = Delivery::open(store.clone(), me, Some(link), handlers, config).await?;
        self.running = Some((store, delivery));
        Ok(())
    }

    pub(crate) async fn stop(&mut self) {
        let (store, delivery) = self.running.take().unwrap();
        delivery.close().await;
        store.close().await.unwrap();
    }

    /// Stops however it can: the disk may be gone.
    pub(crate) async fn crash(&mut self) {
        if let Some((store, delivery)) = self.running.take() {
            delivery.close().await;
            let _ = store.close().await;
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Address(self.me.node_key.address())
    }

    pub(crate) async fn try_send(
        &self,
        to: Target,
        body: impl Into<Vec<u8>>,
        ttl: Option<Duration>,
    ) -> Result<EnvelopeId, DeliveryError> {
        let (store, delivery) = self.running.clone().unwrap();
        let draft = OutgoingDraft { to, noun: "note/1", body: body.into(), ttl };
        let now = now_with(&self.clock);
        store.write(move |tx| delivery.enqueue(tx, draft, now)).await
    }

    pub(crate) async fn send(&self, to: Target, body: &str, ttl: Option<Duration>) -> EnvelopeId {
        self.try_send(to, body, ttl).await.unwrap()
    }

    pub(crate) async fn strings(&self, sql: &'static str) -> Vec<String> {
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

    pub(crate) async fn notes(&self) -> Vec<String> {
        self.strings("SELECT CAST(body AS TEXT) FROM note ORDER BY body").await
    }

    pub(crate) async fn ends(&self) -> Vec<String> {
        self.strings("SELECT outcome FROM note_end").await
    }

    /// Envelopes in the outbox that are not settled.
    pub(crate) async fn open(&self) -> u64 {
        let (_, delivery) = self.running.as_ref().unwrap();
        let counts = delivery.outbox_counts().await.unwrap();
        counts.queued + counts.sending
    }

    pub(crate) async fn settled(&self) {
        self.until_open(0).await;
    }

    /// Waits until only so many envelopes are not settled.
    pub(crate) async fn until_open(&self, left: u64) {
        let (_, delivery) = self.running.as_ref().unwrap();
        until(&self.net, async || {
            let counts = delivery.outbox_counts().await.unwrap();
            assert!(counts.sending <= 256, "more than a window is on the way: {counts:?}");
            counts.queued + counts.sending <= left
        })
        .await;
    }

    /// The events, once there are so many.
    pub(crate) async fn refusals(&self, at_least: usize) -> Vec<DeliveryEvent> {
        until(&self.net, async || self.events.lock().unwrap().len() >= at_least).await;
        self.events.lock().unwrap().clone()
    }

    /// How many envelopes were refused for this reason.
    pub(crate) fn refused(&self, wanted: RefusalKind) -> usize {
        let events = self.events.lock().unwrap();
        let kinds = events.iter().filter(
            |event| matches!(event, DeliveryEvent::Refused { kind, .. } if *kind == wanted),
        );
        kinds.count()
    }
}

fn now_with(clock: &AtomicI64) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap() + clock.load(Ordering::Relaxed)
}

/// Waits for something that is bound to come; looks again whenever something happens.
pub(crate) async fn until(net: &SimNet, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        loop {
            let changed = net.changed();
            tokio::pin!(changed);
            // From here on nothing is missed, also what happens while looking.
            changed.as_mut().enable();
            if holds().await {
                return;
            }
            changed.await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
}

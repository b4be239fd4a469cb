//! People with phones on a simulated network, and what their mail announces.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // every test file uses a part of it

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use threephone_address::{MailTarget, PublicKey, Target};
use threephone_delivery::testing::{SimConfig, SimNet};
use threephone_delivery::{Delivery, DeliveryConfig, Link, Timing};
use threephone_identity::{DeviceKey, Me, Profile};
use threephone_mail::{Mail, MailDraft, MailEvent, MailId, MailQuery, MailView, Mailbox};
use threephone_store::{Store, StoreKey, StoreOptions};
use tokio::sync::{Mutex, mpsc};

pub const NOW: i64 = 1_795_539_723_000;
const FAST: Timing =
    Timing { retry_first_ms: 20, retry_last_ms: 100, ack_wait_ms: 50, sent_report_ms: 5 };
/// Longer than any machine takes; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A phone with mail alone, which outlives its being stopped.
pub struct Person {
    pub me: Me,
    path: PathBuf,
    net: Option<SimNet>,
    running: Option<Running>,
    _folder: tempfile::TempDir,
}

struct Running {
    store: Store,
    delivery: Delivery,
    mail: Mail,
    events: Mutex<mpsc::UnboundedReceiver<MailEvent>>,
}

pub fn network(seed: u64, loss_percent: u64) -> SimNet {
    let timeout = Duration::from_millis(20);
    SimNet::new(seed, SimConfig { loss_percent, timeout, ..SimConfig::default() })
}

impl Person {
    /// Person `n`, on the network or alone.
    pub async fn new(name: &str, n: u8, net: Option<&SimNet>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile { name: name.to_owned(), created_at: NOW };
        let me = Me::new(&profile, DeviceKey::from_seed(&[n; 32]), PublicKey::from_bytes([n; 32]));
        let path = folder.path().join("store.db");
        let mut person = Self { me, path, net: net.cloned(), running: None, _folder: folder };
        person.start().await;
        person
    }

    pub async fn start(&mut self) {
        let rooms = vec![threephone_delivery::ROOM, threephone_mail::ROOM];
        let key = StoreKey::from_bytes([1; 32]);
        let store = Store::open(StoreOptions::new(&self.path, key, rooms)).unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let mail = Mail::open(store.clone(), self.me.clone(), move |event| {
            let _ = sender.send(event);
        });
        let config = DeliveryConfig { timing: FAST, seed: 1, ..DeliveryConfig::default() };
        let link = self.net.as_ref().map(|net| net.link(self.me.node_key) as Arc<dyn Link>);
        let inbound = vec![mail.inbound()];
        let delivery =
            Delivery::open(store.clone(), self.me.clone(), link, inbound, config).await.unwrap();
        mail.attach(delivery.clone());
        self.running = Some(Running { store, delivery, mail, events: Mutex::new(events) });
    }

    pub async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.delivery.close().await;
        running.store.close().await.unwrap();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn mail(&self) -> &Mail {
        &self.running().mail
    }

    pub fn store(&self) -> &Store {
        &self.running().store
    }

    pub fn delivery(&self) -> &Delivery {
        &self.running().delivery
    }

    /// As others write the address.
    pub fn target(&self) -> MailTarget {
        MailTarget { local: None, target: Target::Address(self.me.node_key.address()) }
    }

    pub fn address(&self) -> String {
        self.me.node_key.address().to_string()
    }

    async fn event(&self) -> MailEvent {
        let mut events = self.running().events.lock().await;
        tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
    }

    /// Waits until a mail arrives.
    pub async fn arrived(&self) -> MailId {
        loop {
            if let MailEvent::Arrived { id } = self.event().await {
                return id;
            }
        }
    }

    /// Waits until a mail of ours is as wanted.
    pub async fn until(&self, id: MailId, wanted: impl Fn(&MailView) -> bool) -> MailView {
        loop {
            let view = self.mail().show(id).await.unwrap().view;
            if wanted(&view) {
                return view;
            }
            self.event().await;
        }
    }

    pub async fn list(&self, mailbox: Mailbox) -> Vec<MailView> {
        let query = MailQuery { mailbox: Some(mailbox), ..MailQuery::default() };
        self.mail().list(query).await.unwrap()
    }
}

/// A short letter to people.
pub fn letter(to: &[&Person], subject: &str, text: &str) -> MailDraft {
    let to = to.iter().map(|person| person.target()).collect();
    MailDraft { to, subject: subject.to_owned(), text: text.to_owned(), ..MailDraft::default() }
}

//! Phones through their public handle: made, opened, talking over loopback, closed.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use threephone::address::Target;
use threephone::messaging::{LineQuery, LineState, MessagingEvent};
use threephone::node::{Endpoint, PeerAddress};
use threephone::store::StoreError;
use threephone::{
    Cursor, Event, Home, KeySource, Network, NodeOptions, Phone, PhoneError, PhoneOptions, Purpose,
};
use zeroize::Zeroizing;

const NOW: i64 = 1_700_000_000_000;

fn options(folder: &Path, network: Network) -> PhoneOptions {
    let (home, key) = (Home::new(folder), KeySource::File);
    PhoneOptions { home, key, network, purpose: Purpose::Daemon }
}

fn online(peers: Vec<PeerAddress>) -> Network {
    let listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    Network::Online(NodeOptions { listen, peers, ..NodeOptions::default() })
}

async fn new_phone(folder: &Path, name: &str, network: Network) -> Phone {
    Phone::init(Home::new(folder), name, KeySource::File).await.unwrap();
    Phone::open(options(folder, network)).await.unwrap()
}

/// Reads events until `wanted` has been among them.
async fn wait_for(phone: &Phone, mut wanted: impl FnMut(&Event) -> bool) {
    let mut cursor = Cursor::START;
    loop {
        let batch = phone.events().next_batch(cursor, 10).await.unwrap();
        if batch.events.iter().any(&mut wanted) {
            return;
        }
        cursor = batch.cursor;
    }
}

#[tokio::test]
async fn a_line_goes_from_phone_to_phone_and_both_hear_of_it() {
    let (ann_dir, ben_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ann = new_phone(ann_dir.path(), "Ann", online(Vec::new())).await;
    let way = ann.status().await.unwrap().listening.iter().map(Into::into).collect();
    let ben = new_phone(ben_dir.path(), "Ben", online(way)).await;
    let to = Target::Address(ben.address());
    let line = ann.messaging().send(to, "hello", NOW).await.unwrap();
    wait_for(&ben, |event| matches!(event, Event::Chat(MessagingEvent::LineAdded { .. }))).await;
    let got = ben.messaging().list_lines(LineQuery::default()).await.unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].text.as_str(), got[0].from), ("hello", ann.address()));
    let mut cursor = Cursor::START;
    while ann.messaging().line(line.id).await.unwrap().unwrap().state != LineState::Delivered {
        cursor = ann.events().next_batch(cursor, 10).await.unwrap().cursor;
    }
    let counts = ann.delivery().outbox_counts().await.unwrap();
    assert_eq!((counts.queued, counts.sending, counts.failed), (0, 0, 0));
    ann.close().await.unwrap();
    ben.close().await.unwrap();
}

#[tokio::test]
async fn one_phone_at_a_time_has_a_profile_open() {
    let dir = tempfile::tempdir().unwrap();
    let phone = new_phone(dir.path(), "Ann", Network::Offline).await;
    let again = Phone::open(options(dir.path(), Network::Offline)).await.err().unwrap();
    let PhoneError::InUse { holder: Some(holder), .. } = &again else { panic!("{again}") };
    assert_eq!(holder.pid, std::process::id());
    phone.close().await.unwrap();
    let phone = Phone::open(options(dir.path(), Network::Offline)).await.unwrap();
    phone.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_open() {
    let dir = tempfile::tempdir().unwrap();
    new_phone(dir.path(), "Ann", Network::Offline).await.close().await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = vec![Endpoint::Tcp(taken.local_addr().unwrap())];
    let network = Network::Online(NodeOptions { listen, ..NodeOptions::default() });
    let error = Phone::open(options(dir.path(), network)).await.err().unwrap();
    assert!(matches!(error, PhoneError::Node(_)), "{error}");
    let phone = Phone::open(options(dir.path(), Network::Offline)).await.unwrap();
    phone.close().await.unwrap();
}

#[cfg(feature = "sqlcipher")]
#[tokio::test]
async fn a_wrong_key_is_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    new_phone(dir.path(), "Ann", Network::Offline).await.close().await.unwrap();
    let database = Home::new(dir.path()).database();
    let before = std::fs::read(&database).unwrap();
    let key = KeySource::Bytes(Zeroizing::new([9; 32]));
    let wrong = PhoneOptions { key, ..options(dir.path(), Network::Offline) };
    let error = Phone::open(wrong).await.err().unwrap();
    assert!(matches!(error, PhoneError::Store(StoreError::WrongKey(_))), "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn an_offline_phone_queues_and_has_no_bus() {
    let dir = tempfile::tempdir().unwrap();
    let phone = new_phone(dir.path(), "Ann", Network::Offline).await;
    let to = "5c4:c176:bf44:b2ab:5e7e:f6a:b7e2:11ca".parse().unwrap();
    phone.messaging().send(to, "later", NOW).await.unwrap();
    assert_eq!(phone.status().await.unwrap().outbox.queued, 1);
    assert!(matches!(phone.bus(), Err(PhoneError::Offline)));
    phone.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_phone_answers_with_errors_and_its_stream_ends() {
    let dir = tempfile::tempdir().unwrap();
    let phone = new_phone(dir.path(), "Ann", online(Vec::new())).await;
    let (messaging, cursor) = (phone.messaging().clone(), phone.events().now());
    // The first call is cancelled at once; the closing goes on, and the second waits for it.
    drop(tokio::time::timeout(std::time::Duration::ZERO, phone.close()).await);
    phone.close().await.unwrap();
    assert!(messaging.list_lines(LineQuery::default()).await.is_err());
    assert!(phone.events().next_batch(cursor, 1).await.is_none());
    assert!(matches!(phone.run(async {}).await, Err(PhoneError::Closed)));
}

#[tokio::test]
async fn a_name_that_cannot_stand_in_a_header_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "  ", "a\nb", &"x".repeat(65)] {
        let home = Home::new(dir.path().join("home"));
        let error = Phone::init(home, name, KeySource::File).await.unwrap_err();
        assert!(matches!(error, PhoneError::BadName(_)), "{error}");
    }
}

/// A caller without any runtime, as a foreign language's is.
#[test]
fn the_phone_brings_its_own_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let mut opening = Box::pin(async {
        let phone = new_phone(dir.path(), "Ann", online(Vec::new())).await;
        let waiting = phone.bus().unwrap();
        let wait = std::time::Duration::from_millis(1);
        let none = phone.run(async move { waiting.receive(None, wait).await }).await;
        assert!(none.unwrap().unwrap().is_none());
        phone.close().await.unwrap();
    });
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    while opening.as_mut().poll(&mut context).is_pending() {
        std::thread::park();
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

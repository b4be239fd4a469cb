//! Closing leaves no thread behind. Alone in its file, for it counts those of the whole process.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop
#![cfg(target_os = "linux")]

use threephone::{Home, KeySource, Network, NodeOptions, Phone, PhoneOptions, Purpose};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test]
async fn closing_leaves_no_thread_behind() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    let before = threads();
    Phone::init(home.clone(), "Ann", KeySource::File).await.unwrap();
    let listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let network = Network::Online(NodeOptions { listen, ..NodeOptions::default() });
    let (key, purpose) = (KeySource::File, Purpose::Daemon);
    let phone = Phone::open(PhoneOptions { home, key, network, purpose }).await.unwrap();
    assert!(threads() > before);
    phone.close().await.unwrap();
    // The closing thread has answered and is on its way out.
    while threads() > before {
        std::thread::yield_now();
    }
    let mut files = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).unwrap_or_default();
    assert!(!files.any(|entry| open(entry.unwrap()).starts_with(dir.path())));
}

//! Whole phones on a disk in memory whose every sync takes five milliseconds, as on a real one.

use std::path::Path;
use std::time::Duration;

use threephone::address::Target;
use threephone::node::Endpoint;
use threephone::{
    Batch, Cursor, Home, KeySource, Network, NodeOptions, Phone, PhoneOptions, Purpose,
};
use threephone_testvfs::TestVfs;

use crate::Error;

/// What one sync takes.
const SYNC: Duration = Duration::from_millis(5);
/// Longer than anything here takes; past it something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// A profile, its disk, and the phone while it is switched on.
pub(crate) struct Handset {
    home: Home,
    disk: TestVfs,
}

impl Handset {
    /// Makes a profile on a new disk. `disk` must be unique in this process.
    pub(crate) async fn make(folder: &Path, name: &str, disk: &str) -> Result<Self, Error> {
        let disk = TestVfs::register(disk);
        let home = Home::new(folder.join(name)).with_vfs(disk.name());
        Phone::init(home.clone(), name, KeySource::File).await?;
        disk.set_sync_delay(SYNC);
        Ok(Self { home, disk })
    }

    /// Switches it on, listening on loopback.
    pub(crate) async fn open(&self, peers: &[Endpoint]) -> Result<Phone, Error> {
        let network = Network::Online(NodeOptions {
            listen: vec!["tcp://127.0.0.1:0".parse()?],
            peers: peers.iter().map(Into::into).collect(),
            ..NodeOptions::default()
        });
        let (home, key, purpose) = (self.home.clone(), KeySource::File, Purpose::Command);
        Ok(Phone::open(PhoneOptions { home, key, network, purpose }).await?)
    }

    /// Syncs that its disk has done.
    pub(crate) fn syncs(&self) -> u64 {
        self.disk.counters().syncs
    }
}

/// Where others reach a phone.
pub(crate) async fn endpoints(phone: &Phone) -> Result<Vec<Endpoint>, Error> {
    Ok(phone.status().await?.listening)
}

/// Whom to write to.
pub(crate) fn target(phone: &Phone) -> Target {
    Target::Key(phone.public_key())
}

/// The next events after a cursor.
pub(crate) async fn events(phone: &Phone, after: Cursor) -> Result<Batch, Error> {
    let batch = tokio::time::timeout(PATIENCE, phone.events().next_batch(after, 1_000)).await;
    batch.map_err(|_| "nothing happens any more")?.ok_or_else(|| "the phone was closed".into())
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

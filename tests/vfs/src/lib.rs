//! A SQLite file system in memory for tests: it can be slow, full, broken, or lose what was not
//! synced.
//!
//! Real disks fail in ways a test cannot wait for. Here a file is a vector with an undo list: each
//! write remembers what it replaced, a sync forgets the list, and a power cut plays it back. Files
//! belong to the file system, by name, and outlive the connections, so a test cuts the power and
//! opens the same database again. Connections that were open during the cut only get I/O errors.
//!
//! Creating and deleting a file is durable at once: SQLite asks for a synced folder there.
//!
//! ```no_run
//! let vfs = threephone_testvfs::TestVfs::register("slow");
//! vfs.set_sync_delay(std::time::Duration::from_millis(5));
//! // open a database with `vfs.name()` as its file system
//! ```
#![allow(unsafe_code, reason = "SQLite's file system interface is C")]

mod disk;
mod ffi;
mod lock;
mod shm;

use std::sync::Arc;
use std::time::Duration;

use crate::disk::Disk;

/// A registered file system. Clones share it; it stays registered until the process ends.
#[derive(Clone)]
pub struct TestVfs {
    name: String,
    disk: Arc<Disk>,
}

/// What was asked of the disk so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Syncs of any file.
    pub syncs: u64,
    /// Writes and truncations that reached the disk.
    pub writes: u64,
}

impl TestVfs {
    /// Makes an empty file system and registers it with SQLite. Use a name of your own per test.
    ///
    /// # Panics
    /// When SQLite refuses, or `name` holds a zero byte.
    pub fn register(name: &str) -> Self {
        let disk = Arc::new(Disk::default());
        ffi::register(name, disk.clone());
        Self { name: name.to_owned(), disk }
    }

    /// The name to open databases with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long every later sync takes.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.disk.state().sync_delay = delay;
    }

    /// How many bytes all files together may hold; writes beyond it fail with `SQLITE_FULL`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.state().capacity = bytes;
    }

    /// Bytes all named files hold.
    pub fn used(&self) -> u64 {
        self.disk.state().used()
    }

    /// Lets so many writes pass, then fails every one with an I/O error; `None` mends the disk.
    pub fn fail_after_writes(&self, writes: Option<u64>) {
        self.disk.state().fail_after = writes;
    }

    /// Drops every write that was not synced and breaks all open connections.
    pub fn power_cut(&self) {
        self.disk.state().power_cut();
    }

    /// Cuts the power by itself, in place of the write or sync that comes after so many of them.
    /// `None` takes the plan back; the cut itself takes it back too.
    pub fn power_cut_after(&self, operations: Option<u64>) {
        self.disk.state().cut_after = operations;
    }

    /// How often the power was cut.
    pub fn power_cuts(&self) -> u64 {
        self.disk.state().generation
    }

    /// What was asked so far.
    pub fn counters(&self) -> Counters {
        self.disk.state().counters
    }
}

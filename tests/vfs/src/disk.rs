//! The files, what of them is synced, and everything that can go wrong with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use libsqlite3_sys as sys;

use crate::Counters;
use crate::lock::FileLocks;
use crate::shm::Shm;

/// One file system. A single lock around all of it: tests want order, not speed.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
}

impl Disk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file by its number.
pub(crate) type Inode = u64;

#[derive(Default)]
pub(crate) struct State {
    names: HashMap<String, Inode>,
    inodes: HashMap<Inode, File>,
    next: u64,
    pub(crate) generation: u64,
    pub(crate) counters: Counters,
    pub(crate) sync_delay: Duration,
    pub(crate) capacity: Option<u64>,
    pub(crate) fail_after: Option<u64>,
    pub(crate) cut_after: Option<u64>,
}

#[derive(Default)]
pub(crate) struct File {
    data: Vec<u8>,
    undo: Vec<Undo>,
    pub(crate) locks: FileLocks,
    shm: Weak<Shm>,
}

/// What a write since the last sync replaced.
struct Undo {
    length: usize,
    offset: usize,
    replaced: Vec<u8>,
}

impl State {
    /// A number for a new connection or file.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn find(&self, name: &str) -> Option<Inode> {
        self.names.get(name).copied()
    }

    /// Makes an empty file; without a name nobody else finds it.
    pub(crate) fn create(&mut self, name: Option<&str>) -> Inode {
        let inode = self.number();
        self.inodes.insert(inode, File::default());
        if let Some(name) = name {
            self.names.insert(name.to_owned(), inode);
        }
        inode
    }

    /// Takes a file away; connections that have it open get I/O errors.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let inode = self.names.remove(name);
        inode.is_some_and(|inode| self.inodes.remove(&inode).is_some())
    }

    pub(crate) fn forget(&mut self, inode: Inode) {
        self.inodes.remove(&inode);
    }

    pub(crate) fn file(&mut self, inode: Inode) -> Option<&mut File> {
        self.inodes.get_mut(&inode)
    }

    pub(crate) fn used(&self) -> u64 {
        self.inodes.values().map(|file| file.data.len() as u64).sum()
    }

    /// Stores `bytes`; the SQLite result code.
    pub(crate) fn write(&mut self, inode: Inode, offset: usize, bytes: &[u8]) -> i32 {
        if self.cut_is_due() {
            return sys::SQLITE_IOERR_WRITE;
        }
        match &mut self.fail_after {
            Some(0) => return sys::SQLITE_IOERR_WRITE,
            Some(left) => *left -= 1,
            None => {}
        }
        let used = self.used();
        let Some(file) = self.inodes.get_mut(&inode) else { return sys::SQLITE_IOERR_WRITE };
        let end = offset + bytes.len();
        let growth = end.saturating_sub(file.data.len()) as u64;
        if growth > 0 && self.capacity.is_some_and(|capacity| used + growth > capacity) {
            return sys::SQLITE_FULL;
        }
        file.remember(offset, end);
        if file.data.len() < end {
            file.data.resize(end, 0);
        }
        file.data[offset..end].copy_from_slice(bytes);
        self.counters.writes += 1;
        sys::SQLITE_OK
    }

    pub(crate) fn truncate(&mut self, inode: Inode, length: usize) -> i32 {
        if self.cut_is_due() {
            return sys::SQLITE_IOERR_TRUNCATE;
        }
        let Some(file) = self.inodes.get_mut(&inode) else { return sys::SQLITE_IOERR_TRUNCATE };
        file.remember(length, file.data.len());
        file.data.truncate(length);
        self.counters.writes += 1;
        sys::SQLITE_OK
    }

    pub(crate) fn sync(&mut self, inode: Inode) -> i32 {
        if self.cut_is_due() {
            return sys::SQLITE_IOERR_FSYNC;
        }
        let Some(file) = self.inodes.get_mut(&inode) else { return sys::SQLITE_IOERR_FSYNC };
        file.undo.clear();
        self.counters.syncs += 1;
        sys::SQLITE_OK
    }

    /// Plays back what was not synced. Files get new numbers, so that old connections find nothing.
    pub(crate) fn power_cut(&mut self) {
        self.generation += 1;
        self.cut_after = None;
        let names: Vec<String> = self.names.keys().cloned().collect();
        let mut kept = HashMap::new();
        for name in names {
            let inode = self.number();
            let old = self.names.insert(name, inode);
            if let Some(mut file) = old.and_then(|old| self.inodes.remove(&old)) {
                file.revert();
                kept.insert(inode, File { data: file.data, ..File::default() });
            }
        }
        self.inodes = kept;
    }

    fn cut_is_due(&mut self) -> bool {
        match &mut self.cut_after {
            None => false,
            Some(0) => {
                self.power_cut();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}

impl File {
    pub(crate) fn length(&self) -> usize {
        self.data.len()
    }

    /// Fills `into` from `offset`; false when the file ended first (the rest is zero).
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        let from = self.data.get(offset..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        into[count..].fill(0);
        count == into.len()
    }

    /// The memory shared by those who have this file open.
    pub(crate) fn shm(&mut self) -> Arc<Shm> {
        self.shm.upgrade().unwrap_or_else(|| {
            let shm = Arc::new(Shm::default());
            self.shm = Arc::downgrade(&shm);
            shm
        })
    }

    fn remember(&mut self, offset: usize, end: usize) {
        let length = self.data.len();
        let replaced = self.data.get(offset..end.min(length)).unwrap_or_default().to_vec();
        self.undo.push(Undo { length, offset, replaced });
    }

    fn revert(&mut self) {
        while let Some(undo) = self.undo.pop() {
            self.data.resize(undo.length, 0);
            let end = undo.offset + undo.replaced.len();
            if let Some(place) = self.data.get_mut(undo.offset..end) {
                place.copy_from_slice(&undo.replaced);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_restores_what_was_synced() {
        let mut state = State::default();
        let inode = state.create(Some("a"));
        state.write(inode, 0, b"hello");
        state.sync(inode);
        state.write(inode, 3, b"p me, please");
        state.truncate(inode, 2);
        state.write(inode, 4, b"x");
        state.power_cut();
        assert_eq!(state.write(inode, 0, b"late"), sys::SQLITE_IOERR_WRITE);
        let inode = state.find("a").unwrap();
        assert_eq!(state.file(inode).unwrap().data, b"hello");
    }

    #[test]
    fn a_full_disk_takes_changes_in_place_only() {
        let mut state = State { capacity: Some(4), ..State::default() };
        let inode = state.create(Some("a"));
        assert_eq!(state.write(inode, 0, b"four"), sys::SQLITE_OK);
        assert_eq!(state.write(inode, 2, b"five"), sys::SQLITE_FULL);
        assert_eq!(state.write(inode, 0, b"five"), sys::SQLITE_OK);
    }
}

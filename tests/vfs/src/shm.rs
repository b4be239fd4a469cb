//! The memory that connections of one WAL database share, and its eight locks.
//!
//! It lives as long as somebody has it mapped. The next one to map it finds zeros and recovers from
//! the log, as after the last process left on a real system.

use std::sync::Mutex;

use libsqlite3_sys as sys;

const LOCKS: usize = 8;

/// Shared by every connection that has it mapped.
#[derive(Default)]
pub(crate) struct Shm {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Regions never move or shrink while mapped: SQLite keeps the pointers.
    regions: Vec<Region>,
    /// -1 held by one alone, otherwise how many share it.
    locks: [i32; LOCKS],
}

/// One zeroed region, owned; SQLite's atomics want eight-byte alignment.
struct Region {
    start: *mut u64,
    words: usize,
}

// SAFETY: the pointer is only handed out; SQLite orders its own accesses with locks and barriers.
unsafe impl Send for Region {}

impl Region {
    fn new(bytes: usize) -> Self {
        let words = bytes.div_ceil(8);
        Self { start: Box::into_raw(vec![0_u64; words].into_boxed_slice()).cast(), words }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made by `into_raw` of a boxed slice of this length; nobody has it mapped any more.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.start, self.words)) });
    }
}

/// The locks one connection holds, a bit each.
#[derive(Default, Clone, Copy)]
pub(crate) struct Held {
    shared: u8,
    exclusive: u8,
}

impl Shm {
    /// The address of a region, made when `extend` says so; null when it is not there.
    pub(crate) fn map(&self, region: usize, bytes: usize, extend: bool) -> *mut u64 {
        let mut inner = self.inner();
        while extend && inner.regions.len() <= region {
            inner.regions.push(Region::new(bytes));
        }
        inner.regions.get(region).map_or(std::ptr::null_mut(), |region| region.start)
    }

    /// Takes or gives back `count` locks from `first`; false when another stands in the way.
    pub(crate) fn lock(&self, held: &mut Held, first: usize, count: usize, flags: i32) -> bool {
        let mut inner = self.inner();
        let range = first..first.saturating_add(count).min(LOCKS);
        let exclusive = flags & sys::SQLITE_SHM_EXCLUSIVE != 0;
        if flags & sys::SQLITE_SHM_UNLOCK != 0 {
            range.for_each(|slot| inner.release(held, slot));
            return true;
        }
        if !range.clone().all(|slot| inner.free(*held, slot, exclusive)) {
            return false;
        }
        range.for_each(|slot| inner.take(held, slot, exclusive));
        true
    }

    /// Gives back every lock, before the connection leaves.
    pub(crate) fn release(&self, held: &mut Held) {
        let mut inner = self.inner();
        (0..LOCKS).for_each(|slot| inner.release(held, slot));
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    fn free(&self, held: Held, slot: usize, exclusive: bool) -> bool {
        let bit = 1 << slot;
        match exclusive {
            true => held.exclusive & bit != 0 || self.locks[slot] == 0,
            false => held.shared & bit != 0 || self.locks[slot] >= 0,
        }
    }

    fn take(&mut self, held: &mut Held, slot: usize, exclusive: bool) {
        let bit = 1 << slot;
        if exclusive {
            held.exclusive |= bit;
            self.locks[slot] = -1;
        } else if held.shared & bit == 0 {
            held.shared |= bit;
            self.locks[slot] += 1;
        }
    }

    fn release(&mut self, held: &mut Held, slot: usize) {
        let bit = 1 << slot;
        if held.exclusive & bit != 0 {
            self.locks[slot] = 0;
        } else if held.shared & bit != 0 {
            self.locks[slot] -= 1;
        }
        held.exclusive &= !bit;
        held.shared &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: i32 = sys::SQLITE_SHM_LOCK | sys::SQLITE_SHM_SHARED;
    const TAKE: i32 = sys::SQLITE_SHM_LOCK | sys::SQLITE_SHM_EXCLUSIVE;

    #[test]
    fn one_alone_or_several_together() {
        let shm = Shm::default();
        let (mut ann, mut ben) = (Held::default(), Held::default());
        assert!(shm.lock(&mut ann, 3, 1, SHARE));
        assert!(shm.lock(&mut ben, 3, 1, SHARE));
        assert!(!shm.lock(&mut ben, 0, 8, TAKE), "all or nothing");
        assert!(shm.lock(&mut ann, 0, 1, TAKE), "the failed attempt holds nothing");
        shm.release(&mut ann);
        shm.release(&mut ben);
        assert!(shm.lock(&mut ben, 0, 8, TAKE));
        assert!(!shm.lock(&mut ann, 4, 1, SHARE));
    }
}

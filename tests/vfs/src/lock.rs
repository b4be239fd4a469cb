//! SQLite's five file lock levels, between connections of one process.

use std::collections::HashMap;

use libsqlite3_sys as sys;

/// Which connection holds what; a connection without a lock is not listed.
#[derive(Default)]
pub(crate) struct FileLocks {
    held: HashMap<u64, i32>,
}

impl FileLocks {
    /// Raises the lock of `who`; false when another stands in the way.
    pub(crate) fn lock(&mut self, who: u64, level: i32) -> bool {
        if self.level(who) >= level {
            return true;
        }
        let others = self.highest_but(who);
        match level {
            sys::SQLITE_LOCK_SHARED if others >= sys::SQLITE_LOCK_PENDING => return false,
            sys::SQLITE_LOCK_SHARED => {}
            _ if others >= sys::SQLITE_LOCK_RESERVED => return false,
            sys::SQLITE_LOCK_EXCLUSIVE if others >= sys::SQLITE_LOCK_SHARED => {
                // Pending keeps new readers out, so that a writer is not starved.
                self.held.insert(who, sys::SQLITE_LOCK_PENDING);
                return false;
            }
            _ => {}
        }
        self.held.insert(who, level);
        true
    }

    /// Lowers the lock of `who`.
    pub(crate) fn unlock(&mut self, who: u64, level: i32) {
        if level == sys::SQLITE_LOCK_NONE {
            self.held.remove(&who);
        } else if self.level(who) > level {
            self.held.insert(who, level);
        }
    }

    /// Whether anybody means to write.
    pub(crate) fn reserved(&self) -> bool {
        self.held.values().any(|level| *level >= sys::SQLITE_LOCK_RESERVED)
    }

    fn level(&self, who: u64) -> i32 {
        self.held.get(&who).copied().unwrap_or(sys::SQLITE_LOCK_NONE)
    }

    fn highest_but(&self, who: u64) -> i32 {
        let others = self.held.iter().filter(|(id, _)| **id != who);
        others.map(|(_, level)| *level).max().unwrap_or(sys::SQLITE_LOCK_NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_waits_for_readers_and_keeps_new_ones_out() {
        let mut locks = FileLocks::default();
        assert!(locks.lock(1, sys::SQLITE_LOCK_SHARED));
        assert!(locks.lock(2, sys::SQLITE_LOCK_SHARED));
        assert!(locks.lock(1, sys::SQLITE_LOCK_RESERVED));
        assert!(!locks.lock(2, sys::SQLITE_LOCK_RESERVED));
        assert!(!locks.lock(1, sys::SQLITE_LOCK_EXCLUSIVE));
        assert!(!locks.lock(3, sys::SQLITE_LOCK_SHARED), "pending");
        locks.unlock(2, sys::SQLITE_LOCK_NONE);
        assert!(locks.lock(1, sys::SQLITE_LOCK_EXCLUSIVE));
        locks.unlock(1, sys::SQLITE_LOCK_NONE);
        assert!(!locks.reserved());
    }
}

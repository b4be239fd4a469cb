//! Which addresses the core still has packets of: what follows takes the same way, for the order's
//! sake.
//!
//! A packet on its way to the core may be lost, as when the reader of a closed link is stopped in
//! the middle of handing it over. So what is held ends with a value and not with a call: otherwise
//! the address would take the slow way for ever.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that are held, and how often.
#[derive(Debug, Default)]
pub(super) struct Holds {
    addresses: AtomicUsize,
    counts: Mutex<HashMap<Ipv6Addr, usize>>,
}

/// One packet that the core has not handled yet; dropped when it has, or never will.
#[derive(Debug)]
pub(crate) struct Hold {
    holds: Arc<Holds>,
    address: Ipv6Addr,
}

impl Holds {
    pub(super) fn hold(self: &Arc<Self>, address: Ipv6Addr) -> Hold {
        let mut counts = self.lock();
        *counts.entry(address).or_default() += 1;
        self.addresses.store(counts.len(), Ordering::Release);
        Hold { holds: Arc::clone(self), address }
    }

    pub(super) fn is_held(&self, address: Ipv6Addr) -> bool {
        self.addresses.load(Ordering::Acquire) > 0 && self.lock().contains_key(&address)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ipv6Addr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    pub(crate) fn address(&self) -> Ipv6Addr {
        self.address
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.holds.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
        self.holds.addresses.store(counts.len(), Ordering::Release);
    }
}

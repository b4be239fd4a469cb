//! The ciphers kept ready, one for each node this one speaks with.
//!
//! When there are too many, the one not used for longest goes: its nonces start anew from fresh
//! random bits, and with it goes the memory of which packets of that node were seen. So whoever
//! wants another node's memory gone has to keep it silent first.

use std::collections::HashMap;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use threephone_address::PublicKey;

use crate::identity::SecretKey;
use crate::seal::{ReplayBudget, Sealer};

struct Held {
    /// None for a key that shares no secret.
    sealer: Option<Arc<Sealer>>,
    used: u64,
}

/// All ciphers of a node.
pub(crate) struct Ciphers {
    secret: SecretKey,
    own: PublicKey,
    random: ChaCha20Rng,
    held: HashMap<PublicKey, Held>,
    limit: usize,
    budget: Arc<ReplayBudget>,
    /// Counts uses: what is used later has a higher number.
    uses: u64,
    /// See [`Ciphers::evictions`].
    evictions: u64,
}

impl Ciphers {
    pub(crate) fn new(
        secret: SecretKey,
        random: ChaCha20Rng,
        limit: usize,
        replay_bytes: usize,
    ) -> Self {
        Self {
            own: secret.public_key(),
            secret,
            random,
            held: HashMap::new(),
            limit,
            budget: ReplayBudget::new(replay_bytes),
            uses: 0,
            evictions: 0,
        }
    }

    /// The sealer for a key; none for keys that share no secret. It counts as used.
    pub(crate) fn sealer(&mut self, key: &PublicKey) -> Option<Arc<Sealer>> {
        self.uses += 1;
        if let Some(held) = self.held.get_mut(key) {
            held.used = self.uses;
            return held.sealer.clone();
        }
        // Looking through all costs less than the key agreement that follows.
        if self.held.len() >= self.limit
            && let Some(victim) = self.held.iter().min_by_key(|(_, held)| held.used)
        {
            let victim = *victim.0;
            self.held.remove(&victim);
            self.evictions += 1;
        }
        let mut start = [0; 12];
        self.random.fill_bytes(&mut start);
        let sealer = self.secret.shared_secret(key).and_then(|secret| {
            Sealer::new(&secret, &self.own, key, start, Arc::clone(&self.budget)).map(Arc::new)
        });
        self.held.insert(*key, Held { sealer: sealer.clone(), used: self.uses });
        sealer
    }

    /// Whether this is still the one sealer for a key.
    pub(crate) fn holds(&self, key: &PublicKey, sealer: &Arc<Sealer>) -> bool {
        let held = self.held.get(key).and_then(|held| held.sealer.as_ref());
        held.is_some_and(|held| Arc::ptr_eq(held, sealer))
    }

    /// How many sealers were given up: nobody may go on using those.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_cipher_that_was_not_used_for_longest_makes_room() {
        let random = ChaCha20Rng::seed_from_u64(1);
        let mut ciphers = Ciphers::new(SecretKey::from_bytes([1; 32]), random, 3, 0);
        let key = |name: u8| SecretKey::from_bytes([name; 32]).public_key();
        let first = ciphers.sealer(&key(2)).unwrap();
        ciphers.sealer(&key(3));
        for name in 4..50 {
            ciphers.sealer(&key(name));
            assert!(Arc::ptr_eq(&first, &ciphers.sealer(&key(2)).unwrap()), "it is in use");
            assert!(ciphers.held.len() <= 3);
        }
        assert_eq!(ciphers.evictions(), 45);
    }

    #[test]
    fn a_key_of_low_order_has_no_cipher_and_costs_one_agreement() {
        let random = ChaCha20Rng::seed_from_u64(1);
        let mut ciphers = Ciphers::new(SecretKey::from_bytes([1; 32]), random, 3, 0);
        let key = PublicKey::from_bytes([0; 32]);
        assert!(ciphers.sealer(&key).is_none() && ciphers.held.contains_key(&key));
    }
}

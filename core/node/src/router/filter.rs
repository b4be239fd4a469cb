//! Which Updates may be believed at all (spec 6.3), before any state is looked at.

use super::metric::INFINITE;
use crate::wire::control::Update;
use crate::{Prefix, PublicKey, in_overlay};

/// Length of what a node announces, and the shortest prefix anyone may announce.
pub(super) const SUBNET_LENGTH: u8 = 64;

/// The points of X25519 whose product with any secret is zero, as little-endian hexadecimal of
/// their low 255 bits, the top bit being ignored by everyone: 0, 1, the two of order 8, and p-1, p,
/// p+1. A node "owning" such a key would share a secret that everyone knows.
const LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    with_first(1, 0, 0),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    with_first(0xec, 0xff, 0x7f),
    with_first(0xed, 0xff, 0x7f),
    with_first(0xee, 0xff, 0x7f),
];

const fn with_first(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Whether a prefix is one that nodes announce: inside `400::/7`, a /64 or longer.
pub(super) fn is_announceable(prefix: &Prefix) -> bool {
    in_overlay(prefix.address()) && prefix.length() >= SUBNET_LENGTH
}

/// Whether an Update passes: a finite one must be for a prefix around the address of the key in
/// its router id. Retractions carry the id of whoever retracts, so nothing can be checked there.
pub(super) fn is_acceptable(update: &Update) -> bool {
    if !is_announceable(&update.prefix) {
        return false;
    }
    let key = update.router_id.public_key();
    update.metric == INFINITE || (!is_low_order(&key) && update.prefix.contains(key.address()))
}

/// Whether nothing secret can be shared with this key.
pub(crate) fn is_low_order(key: &PublicKey) -> bool {
    let mut bytes = *key.as_bytes();
    bytes[31] &= 0x7f;
    LOW_ORDER.contains(&bytes)
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;
    use crate::{RouterId, SecretKey};

    #[test]
    fn updates_pass_the_filters_as_in_the_vectors() {
        let vectors = vectors();
        let filters = &vectors["update_filters"];
        let key: PublicKey = filters["router_public_key"].as_str().unwrap().parse().unwrap();
        let cases = filters["cases"].as_array().unwrap();
        assert!(cases.len() >= 11);
        for case in cases {
            let update = Update {
                interval: 30_000,
                seqno: 0,
                metric: u16::try_from(case["metric"].as_u64().unwrap()).unwrap(),
                prefix: case["prefix"].as_str().unwrap().parse().unwrap(),
                router_id: RouterId::new(key, [0; 6]),
            };
            assert_eq!(is_acceptable(&update), case["accepted"].as_bool().unwrap(), "{case}");
        }
    }

    #[test]
    fn every_key_of_the_list_shares_no_secret_and_is_refused() {
        let secret = SecretKey::from_bytes([7; 32]);
        for mut bytes in LOW_ORDER {
            for top in [0, 0x80] {
                bytes[31] |= top;
                let key = PublicKey::from_bytes(bytes);
                assert!(secret.shared_secret(&key).is_none(), "{bytes:?}");
                assert!(is_low_order(&key));
                let update = Update {
                    interval: 30_000,
                    seqno: 0,
                    metric: 0,
                    prefix: Prefix::subnet_of(key.address()),
                    router_id: RouterId::new(key, [0; 6]),
                };
                assert!(!is_acceptable(&update));
            }
        }
        assert!(!is_low_order(&secret.public_key()));
    }
}

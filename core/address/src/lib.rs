//! What an overlay address is: the node key it is derived from, and the ways people write either.
//!
//! The network's rule (an IPv6 address inside `400::/7` is the BLAKE3 hash of an X25519 public key)
//! is needed by the node and by every service, so it lives below all of them and depends on none.
//! This crate does no I/O and holds no secrets.

mod key;
mod target;

pub use key::{KeyError, PublicKey, in_overlay, same_subnet, subnet};
pub use target::{ADDRESS_FORMS, AddressError, MAIL_ADDRESS_FORMS, MailTarget, Target};

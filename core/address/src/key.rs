//! The public half of a node key and the address derived from it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// An X25519 public key: who a node is.
///
/// Its text form is 64 lower-case hexadecimal digits; either case is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of RFC 7748 as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 7748.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The overlay address: the first 16 bytes of the key's BLAKE3 hash, with the first byte
    /// replaced by 4 plus the parity of its bits.
    pub fn address(&self) -> Ipv6Addr {
        let hash = blake3::hash(&self.0);
        let mut octets = [0u8; 16];
        for (octet, byte) in octets.iter_mut().zip(hash.as_bytes()) {
            *octet = *byte;
        }
        octets[0] = 0x04 | u8::from(octets[0].count_ones() % 2 == 1);
        Ipv6Addr::from(octets)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits")]
pub struct KeyError;

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| KeyError)?;
        Ok(Self(bytes.try_into().map_err(|_| KeyError)?))
    }
}

/// Whether the address lies in the overlay's range `400::/7`.
pub fn in_overlay(address: Ipv6Addr) -> bool {
    address.octets()[0] & 0xfe == 0x04
}

/// The network address of the /64 that holds `address`: what a node announces.
pub fn subnet(address: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, d, ..] = address.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

/// Whether both addresses lie in one /64, that is, belong to one node.
pub fn same_subnet(a: Ipv6Addr, b: Ipv6Addr) -> bool {
    subnet(a) == subnet(b)
}

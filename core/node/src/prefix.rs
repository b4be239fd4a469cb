//! IPv6 prefixes, compared by network part only (spec section 0).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `address/length`, with the host bits cleared, so that equal prefixes are equal values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    // Two halves instead of a u128, whose alignment would make this a third larger.
    high: u64,
    low: u64,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that contains `address`; none for a length above 128.
    pub fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        (length <= 128).then(|| Self::masked(address, length))
    }

    /// The /64 that contains `address`: what a node announces and what is looked up.
    pub fn subnet_of(address: Ipv6Addr) -> Self {
        Self::masked(address, 64)
    }

    /// The network address.
    pub fn address(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.bits())
    }

    /// The length in bits, 0 to 128.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask(self.length) == self.bits()
    }

    /// Whether all of `other` lies inside.
    pub fn covers(&self, other: &Prefix) -> bool {
        self.length <= other.length && self.contains(other.address())
    }

    fn masked(address: Ipv6Addr, length: u8) -> Self {
        let bits = address.to_bits() & mask(length);
        Self { high: (bits >> 64) as u64, low: bits as u64, length }
    }

    fn bits(&self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not an IPv6 prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an IPv6 prefix is written address/length, with a length of 0 to 128")]
pub struct PrefixError;

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = text.split_once('/').ok_or(PrefixError)?;
        let address = address.parse().map_err(|_| PrefixError)?;
        Self::new(address, length.parse().map_err(|_| PrefixError)?).ok_or(PrefixError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_do_not_count() {
        assert_eq!(prefix("400::1/64"), prefix("400::2/64"));
        assert_ne!(prefix("400::/64"), prefix("400::/65"));
    }

    #[test]
    fn lengths_end_at_128() {
        assert!("400::/128".parse::<Prefix>().is_ok());
        for text in ["400::/129", "400::/-1", "400::", "/64", "1.2.3.4/24", "400::/64/64"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError), "{text}");
        }
    }

    #[test]
    fn the_empty_prefix_covers_everything() {
        assert!(prefix("::/0").covers(&prefix("5ff::/128")));
        assert!(!prefix("5ff::/128").covers(&prefix("::/0")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_prefix_contains_its_address_and_reads_as_it_is_written(
            bits: u128, length in 0u8..=128,
        ) {
            let found = Prefix::new(Ipv6Addr::from_bits(bits), length).unwrap();
            prop_assert!(found.contains(Ipv6Addr::from_bits(bits)));
            prop_assert!(found.contains(found.address()));
            prop_assert_eq!(found.to_string().parse(), Ok(found));
            if length > 0 {
                let flipped = bits ^ (1 << (128 - u32::from(length)));
                prop_assert!(!found.contains(Ipv6Addr::from_bits(flipped)));
            }
        }
    }
}

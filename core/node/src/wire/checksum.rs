//! The Internet checksum (RFC 1071) as ICMPv6, TCP and UDP over IPv6 use it.
//!
//! The sum of 16-bit words is the same in either byte order, except that its bytes are swapped with
//! those of the words. So words are added as this machine reads them, four bytes at a time, and only
//! the result knows an order.

use std::net::Ipv6Addr;

/// A sum to which parts are added. Every part but the last must have an even length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Over the pseudo header of a packet whose upper part has `length` bytes.
    pub(crate) fn pseudo(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        length: usize,
        next_header: u8,
    ) -> Self {
        let length = (length as u64 as u32).to_be_bytes();
        Self::default()
            .with(&source.octets())
            .with(&destination.octets())
            .with(&length)
            .with(&[0, next_header])
    }

    /// With these bytes added.
    pub(crate) fn with(self, bytes: &[u8]) -> Self {
        // Room for 2^32 words before it could wrap; no packet has that many.
        let Self(mut sum) = self;
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        let mut last = [0; 4];
        for (byte, rest) in last.iter_mut().zip(rest) {
            *byte = *rest;
        }
        Self(sum.wrapping_add(u64::from(u32::from_ne_bytes(last))))
    }

    /// The sum in 16 bits, as bytes on the wire: what stands in a packet whose checksum is left to
    /// be completed.
    pub(crate) fn folded(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff).wrapping_add(sum >> 16);
        }
        (sum as u16).to_ne_bytes()
    }

    /// The checksum: what makes everything add up.
    pub(crate) fn checksum(self) -> [u8; 2] {
        let [high, low] = self.folded();
        [!high, !low]
    }

    /// Whether what was added holds its right checksum.
    pub(crate) fn is_right(self) -> bool {
        self.folded() == [0xff, 0xff]
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 1071 says it, word by word.
    fn slow(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_fast_sum_is_the_slow_one(
            bytes in prop::collection::vec(any::<u8>(), 0..2000), cut: prop::sample::Index,
        ) {
            let (one, other) = bytes.split_at(cut.index(bytes.len() + 1) / 2 * 2);
            prop_assert_eq!(Sum::default().with(one).with(other).checksum(), slow(&bytes));
        }
    }
}

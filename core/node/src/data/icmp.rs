//! Out-of-band ICMP (spec 7.6): how a node on the way tells a source that its packet went nowhere.
//!
//! Reports are made with a limit on their rate, because whoever sends packets chooses the address
//! they seem to come from. What a received report quotes must be an IP packet that this node sealed;
//! then it goes to the TUN in the form that the system knows.

use std::net::Ipv6Addr;

use bytes::{BufMut, BytesMut};

use crate::wire::checksum::Sum;
use crate::wire::{take, take_u8, take_u16};

/// The longest sealed payload that is quoted.
const QUOTE: usize = 1232;
/// Original destination, IPv6 header, ICMPv6 header.
const HEADER: usize = 64;
const NEXT_HEADER_ICMP: u8 = 58;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// The hop limit ran out.
    HopLimitExceeded,
    /// A node is known but cannot be reached.
    NoRoute,
}

impl IcmpError {
    /// ICMPv6 type and code.
    pub(super) fn code(self) -> (u8, u8) {
        match self {
            Self::HopLimitExceeded => (3, 0),
            Self::NoRoute => (1, 0),
        }
    }
}

/// A report that passed all checks but that of what it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report<'a> {
    pub(super) error: IcmpError,
    pub(super) original_destination: Ipv6Addr,
    /// The sealed payload of the packet it is about.
    pub(super) quote: &'a [u8],
}

/// Appends a report about a packet that came from `source`.
pub(super) fn build(
    error: IcmpError,
    reporter: Ipv6Addr,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    sealed: &[u8],
    out: &mut BytesMut,
) {
    let quote = if sealed.len() > QUOTE { &[][..] } else { sealed };
    let (kind, code) = error.code();
    let length = 8 + quote.len();
    let sum = Sum::pseudo(reporter, source, length, NEXT_HEADER_ICMP).with(&[kind, code]);
    let sum = sum.with(quote).checksum();
    out.put_slice(&destination.octets());
    out.put_u32(6 << 28);
    out.put_u16(length as u16); // at most 8 + 1232
    out.put_slice(&[NEXT_HEADER_ICMP, 64]);
    out.put_slice(&reporter.octets());
    out.put_slice(&source.octets());
    out.put_slice(&[kind, code]);
    out.put_slice(&sum);
    out.put_u32(0);
    out.put_slice(quote);
}

/// Reads a report that `reporter` sent to `destination`; none when anything about it is wrong.
pub(super) fn parse(body: &[u8], reporter: Ipv6Addr, destination: Ipv6Addr) -> Option<Report<'_>> {
    if body.len() < HEADER || body.len() > HEADER + QUOTE {
        return None;
    }
    let mut rest = body;
    let original_destination = Ipv6Addr::from(*take::<16>(&mut rest)?);
    let [version, ..] = take::<4>(&mut rest)?;
    let length = usize::from(take_u16(&mut rest)?);
    let next_header = take_u8(&mut rest)?;
    let _hop_limit = take_u8(&mut rest)?;
    let source = Ipv6Addr::from(*take::<16>(&mut rest)?);
    let inner_destination = Ipv6Addr::from(*take::<16>(&mut rest)?);
    let honest = version >> 4 == 6
        && length == rest.len()
        && next_header == NEXT_HEADER_ICMP
        && crate::same_subnet(source, reporter)
        && inner_destination == destination
        && Sum::pseudo(source, destination, rest.len(), NEXT_HEADER_ICMP).with(rest).is_right();
    let error = match take::<8>(&mut rest)? {
        [3, 0, ..] => IcmpError::HopLimitExceeded,
        [1, 0, ..] => IcmpError::NoRoute,
        _ => return None,
    };
    honest.then_some(Report { error, original_destination, quote: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plaintext of the published example, after the user header.
    const EXAMPLE: &str = "052d0dc0ab0c851a6e34e79d1f3f15d36000000000663a40052d0dc0ab0c851a0000000000000000\
        0520c662fd009e925d9934ed0ab882ab0300874a000000003fdeb4608523804a76597e498a0b425cba5df8b02a94df34\
        d1e7d5ce310f6f2fc7bc80057ee83a24a5158dec9970ff665700c5666a280f0f32490ed9bb94431955df3900d48d0ae7\
        46a1ad857b34e3536a3c000102030405060708090a0b";

    fn example() -> (Vec<u8>, Ipv6Addr, Ipv6Addr, Ipv6Addr) {
        (
            data_encoding::HEXLOWER.decode(EXAMPLE.as_bytes()).unwrap(),
            "52d:dc0:ab0c:851a::".parse().unwrap(),
            "520:c662:fd00:9e92:5d99:34ed:ab8:82ab".parse().unwrap(),
            "52d:dc0:ab0c:851a:6e34:e79d:1f3f:15d3".parse().unwrap(),
        )
    }

    #[test]
    fn the_published_report_is_built_and_read() {
        let (body, reporter, source, destination) = example();
        let mut built = BytesMut::new();
        let quote = &body[HEADER..];
        build(IcmpError::HopLimitExceeded, reporter, (source, destination), quote, &mut built);
        assert_eq!(built, body);
        let report = parse(&body, reporter, source).unwrap();
        assert_eq!(report.error, IcmpError::HopLimitExceeded);
        assert_eq!(report.original_destination, destination);
        assert_eq!(report.quote, quote);
    }

    #[test]
    fn a_changed_report_is_refused_whatever_was_changed() {
        let (body, reporter, source, _) = example();
        for position in 16..body.len() {
            let mut changed = body.clone();
            changed[position] ^= 0x11;
            let fields_unchecked = 17..20; // traffic class and flow label
            let hop_limit = 23;
            if !fields_unchecked.contains(&position) && position != hop_limit {
                assert_eq!(parse(&changed, reporter, source), None, "byte {position}");
            }
        }
        for length in 0..body.len() {
            assert_eq!(parse(&body[..length], reporter, source), None);
        }
        assert_eq!(parse(&vec![0; HEADER + QUOTE + 1], reporter, source), None);
    }
}

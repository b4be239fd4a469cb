//! What an opened IP packet must say of itself before anything may believe it.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::net::Ipv6Addr;

use super::Cause;

const L3_HEADER: usize = 40;

/// The check an inner IP packet must pass (spec 7.4): it is one, and says of its ends what the
/// outer header says.
pub(crate) fn check_ip(body: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<(), Cause> {
    let (header, rest) = body.split_first_chunk::<L3_HEADER>().ok_or(Cause::Malformed)?;
    let [version, _, _, _, high, low, _, _, ends @ ..] = header;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if version >> 4 != 6 || length != rest.len() {
        return Err(Cause::Malformed);
    }
    let (inner_source, inner_destination) = ends.split_at(16);
    if inner_source == source.octets() && inner_destination == destination.octets() {
        Ok(())
    } else {
        Err(Cause::Spoofed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Ipv6Addr = Ipv6Addr::new(0x400, 1, 1, 1, 0, 0, 0, 1);
    const BEN: Ipv6Addr = Ipv6Addr::new(0x400, 2, 2, 2, 0, 0, 0, 2);

    fn packet(version: u8, length: u16, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut packet = vec![version << 4, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([17, 64]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend([7; 8]);
        packet
    }

    #[test]
    fn an_ip_packet_must_be_whole_and_name_the_ends_of_the_packet_it_came_in() {
        assert_eq!(check_ip(&packet(6, 8, ANN, BEN), ANN, BEN), Ok(()));
        let outside: Ipv6Addr = "2001:db8::1".parse().unwrap();
        for (what, bytes) in [
            ("version 4", packet(4, 8, ANN, BEN)),
            ("a length too short", packet(6, 7, ANN, BEN)),
            ("a length too long", packet(6, 9, ANN, BEN)),
            ("another source", packet(6, 8, BEN, BEN)),
            ("a source outside the overlay", packet(6, 8, outside, BEN)),
            ("another destination", packet(6, 8, ANN, ANN)),
        ] {
            assert!(check_ip(&bytes, ANN, BEN).is_err(), "{what}");
        }
        let whole = packet(6, 8, ANN, BEN);
        for length in 0..whole.len() {
            assert!(check_ip(&whole[..length], ANN, BEN).is_err(), "cut to {length}");
        }
    }
}

//! What stands before each packet of Apple's utun, read or written: the address family, four bytes,
//! big-endian. Pure, so that it is tested where no such device is.

/// AF_INET6, as those systems number it: all that a node sends and takes.
pub(super) const BEFORE: [u8; 4] = [0, 0, 0, 30];

/// The IPv6 packet behind the family; none for other families, and for what is too short.
pub(super) fn strip(bytes: &mut [u8]) -> Option<&mut [u8]> {
    let (family, packet) = bytes.split_first_chunk_mut::<{ BEFORE.len() }>()?;
    (*family == BEFORE).then_some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_stands_behind_its_family_and_other_families_are_not_taken() {
        let stripped = |bytes: &[u8]| strip(&mut bytes.to_vec()).map(|packet| packet.to_vec());
        let packet = [0x60, 0, 0, 0, 0, 0, 59, 64];
        assert_eq!(stripped(&[&BEFORE[..], &packet].concat()), Some(packet.to_vec()));
        assert_eq!(stripped(&BEFORE), Some(vec![]));
        // IPv4, the same number the other way round, and what is cut.
        assert_eq!(stripped(&[0, 0, 0, 2, 0x45]), None);
        assert_eq!(stripped(&[30, 0, 0, 0, 0x60]), None);
        for length in 0..BEFORE.len() {
            assert_eq!(stripped(&BEFORE[..length]), None);
        }
    }
}

//! What may leave this host: the checks of packets read from the TUN (spec 7.7), and the ICMPv6
//! errors and answers that this node makes itself.

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::checksum::Sum;
use crate::{Prefix, in_overlay};

const IP_HEADER: usize = 40;
const ICMP: u8 = 58;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// So that an error fits where nothing larger than 1280 bytes does.
const QUOTE: usize = 1232;
const HOP_LIMIT: u8 = 64;

/// What an IP packet says of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
}

/// Why a packet may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody is told: it makes no sense, or its source could not be told.
    Silent,
    /// Its destination is in the own /64, where nobody else is.
    OwnSubnet,
    /// Its source is outside the overlay.
    Source,
    /// Its destination is outside the overlay, or no route leads there.
    NoRoute,
    /// It is longer than this many bytes.
    TooBig(u16),
    /// Its hop limit ran out here.
    HopLimit,
}

impl Refusal {
    /// ICMPv6 type, code, and the four bytes after the checksum.
    fn icmp(self) -> Option<(u8, u8, u32)> {
        match self {
            Self::Silent => None,
            Self::OwnSubnet => Some((1, 3, 0)),
            Self::Source => Some((1, 5, 0)),
            Self::NoRoute => Some((1, 0, 0)),
            Self::TooBig(mtu) => Some((2, 0, u32::from(mtu))),
            Self::HopLimit => Some((3, 0, 0)),
        }
    }
}

/// Checks a packet from the TUN. `longest` is that of the packets it stands for.
pub(crate) fn check(
    packet: &[u8],
    longest: usize,
    subnet: Prefix,
    mtu: u16,
) -> Result<Ends, Refusal> {
    let ends = ends(packet).ok_or(Refusal::Silent)?;
    let Ends { source, destination, hop_limit } = ends;
    // What is for all neighbours is for nobody here, and RFC 4443 forbids errors about it.
    if source.is_unspecified() || source.is_multicast() || destination.is_multicast() {
        return Err(Refusal::Silent);
    }
    if subnet.contains(destination) {
        return Err(Refusal::OwnSubnet);
    }
    if !in_overlay(source) {
        return Err(Refusal::Source);
    }
    if !subnet.contains(source) {
        return Err(Refusal::Silent); // nobody could open it
    }
    if !in_overlay(destination) {
        return Err(Refusal::NoRoute);
    }
    if longest > usize::from(mtu) {
        return Err(Refusal::TooBig(mtu));
    }
    if hop_limit < 2 {
        return Err(Refusal::HopLimit);
    }
    Ok(ends)
}

fn ends(packet: &[u8]) -> Option<Ends> {
    let header = packet.first_chunk::<IP_HEADER>()?;
    let [version, _, _, _, _, _, _, hop_limit, ends @ ..] = header;
    let source = Ipv6Addr::from(*ends.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*ends.last_chunk::<16>()?);
    (version >> 4 == 6).then_some(Ends { source, destination, hop_limit: *hop_limit })
}

/// The error that tells the source of `packet` why it was refused. None for what is told to nobody,
/// and none about another error: two hosts must not be able to keep each other busy.
pub(crate) fn refuse(packet: &[u8], refusal: Refusal, own: Ipv6Addr) -> Option<Bytes> {
    let (kind, code, word) = refusal.icmp()?;
    let ends = ends(packet)?;
    if is_icmp_error(packet) {
        return None;
    }
    Some(error((kind, code, word), (own, ends.source), HOP_LIMIT, packet))
}

/// Whether a packet is an ICMPv6 error, or so short that it may be one.
pub(crate) fn is_icmp_error(packet: &[u8]) -> bool {
    packet.get(6) == Some(&ICMP) && packet.get(IP_HEADER).is_none_or(|kind| *kind < ECHO_REQUEST)
}

/// An ICMPv6 error that quotes the start of `packet`.
pub(crate) fn error(
    (kind, code, word): (u8, u8, u32),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    packet: &[u8],
) -> Bytes {
    let quote = packet.get(..QUOTE).unwrap_or(packet);
    let mut body = BytesMut::with_capacity(8 + quote.len());
    body.put_slice(&[kind, code, 0, 0]);
    body.put_u32(word);
    body.put_slice(quote);
    icmp((source, destination), hop_limit, body)
}

/// The answer to a ping of `own`; none when the packet is something else.
pub(crate) fn answer_echo(packet: &[u8], own: Ipv6Addr) -> Option<Bytes> {
    let ends = ends(packet)?;
    let message = packet.get(IP_HEADER..)?;
    let is_ping = packet.get(6) == Some(&ICMP)
        && message.len() >= 8
        && message.first_chunk() == Some(&[ECHO_REQUEST, 0])
        && ends.destination == own;
    let sum = Sum::pseudo(ends.source, ends.destination, message.len(), ICMP);
    if !is_ping || !sum.with(message).is_right() {
        return None;
    }
    let mut body = BytesMut::with_capacity(message.len());
    body.put_slice(&[ECHO_REPLY, 0, 0, 0]);
    body.put_slice(message.get(4..)?);
    Some(icmp((ends.destination, ends.source), HOP_LIMIT, body))
}

/// A whole packet around an ICMPv6 message without checksum.
fn icmp(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    mut message: BytesMut,
) -> Bytes {
    let sum = Sum::pseudo(source, destination, message.len(), ICMP).with(&message).checksum();
    for (place, byte) in message.iter_mut().skip(2).zip(sum) {
        *place = byte;
    }
    let mut packet = BytesMut::with_capacity(IP_HEADER + message.len());
    packet.put_u32(6 << 28);
    packet.put_u16(message.len() as u16); // an error, or cut from a packet with such a field
    packet.put_slice(&[ICMP, hop_limit]);
    packet.put_slice(&source.octets());
    packet.put_slice(&destination.octets());
    packet.put_slice(&message);
    packet.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv6Addr = Ipv6Addr::new(0x400, 1, 1, 1, 0, 0, 0, 1);
    const BEN: Ipv6Addr = Ipv6Addr::new(0x400, 2, 2, 2, 0, 0, 0, 2);

    fn packet(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend([ICMP, hop_limit]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(body);
        packet
    }

    fn checked(source: &str, destination: &str, hop_limit: u8) -> Result<Ends, Refusal> {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let packet = packet(source, destination, hop_limit, &[ECHO_REQUEST]);
        check(&packet, packet.len(), Prefix::subnet_of(OWN), 1400)
    }

    #[test]
    fn only_what_others_can_open_and_what_has_a_place_to_go_leaves() {
        let own = "400:1:1:1::1";
        assert!(checked(own, "500::1", 2).is_ok());
        for (source, destination, hop_limit, refusal) in [
            (own, "400:1:1:1::2", 64, Refusal::OwnSubnet),
            ("fe80::1", "500::1", 64, Refusal::Source),
            ("400:1:1:2::1", "500::1", 64, Refusal::Silent),
            (own, "2001:db8::1", 64, Refusal::NoRoute),
            (own, "600::1", 64, Refusal::NoRoute),
            (own, "ff02::1", 64, Refusal::Silent),
            ("::", "ff02::16", 64, Refusal::Silent),
            (own, "500::1", 1, Refusal::HopLimit),
        ] {
            assert_eq!(checked(source, destination, hop_limit), Err(refusal), "{destination}");
        }
        let long = packet(OWN, BEN, 64, &[ECHO_REQUEST]);
        let subnet = Prefix::subnet_of(OWN);
        assert_eq!(check(&long, 1401, subnet, 1400), Err(Refusal::TooBig(1400)));
        assert_eq!(check(&long[..39], 39, subnet, 1400), Err(Refusal::Silent));
        assert_eq!(check(&[0x45; 40], 40, subnet, 1400), Err(Refusal::Silent), "IPv4");
    }

    #[test]
    fn an_error_quotes_the_packet_and_no_error_answers_an_error() {
        let long = packet(OWN, BEN, 64, &[ECHO_REQUEST; 1400]);
        let error = refuse(&long, Refusal::TooBig(1400), OWN).unwrap();
        assert_eq!(error[IP_HEADER..IP_HEADER + 2], [2, 0]);
        assert_eq!(error[IP_HEADER + 4..IP_HEADER + 8], 1400_u32.to_be_bytes());
        assert_eq!(error[IP_HEADER + 8..], long[..QUOTE]);
        assert_eq!(error.len(), 1280);
        let sum = Sum::pseudo(OWN, OWN, error.len() - IP_HEADER, ICMP);
        assert!(sum.with(&error[IP_HEADER..]).is_right());
        assert_eq!(refuse(&error, Refusal::NoRoute, OWN), None);
        assert_eq!(refuse(&packet(OWN, BEN, 64, &[]), Refusal::NoRoute, OWN), None);
        assert_eq!(refuse(&long, Refusal::Silent, OWN), None);
    }

    #[test]
    fn a_ping_of_the_own_address_is_answered_and_nothing_else() {
        let mut ping = vec![ECHO_REQUEST, 0, 0, 0, 1, 2, 3, 4, 5];
        let sum = Sum::pseudo(BEN, OWN, ping.len(), ICMP).with(&ping).checksum();
        ping[2..4].copy_from_slice(&sum);
        let answer = answer_echo(&packet(BEN, OWN, 60, &ping), OWN).unwrap();
        assert_eq!(ends(&answer).unwrap(), Ends { source: OWN, destination: BEN, hop_limit: 64 });
        assert_eq!(answer[IP_HEADER], ECHO_REPLY);
        assert_eq!(answer[IP_HEADER + 4..], [1, 2, 3, 4, 5]);
        let other: Ipv6Addr = "400:1:1:1::9".parse().unwrap();
        assert_eq!(answer_echo(&packet(BEN, OWN, 60, &ping), other), None);
        ping[8] ^= 1;
        assert_eq!(answer_echo(&packet(BEN, OWN, 60, &ping), OWN), None, "a wrong checksum");
        ping[0] = ECHO_REPLY;
        assert_eq!(answer_echo(&packet(BEN, OWN, 60, &ping), OWN), None);
    }
}

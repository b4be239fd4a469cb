//! Somebody with a key of their own, who seals and writes whatever they like.
#![allow(dead_code)] // each test file uses a part

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes, BytesMut};
use threephone_node::seal::{ReplayBudget, Sealer};
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{Prefix, PublicKey, RouterId, SecretKey};

pub(crate) const L3: u8 = 0;
pub(crate) const MESSAGE: u8 = 1;
pub(crate) const ICMP: u8 = 2;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const UDP: u8 = 17;

/// One end of the key that a stranger shares with the victim.
pub(crate) struct Stranger {
    pub(crate) key: PublicKey,
    pub(crate) address: Ipv6Addr,
    pub(crate) sealer: Sealer,
    victim: Ipv6Addr,
}

impl Stranger {
    pub(crate) fn new(name: u8, victim: PublicKey) -> Self {
        let secret = SecretKey::from_bytes([name; 32]);
        let key = secret.public_key();
        let shared = secret.shared_secret(&victim).unwrap();
        let sealer = Sealer::new(&shared, &key, &victim, [name; 12], ReplayBudget::new(1 << 20));
        Self { key, address: key.address(), sealer: sealer.unwrap(), victim: victim.address() }
    }

    /// What makes the victim know the stranger's key and the way there.
    pub(crate) fn announcement(&self) -> Update {
        Update {
            interval: 30_000,
            seqno: 0,
            metric: 0,
            prefix: Prefix::subnet_of(self.address),
            router_id: RouterId::new(self.key, [0; 6]),
        }
    }

    /// A packet for the victim, properly sealed.
    pub(crate) fn sealed(&self, kind: u8, body: &[u8]) -> DataPacket {
        let mut payload = BytesMut::from(&[1, kind, 0, 0][..]);
        payload.put_slice(body);
        assert!(self.sealer.seal(&mut payload, 0));
        let payload = payload.freeze();
        DataPacket { hop_limit: 64, source: self.address, destination: self.victim, payload }
    }

    /// A ping of the victim.
    pub(crate) fn ping(&self, number: u16) -> DataPacket {
        self.sealed(L3, &ping(self.address, self.victim, number))
    }
}

/// An IPv6 packet.
pub(crate) fn ip(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.put_u16(body.len() as u16);
    packet.extend([protocol, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(body);
    packet
}

/// An ICMPv6 echo request.
pub(crate) fn ping(source: Ipv6Addr, destination: Ipv6Addr, number: u16) -> Vec<u8> {
    let mut echo = vec![128, 0, 0, 0, 0, 1];
    echo.put_u16(number);
    let sum = checksum(source, destination, ICMPV6, &echo);
    echo[2..4].copy_from_slice(&sum);
    ip(source, destination, ICMPV6, &echo)
}

/// The internet checksum of an upper packet with its pseudo header; zero when it holds one already
/// and that is right.
pub(crate) fn checksum(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    body: &[u8],
) -> [u8; 2] {
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.put_u32(body.len() as u32);
    bytes.put_u32(protocol.into());
    bytes.extend(body);
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = bytes.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
}

/// Bytes for the wire.
pub(crate) fn encoded(packet: &DataPacket) -> Bytes {
    let mut bytes = BytesMut::new();
    assert!(packet.encode(&mut bytes));
    bytes.freeze()
}

pub(crate) fn encoded_tlv(tlv: Tlv) -> Bytes {
    let mut bytes = BytesMut::new();
    tlv.encode(&mut bytes);
    bytes.freeze()
}

/// The data packet that these bytes are.
pub(crate) fn decoded(bytes: &[u8]) -> DataPacket {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    let Ok(Some(Packet::Data(packet))) = decoder.next() else { panic!("no data packet") };
    packet
}

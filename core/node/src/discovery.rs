//! Peers on the same local network, by beacon (spec 3.4): what goes into one, what is believed of one.
//!
//! Pure: datagrams, interfaces and time in, endpoints to try out. The sockets are in
//! `driver/discovery`, and how many of those endpoints become peers the peer table decides. Beacons
//! are signed by nobody, so they are heard at a bounded rate and told on at a smaller one.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use crate::RouterId;

/// Where beacons go.
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xcafe);
/// The port of everybody's beacons, at both ends.
pub const PORT: u16 = 9650;
/// How often they go out. They may be early or late to go with whatever else is done.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// Bytes of a beacon.
pub const BEACON_BYTES: usize = 50;

const MAGIC: &[u8; 8] = b"mycelium";
/// Endpoints remembered, so that a beacon that says nothing new stops here.
const REMEMBERED: usize = 64;
/// A beacon's sender is told again after this: less than the interval, or every second is lost.
const TOLD_FOR: Duration = Duration::from_secs(45);
/// New endpoints told at once, and then one every so often. A household fits.
const BURST: u32 = 16;
const ONE_IN: Duration = Duration::from_secs(5);

/// What a node says of itself on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beacon {
    /// Where it takes TCP links.
    pub port: u16,
    /// Who it is, for recognising the own beacon.
    pub router_id: RouterId,
}

impl Beacon {
    /// As sent.
    pub fn encode(&self) -> [u8; BEACON_BYTES] {
        let mut bytes = [0; BEACON_BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        let (port, router_id) = rest.split_at_mut(2);
        port.copy_from_slice(&self.port.to_be_bytes());
        router_id.copy_from_slice(self.router_id.as_bytes());
        bytes
    }

    /// Reads a datagram; none when it is no beacon or names no port.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let datagram: &[u8; BEACON_BYTES] = datagram.try_into().ok()?;
        let rest = datagram.strip_prefix(MAGIC)?;
        let (port, router_id) = rest.split_first_chunk()?;
        let port = u16::from_be_bytes(*port);
        let router_id = RouterId::from_bytes(router_id.try_into().ok()?);
        (port != 0).then_some(Self { port, router_id })
    }
}

/// A node that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Where it takes TCP links; the scope is the interface over which it was heard.
    pub address: SocketAddrV6,
    /// Whether its router id is larger than the own one. Of two nodes that hear each other the one
    /// with the smaller id dials first.
    pub is_larger: bool,
}

/// Listens for beacons of others.
#[derive(Debug)]
pub struct Hearing {
    own: RouterId,
    told: VecDeque<(SocketAddrV6, Instant)>,
    left: u32,
    filled: Instant,
}

impl Hearing {
    /// `own` is the router id in the own beacon.
    pub fn new(own: RouterId, now: Instant) -> Self {
        Self { own, told: VecDeque::new(), left: BURST, filled: now }
    }

    /// A datagram came from `from`. None when it is not believed, or says nothing new.
    pub fn hear(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) -> Option<Heard> {
        let SocketAddr::V6(from) = from else { return None };
        if !is_link_local(from.ip()) {
            return None;
        }
        let beacon = Beacon::decode(datagram)?;
        if beacon.router_id == self.own {
            return None;
        }
        let address = SocketAddrV6::new(*from.ip(), beacon.port, 0, from.scope_id());
        self.told.retain(|(_, at)| now < *at + TOLD_FOR);
        if self.told.iter().any(|(told, _)| *told == address) || !self.take(now) {
            return None;
        }
        if self.told.len() >= REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back((address, now));
        let is_larger = beacon.router_id.as_bytes() > self.own.as_bytes();
        Some(Heard { address, is_larger })
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.left >= BURST {
            self.filled = now;
        }
        while self.left < BURST && now >= self.filled + ONE_IN {
            self.left += 1;
            self.filled += ONE_IN;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// An interface of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// What it is called.
    pub name: String,
    /// It is up.
    pub is_up: bool,
    /// It can multicast.
    pub is_multicast: bool,
    /// It leads to this machine only.
    pub is_loopback: bool,
    /// It has one other end.
    pub is_point_to_point: bool,
    /// A program is its other end.
    pub is_tun: bool,
    /// Its number, where it has an address in `fe80::/64`.
    pub link_local: Option<u32>,
}

/// The numbers of the interfaces on which beacons are sent and heard.
pub fn fitting(interfaces: &[Interface]) -> Vec<u32> {
    let fits = |interface: &&Interface| {
        let Interface { is_up, is_multicast, is_loopback, is_point_to_point, is_tun, .. } =
            interface;
        *is_up && *is_multicast && !is_loopback && !is_point_to_point && !is_tun
    };
    interfaces.iter().filter(fits).filter_map(|interface| interface.link_local).collect()
}

/// Whether an address is in `fe80::/64`.
pub fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments().starts_with(&[0xfe80, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    /// Node B's beacon of the specification's appendix A.6.
    fn vector() -> Vec<u8> {
        let text = include_str!("../../../fixtures/wire/discovery-beacon.hex");
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
    }

    fn router_id(name: u8) -> RouterId {
        RouterId::new(SecretKey::from_bytes([name; 32]).public_key(), [name; 6])
    }

    fn from(host: u16) -> SocketAddr {
        let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host);
        SocketAddrV6::new(ip, PORT, 0, 3).into()
    }

    fn hearing() -> (Hearing, Instant) {
        let now = Instant::now();
        (Hearing::new(router_id(1), now), now)
    }

    #[test]
    fn the_beacon_of_the_specification_is_read_and_written() {
        let bytes = vector();
        let beacon = Beacon::decode(&bytes).unwrap();
        assert_eq!(beacon.port, 9651);
        let id = beacon.router_id.to_string();
        assert!(id.starts_with("de9edb7d7b7dc1b4") && id.ends_with("-0000-8730d766371c"), "{id}");
        assert_eq!(beacon.encode()[..], bytes);
    }

    #[test]
    fn what_is_no_beacon_of_50_bytes_from_a_link_local_address_is_not_heard() {
        let (mut hearing, now) = hearing();
        let good = vector();
        let mut other_magic = good.clone();
        other_magic[0] ^= 1;
        let mut no_port = good.clone();
        no_port[8..10].fill(0);
        for bad in [&good[..49], &[&good[..], &[0]].concat(), &other_magic, &no_port, &[]] {
            assert_eq!(hearing.hear(bad, from(1), now), None, "{bad:02x?}");
        }
        let global = "[2001:db8::1]:9650".parse().unwrap();
        let site = "[fe80:1::1]:9650".parse().unwrap();
        for stranger in [global, site, "192.0.2.1:9650".parse().unwrap()] {
            assert_eq!(hearing.hear(&good, stranger, now), None, "{stranger}");
        }
        let heard = hearing.hear(&good, from(1), now).unwrap();
        assert_eq!(heard.address.to_string(), "[fe80::1%3]:9651");
    }

    #[test]
    fn the_own_beacon_is_recognised_and_one_of_an_earlier_start_is_not() {
        let (mut hearing, now) = hearing();
        let own = Beacon { port: 1, router_id: router_id(1) };
        assert_eq!(hearing.hear(&own.encode(), from(1), now), None);
        let key = own.router_id.public_key();
        let earlier = Beacon { port: 1, router_id: RouterId::new(key, [9; 6]) };
        assert!(hearing.hear(&earlier.encode(), from(1), now).is_some());
    }

    #[test]
    fn of_two_nodes_exactly_one_finds_the_other_larger() {
        let now = Instant::now();
        let ids = [router_id(1), router_id(2)];
        let hears = |own: usize, other: usize| {
            let beacon = Beacon { port: 1, router_id: ids[other] };
            let heard = Hearing::new(ids[own], now).hear(&beacon.encode(), from(1), now);
            heard.unwrap().is_larger
        };
        assert_ne!(hears(0, 1), hears(1, 0));
    }

    #[test]
    fn a_beacon_every_minute_is_told_every_minute_and_repeats_are_not() {
        let (mut hearing, now) = hearing();
        let beacon = vector();
        assert!(hearing.hear(&beacon, from(1), now).is_some());
        assert!(hearing.hear(&beacon, from(1), now + Duration::from_secs(1)).is_none());
        assert!(hearing.hear(&beacon, from(1), now + Duration::from_secs(50)).is_some());
    }

    /// Weakness 3.4: whoever is on the network can send as many as it likes.
    #[test]
    fn a_flood_of_beacons_is_told_slowly_and_remembered_little() {
        let (mut hearing, now) = hearing();
        let mut told = 0;
        for number in 0..60_000_u32 {
            let port = u16::try_from(number % 60_000 + 1).unwrap();
            let beacon = Beacon { port, router_id: router_id(2) };
            let at = now + Duration::from_millis(number.into());
            told += u32::from(hearing.hear(&beacon.encode(), from(1), at).is_some());
        }
        assert!((BURST..=BURST + 12).contains(&told), "{told}");
        assert!(hearing.told.len() <= REMEMBERED);
    }

    #[test]
    fn beacons_go_where_others_can_be_and_not_to_tunnels() {
        let lan = Interface {
            name: "lan".into(),
            is_up: true,
            is_multicast: true,
            link_local: Some(2),
            ..Interface::default()
        };
        assert_eq!(fitting(std::slice::from_ref(&lan)), [2]);
        let unfit = [
            Interface { is_up: false, ..lan.clone() },
            Interface { is_multicast: false, ..lan.clone() },
            Interface { is_loopback: true, ..lan.clone() },
            Interface { is_point_to_point: true, ..lan.clone() },
            Interface { is_tun: true, ..lan.clone() },
            Interface { link_local: None, ..lan },
        ];
        assert!(fitting(&unfit).is_empty());
    }
}

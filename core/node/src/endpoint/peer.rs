//! What is configured for one peer: one place or several, each literal or with a host name.
//!
//! The text is the identity: `tcp://router.example:9651,quic://[2001:db8::1]:9651` is one peer with
//! two ways to it, of which one is used at a time. Names are looked up at each attempt to connect,
//! so a peer that moves is found again.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use super::{Endpoint, FORMS, Scheme, decimal};

/// Ways to one peer: each costs an attempt at every connecting, and nobody has more good ones.
const PLACES: usize = 8;
/// The longest name that DNS can hold (RFC 1035).
const HOST_BYTES: usize = 253;
/// The longest part of it.
const LABEL_BYTES: usize = 63;

/// Where a peer is reached: at one of these places. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(Arc<[Place]>);

/// One way to a peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Known without looking anything up.
    Literal(Endpoint),
    /// A host to look up at each attempt.
    Named {
        /// The transport.
        scheme: Scheme,
        /// The host, in lower case.
        host: Box<str>,
        /// The port.
        port: u16,
    },
}

/// Why a text says of no peer where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddressError {
    /// One place cannot be read.
    #[error(
        "'{0}' is not where a peer can be; write {FORMS}; a host name may stand for the IP address"
    )]
    Place(String),
    /// More places than one peer can have.
    #[error("a peer has at most {PLACES} places, not {0}; leave some out")]
    TooMany(usize),
}

impl PeerAddress {
    /// The ways to the peer, best first as configured; at least one.
    pub fn places(&self) -> &[Place] {
        &self.0
    }

    /// The endpoint, where the peer has one place and that is literal.
    pub fn as_endpoint(&self) -> Option<Endpoint> {
        match &*self.0 {
            [Place::Literal(endpoint)] => Some(*endpoint),
            _ => None,
        }
    }
}

impl From<Endpoint> for PeerAddress {
    fn from(endpoint: Endpoint) -> Self {
        Self([Place::Literal(endpoint)].into())
    }
}

impl From<&Endpoint> for PeerAddress {
    fn from(endpoint: &Endpoint) -> Self {
        Self::from(*endpoint)
    }
}

impl From<&PeerAddress> for PeerAddress {
    fn from(peer: &PeerAddress) -> Self {
        peer.clone()
    }
}

impl PartialEq<Endpoint> for PeerAddress {
    fn eq(&self, endpoint: &Endpoint) -> bool {
        self.as_endpoint() == Some(*endpoint)
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    /// Reads places with commas between them; a place named twice counts once.
    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let mut places: Vec<Place> = Vec::new();
        let count = text.split(',').count();
        if count > PLACES {
            return Err(PeerAddressError::TooMany(count));
        }
        for place in text.split(',') {
            let place = place.trim().parse()?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(Self(places.into()))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{place}")?;
        }
        Ok(())
    }
}

impl FromStr for Place {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        if let Ok(endpoint) = text.parse() {
            return Ok(Self::Literal(endpoint));
        }
        named(text).ok_or_else(|| PeerAddressError::Place(text.to_owned()))
    }
}

fn named(text: &str) -> Option<Place> {
    let (scheme, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let scheme = scheme.parse().ok()?;
    let port = decimal(port)?;
    is_host(host).then(|| Place::Named { scheme, host: host.to_ascii_lowercase().into(), port })
}

/// A name as DNS and hosts files hold them. What ends in a number is a misspelt IPv4 address
/// (RFC 1123), which must not be asked of a name server.
fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= HOST_BYTES
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<Ipv4Addr>().is_err()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(endpoint) => endpoint.fmt(f),
            Self::Named { scheme, host, port } => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_one_place_or_several_and_reads_as_it_is_written() {
        let texts = [
            "tcp://192.0.2.1:1",
            "tcp://router.example:9651",
            "quic://router:9651",
            "tcp://a_b.example.:1",
            "tcp://router.example:1,quic://router.example:2,vsock://2:3",
            "tcp://[fe80::1%3]:1,tls://xn--bcher-kva.example:1",
        ];
        for text in texts {
            assert_eq!(text.parse::<PeerAddress>().unwrap().to_string(), text);
        }
        let peer: PeerAddress = "tcp://A.example:1, TCP://a.Example:1".parse().unwrap();
        assert_eq!(peer.to_string(), "tcp://a.example:1", "named twice is one place");
    }

    #[test]
    fn misspelt_places_are_refused_with_the_accepted_forms() {
        let long = format!("tcp://{}.example:1", "a".repeat(64));
        let longer = format!("tcp://{}:1", ["abcdefghi"; 26].join("."));
        let bad = [
            "",
            ",",
            "tcp://a:1,",
            "router.example:1",
            "tcp://router.example",
            "tcp://router.example:70000",
            "tcp://router.example:+1",
            "udp://router.example:1",
            "vsock://host:1",
            "memory://1",
            "tcp://:1",
            "tcp://192.0.2.999:1",
            "tcp://1.2.3:1",
            "tcp://a..b:1",
            "tcp://-a.example:1",
            "tcp://a b:1",
            "tcp://user@a:1",
            "tcp://2001:db8::1:9651",
            &long,
            &longer,
        ];
        for text in bad {
            let error = text.parse::<PeerAddress>().expect_err(text).to_string();
            assert!(error.contains("quic://") && error.contains("host name"), "{error}");
        }
    }

    #[test]
    fn nine_places_are_too_many_for_one_peer() {
        let text = (1..=9).map(|port| format!("tcp://a:{port}")).collect::<Vec<_>>().join(",");
        assert_eq!(text.parse::<PeerAddress>(), Err(PeerAddressError::TooMany(9)));
        let eight = text.rsplit_once(',').unwrap().0;
        assert_eq!(eight.parse::<PeerAddress>().unwrap().places().len(), 8);
    }

    #[test]
    fn a_literal_place_alone_equals_its_endpoint() {
        let endpoint: Endpoint = "tcp://192.0.2.1:1".parse().unwrap();
        let peer = PeerAddress::from(endpoint);
        assert!(peer == endpoint);
        let two: PeerAddress = "tcp://192.0.2.1:1,quic://192.0.2.1:1".parse().unwrap();
        assert!(two != endpoint);
        assert_eq!(two.as_endpoint(), None);
    }
}

//! Where a node listens or is reached: `<scheme>://<address>` (spec 2.1).
//!
//! An [`Endpoint`] is literal: it says where the bytes go, and nothing has to be looked up. What
//! people configure for a peer, which may be a host name or several places, is a [`PeerAddress`].

mod peer;

use std::fmt;
use std::net::{SocketAddr, SocketAddrV6};
use std::str::FromStr;

pub use self::peer::{PeerAddress, PeerAddressError, Place};

/// The literal forms, for error messages.
const FORMS: &str =
    "tcp://IPv4:port, tcp://[IPv6]:port, the same with tls:// or quic://, or vsock://cid:port";

/// How bytes get to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// TCP; in a private network TLS over it.
    Tcp,
    /// TLS with the private network's key over TCP.
    Tls,
    /// QUIC over UDP.
    Quic,
}

/// An underlay address. Two endpoints are equal when scheme, address, port and scope are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Plain TCP; in a private network TLS over it.
    Tcp(SocketAddr),
    /// TLS with the private network's key over TCP.
    Tls(SocketAddr),
    /// QUIC over UDP.
    Quic(SocketAddr),
    /// A socket between a virtual machine and its host.
    Vsock {
        /// The machine: 2 is the host.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// A place in a [`MemoryNetwork`](crate::MemoryNetwork). It has no written form that is read
    /// back, so that no text of a stranger leads there.
    Memory(u64),
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an endpoint; write {FORMS}")]
pub struct EndpointError(pub String);

impl Endpoint {
    /// An endpoint of one of the schemes over IP.
    pub fn new(scheme: Scheme, address: SocketAddr) -> Self {
        match scheme {
            Scheme::Tcp => Self::Tcp(address),
            Scheme::Tls => Self::Tls(address),
            Scheme::Quic => Self::Quic(address),
        }
    }

    /// Where a node that was heard on the local network takes links.
    pub fn discovered(address: SocketAddrV6, private_network: bool) -> Self {
        match private_network {
            true => Self::Tls(address.into()),
            false => Self::Tcp(address.into()),
        }
    }

    /// The socket address, where the transport has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) | Self::Quic(address) => Some(*address),
            Self::Vsock { .. } | Self::Memory(_) => None,
        }
    }

    /// What a link over this endpoint costs on top of its round-trip time (spec 2.7). IPv4 hosts
    /// on a dual-stack listener appear as mapped addresses and count as IPv4.
    pub fn static_cost(&self) -> u16 {
        let family = |address: &SocketAddr| match address.ip().to_canonical().is_ipv4() {
            true => 5,
            false => 0,
        };
        match self {
            Self::Tcp(address) | Self::Tls(address) => 10 + family(address),
            Self::Quic(address) => 7 + family(address),
            Self::Vsock { .. } => 5,
            Self::Memory(_) => 10,
        }
    }
}

impl FromStr for Scheme {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = [("tcp", Self::Tcp), ("tls", Self::Tls), ("quic", Self::Quic)];
        let found = known.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(_, scheme)| scheme).ok_or(())
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
        })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let (scheme, address) = text.split_once("://").ok_or_else(error)?;
        if scheme.eq_ignore_ascii_case("vsock") {
            let (cid, port) = address.split_once(':').ok_or_else(error)?;
            let number = |text: &str| decimal(text).ok_or_else(error);
            return Ok(Self::Vsock { cid: number(cid)?, port: number(port)? });
        }
        let scheme = scheme.parse::<Scheme>().map_err(|()| error())?;
        Ok(Self::new(scheme, address.parse().map_err(|_| error())?))
    }
}

/// Digits only: the standard parser would take a sign as well.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Quic(address) => write!(f, "quic://{address}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Memory(number) => write!(f, "memory://{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn endpoints_read_as_they_are_written() {
        let texts = [
            "tcp://192.0.2.1:9651",
            "tcp://[2001:db8::1]:9651",
            "tcp://[fe80::1%3]:9651",
            "tls://192.0.2.1:9651",
            "quic://[2001:db8::1]:9651",
            "vsock://2:9651",
            "vsock://4294967295:4294967295",
        ];
        for text in texts {
            assert_eq!(endpoint(text).to_string(), text);
        }
        assert_eq!(endpoint("TCP://192.0.2.1:1"), endpoint("tcp://192.0.2.1:1"));
        assert_eq!(endpoint("VSock://2:1"), endpoint("vsock://2:1"));
    }

    #[test]
    fn names_missing_ports_and_other_schemes_are_refused_with_the_accepted_forms() {
        let bad = [
            "",
            "tcp:",
            "tcp://",
            "192.0.2.1:1",
            "tcp://host:1",
            "tcp://192.0.2.1",
            "tcp://2001:db8::1:9651",
            "udp://192.0.2.1:1",
            "tcp://192.0.2.1:70000",
            "quic://192.0.2.1",
            "vsock://2",
            "vsock://two:1",
            "vsock://2:port",
            "vsock://2:",
            "vsock://+2:1",
            "vsock://-1:1",
            "vsock://4294967296:1",
            "memory://1",
        ];
        for text in bad {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error, EndpointError(text.to_owned()));
            assert!(error.to_string().contains("quic://") && error.to_string().contains("vsock"));
        }
    }

    #[test]
    fn scheme_scope_and_address_family_are_part_of_who_it_is() {
        assert_ne!(endpoint("tcp://[fe80::1%3]:1"), endpoint("tcp://[fe80::1%4]:1"));
        assert_ne!(endpoint("tcp://[::ffff:192.0.2.1]:1"), endpoint("tcp://192.0.2.1:1"));
        assert_ne!(endpoint("tcp://192.0.2.1:1"), endpoint("quic://192.0.2.1:1"));
    }

    #[test]
    fn static_costs_are_those_of_the_specification() {
        for (text, cost) in [
            ("tcp://[2001:db8::1]:1", 10),
            ("tcp://192.0.2.1:1", 15),
            ("tcp://[::ffff:192.0.2.1]:1", 15),
            ("tls://[2001:db8::1]:1", 10),
            ("tls://192.0.2.1:1", 15),
            ("quic://[2001:db8::1]:1", 7),
            ("quic://192.0.2.1:1", 12),
            ("quic://[::ffff:192.0.2.1]:1", 12),
            ("vsock://2:1", 5),
        ] {
            assert_eq!(endpoint(text).static_cost(), cost, "{text}");
        }
    }
}

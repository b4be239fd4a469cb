//! Where a peer listens: `<scheme>://<address>` (spec 2.1).
//!
//! Only TCP for now; the other transports of the network are refused with the same error as a
//! misspelt one. Names are never resolved: only literal addresses are endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A peer's underlay address. Two endpoints are equal when scheme, address, port and scope are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Plain TCP.
    Tcp(SocketAddr),
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an endpoint; write tcp://IPv4:port or tcp://[IPv6]:port")]
pub struct EndpointError(pub String);

impl Endpoint {
    /// The socket address.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) => *address,
        }
    }

    /// What a link over this endpoint costs on top of its round-trip time (spec 2.7). IPv4 hosts
    /// on a dual-stack listener appear as mapped addresses and count as IPv4.
    pub fn static_cost(&self) -> u16 {
        match self {
            Self::Tcp(address) if address.ip().to_canonical().is_ipv4() => 15,
            Self::Tcp(_) => 10,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let (scheme, address) = text.split_once("://").ok_or_else(error)?;
        if !scheme.eq_ignore_ascii_case("tcp") {
            return Err(error());
        }
        Ok(Self::Tcp(address.parse().map_err(|_| error())?))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
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
        for text in ["tcp://192.0.2.1:9651", "tcp://[2001:db8::1]:9651", "tcp://[fe80::1%3]:9651"] {
            assert_eq!(endpoint(text).to_string(), text);
        }
        assert_eq!(endpoint("TCP://192.0.2.1:1"), endpoint("tcp://192.0.2.1:1"));
    }

    #[test]
    fn names_missing_ports_and_other_schemes_are_refused() {
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
        ];
        for text in bad {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError(text.to_owned())));
        }
    }

    #[test]
    fn scope_and_address_family_are_part_of_who_it_is() {
        assert_ne!(endpoint("tcp://[fe80::1%3]:1"), endpoint("tcp://[fe80::1%4]:1"));
        assert_ne!(endpoint("tcp://[::ffff:192.0.2.1]:1"), endpoint("tcp://192.0.2.1:1"));
    }

    #[test]
    fn ipv4_costs_five_more_than_ipv6_also_when_mapped() {
        assert_eq!(endpoint("tcp://[2001:db8::1]:1").static_cost(), 10);
        assert_eq!(endpoint("tcp://192.0.2.1:1").static_cost(), 15);
        assert_eq!(endpoint("tcp://[::ffff:192.0.2.1]:1").static_cost(), 15);
    }
}

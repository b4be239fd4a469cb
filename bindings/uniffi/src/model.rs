//! Plain values that go in and out of the phone itself, in types that every language has.

use zeroize::Zeroizing;

use crate::convert::count;
use crate::{NodeOptions, PhoneError};

/// What opens the profile's database.
#[derive(Clone, uniffi::Enum)]
pub enum KeySource {
    /// A key file in the home folder; making the profile makes it.
    File,
    /// A passphrase. Opening takes the fraction of a second that makes guessing dear.
    Passphrase {
        /// Its bytes, used as they are.
        bytes: Vec<u8>,
    },
    /// A key that the platform keeps, for example wrapped by its hardware key store.
    Bytes {
        /// 32 bytes.
        bytes: Vec<u8>,
    },
}

impl TryFrom<KeySource> for threephone::KeySource {
    type Error = PhoneError;

    fn try_from(source: KeySource) -> Result<Self, PhoneError> {
        Ok(match source {
            KeySource::File => Self::File,
            KeySource::Passphrase { bytes } => Self::Passphrase(Zeroizing::new(bytes)),
            KeySource::Bytes { bytes } => {
                let bytes = Zeroizing::new(bytes);
                let key = <[u8; 32]>::try_from(bytes.as_slice())
                    .map_err(|_| PhoneError::invalid("key", "a key has exactly 32 bytes"))?;
                Self::Bytes(Zeroizing::new(key))
            }
        })
    }
}

/// Whether the phone takes part in the network.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum Network {
    /// No node: reading and queueing only.
    Offline,
    /// With its node.
    Online {
        /// How it takes part.
        options: NodeOptions,
    },
}

impl TryFrom<Network> for threephone::Network {
    type Error = PhoneError;

    fn try_from(network: Network) -> Result<Self, PhoneError> {
        Ok(match network {
            Network::Offline => Self::Offline,
            Network::Online { options } => Self::Online(options.try_into()?),
        })
    }
}

/// What a phone is opened with.
#[derive(Clone, uniffi::Record)]
pub struct PhoneOptions {
    /// The folder of the profile.
    pub home: String,
    /// What opens its database.
    pub key: KeySource,
    /// Whether its node runs.
    pub network: Network,
}

impl TryFrom<PhoneOptions> for threephone::PhoneOptions {
    type Error = PhoneError;

    fn try_from(options: PhoneOptions) -> Result<Self, PhoneError> {
        Ok(Self {
            home: threephone::Home::new(options.home),
            key: options.key.try_into()?,
            network: options.network.try_into()?,
            purpose: threephone::Purpose::Daemon,
        })
    }
}

/// A profile that was just made.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct InitReport {
    /// The overlay address, a plain IPv6 address.
    pub address: String,
    /// The node key, 64 hexadecimal digits.
    pub public_key: String,
}

impl From<threephone::InitReport> for InitReport {
    fn from(report: threephone::InitReport) -> Self {
        Self { address: report.address.to_string(), public_key: report.public_key.to_string() }
    }
}

/// The phone at a glance.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Status {
    /// The profile's name.
    pub name: String,
    /// The overlay address, a plain IPv6 address.
    pub address: String,
    /// The node key, 64 hexadecimal digits.
    pub public_key: String,
    /// The /64 of the address.
    pub subnet: String,
    /// Since the phone was opened.
    pub uptime_seconds: u64,
    /// Where the node accepts links, with actual ports.
    pub listening: Vec<String>,
    /// Remembered and connected peers.
    pub peers: Vec<PeerView>,
    /// Prefixes that have a selected route.
    pub routes: u64,
    /// Envelopes by state.
    pub outbox: OutboxCounts,
}

impl From<threephone::Status> for Status {
    fn from(status: threephone::Status) -> Self {
        Self {
            name: status.name,
            address: status.address.to_string(),
            public_key: status.public_key.to_string(),
            subnet: status.subnet.to_string(),
            uptime_seconds: status.uptime.as_secs(),
            listening: status.listening.iter().map(ToString::to_string).collect(),
            peers: status.peers.into_iter().map(Into::into).collect(),
            routes: count(status.routes),
            outbox: status.outbox.into(),
        }
    }
}

/// Envelopes in the outbox, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct OutboxCounts {
    /// Waiting for their turn or for the peer.
    pub queued: u64,
    /// On their way, or taken by the peer's node and not yet acknowledged.
    pub sending: u64,
    /// Given up.
    pub failed: u64,
}

impl From<threephone::delivery::OutboxCounts> for OutboxCounts {
    fn from(counts: threephone::delivery::OutboxCounts) -> Self {
        Self { queued: counts.queued, sending: counts.sending, failed: counts.failed }
    }
}

/// How a peer came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PeerKind {
    /// Named by us; dialled again for ever.
    Static,
    /// It dialled us; forgotten when its link ends.
    Inbound,
    /// Heard on the local network; forgotten when it cannot be reached.
    Discovered,
    /// One of the public network's entry peers, of which some are connected at a time.
    Public,
}

/// What a peer's link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PeerState {
    /// The phone itself is offline.
    Offline,
    /// Being dialled.
    Connecting,
    /// The link is up.
    Connected,
    /// Waiting for the next attempt.
    Disconnected,
    /// That is this phone itself: the peer is of no use.
    Itself,
}

/// A peer that is remembered, or known to the node, or both.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PeerView {
    /// Its underlay address, such as `tcp://192.0.2.1:9651`.
    pub endpoint: String,
    /// How it came to be there.
    pub kind: PeerKind,
    /// What its link is doing.
    pub state: PeerState,
    /// Whether the next start dials it too.
    pub remembered: bool,
    /// Bytes written over all links to it.
    pub tx_bytes: u64,
    /// Bytes read over all links to it.
    pub rx_bytes: u64,
    /// Cost of the link in the routing metric; none while it is down.
    pub link_cost: Option<u16>,
}

impl From<threephone::Peer> for PeerView {
    fn from(peer: threephone::Peer) -> Self {
        use threephone::node::{PeerKind as Kind, PeerState as State};
        let link = peer.link.as_ref();
        Self {
            endpoint: peer.endpoint.to_string(),
            kind: match link.map(|link| link.kind) {
                Some(Kind::Inbound) => PeerKind::Inbound,
                Some(Kind::Discovered) => PeerKind::Discovered,
                Some(Kind::Public) => PeerKind::Public,
                Some(Kind::Static) | None => PeerKind::Static,
            },
            state: match link.map(|link| link.state) {
                None => PeerState::Offline,
                Some(State::Connecting) => PeerState::Connecting,
                Some(State::Alive) => PeerState::Connected,
                Some(State::Dead) => PeerState::Disconnected,
                Some(State::Itself) => PeerState::Itself,
            },
            remembered: peer.remembered,
            tx_bytes: link.map_or(0, |link| link.tx_bytes),
            rx_bytes: link.map_or(0, |link| link.rx_bytes),
            link_cost: link.and_then(|link| link.link_cost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_exactly_32_bytes() {
        for length in [0, 31, 33] {
            let source = KeySource::Bytes { bytes: vec![1; length] };
            let error = threephone::KeySource::try_from(source).err();
            assert!(matches!(error, Some(PhoneError::InvalidArgument { .. })), "{length}");
        }
        let source = KeySource::Bytes { bytes: vec![1; 32] };
        assert!(threephone::KeySource::try_from(source).is_ok());
    }

    #[test]
    fn a_remembered_peer_of_an_offline_phone_says_so() {
        let endpoint = "tcp://192.0.2.1:9651".parse().unwrap();
        let peer = PeerView::from(threephone::Peer { endpoint, remembered: true, link: None });
        assert_eq!((peer.kind, peer.state), (PeerKind::Static, PeerState::Offline));
        assert_eq!(peer.endpoint, "tcp://192.0.2.1:9651");
        assert_eq!((peer.tx_bytes, peer.link_cost), (0, None));
    }
}

//! Plain values that go in and out of the phone.

use std::net::Ipv6Addr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use threephone_address::PublicKey;
use threephone_delivery::{DeliveryEvent, OutboxCounts};
use threephone_mail::MailEvent;
use threephone_messaging::MessagingEvent;
use threephone_node::{
    Endpoint, PeerAddress, PeerStatus, PowerPolicy, Prefix, PrivateNetwork, TopicPolicy,
};

use crate::{Home, KeySource, Purpose};

/// What a phone is opened with.
#[derive(Clone)]
pub struct PhoneOptions {
    /// Where the profile lies.
    pub home: Home,
    /// What opens its database.
    pub key: KeySource,
    /// Whether its node runs.
    pub network: Network,
    /// What others are told who find the profile in use.
    pub purpose: Purpose,
}

/// Whether the phone takes part in the network.
#[derive(Debug, Clone)]
pub enum Network {
    /// No node: reading and queueing only.
    Offline,
    /// With its node.
    Online(NodeOptions),
}

/// How the phone's node takes part; the default listens nowhere and dials remembered peers only.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Where it accepts links; port 0 lets the system choose.
    pub listen: Vec<Endpoint>,
    /// Whom it dials for as long as it runs, beside the remembered peers.
    pub peers: Vec<PeerAddress>,
    /// Whether it looks for peers on the local network.
    pub discovery: bool,
    /// Whether it asks the system for news of its network; for machines where nobody else tells it.
    pub follow_network: bool,
    /// The device that brings IP traffic of this host into the overlay. None by default, which
    /// needs no privilege.
    pub tun: Tun,
    /// Whether it connects to entry peers of the public network; what is said here is remembered in
    /// the profile for later starts, which say nothing.
    pub public_peers: Option<bool>,
    /// How much it does on its own.
    pub power: PowerPolicy,
    /// The network of one's own that it belongs to, instead of the public one: then public peers
    /// are left alone.
    pub private_network: Option<PrivateNetwork>,
    /// Who may send messages on which topic. The product's own is open unless it has a rule.
    pub topic_policy: TopicPolicy,
}

/// Where IP packets of this host come from and go to.
#[derive(Debug, Clone, Default)]
pub enum Tun {
    /// Nowhere.
    #[default]
    None,
    /// A device of this name, made if there is none. Linux only, and privileged.
    Named(String),
    /// A device that somebody else has opened and configured with the node's address and an MTU of
    /// [`MTU`](threephone_node::tun::MTU): Android's `VpnService`, a packet tunnel of iOS. The node
    /// keeps a descriptor of its own, so that opening may be tried again; the device is given up once
    /// the phone is closed and these options are dropped.
    #[cfg(unix)]
    Fd(Arc<OwnedFd>),
}

/// The phone at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The profile's name.
    pub name: String,
    /// The overlay address.
    pub address: Ipv6Addr,
    /// The node key.
    pub public_key: PublicKey,
    /// The /64 of the address.
    pub subnet: Prefix,
    /// Since the phone was opened.
    pub uptime: Duration,
    /// Where the node accepts links, with actual ports.
    pub listening: Vec<Endpoint>,
    /// Remembered and connected peers.
    pub peers: Vec<Peer>,
    /// Prefixes that have a selected route.
    pub routes: usize,
    /// Envelopes by state.
    pub outbox: OutboxCounts,
}

/// A peer that is remembered, or has a row in the node's table, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is reached, as configured.
    pub endpoint: PeerAddress,
    /// Whether the next start dials it too.
    pub remembered: bool,
    /// What the node says of it; none while the phone is offline.
    pub link: Option<PeerStatus>,
}

/// Something changed. Ids only: ask the service for the rows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A line was added or changed.
    Chat(MessagingEvent),
    /// A mail arrived or changed.
    Mail(MailEvent),
    /// A stranger's or a changed device's envelope was refused.
    Delivery(DeliveryEvent),
    /// A link to a peer came up.
    PeerUp {
        /// With whom.
        endpoint: PeerAddress,
    },
    /// A link to a peer went down.
    PeerDown {
        /// With whom.
        endpoint: PeerAddress,
    },
    /// A route to a node exists now.
    Reachable {
        /// The node's key.
        key: PublicKey,
    },
    /// The last route to this prefix went away.
    Unreachable {
        /// The prefix.
        prefix: Prefix,
    },
    /// Events were dropped because the reader was too far behind: list everything anew.
    Overflow {
        /// How many; 0 when that is unknown.
        lost: u64,
    },
}

//! What a node is started with.

use crate::bus::TopicPolicy;
use crate::driver::transport::MemoryNetwork;
use crate::endpoint::{Endpoint, PeerAddress};
use crate::identity::SecretKey;
use crate::limits::Limits;
use crate::power::PowerPolicy;
use crate::private_network::PrivateNetwork;
use crate::tun::Tun;

/// What a node is started with.
pub struct NodeConfig {
    /// Who the node is.
    pub secret: SecretKey,
    /// Where it accepts links; port 0 lets the system choose.
    pub listen: Vec<Endpoint>,
    /// Whom it dials for as long as it runs.
    pub peers: Vec<PeerAddress>,
    /// Entry peers of the public network, each with all of its places; a few are connected at a
    /// time. [`public_peers`](crate::public_peers) has the network's own list.
    pub public_peers: Vec<PeerAddress>,
    /// How much it does on its own.
    pub power: PowerPolicy,
    /// The UDP port of beacons on the local network, usually [`PORT`](crate::discovery::PORT); without one
    /// nobody is looked for there.
    pub discovery: Option<u16>,
    /// Whether it asks the system for news of its network, which otherwise the application tells:
    /// [`crate::Node::network_changed`]. Only Linux has them, without Android.
    pub follow_network: bool,
    /// What strangers can make grow, and how far.
    pub limits: Limits,
    /// Who may send messages on which topic; by default anybody on any.
    pub topic_policy: TopicPolicy,
    /// The network of one's own that it belongs to: then links over TCP are TLS with the network's
    /// key, there are no QUIC links, and nobody else gets in.
    pub private_network: Option<PrivateNetwork>,
    /// Whether vsock links are allowed beside a private network, whose key does not protect them.
    pub plain_vsock: bool,
    /// For tests: where [`Endpoint::Memory`] leads.
    pub memory: MemoryNetwork,
    /// Where IP packets come from and go to.
    pub tun: Tun,
}

impl NodeConfig {
    /// A node that listens nowhere and dials nobody yet.
    pub fn new(secret: SecretKey) -> Self {
        Self {
            secret,
            listen: Vec::new(),
            peers: Vec::new(),
            public_peers: Vec::new(),
            power: PowerPolicy::default(),
            discovery: None,
            follow_network: false,
            limits: Limits::default(),
            topic_policy: TopicPolicy::default(),
            private_network: None,
            plain_vsock: false,
            memory: MemoryNetwork::new(),
            tun: Tun::None,
        }
    }
}

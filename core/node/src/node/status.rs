//! What a node tells of itself: its peers, its routes, what happens, what went wrong.

use std::net::SocketAddr;
use std::time::Duration;

use crate::endpoint::{Endpoint, PeerAddress};
use crate::prefix::Prefix;
use crate::{PublicKey, RouterId};

/// Why the node could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A listener could not be opened.
    #[error("cannot listen on {endpoint}: {error}{}", listen_advice(error))]
    Listen {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        error: std::io::Error,
    },
    /// A transport could not be set up.
    #[error("a transport could not be set up: {0}")]
    Transport(std::io::Error),
    /// The TUN could not be opened.
    #[error(transparent)]
    Tun(#[from] crate::tun::TunError),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The peer is in the table already.
    #[error("{0} is a peer already")]
    PeerExists(PeerAddress),
    /// The peer cannot be dialled by this node.
    #[error("{peer} cannot be dialled: {error}")]
    NotDiallable {
        /// Where it would be.
        peer: PeerAddress,
        /// Why not, and what to do.
        error: std::io::Error,
    },
    /// No such peer.
    #[error("{0} is not a peer")]
    UnknownPeer(PeerAddress),
    /// The peer table is full.
    #[error("there are {0} static peers, which is the most; remove one first")]
    TooManyPeers(usize),
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
}

/// How a peer came to be in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// Configured or added; dialled again for ever.
    Static,
    /// It dialled us; forgotten when its link ends.
    Inbound,
    /// Heard on the local network; forgotten when it cannot be reached.
    Discovered,
    /// One of the public network's entry peers, of which some are connected at a time.
    Public,
}

/// What a peer's link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Being dialled; or it dialled us and has not brought a packet yet.
    Connecting,
    /// The link is up.
    Alive,
    /// Waiting for the next attempt.
    Dead,
    /// This node itself was found there, so it is hardly ever tried again: remove it.
    Itself,
}

/// One row of the peer table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Where it is reached, as configured; of one that dialled us, where it is.
    pub endpoint: PeerAddress,
    /// Where its link goes; none while there is no link.
    pub remote: Option<Endpoint>,
    /// How it got there.
    pub kind: PeerKind,
    /// What its link is doing.
    pub state: PeerState,
    /// Bytes written over all links to it.
    pub tx_bytes: u64,
    /// Bytes read over all links to it.
    pub rx_bytes: u64,
    /// Packets queued for it over all links, without those that were dropped.
    pub tx_packets: u64,
    /// Packets that came from it over all links.
    pub rx_packets: u64,
    /// Packets dropped because its queue was full.
    pub dropped: u64,
    /// Malformed control packets it sent.
    pub malformed: u64,
    /// How often the node woke up for it.
    pub wake_ups: u64,
    /// Processor time of the node's core spent on what it sent.
    pub cpu: Duration,
    /// How often it was connected.
    pub connects: u64,
    /// Since it came into the table.
    pub known_for: Duration,
    /// Since it was connected last; none when it never was.
    pub last_connected: Option<Duration>,
    /// Cost of the link in the routing metric; none while it is down.
    pub link_cost: Option<u16>,
}

/// One known route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStatus {
    /// Where it leads.
    pub prefix: Prefix,
    /// Who announced it.
    pub key: PublicKey,
    /// The peer it goes through.
    pub next_hop: Option<Endpoint>,
    /// Our own address on the way there, where the transport has one.
    pub next_hop_local: Option<SocketAddr>,
    /// The life of that node which announced it.
    pub router_id: RouterId,
    /// Sum of link costs as the peer announced it, without that of the own link; 65535 is
    /// unreachable.
    pub metric: u16,
    /// The source's sequence number.
    pub seqno: u16,
    /// Whether packets take it; the others of a prefix are kept to fall back on.
    pub selected: bool,
}

/// A prefix that is being looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryStatus {
    /// Which.
    pub prefix: Prefix,
    /// After this time the lookup has failed.
    pub expires_in: Duration,
}

/// What happened on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// A route to the /64 of this node exists now, and did not before.
    Reachable {
        /// The announced prefix.
        prefix: Prefix,
        /// The node's key.
        key: PublicKey,
    },
    /// The last route to the prefix went away.
    Unreachable {
        /// The prefix.
        prefix: Prefix,
    },
    /// A link came up; one that the peer opened, only with its first packet.
    PeerUp {
        /// With whom.
        endpoint: PeerAddress,
    },
    /// A link went down.
    PeerDown {
        /// With whom.
        endpoint: PeerAddress,
    },
    /// This many events were dropped because the reader was slow.
    Missed(u64),
}

/// What helps when a listener cannot be opened, to be put behind the error. Who is told what is not
/// supported is told what is.
pub fn listen_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::Unsupported => "",
        std::io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have that address: take one that it has, or [::] for all"
        }
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a higher one"
        }
        _ => "; choose another port, or stop what uses it",
    }
}

#![doc = include_str!("../README.md")]

pub mod bus;
pub mod data;
pub mod discovery;
mod driver;
mod endpoint;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
pub mod ledger;
pub mod limits;
pub mod message;
pub mod metrics;
mod node;
mod power;
mod prefix;
mod private_network;
mod public;
pub mod router;
pub mod seal;
pub mod tun;
pub mod wire;

pub use bus::{BusCounters, TopicAction, TopicPolicy, TopicPolicyError, TopicRule};
pub use data::{AddressCount, DataCounters, PacketStatistics};
pub use driver::transport::MemoryNetwork;
pub use endpoint::{Endpoint, EndpointError, PeerAddress, PeerAddressError, Place, Scheme};
pub use identity::{KeyFileError, RouterId, SecretKey, SharedSecret};
pub use message::{
    MessageId, MessageInfo, OutgoingMessage, Progress, ReceivedMessage, SendError, SendState,
    TopicFilter,
};
pub use metrics::{LinkCounters, LinkQueues, NodeMetrics, PeerCount, RouteCounts};
pub use node::{
    Events, HeldMessage, Node, NodeConfig, NodeError, NodeEvent, PeerKind, PeerState, PeerStatus,
    QueryStatus, RouteStatus, Subscription, listen_advice,
};
pub use power::{PowerMode, PowerPolicy};
pub use prefix::{Prefix, PrefixError};
pub use private_network::{PrivateNetwork, PrivateNetworkError};
pub use public::public_peers;
pub use threephone_address::{PublicKey, Target, in_overlay, same_subnet, subnet};
pub use tun::{Tun, TunError};

/// One peer link of a node, numbered by whoever drives the engine; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

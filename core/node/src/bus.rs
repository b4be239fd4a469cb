//! The message bus (spec section 8): byte strings of up to some megabytes from node to node, each
//! whole, once, and acknowledged.
//!
//! `sender` and `receiver` are state machines that share nothing; `split` is how a message is cut so
//! that every node, also an old one, takes the pieces. Both run over packets that may be lost,
//! doubled and out of order. They do not know about routes, keys or sealing: whoever runs them tells
//! the sender which nodes can be reached, and the receiver which node a packet really came from.

mod counters;
mod policy;
mod receiver;
mod sender;
mod split;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::time::Instant;

use threephone_address::Target;

pub use self::counters::BusCounters;
pub use self::policy::{TopicAction, TopicPolicy, TopicPolicyError, TopicRule};
pub(crate) use self::receiver::{Origin, Receiver, Wanted};
pub(crate) use self::sender::{Draft, Event, Route, Sender};
pub(crate) use self::split::range;
use crate::PublicKey;
use crate::message::{Progress, SendState};
use crate::wire::message::MessagePacket;

/// A message packet on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The address of ours it comes from; none is the node's own.
    pub(crate) source: Option<Ipv6Addr>,
    /// Where it goes.
    pub(crate) destination: Ipv6Addr,
    /// The only key it may be sealed for; none is whatever key the route has.
    pub(crate) key: Option<PublicKey>,
    /// What it says.
    pub(crate) packet: MessagePacket,
}

/// What is known of an outgoing message; see [`MessageInfo`](crate::message::MessageInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) to: Target,
    pub(crate) state: SendState,
    pub(crate) progress: Progress,
    pub(crate) created: Instant,
    pub(crate) deadline: Instant,
    pub(crate) length: usize,
}

//! What the core is told: by the handle, by the links, and by handles that are dropped.

use std::net::Ipv6Addr;

use bytes::Bytes;
use threephone_address::{PublicKey, Target};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::fastpath::Hold;
use super::transport::Connection;
use crate::LinkId;
use crate::bus::{BusCounters, TopicPolicy};
use crate::discovery::Heard;
use crate::endpoint::PeerAddress;
use crate::engine::Opened;
use crate::ledger::Ledger;
use crate::message::{
    MessageId, MessageInfo, OutgoingMessage, ReceivedMessage, SendError, SendState, TopicFilter,
};
use crate::metrics::NodeMetrics;
use crate::node::{NodeError, PeerStatus, QueryStatus, RouteStatus, Subscription};
use crate::power::{PowerMode, PowerPolicy};
use crate::router::RouterCounters;
use crate::wire::frame::Packet;

/// Calls of the handle that wait for their turn.
pub(crate) const COMMANDS: usize = 1024;
/// Reads that wait for the core. One holds at most what one read brings (64 KiB), so all links
/// together at most 4 MiB; then readers wait, and so do the peers.
pub(crate) const INPUTS: usize = 64;

/// From the handle.
pub(crate) enum Command {
    Send {
        message: OutgoingMessage,
        reply: Reply<Result<MessageId, SendError>>,
    },
    /// Sends, and waits for the other application's answer until `answer` is dropped. Dropped by
    /// the core, there will be none.
    Request {
        message: OutgoingMessage,
        reply: Reply<Result<MessageId, SendError>>,
        answer: Reply<Handover>,
    },
    /// Answers a message that came from `to`.
    Respond {
        to: Target,
        id: MessageId,
        payload: Bytes,
        reply: Reply<Result<(), SendError>>,
    },
    Info {
        id: MessageId,
        reply: Reply<Option<MessageInfo>>,
    },
    BusCounters {
        reply: Reply<BusCounters>,
    },
    Policy {
        reply: Reply<TopicPolicy>,
    },
    SetPolicy {
        policy: TopicPolicy,
        reply: Reply<()>,
    },
    Wait {
        id: MessageId,
        reply: Reply<SendState>,
    },
    Cancel {
        id: MessageId,
    },
    /// Gives a waiting message. If there is none: an answer at once, or when one comes.
    Receive {
        filter: TopicFilter,
        taking: Taking,
        wait: Patience,
        reply: Reply<Option<Handover>>,
    },
    Subscribe {
        topic: Bytes,
        reply: Reply<Subscription>,
    },
    Resolve {
        address: Ipv6Addr,
        reply: Reply<PublicKey>,
    },
    AddPeer {
        peer: PeerAddress,
        reply: Reply<Result<(), NodeError>>,
    },
    RemovePeer {
        peer: PeerAddress,
        reply: Reply<Result<(), NodeError>>,
    },
    Peers {
        reply: Reply<Vec<PeerStatus>>,
    },
    Metrics {
        reply: Reply<NodeMetrics>,
    },
    Routes {
        reply: Reply<Vec<RouteStatus>>,
    },
    Queries {
        reply: Reply<Vec<QueryStatus>>,
    },
    RouterCounters {
        reply: Reply<RouterCounters>,
    },
    Ledger {
        reply: Reply<Ledger>,
    },
    /// The machine moved to another network, or woke up.
    NetworkChanged,
    SetPower {
        policy: PowerPolicy,
        /// Told the mode that follows, once the links that go with it are closed.
        reply: Reply<PowerMode>,
    },
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// Whether a reader waits for a message to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    Waits,
}

/// Whether a message that is read stays in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    Take,
    Peek,
}

/// From links, listeners and diallers.
pub(crate) enum Input {
    /// What a link brought and the fast path left, and what that opened.
    Packets {
        link: LinkId,
        packets: Vec<Packet>,
        opened: Vec<Opened>,
        held: Vec<Hold>,
        /// Given back when all of it is handled: then the link may bring more.
        turn: OwnedSemaphorePermit,
    },
    /// What the own host sent and the fast path left.
    Ip {
        packets: Vec<(Option<Hold>, Bytes)>,
    },
    /// There was traffic beside the core.
    Traffic,
    Down {
        link: LinkId,
        reason: String,
    },
    Beacon(Heard),
    Accepted(Connection),
    Dialled {
        peer: PeerAddress,
        result: std::io::Result<Connection>,
    },
}

/// From futures and handles that were dropped. Unbounded, since dropping cannot wait; no longer
/// than there were live futures.
pub(crate) enum Released {
    /// A message nobody took out of its hand-over.
    Message(ReceivedMessage),
    /// An outgoing message nobody waits for any more.
    Outgoing(MessageId),
    /// A request whose reply nobody waits for any more.
    Request(MessageId),
    /// What a service behind a topic said to a message; none when it could not be asked.
    Forwarded { message: ReceivedMessage, answer: Option<Bytes> },
    /// A subscription took messages and has room again.
    Room,
}

/// A message on its way from the core to a reader. If the reader has gone away meanwhile it goes
/// back, so that a cancelled call loses nothing.
pub(crate) struct Handover {
    message: Option<ReceivedMessage>,
    /// None for a copy.
    back: Option<mpsc::UnboundedSender<Released>>,
}

impl Handover {
    pub(crate) fn new(message: ReceivedMessage, back: mpsc::UnboundedSender<Released>) -> Self {
        Self { message: Some(message), back: Some(back) }
    }

    /// A message that stays where it is, too.
    pub(crate) fn copy(message: ReceivedMessage) -> Self {
        Self { message: Some(message), back: None }
    }

    pub(crate) fn message(&self) -> Option<&ReceivedMessage> {
        self.message.as_ref()
    }

    pub(crate) fn take(mut self) -> Option<ReceivedMessage> {
        self.message.take()
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if let (Some(message), Some(back)) = (self.message.take(), &self.back) {
            // Fails only when the node is closed, and then nobody can receive anyway.
            let _ = back.send(Released::Message(message));
        }
    }
}

/// Tells the core something when dropped, unless disarmed: that nobody waits any more.
pub(crate) struct ReleaseGuard {
    release: Option<Released>,
    core: mpsc::UnboundedSender<Released>,
}

impl ReleaseGuard {
    pub(crate) fn new(release: Released, core: mpsc::UnboundedSender<Released>) -> Self {
        Self { release: Some(release), core }
    }

    pub(crate) fn disarm(&mut self) {
        self.release = None;
    }
}

impl Drop for ReleaseGuard {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            let _ = self.core.send(release); // a closed node has given it up already
        }
    }
}

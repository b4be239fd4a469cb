//! The ways in which packets get from node to node, behind one shape.
//!
//! A transport dials and listens; what comes of it is a [`Connection`]: a reader that yields whole
//! packets and a writer that takes them by class from the link's outbox. Links, peers and the core
//! know no more than that. Transports made of one byte stream share `stream`; QUIC has datagrams
//! beside its stream and brings halves of its own.
//!
//! Which transports a node has is settled once, when it starts: in a private network TCP is TLS,
//! there is no QUIC, and virtual-machine sockets, which the network's key does not protect, are
//! refused unless they are asked for.

mod handshake;
mod memory;
mod quic;
mod stream;
mod tcp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::memory::MemoryNetwork;
use self::quic::Quic;
use super::command::Input;
use super::outbox::Outbox;
use super::peer::Counters;
use crate::endpoint::Endpoint;
use crate::wire::frame::{FrameError, Packet};

/// An asynchronous answer of something that is only known as a trait.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Both directions to a peer, ready for packets.
pub(crate) struct Connection {
    /// Where the other side is.
    pub(crate) remote: Endpoint,
    /// Our own address on the way there, where the transport has one.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) reader: Box<dyn PacketReader>,
    pub(crate) writer: Box<dyn PacketWriter>,
}

/// The receiving half of a connection.
pub(crate) trait PacketReader: Send {
    /// Waits for the next bytes and appends the packets they complete, perhaps none. Packets that
    /// came before the end, or before a framing error, are given before it is.
    fn read<'a>(
        &'a mut self,
        packets: &'a mut Vec<Packet>,
    ) -> BoxFuture<'a, Result<Arrived, ReadError>>;
}

/// What one read brought beside the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    /// Packets and TLVs that were skipped because they were malformed.
    pub(crate) malformed: u64,
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the peer closed it")]
    Closed,
    #[error("it ended inside a packet")]
    Cut,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The sending half of a connection.
pub(crate) trait PacketWriter: Send {
    /// Writes what the outbox gives until it is finished and empty; counts the bytes.
    fn write_from<'a>(
        &'a mut self,
        outbox: &'a Outbox,
        counters: &'a Counters,
    ) -> BoxFuture<'a, io::Result<()>>;

    /// Ends the connection. What was written before gets there if the peer reads.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// Something that accepts connections.
pub(crate) trait Listener: Send {
    /// Where, with the port the system chose.
    fn local(&self) -> io::Result<Endpoint>;

    /// Accepts until the core is gone; whoever has to shake hands does so in a task of their own.
    fn run(self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()>;
}

/// What a listener needs to hand over what it accepted.
#[derive(Clone)]
pub(crate) struct Arrivals {
    pub(crate) core: mpsc::Sender<Input>,
    pub(crate) tracker: TaskTracker,
    pub(crate) closing: CancellationToken,
}

impl Arrivals {
    /// Gives a connection to the core; false when there is none any more.
    pub(crate) async fn hand_over(&self, connection: Connection) -> bool {
        self.core.send(Input::Accepted(connection)).await.is_ok()
    }
}

/// The transports of one node.
pub(crate) struct Transports {
    memory: MemoryNetwork,
    quic: Arc<Quic>,
}

impl Transports {
    /// `name` is what the node is called in its QUIC certificate.
    pub(crate) fn new(name: &str, memory: MemoryNetwork) -> io::Result<Self> {
        Ok(Self { memory, quic: Arc::new(Quic::new(name)?) })
    }

    /// Waits, for a while, until nothing more is to be sent for closed connections.
    pub(crate) async fn end(&self) {
        self.quic.end().await;
    }

    /// Opens a listener.
    pub(crate) fn listen(&self, at: Endpoint) -> io::Result<Box<dyn Listener>> {
        match at {
            Endpoint::Tcp(address) => Ok(Box::new(tcp::listen(address)?)),
            Endpoint::Quic(address) => Ok(Box::new(self.quic.listen(address)?)),
            Endpoint::Memory(number) => Ok(Box::new(self.memory.listen(number)?)),
            other => Err(not_built(other)),
        }
    }

    /// One attempt to reach one endpoint. Dropped before it is done, it leaves nothing behind.
    pub(crate) fn dial(&self, to: Endpoint) -> BoxFuture<'static, io::Result<Connection>> {
        match to {
            Endpoint::Tcp(address) => Box::pin(tcp::dial(address)),
            Endpoint::Quic(address) => Box::pin(Arc::clone(&self.quic).dial(address)),
            Endpoint::Memory(number) => Box::pin(self.memory.clone().dial(number)),
            other => Box::pin(std::future::ready(Err(not_built(other)))),
        }
    }
}

fn not_built(endpoint: Endpoint) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{endpoint} needs a transport that is not built"),
    )
}

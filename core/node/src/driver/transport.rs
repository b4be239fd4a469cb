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
#[cfg_attr(not(feature = "private-network"), path = "transport/tls_absent.rs")]
mod tls;
#[cfg(all(feature = "vsock", target_os = "linux"))]
mod vsock;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::memory::MemoryNetwork;
use self::quic::Quic;
use self::tls::Tls;
use super::command::Input;
use super::link::DRAIN;
use super::outbox::Outbox;
use super::peer::Counters;
use crate::endpoint::{Endpoint, PeerAddress, Place, Scheme};
use crate::private_network::PrivateNetwork;
use crate::wire::frame::{FrameError, Packet};

/// An asynchronous answer of something that is only known as a trait.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A number of one connection that both of its ends know and nobody else. It says nothing; where
/// both sides dialled at the same time, it decides which of the two connections stays.
pub(crate) type Tie = [u8; 16];

/// Both directions to a peer, ready for packets.
pub(crate) struct Connection {
    /// Where the other side is.
    pub(crate) remote: Endpoint,
    /// Our own address on the way there, where the transport has one.
    pub(crate) local: Option<SocketAddr>,
    /// Where a peer dials from the port on which it listens; elsewhere nothing crosses.
    pub(crate) tie: Option<Tie>,
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

    /// Lets time go by, instead of reading: what the peer sends meanwhile waits at the peer, as far
    /// as the transport can make it wait.
    fn rest(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
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

/// What the transports of a node depend on.
pub(crate) struct TransportConfig {
    /// What the node is called in its QUIC certificate.
    pub(crate) name: String,
    pub(crate) private_network: Option<PrivateNetwork>,
    /// Whether links between virtual machines are trusted beside a private network's.
    pub(crate) plain_vsock: bool,
    pub(crate) memory: MemoryNetwork,
}

/// The transports of one node.
pub(crate) struct Transports {
    memory: MemoryNetwork,
    quic: Arc<Quic>,
    private: Option<Arc<Tls>>,
    vsock: bool,
}

impl Transports {
    pub(crate) fn new(config: TransportConfig) -> io::Result<Self> {
        let private = config.private_network.as_ref().map(Tls::new).transpose()?.map(Arc::new);
        let vsock = private.is_none() || config.plain_vsock;
        Ok(Self { memory: config.memory, quic: Arc::new(Quic::new(&config.name)?), private, vsock })
    }

    /// Waits, for a while, until nothing more is to be sent for closed connections, and gives back
    /// what no link needs any more.
    pub(crate) async fn end(&self) {
        self.quic.end(Duration::ZERO).await;
    }

    /// The same for links that are still closing. Sockets are opened anew when they are needed.
    pub(crate) async fn rest(&self) {
        self.quic.end(DRAIN).await;
    }

    /// Whether links over TCP are those of a private network.
    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Opens a listener.
    pub(crate) fn listen(&self, at: Endpoint) -> io::Result<Box<dyn Listener>> {
        self.allow(at)?;
        Ok(match (at, &self.private) {
            (Endpoint::Tcp(address) | Endpoint::Tls(address), Some(tls)) => tls.listen(address)?,
            (Endpoint::Tcp(address), None) => Box::new(tcp::listen(address)?),
            (Endpoint::Quic(address), _) => Box::new(self.quic.listen(address)?),
            #[cfg(all(feature = "vsock", target_os = "linux"))]
            (Endpoint::Vsock { cid, port }, _) => Box::new(vsock::listen(cid, port)?),
            (Endpoint::Memory(number), _) => Box::new(self.memory.listen(number)?),
            _ => return Err(not_built()),
        })
    }

    /// One attempt to reach one endpoint. Dropped before it is done, it leaves nothing behind.
    pub(crate) fn dial(&self, to: Endpoint) -> BoxFuture<'static, io::Result<Connection>> {
        if let Err(error) = self.allow(to) {
            return Box::pin(std::future::ready(Err(error)));
        }
        match (to, &self.private) {
            (Endpoint::Tcp(address) | Endpoint::Tls(address), Some(tls)) => {
                Box::pin(Arc::clone(tls).dial(address, to))
            }
            (Endpoint::Tcp(address), None) => Box::pin(tcp::dial(address)),
            (Endpoint::Quic(address), _) => Box::pin(Arc::clone(&self.quic).dial(address)),
            #[cfg(all(feature = "vsock", target_os = "linux"))]
            (Endpoint::Vsock { cid, port }, _) => Box::pin(vsock::dial(cid, port)),
            (Endpoint::Memory(number), _) => Box::pin(self.memory.clone().dial(number)),
            _ => Box::pin(std::future::ready(Err(not_built()))),
        }
    }

    /// Whether any of a peer's places can be dialled at all; the last reason if none can.
    pub(crate) fn allow_peer(&self, peer: &PeerAddress) -> io::Result<()> {
        let mut last = Ok(());
        for place in peer.places() {
            last = match place {
                Place::Literal(endpoint) => self.allow(*endpoint),
                Place::Named { scheme, .. } => self.allow_scheme(*scheme),
            };
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn allow(&self, endpoint: Endpoint) -> io::Result<()> {
        match endpoint {
            Endpoint::Tcp(_) => self.allow_scheme(Scheme::Tcp),
            Endpoint::Tls(_) => self.allow_scheme(Scheme::Tls),
            Endpoint::Quic(_) => self.allow_scheme(Scheme::Quic),
            Endpoint::Vsock { .. } if !self.vsock => Err(refused(
                "a private network's key does not protect vsock links; \
                 allow plain ones if the host is trusted",
            )),
            Endpoint::Vsock { .. } if !cfg!(all(feature = "vsock", target_os = "linux")) => {
                Err(not_built())
            }
            Endpoint::Vsock { .. } | Endpoint::Memory(_) => Ok(()),
        }
    }

    fn allow_scheme(&self, scheme: Scheme) -> io::Result<()> {
        match (scheme, self.is_private()) {
            (Scheme::Tls, false) => Err(refused(
                "tls:// is for private networks; give the network's name and key, or use tcp://",
            )),
            (Scheme::Quic, true) => {
                Err(refused("there is no QUIC in a private network; use tcp:// or tls://"))
            }
            _ => Ok(()),
        }
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

fn not_built() -> io::Error {
    refused("this build has no vsock; build with the feature vsock, on Linux")
}

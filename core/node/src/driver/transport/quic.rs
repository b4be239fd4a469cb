//! QUIC (spec 2.4): control on one stream, each data packet in a datagram of its own.
//!
//! One UDP socket serves for accepting and for dialling, so that a peer sees one address of us.
//! What the certificate says is nobody's business: it is made anew at each start and any is
//! accepted, because the packets are sealed from end to end and control is as trustworthy as over
//! TCP. Only that the other side holds the certificate's key is checked.

mod config;
mod reader;
mod socket;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::{EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig, TokioRuntime, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use self::config::Configs;
use self::reader::QuicReader;
use self::socket::{Nowhere, Watched};
use self::writer::QuicWriter;
use super::handshake::{DEADLINE, Handshakes};
use super::{Arrivals, BoxFuture, Connection, Listener, Tie};
use crate::driver::peer::source_of;
use crate::endpoint::Endpoint;

/// The name that a client sends and a server ignores.
const SERVER_NAME: &str = "dummy.mycelium";
/// Handshakes in progress (spec 2.4), and of one source.
const HANDSHAKES: usize = 10;
const HANDSHAKES_PER_SOURCE: usize = 4;
/// From here on who wants to shake hands has to show that its address is its own.
const CROWDED: usize = HANDSHAKES / 2;
/// What the kernel may hold for us while we are busy; it gives what its limits allow.
const SOCKET_BUFFER: usize = 4 << 20;
/// Under which a connection's secrets are asked for its tie (RFC 5705 leaves such names to us).
const TIE_LABEL: &[u8] = b"EXPERIMENTAL threephone tie";
/// How long the last words of closed connections may take: they are repeated for three probe
/// timeouts, which are 30 ms each on a good path.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The node's UDP sockets and what it says on them.
pub(super) struct Quic {
    configs: Configs,
    sockets: Mutex<Vec<Bound>>,
    ending: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Bound {
    address: SocketAddr,
    endpoint: quinn::Endpoint,
    closed: CancellationToken,
}

impl Quic {
    /// `name` is what its certificate says: the router id.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        Ok(Self {
            configs: Configs::new(name)?,
            sockets: Mutex::default(),
            ending: Default::default(),
        })
    }

    /// Opens a socket that accepts.
    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<QuicListener> {
        let server = self.configs.server(address.ip());
        let bound = bind(address, Some(server.clone()))?;
        self.lock().push(bound.clone());
        let handshakes = Handshakes::new(HANDSHAKES, HANDSHAKES_PER_SOURCE, DEADLINE);
        Ok(QuicListener { bound, server: self.configs.servers(), handshakes })
    }

    /// One attempt.
    pub(super) async fn dial(self: Arc<Self>, to: SocketAddr) -> io::Result<Connection> {
        let endpoint = self.socket_for(to)?;
        let client = self.configs.client(to.ip());
        let connecting =
            endpoint.connect_with(client, to, SERVER_NAME).map_err(io::Error::other)?;
        let shaking = async {
            let connection = connecting.await?;
            let streams = connection.open_bi().await?;
            io::Result::Ok((connection, streams))
        };
        let shaken = tokio::time::timeout(DEADLINE, shaking).await;
        let (quic, streams) = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(connection(quic, streams, Endpoint::Quic(to), endpoint.local_addr().ok()))
    }

    /// Gives the ports back, after a moment for the last words of connections that were closed, or
    /// will be within `closing`.
    pub(super) async fn end(&self, closing: Duration) {
        let _one_at_a_time = self.ending.lock().await;
        let sockets = std::mem::take(&mut *self.lock());
        for Bound { endpoint, closed, .. } in sockets {
            endpoint.set_server_config(None);
            let _ = tokio::time::timeout(closing + LAST_WORDS, endpoint.wait_idle()).await;
            endpoint.close(VarInt::from_u32(0), b"");
            // An attempt to reach somebody who is not there would hold the socket for seconds. The
            // one that is replaced is kept for late packets; the second time it is closed.
            for _ in 0..2 {
                let _ = endpoint.rebind_abstract(Arc::new(Nowhere));
            }
            drop(endpoint);
            let _ = tokio::time::timeout(LAST_WORDS, closed.cancelled()).await;
        }
    }

    /// A socket from which `to` can be reached, opened if there is none.
    fn socket_for(&self, to: SocketAddr) -> io::Result<quinn::Endpoint> {
        let mut sockets = self.lock();
        if let Some(bound) = sockets.iter().find(|bound| reaches(bound.address, to)) {
            return Ok(bound.endpoint.clone());
        }
        let any_ipv6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let any_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let bound = match to.ip() {
            IpAddr::V6(_) => bind(any_ipv6, None)?,
            // A machine may have no IPv6 at all.
            IpAddr::V4(_) => bind(any_ipv6, None).or_else(|_| bind(any_ipv4, None))?,
        };
        sockets.push(bound.clone());
        Ok(bound.endpoint)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bound>> {
        // Every change is whole before the lock is released, so a poisoned state is a good state.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether packets to `to` can leave from a socket bound to `from`. The unspecified IPv6 address
/// reaches IPv4 too.
fn reaches(from: SocketAddr, to: SocketAddr) -> bool {
    match (from.ip(), to.ip()) {
        (IpAddr::V6(from), _) if from.is_unspecified() => true,
        (IpAddr::V4(from), IpAddr::V4(_)) if from.is_unspecified() => true,
        (from, to) => from.is_ipv4() == to.is_ipv4() && from.is_loopback() == to.is_loopback(),
    }
}

fn bind(address: SocketAddr, server: Option<ServerConfig>) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if let SocketAddr::V6(address) = address {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket: std::net::UdpSocket = socket.into();
    let address = socket.local_addr()?;
    let (socket, closed) = Watched::new(socket)?;
    let (config, runtime) = (EndpointConfig::default(), Arc::new(TokioRuntime));
    let endpoint = quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)?;
    Ok(Bound { address, endpoint, closed })
}

/// A socket that accepts.
pub(super) struct QuicListener {
    bound: Bound,
    server: config::Servers,
    handshakes: Arc<Handshakes>,
}

impl Listener for QuicListener {
    fn local(&self) -> io::Result<Endpoint> {
        Ok(Endpoint::Quic(self.bound.address))
    }

    fn run(self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Some(incoming) = self.bound.endpoint.accept().await {
                let crowded = self.handshakes.count() >= CROWDED;
                if crowded && !incoming.remote_address_validated() {
                    let _ = incoming.retry(); // it comes again with a token
                    continue;
                }
                let from = incoming.remote_address();
                let place = self.handshakes.admit(source_of(&Endpoint::Quic(from)));
                let server = self.server.of(from.ip());
                let (local, arrivals) = (self.bound.address, arrivals.clone());
                let (tracker, closing) = (arrivals.tracker.clone(), arrivals.closing.clone());
                let task = async move {
                    match place.run(shake_hands(incoming, server, local)).await {
                        Ok(connection) => drop(arrivals.hand_over(connection).await),
                        Err(error) => tracing::debug!(%from, %error, "a QUIC handshake failed"),
                    }
                };
                tracker.spawn(closing.run_until_cancelled_owned(task));
            }
        })
    }
}

/// The handshake, and the stream that the dialling side opens at once.
async fn shake_hands(
    incoming: Incoming,
    server: Arc<ServerConfig>,
    local: SocketAddr,
) -> io::Result<Connection> {
    let quic = incoming.accept_with(server)?.await?;
    let streams = quic.accept_bi().await?;
    let remote = Endpoint::Quic(quic.remote_address());
    Ok(connection(quic, streams, remote, Some(local)))
}

fn connection(
    quic: quinn::Connection,
    (send, receive): (SendStream, RecvStream),
    remote: Endpoint,
    bound: Option<SocketAddr>,
) -> Connection {
    let local = quic.local_ip().zip(bound).map(|(ip, bound)| SocketAddr::new(ip, bound.port()));
    Connection {
        remote,
        local,
        tie: tie(&quic),
        reader: Box::new(QuicReader::new(quic.clone(), receive)),
        writer: Box::new(QuicWriter::new(quic, send)),
    }
}

fn tie(quic: &quinn::Connection) -> Option<Tie> {
    let mut tie = Tie::default();
    quic.export_keying_material(&mut tie, TIE_LABEL, b"").is_ok().then_some(tie)
}

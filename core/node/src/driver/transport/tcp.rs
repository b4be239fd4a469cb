//! TCP: the packets on one stream, and nothing else (spec 2.3).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::stream::{StreamReader, StreamWriter};
use super::{Arrivals, BoxFuture, Connection, Listener};
use crate::endpoint::Endpoint;

/// A SYN is repeated after 1 and 3 seconds; whoever has not answered by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Errors of accepting are about this machine (no file descriptors left) and do not go away sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections the system holds until they are accepted.
const BACKLOG: i32 = 256;

/// Opens a socket. The unspecified IPv6 address takes IPv4 connections too.
pub(super) fn listen(address: SocketAddr) -> io::Result<Tcp> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(address) = address {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted node gets its port back while old connections linger. On Windows the option
    // means something else: sharing the port with a stranger.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Tcp { listener: TcpListener::from_std(socket.into())? })
}

/// A socket that accepts.
pub(super) struct Tcp {
    listener: TcpListener,
}

impl Tcp {
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection, whatever has to be waited for.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = self.listener.accept().await;
            match accepted.and_then(|(stream, from)| Ok((without_delay(stream)?, from))) {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Listener for Tcp {
    fn local(&self) -> io::Result<Endpoint> {
        Ok(Endpoint::Tcp(self.local_addr()?))
    }

    fn run(self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let (stream, from) = self.accept().await;
                if !arrivals.hand_over(connection(stream, Endpoint::Tcp(from))).await {
                    return;
                }
            }
        })
    }
}

/// Connects, at most for as long as a SYN is repeated.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    without_delay(connect.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
}

/// One attempt.
pub(super) async fn dial(address: SocketAddr) -> io::Result<Connection> {
    Ok(connection(connect(address).await?, Endpoint::Tcp(address)))
}

/// Without TCP_NODELAY every acknowledgement would wait for the next packet; a socket that refuses
/// it is of no use.
fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connection(stream: TcpStream, remote: Endpoint) -> Connection {
    let local = stream.local_addr().ok();
    let (reader, writer) = stream.into_split();
    let (reader, writer) =
        (Box::new(StreamReader::new(reader)), Box::new(StreamWriter::new(writer)));
    Connection { remote, local, tie: None, reader, writer }
}

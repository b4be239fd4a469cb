//! Sockets between a virtual machine and its host (spec 2.6): the same bytes as over TCP.
//!
//! Beside how they are opened and addressed they are like any stream socket, so the runtime's type
//! for local ones moves the bytes.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::stream::{StreamReader, StreamWriter};
use super::{Arrivals, BoxFuture, Connection, Listener};
use crate::endpoint::Endpoint;

/// The host answers at once or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 64;

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Opens a socket that accepts.
pub(super) fn listen(cid: u32, port: u32) -> io::Result<Vsock> {
    let socket = socket()?;
    socket.bind(&SockAddr::vsock(cid, port))?;
    socket.listen(BACKLOG)?;
    let ready = stream(socket.try_clone()?)?;
    Ok(Vsock { socket, ready })
}

/// One attempt.
pub(super) async fn dial(cid: u32, port: u32) -> io::Result<Connection> {
    let socket = socket()?;
    match socket.connect(&SockAddr::vsock(cid, port)) {
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
        connected => connected?,
    }
    let stream = stream(socket)?;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, stream.writable()).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(connection(stream, Endpoint::Vsock { cid, port })),
    }
}

/// EINPROGRESS on Linux, which has no kind of error of its own.
const IN_PROGRESS: i32 = 115;

/// A socket that accepts.
pub(super) struct Vsock {
    socket: Socket,
    /// The same one; tells when there is somebody to accept.
    ready: UnixStream,
}

impl Vsock {
    async fn accept(&self) -> io::Result<Connection> {
        let (socket, from) = loop {
            self.ready.readable().await?;
            match self.ready.try_io(Interest::READABLE, || self.socket.accept()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => break accepted?,
            }
        };
        socket.set_nonblocking(true)?;
        let (cid, port) = from.as_vsock_address().ok_or(io::ErrorKind::InvalidData)?;
        Ok(connection(stream(socket)?, Endpoint::Vsock { cid, port }))
    }
}

impl Listener for Vsock {
    fn local(&self) -> io::Result<Endpoint> {
        let address = self.socket.local_addr()?;
        let (cid, port) = address.as_vsock_address().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Endpoint::Vsock { cid, port })
    }

    fn run(self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                match self.accept().await {
                    Ok(connection) => {
                        if !arrivals.hand_over(connection).await {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        })
    }
}

fn stream(socket: Socket) -> io::Result<UnixStream> {
    UnixStream::from_std(OwnedFd::from(socket).into())
}

fn connection(stream: UnixStream, remote: Endpoint) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection {
        remote,
        local: None,
        tie: None,
        reader: Box::new(StreamReader::new(reader)),
        writer: Box::new(StreamWriter::new(writer)),
    }
}

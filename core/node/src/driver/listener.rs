//! Opening listeners, accepting, dialling: where sockets come from.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::command::Input;
use crate::endpoint::Endpoint;

/// A SYN is repeated after 1 and 3 seconds; whoever has not answered by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Errors of accepting are about this machine (no file descriptors left) and do not go away sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections the system holds until they are accepted.
const BACKLOG: i32 = 256;

/// Opens a listener. The unspecified IPv6 address takes IPv4 connections too.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
    TcpListener::from_std(socket.into())
}

/// Accepts until cancelled or until the core is gone.
pub(crate) async fn accept(listener: TcpListener, core: mpsc::Sender<Input>) {
    loop {
        let input = match listener.accept().await {
            Ok((stream, from)) => Input::Accepted { stream, from },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if core.send(input).await.is_err() {
            return;
        }
    }
}

/// One attempt to reach a peer; the outcome goes to the core.
pub(crate) async fn dial(endpoint: Endpoint, core: mpsc::Sender<Input>) {
    let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(endpoint.address()));
    let result = connect.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let _ = core.send(Input::Dialled { endpoint, result }).await; // no core, nobody to tell
}

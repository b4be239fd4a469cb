//! Hears from the system when this machine gets or loses an address, so that a daemon that nobody
//! tells of the network finds its peers again as soon as there is one.
//!
//! Linux says so on a netlink socket; what it says is not read, only that it said something: the
//! addresses are listed anew and compared, for most of it changes none. There is no timer but for
//! the moment in which one change after the other comes, and where the system tells nothing there
//! is nothing at all: Android, for one, allows no application to ask.

use std::time::Duration;

use tokio::sync::mpsc;

use super::command::Command;
use super::interface;

/// Between the first news and the look at what there is: an interface that comes up gets its
/// addresses one by one, and a router's answer takes a round trip.
const SETTLES: Duration = Duration::from_millis(500);

/// Runs until the core is gone.
pub(crate) async fn watch(core: mpsc::Sender<Command>) {
    let Ok(news) = system::News::open() else {
        tracing::debug!("the system does not tell of changes of the network");
        return;
    };
    let mut known = interface::addresses();
    while news.wait().await.is_ok() {
        tokio::time::sleep(SETTLES).await;
        let now = interface::addresses();
        if now != known {
            tracing::info!("the addresses of this machine have changed");
            known = now;
            if core.send(Command::NetworkChanged).await.is_err() {
                return;
            }
        }
    }
    tracing::warn!("the system tells no more of changes of the network");
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::errno::Errno;
    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    };
    use tokio::io::unix::AsyncFd;

    /// Groups of messages: addresses that come and go.
    const GROUPS: i32 = libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;

    pub(super) struct News(AsyncFd<OwnedFd>);

    impl News {
        #[allow(
            deprecated,
            reason = "its successor is unsafe; the socket is owned and never given away"
        )]
        pub(super) fn open() -> io::Result<Self> {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let protocol = SockProtocol::NetlinkRoute;
            let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.unsigned_abs()))?;
            Ok(Self(AsyncFd::new(socket)?))
        }

        /// Waits for news and takes in all there are.
        pub(super) async fn wait(&self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                let mut some = false;
                loop {
                    let taken = recv(self.0.as_raw_fd(), &mut [0; 512], MsgFlags::MSG_DONTWAIT);
                    match taken {
                        // More than the system could keep for us is news too.
                        Ok(1..) | Err(Errno::ENOBUFS) => some = true,
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Err(Errno::EINTR) => {}
                        Err(Errno::EAGAIN) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                ready.clear_ready();
                if some {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) enum News {}

    impl News {
        pub(super) fn open() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn wait(&self) -> io::Result<()> {
            match *self {}
        }
    }
}

//! Sends beacons and hears those of others, on every interface that fits (spec 3.4).
//!
//! One task around one socket, which knows no clock: the core says when a beacon goes out, together
//! with whatever else wakes it, and when nobody is to be heard; then there is no socket, so that
//! the beacons of others wake nothing.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use super::command::Input;
use super::interface;
use crate::discovery::{BEACON_BYTES, Beacon, GROUP, Hearing, fitting};

/// Interfaces that are joined: machines with more have them for their guests.
const INTERFACES: usize = 64;

/// What the core wants of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nobody is to be heard, nothing to be sent.
    Rest,
    /// Listen, and send the beacon of this number if it has not been sent.
    Beacon(u64),
}

/// What the task starts from.
pub(crate) struct Parts {
    pub(crate) port: u16,
    /// What to send; a node that nobody can dial sends nothing.
    pub(crate) beacon: Option<Beacon>,
    pub(crate) hearing: Hearing,
    pub(crate) orders: watch::Receiver<Order>,
    pub(crate) core: mpsc::Sender<Input>,
}

/// Runs until the core is gone.
pub(crate) async fn run(mut parts: Parts) {
    let mut post: Option<Post> = None;
    loop {
        let mut datagram = [0; BEACON_BYTES + 1]; // one more: a longer datagram is no beacon
        let heard = tokio::select! {
            changed = parts.orders.changed() => {
                if changed.is_err() {
                    return;
                }
                let order = *parts.orders.borrow_and_update();
                post = follow(order, post, &parts).await;
                continue;
            }
            heard = hear(post.as_ref(), &mut datagram) => heard,
        };
        let (length, from) = match heard {
            Ok(heard) => heard,
            Err(error) => {
                // An interface went away, most likely; the next beacon opens another socket.
                tracing::debug!(%error, "beacons cannot be heard");
                post = None;
                continue;
            }
        };
        let bytes = datagram.get(..length).unwrap_or_default();
        if let Some(heard) = parts.hearing.hear(bytes, from, Instant::now())
            && parts.core.send(Input::Beacon(heard)).await.is_err()
        {
            return;
        }
    }
}

async fn follow(order: Order, post: Option<Post>, parts: &Parts) -> Option<Post> {
    if order == Order::Rest {
        return None;
    }
    let mut post = match post.map_or_else(|| Post::open(parts.port), Ok) {
        Ok(post) => post,
        Err(error) => {
            tracing::warn!(
                %error, port = parts.port,
                "peers on the local network cannot be looked for; another node of this machine may hold the port"
            );
            return None;
        }
    };
    post.join();
    if let Some(beacon) = &parts.beacon {
        post.send(&beacon.encode()).await;
    }
    Some(post)
}

async fn hear(post: Option<&Post>, datagram: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match post {
        Some(post) => post.socket.recv_from(datagram).await,
        None => std::future::pending().await,
    }
}

/// The socket, and the interfaces on which it is a member of the group.
struct Post {
    socket: UdpSocket,
    port: u16,
    joined: BTreeSet<u32>,
}

impl Post {
    fn open(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        // Several nodes of one machine all hear a multicast.
        socket.set_reuse_address(true)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, port, joined: BTreeSet::new() })
    }

    /// Joins the group wherever that is new.
    fn join(&mut self) {
        let fitting: BTreeSet<u32> =
            fitting(&interface::list()).into_iter().take(INTERFACES).collect();
        self.joined.retain(|index| fitting.contains(index)); // back again, it is joined again
        for index in fitting {
            if self.joined.contains(&index) {
                continue;
            }
            match self.socket.join_multicast_v6(&GROUP, index) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    tracing::debug!(index, %error, "an interface cannot be joined");
                }
                _ => drop(self.joined.insert(index)),
            }
        }
    }

    async fn send(&self, beacon: &[u8]) {
        for index in &self.joined {
            let to = SocketAddrV6::new(GROUP, self.port, 0, *index);
            if let Err(error) = self.socket.send_to(beacon, to).await {
                tracing::debug!(index, %error, "a beacon cannot be sent");
            }
        }
    }
}

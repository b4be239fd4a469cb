//! QUIC over IPv6 where the path is narrower than the first guess: the least that IPv6 has to carry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;

use super::suite;
use crate::plain;

/// Of IPv6 (RFC 8200, 5), without its header and that of UDP.
const NARROW: usize = 1280 - 48;

/// Stands between a node and those that dial it, and loses what is too long.
struct Path {
    address: SocketAddr,
    longest: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Path {
    async fn to(node: SocketAddr) -> Self {
        let front = UdpSocket::bind("[::1]:0").await.unwrap();
        let back = UdpSocket::bind("[::1]:0").await.unwrap();
        back.connect(node).await.unwrap();
        let (address, longest) = (front.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let seen = Arc::clone(&longest);
        let task = tokio::spawn(async move {
            let (mut out, mut home) = ([0; 2000], [0; 2000]);
            let mut dialled_from = None;
            loop {
                let (socket, to, packet) = tokio::select! {
                    got = front.recv_from(&mut out) => {
                        let (length, from) = got.unwrap();
                        dialled_from = Some(from);
                        (&back, Some(node), &out[..length])
                    }
                    length = back.recv(&mut home) => (&front, dialled_from, &home[..length.unwrap()]),
                };
                seen.fetch_max(packet.len(), Ordering::Relaxed);
                if let Some(to) = to.filter(|_| packet.len() <= NARROW) {
                    // A full queue loses packets as well.
                    let _ = if to == node {
                        socket.send(packet).await
                    } else {
                        socket.send_to(packet, to).await
                    };
                }
            }
        });
        Self { address, longest, task }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_ipv6_no_packet_is_longer_than_1500_and_a_path_of_1280_carries_messages_of_any_size() {
    let setup = plain("quic://[::1]:0");
    let ann = suite::start(1, &setup, true, vec![]).await;
    let path = Path::to(ann.listening()[0].address().unwrap()).await;
    let there = format!("quic://{}", path.address).parse().unwrap();
    let ben = suite::start(2, &setup, false, vec![there]).await;
    suite::exchange(&ben, &ann).await;
    suite::send(&ben, &ann, vec![7; 20_000].into()).await;
    suite::send(&ann, &ben, vec![7; 20_000].into()).await;
    let longest = path.longest.load(Ordering::Relaxed);
    assert!(longest > NARROW && longest + 48 <= 1500, "{longest}");
    suite::close([ann, ben]).await;
    path.task.abort();
}

//! The same slow path for whole programs: a million bytes through the HTTP API of each side, over TCP
//! through a proxy that carries 2 Mbit/s with a round trip of 100 ms, ours and the stock daemons alike.
//!
//! All runs stand at the same time, each with a proxy of its own: they only wait. What counts is the
//! time from the `POST` until the answer to the receiver's `GET` is in, and the bytes that the proxy
//! was given in its direction meanwhile, by the payload. TCP loses nothing, so losses are simulated
//! only (`slow`).

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use threephone_system_tests::{ApiClient, StockDaemon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::Error;
use crate::bus::LONG_BYTES;
use crate::figure::{Figure, SHAPED_BYTES, SHAPED_BYTES_STOCK, SHAPED_TIME, SHAPED_TIME_STOCK};
use crate::http::Host;
use crate::report::Report;
use crate::stock;

const BYTES_PER_SECOND: f64 = 250_000.0;
const ONE_WAY: Duration = Duration::from_millis(50);
/// How long bytes may wait before the link: the queue of a modest router.
const QUEUE: Duration = Duration::from_millis(400);
/// What the proxy takes at a time, and what the system may hold before it.
const PIECE: usize = 1500;
const SOCKET_BUFFER: u32 = 16 << 10;
const TOPIC: &[u8] = b"bench";
/// The stock daemon was seen to take 106 s.
const PATIENCE: Duration = Duration::from_secs(400);
/// One wait for a message; in whole seconds, as the API takes it.
const WAIT: Duration = Duration::from_secs(30);
/// Time for a request to reach the daemon and wait there, before the clock starts.
const SETTLE: Duration = Duration::from_millis(5);

/// All runs of all competitors.
pub(crate) async fn measure(report: &mut Report, runs: u32) -> Result<(), Error> {
    let (mut paths, mut hosts, mut daemons) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let ben = Host::start("tcp://127.0.0.1:0", Vec::new()).await?;
        let proxy = Proxy::start(ben.socket()?).await?;
        let ann = Host::start("tcp://127.0.0.1:0", vec![proxy.endpoint().parse()?]).await?;
        let figures = (SHAPED_TIME, SHAPED_BYTES);
        paths.push(Path { figures, from: ann.api()?, to: ben.api()?, end: ben.address(), proxy });
        hosts.extend([ann, ben]);
        if stock::is_there() {
            let start = |peers: &[String]| {
                let started = tokio::task::block_in_place(|| StockDaemon::start_quietly(peers));
                started.ok_or("there is no stock daemon")
            };
            let ben = start(&[])?;
            let proxy = Proxy::start(ben.endpoint().trim_start_matches("tcp://").parse()?).await?;
            let ann = start(&[proxy.endpoint()])?;
            let figures = (SHAPED_TIME_STOCK, SHAPED_BYTES_STOCK);
            let (from, to, end) = (ann.api(), ben.api(), ben.address());
            paths.push(Path { figures, from, to, end, proxy });
            daemons.extend([ann, ben]);
        }
    }
    let carried = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                paths.iter().map(|path| scope.spawn(|| path.carry_long())).collect();
            let joined = running.into_iter().map(|run| run.join());
            joined.map(|run| run.map_err(|_| "a run panicked")?).collect::<Result<Vec<_>, Error>>()
        })
    })?;
    for (path, (time, ratio)) in paths.iter().zip(carried) {
        report.add(path.figures.0, time.as_secs_f64());
        report.add(path.figures.1, ratio);
    }
    for host in hosts {
        host.close().await;
    }
    Ok(())
}

/// Two programs with a slow link between them.
struct Path {
    figures: (Figure, Figure),
    from: ApiClient,
    to: ApiClient,
    end: Ipv6Addr,
    proxy: Proxy,
}

impl Path {
    /// The time, and the bytes by the payload.
    fn carry_long(&self) -> Result<(Duration, f64), Error> {
        // The first one waits for the route.
        self.carry(1)?;
        let before = self.proxy.forward.load(Ordering::Relaxed);
        let took = self.carry(LONG_BYTES)?;
        let bytes = self.proxy.forward.load(Ordering::Relaxed) - before;
        Ok((took, bytes as f64 / LONG_BYTES as f64))
    }

    fn carry(&self, length: usize) -> Result<Duration, Error> {
        let payload = vec![0x5a; length];
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| self.receive(length).map(|()| Instant::now()));
            std::thread::sleep(SETTLE);
            let begun = Instant::now();
            self.from.send(self.end, TOPIC, &payload)?;
            let end = receiving.join().map_err(|_| "the receiver panicked")??;
            Ok(end.duration_since(begun))
        })
    }

    fn receive(&self, length: usize) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.to.receive(TOPIC, WAIT)? {
                None => {}
                Some(message) if message.payload.len() == length => return Ok(()),
                Some(_) => return Err("another message arrived".into()),
            }
        }
        Err("a message did not arrive".into())
    }
}

/// Carries TCP connections slowly, each way alike; ends with this value.
struct Proxy {
    at: SocketAddr,
    /// Bytes that whoever dialled has sent.
    forward: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Result<Self, Error> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?; // who is accepted has it too
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(8)?;
        let (at, forward) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let accepting = tokio::spawn(accept(listener, to, forward.clone()));
        Ok(Self { at, forward, accepting })
    }

    fn endpoint(&self) -> String {
        format!("tcp://{}", self.at)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, forward: Arc<AtomicU64>) {
    let mut carrying = tokio::task::JoinSet::new(); // ends with this task
    while let Ok((near, _)) = listener.accept().await {
        let forward = forward.clone();
        carrying.spawn(async move {
            let Ok(socket) = TcpSocket::new_v4() else { return };
            let _ = socket.set_recv_buffer_size(SOCKET_BUFFER); // only the queue grows without
            let Ok(far) = socket.connect(to).await else { return };
            let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let back = Arc::default();
            // When one way ends, so does the other.
            tokio::select! {
                () = carry(near_in, far_out, forward) => {}
                () = carry(far_in, near_out, back) => {}
            }
        });
    }
}

/// One way of one connection.
async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    bytes: Arc<AtomicU64>,
) {
    let (queue, mut queued) = mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let taking = async move {
        let mut free = tokio::time::Instant::now();
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            bytes.fetch_add(length as u64, Ordering::Relaxed);
            let needs = Duration::from_secs_f64(length as f64 / BYTES_PER_SECOND);
            free = free.max(tokio::time::Instant::now()) + needs;
            let piece = piece.get(..length).unwrap_or_default().to_vec();
            if queue.send((free + ONE_WAY, piece)).is_err() {
                return;
            }
            tokio::time::sleep_until(free - QUEUE).await; // no room before the link
        }
    };
    let giving = async move {
        while let Some((due, piece)) = queued.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(taking, giving);
}

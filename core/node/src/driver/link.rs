//! One peer link: a reader and a writer task around one connection.

mod ration;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::ration::Ration;
use super::command::Input;
use super::fastpath::FastPath;
use super::outbox::Outbox;
use super::peer::Counters;
use super::transport::{Connection, PacketReader, PacketWriter};
use crate::LinkId;
use crate::endpoint::{Endpoint, PeerAddress};

/// What is queued when a link is closed gets this long to leave. Acknowledgements among it spare
/// the peer minutes of repeating; a peer that does not read is not waited for.
pub(super) const DRAIN: Duration = Duration::from_millis(500);
/// Malformed control packets a link may bring at once, and then one more a second. A peer with a
/// bug in one kind of packet stays; a flood does not.
const MALFORMED_BURST: u64 = 100;
/// Reads of one link that wait for the core at once: enough that it never waits for the link, and few
/// enough that what others bring does not stand behind a queue of one peer's.
const READS: usize = 2;

/// The core's end of a link. Dropping it closes the link, after a short time to write what is
/// queued.
pub(crate) struct Link {
    /// Under what it stands in the peer table.
    pub(crate) peer: PeerAddress,
    /// Where it goes.
    pub(crate) remote: Endpoint,
    /// Our own address, where the transport has one.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) counters: Arc<Counters>,
    /// Whether the application was told of it.
    pub(crate) announced: bool,
    /// Whether it has brought a packet.
    pub(crate) heard: bool,
    stop: CancellationToken,
}

impl Link {
    /// Starts the two tasks.
    pub(crate) fn start(
        id: LinkId,
        peer: PeerAddress,
        connection: Connection,
        counters: Arc<Counters>,
        core: mpsc::Sender<Input>,
        fast: &Arc<FastPath>,
        tracker: &TaskTracker,
    ) -> Self {
        let Connection { remote, local, reader, writer, .. } = connection;
        let (outbox, stop) = (Arc::new(Outbox::default()), CancellationToken::new());
        let span = tracing::debug_span!("link", link = id.0, %remote);
        let reading = read(id, reader, Arc::clone(&counters), Arc::clone(fast), core.clone());
        tracker.spawn(stop.clone().run_until_cancelled_owned(reading).instrument(span.clone()));
        let writing =
            Writing { id, outbox: Arc::clone(&outbox), counters: Arc::clone(&counters), core };
        tracker.spawn(writing.run(writer, stop.clone()).instrument(span));
        Self { peer, remote, local, outbox, counters, announced: false, heard: false, stop }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.outbox.finish();
        self.stop.cancel();
    }
}

async fn read(
    id: LinkId,
    mut reader: Box<dyn PacketReader>,
    counters: Arc<Counters>,
    fast: Arc<FastPath>,
    core: mpsc::Sender<Input>,
) {
    let started = Instant::now();
    let (mut ration, reads) = (Ration::new(started), Arc::new(Semaphore::new(READS)));
    let mut malformed = 0;
    let reason = loop {
        let mut packets = Vec::new();
        let arrived = match reader.read(&mut packets).await {
            Ok(arrived) => arrived,
            Err(error) => break error.to_string(),
        };
        counters.rx_bytes.fetch_add(arrived.bytes, Ordering::Relaxed);
        counters.malformed.fetch_add(arrived.malformed, Ordering::Relaxed);
        malformed += arrived.malformed;
        let (opened, held) = fast.intercept(id, &mut packets);
        let count = packets.len();
        if !(packets.is_empty() && opened.is_empty()) {
            let Ok(turn) = Arc::clone(&reads).acquire_owned().await else { return };
            let input = Input::Packets { link: id, packets, opened, held, turn };
            if core.send(input).await.is_err() {
                return;
            }
        }
        if malformed > MALFORMED_BURST + started.elapsed().as_secs() {
            break "it brings too many malformed packets".to_owned();
        }
        let pause = ration.take(count, Instant::now());
        if !pause.is_zero() {
            reader.rest(pause).await;
        }
    };
    let _ = core.send(Input::Down { link: id, reason }).await; // no core, nobody to tell
}

struct Writing {
    id: LinkId,
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    core: mpsc::Sender<Input>,
}

impl Writing {
    async fn run(self, mut writer: Box<dyn PacketWriter>, stop: CancellationToken) {
        let written = {
            let mut writing = writer.write_from(&self.outbox, &self.counters);
            tokio::select! {
                written = &mut writing => written,
                () = stop.cancelled() => {
                    tokio::time::timeout(DRAIN, writing).await.unwrap_or(Ok(()))
                }
            }
        };
        if let Err(error) = written {
            let down = Input::Down { link: self.id, reason: error.to_string() };
            // Told to stop, the core knows that the link is down.
            stop.run_until_cancelled(self.core.send(down)).await;
        }
        // Dropped, a connection ends as well, only less politely.
        let _ = tokio::time::timeout(DRAIN, writer.close()).await;
    }
}

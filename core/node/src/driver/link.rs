//! One peer link: a reader and a writer task around one TCP connection.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command::Input;
use super::outbox::{Batch, Outbox};
use super::peer::Counters;
use crate::LinkId;
use crate::endpoint::Endpoint;
use crate::wire::frame::{Decoder, FrameError};

/// Room for one read: enough for a batch of 50 data packets of an older node.
const READ_BYTES: usize = 64 * 1024;
/// What is queued when a link is closed gets this long to leave. Acknowledgements among it spare
/// the peer minutes of repeating; a peer that does not read is not waited for.
const DRAIN: Duration = Duration::from_millis(500);
/// Malformed control packets a link may bring at once, and then one more a second. A peer with a
/// bug in one kind of packet stays; a flood does not.
const MALFORMED_BURST: u64 = 100;

/// The core's end of a link. Dropping it closes the link, after a short time to write what is
/// queued.
pub(crate) struct Link {
    pub(crate) endpoint: Endpoint,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) counters: Arc<Counters>,
    /// Whether the application was told of it.
    pub(crate) announced: bool,
    stop: CancellationToken,
}

impl Link {
    /// Starts the two tasks. Fails when the socket refuses TCP_NODELAY, without which every
    /// acknowledgement would wait for the next packet.
    pub(crate) fn start(
        id: LinkId,
        endpoint: Endpoint,
        stream: TcpStream,
        counters: Arc<Counters>,
        core: mpsc::Sender<Input>,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (read_half, write_half) = stream.into_split();
        let (outbox, stop) = (Arc::new(Outbox::default()), CancellationToken::new());
        let reader = read(id, read_half, Arc::clone(&counters), core.clone());
        tracker.spawn(stop.clone().run_until_cancelled_owned(reader));
        let writer =
            Writer { id, outbox: Arc::clone(&outbox), counters: Arc::clone(&counters), core };
        tracker.spawn(writer.run(write_half, stop.clone()));
        Ok(Self { endpoint, outbox, counters, announced: false, stop })
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
    mut stream: OwnedReadHalf,
    counters: Arc<Counters>,
    core: mpsc::Sender<Input>,
) {
    let mut decoder = Decoder::new();
    let started = Instant::now();
    let reason = loop {
        decoder.buffer().reserve(READ_BYTES);
        match stream.read_buf(decoder.buffer()).await {
            Ok(0) if decoder.is_inside_packet() => break "it ended inside a packet".to_owned(),
            Ok(0) => break "the peer closed it".to_owned(),
            Ok(bytes) => counters.rx_bytes.fetch_add(bytes as u64, Ordering::Relaxed),
            Err(error) => break error.to_string(),
        };
        let malformed_before = decoder.malformed();
        let (packets, error) = drain(&mut decoder);
        let malformed = decoder.malformed();
        counters.malformed.fetch_add(malformed - malformed_before, Ordering::Relaxed);
        if !packets.is_empty() && core.send(Input::Packets { link: id, packets }).await.is_err() {
            return;
        }
        if let Some(error) = error {
            break error.to_string();
        }
        if malformed > MALFORMED_BURST + started.elapsed().as_secs() {
            break "it brings too many malformed packets".to_owned();
        }
    };
    let _ = core.send(Input::Down { link: id, reason }).await; // no core, nobody to tell
}

fn drain(decoder: &mut Decoder) -> (Vec<crate::wire::frame::Packet>, Option<FrameError>) {
    let mut packets = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

struct Writer {
    id: LinkId,
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    core: mpsc::Sender<Input>,
}

impl Writer {
    async fn run(self, mut stream: OwnedWriteHalf, stop: CancellationToken) {
        let mut batch = Batch::default();
        let written = {
            let mut writing = std::pin::pin!(self.write_all(&mut stream, &mut batch));
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
        let _ = stream.shutdown().await; // the connection ends here one way or the other
    }

    /// Writes until the outbox is finished.
    async fn write_all(&self, stream: &mut OwnedWriteHalf, batch: &mut Batch) -> io::Result<()> {
        while self.outbox.take(batch).await {
            let bytes = write_batch(stream, batch).await?;
            self.counters.tx_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            batch.clear();
        }
        Ok(())
    }
}

/// Writes a batch from where it lies; gives its length.
async fn write_batch(stream: &mut OwnedWriteHalf, batch: &Batch) -> io::Result<usize> {
    let control = std::iter::once(&batch.control[..]);
    let parts = control.chain(batch.data.iter().map(|packet| &packet[..]));
    let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
    let length = slices.iter().map(|slice| slice.len()).sum();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0); // passes over an empty control
    while !rest.is_empty() {
        match stream.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(length)
}

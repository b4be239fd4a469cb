//! What goes over QUIC: control on the stream, data in datagrams, and data that does not fit there
//! on the stream as well.
//!
//! The two ways are written side by side: datagrams that wait for the congestion window hold up no
//! control, and a full stream no datagrams. Inside a QUIC packet datagrams go first, so a queue of
//! them that never runs dry would keep the stream from ever being sent; therefore, when something
//! was written to the stream, only a little data follows until the queue has been empty once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, SendDatagramError, SendStream, VarInt};
use tokio::sync::mpsc;

use super::config::DATAGRAMS_OUT;
use crate::driver::outbox::Outbox;
use crate::driver::peer::Counters;
use crate::driver::transport::{BoxFuture, PacketWriter};

/// Packets too large for a datagram that wait for the stream.
const LARGE: usize = 32;
/// Nobody tells when the queue of datagrams is empty, so it is looked at. Only under load.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long the last packets of a connection may take.
const LAST: Duration = Duration::from_millis(200);

pub(super) struct QuicWriter {
    connection: Connection,
    stream: SendStream,
    /// The room in a queue of datagrams that holds none.
    all_room: usize,
}

/// What the two ways share while they are written.
struct Ways<'a> {
    connection: &'a Connection,
    outbox: &'a Outbox,
    counters: &'a Counters,
    all_room: usize,
    /// Something was written to the stream and may not have left yet.
    stream_waits: AtomicBool,
}

impl QuicWriter {
    pub(super) fn new(connection: Connection, stream: SendStream) -> Self {
        let all_room = connection.datagram_send_buffer_space();
        Self { connection, stream, all_room }
    }

    async fn write_all_from(&mut self, outbox: &Outbox, counters: &Counters) -> io::Result<()> {
        let (large_inlet, large) = mpsc::channel(LARGE);
        let ways = Ways {
            connection: &self.connection,
            outbox,
            counters,
            all_room: self.all_room,
            stream_waits: AtomicBool::new(false),
        };
        let on_stream = ways.write_stream(&mut self.stream, large);
        let as_datagrams = ways.write_datagrams(large_inlet);
        tokio::try_join!(on_stream, as_datagrams)?;
        Ok(())
    }

    async fn end(&mut self) {
        // What was written gets there, and is known to, before the connection goes.
        let _ = self.stream.finish();
        let _ = self.stream.stopped().await;
        let sent = wait_until_sent(&self.connection, self.all_room);
        let _ = tokio::time::timeout(LAST, sent).await;
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl Ways<'_> {
    /// Control first, then large packets, until there will be neither.
    async fn write_stream(
        &self,
        stream: &mut SendStream,
        mut large: mpsc::Receiver<Bytes>,
    ) -> io::Result<()> {
        let (mut control, mut packets) = (BytesMut::new(), Vec::new());
        let (mut has_control, mut has_large) = (true, true);
        while has_control || has_large {
            tokio::select! {
                biased;
                taken = self.outbox.take_control(&mut control), if has_control => {
                    has_control = taken;
                    packets.push(control.split().freeze());
                }
                count = large.recv_many(&mut packets, LARGE), if has_large => has_large = count > 0,
            }
            let bytes: usize = packets.iter().map(Bytes::len).sum();
            stream.write_all_chunks(&mut packets).await?;
            packets.clear();
            self.stream_waits.store(true, Ordering::Relaxed);
            self.count(bytes);
        }
        Ok(())
    }

    /// Each packet in a datagram, until there will be none.
    async fn write_datagrams(&self, large: mpsc::Sender<Bytes>) -> io::Result<()> {
        let mut data = Vec::new();
        let mut since_stream = 0;
        self.outbox.set_easy_length(self.connection.max_datagram_size().unwrap_or(0));
        while self.outbox.take_data(&mut data).await {
            let fits = self.connection.max_datagram_size().unwrap_or(0);
            self.outbox.set_easy_length(fits);
            for packet in data.drain(..) {
                let bytes = packet.len();
                if bytes > fits {
                    let _ = large.send(packet).await; // refused only when the stream has failed
                    continue;
                }
                if since_stream > DATAGRAMS_OUT && self.stream_waits.swap(false, Ordering::Relaxed)
                {
                    wait_until_sent(self.connection, self.all_room).await;
                    since_stream = 0;
                }
                match self.connection.send_datagram_wait(packet.clone()).await {
                    Ok(()) => {
                        since_stream += bytes;
                        self.count(bytes);
                    }
                    Err(SendDatagramError::ConnectionLost(error)) => return Err(error.into()),
                    // The path has become narrower meanwhile, or the peer takes none.
                    Err(_) => drop(large.send(packet).await),
                }
            }
        }
        Ok(())
    }

    fn count(&self, bytes: usize) {
        self.counters.tx_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Waits until no datagram waits to be sent, however slow the path is: going on earlier would leave
/// the stream waiting for as long as there is data. A peer that acknowledges nothing is noticed
/// elsewhere.
async fn wait_until_sent(connection: &Connection, all_room: usize) {
    while connection.datagram_send_buffer_space() < all_room && connection.close_reason().is_none()
    {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl PacketWriter for QuicWriter {
    fn write_from<'a>(
        &'a mut self,
        outbox: &'a Outbox,
        counters: &'a Counters,
    ) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(self.write_all_from(outbox, counters))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.end())
    }
}

//! Packets on one byte stream: TCP, TLS, virtual-machine sockets, memory.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Arrived, BoxFuture, PacketReader, PacketWriter, ReadError};
use crate::driver::outbox::{Batch, Outbox};
use crate::driver::peer::Counters;
use crate::wire::frame::{Decoder, FrameError, Packet};

/// Room for one read: enough for a batch of 50 data packets of an older node.
const READ_BYTES: usize = 64 * 1024;

/// Cuts what a stream brings into packets.
pub(crate) struct StreamReader<R> {
    stream: R,
    decoder: Decoder,
    failed: Option<FrameError>,
}

impl<R> StreamReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, decoder: Decoder::new(), failed: None }
    }
}

impl<R: AsyncRead + Send + Unpin> StreamReader<R> {
    async fn read_next(&mut self, packets: &mut Vec<Packet>) -> Result<Arrived, ReadError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        self.decoder.buffer().reserve(READ_BYTES);
        let bytes = match self.stream.read_buf(self.decoder.buffer()).await? {
            0 if self.decoder.is_inside_packet() => return Err(ReadError::Cut),
            0 => return Err(ReadError::Closed),
            bytes => bytes as u64,
        };
        let malformed = self.decoder.malformed();
        self.failed = drain(&mut self.decoder, packets).err();
        Ok(Arrived { bytes, malformed: self.decoder.malformed() - malformed })
    }
}

/// Moves all whole packets out of a decoder.
pub(crate) fn drain(decoder: &mut Decoder, packets: &mut Vec<Packet>) -> Result<(), FrameError> {
    while let Some(packet) = decoder.next()? {
        packets.push(packet);
    }
    Ok(())
}

impl<R: AsyncRead + Send + Unpin> PacketReader for StreamReader<R> {
    fn read<'a>(
        &'a mut self,
        packets: &'a mut Vec<Packet>,
    ) -> BoxFuture<'a, Result<Arrived, ReadError>> {
        Box::pin(self.read_next(packets))
    }
}

/// Writes batches of packets, without copying where the stream takes several buffers at once.
pub(crate) struct StreamWriter<W> {
    stream: W,
    joined: BytesMut,
}

impl<W> StreamWriter<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self { stream, joined: BytesMut::new() }
    }
}

impl<W: AsyncWrite + Send + Unpin> StreamWriter<W> {
    async fn write_all_from(&mut self, outbox: &Outbox, counters: &Counters) -> io::Result<()> {
        let mut batch = Batch::default();
        while outbox.take(&mut batch).await {
            let bytes: usize = parts(&batch).map(<[u8]>::len).sum();
            if self.stream.is_write_vectored() {
                write_slices(&mut self.stream, &batch).await?;
            } else {
                self.joined.clear();
                parts(&batch).for_each(|part| self.joined.extend_from_slice(part));
                self.stream.write_all(&self.joined).await?;
            }
            self.stream.flush().await?;
            counters.tx_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            batch.clear();
        }
        Ok(())
    }
}

fn parts(batch: &Batch) -> impl Iterator<Item = &[u8]> {
    std::iter::once(&batch.control[..]).chain(batch.data.iter().map(|packet| &packet[..]))
}

/// Writes a batch from where it lies.
async fn write_slices(stream: &mut (impl AsyncWrite + Unpin), batch: &Batch) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts(batch).map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0); // passes over an empty control
    while !rest.is_empty() {
        match stream.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}

impl<W: AsyncWrite + Send + Unpin> PacketWriter for StreamWriter<W> {
    fn write_from<'a>(
        &'a mut self,
        outbox: &'a Outbox,
        counters: &'a Counters,
    ) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(self.write_all_from(outbox, counters))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let _ = self.stream.shutdown().await; // the connection ends here one way or the other
        })
    }
}

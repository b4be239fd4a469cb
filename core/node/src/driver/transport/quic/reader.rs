//! What comes over QUIC: packets of both classes, on the stream and in datagrams.
//!
//! A stream that is not read makes the peer wait. Datagrams know no such thing: they would pile up in
//! the connection, each with the whole packet that brought it. So they are taken out also while
//! nothing may be read, and a few of the latest are kept until then.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ReadError as StreamError, RecvStream};

use crate::driver::transport::stream::drain;
use crate::driver::transport::{Arrived, BoxFuture, PacketReader, ReadError};
use crate::wire::frame::{Decoder, FrameError, Packet, decode_datagram};

/// Taken from the stream at once: pieces that came in a QUIC packet each.
const READ_CHUNKS: usize = 64;
/// Datagrams handed on together: as many packets as a writer sends together.
const READ_DATAGRAMS: usize = 100;
/// Datagrams kept while nothing may be read, of at most 1,472 bytes each: 1.5 MB.
pub(super) const KEPT: usize = 1024;

pub(super) struct QuicReader {
    connection: Connection,
    stream: RecvStream,
    chunks: Vec<Bytes>,
    /// Datagrams that came while nothing was to be read.
    kept: VecDeque<Bytes>,
    decoder: Decoder,
    failed: Option<FrameError>,
}

/// What came first.
enum Event {
    Stream(Result<Option<usize>, StreamError>),
    Datagram(Bytes),
    Kept,
    /// A stream beside the one that there is.
    Surplus,
}

impl QuicReader {
    pub(super) fn new(connection: Connection, stream: RecvStream) -> Self {
        let chunks = vec![Bytes::new(); READ_CHUNKS];
        let (kept, decoder) = (VecDeque::new(), Decoder::new());
        Self { connection, stream, chunks, kept, decoder, failed: None }
    }

    async fn read_next(&mut self, packets: &mut Vec<Packet>) -> Result<Arrived, ReadError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let event = tokio::select! {
            () = std::future::ready(()), if !self.kept.is_empty() => Event::Kept,
            count = self.stream.read_chunks(&mut self.chunks) => Event::Stream(count),
            datagram = self.connection.read_datagram() => {
                Event::Datagram(datagram.map_err(io::Error::from)?)
            }
            surplus = self.connection.accept_bi() => {
                drop(surplus.map_err(io::Error::from)?); // which stops it
                Event::Surplus
            }
        };
        match event {
            Event::Stream(Ok(Some(count))) => Ok(self.take_in(count, packets)),
            Event::Stream(Ok(None)) if self.decoder.is_inside_packet() => Err(ReadError::Cut),
            Event::Stream(Ok(None)) => Err(ReadError::Closed),
            Event::Stream(Err(error)) => Err(io::Error::from(error).into()),
            Event::Datagram(first) => Ok(self.take_in_datagrams(first, packets).await),
            Event::Kept => {
                let first = self.kept.pop_front().unwrap_or_default();
                Ok(self.take_in_datagrams(first, packets).await)
            }
            Event::Surplus => Ok(Arrived { bytes: 0, malformed: 1 }),
        }
    }

    fn take_in(&mut self, count: usize, packets: &mut Vec<Packet>) -> Arrived {
        let (malformed, mut bytes) = (self.decoder.malformed(), 0);
        for chunk in self.chunks.iter_mut().take(count).map(std::mem::take) {
            bytes += chunk.len() as u64;
            self.decoder.push(&chunk);
        }
        self.failed = drain(&mut self.decoder, packets).err();
        Arrived { bytes, malformed: self.decoder.malformed() - malformed }
    }

    /// Takes in a datagram and all that are there with it. One that makes no sense costs itself
    /// and not the link: where the next begins is certain.
    async fn take_in_datagrams(&mut self, first: Bytes, packets: &mut Vec<Packet>) -> Arrived {
        let mut arrived = Arrived { bytes: 0, malformed: 0 };
        let mut next = Some(first);
        for _ in 0..READ_DATAGRAMS {
            let Some(datagram) = next.take() else { break };
            arrived.bytes += datagram.len() as u64;
            arrived.malformed += decode_datagram(datagram, packets);
            next = self.kept.pop_front();
            if next.is_none() {
                next = tokio::select! {
                    biased;
                    datagram = self.connection.read_datagram() => datagram.ok(), // an error comes again
                    () = std::future::ready(()) => None,
                };
            }
        }
        if let Some(last) = next {
            arrived.bytes += last.len() as u64;
            arrived.malformed += decode_datagram(last, packets);
        }
        arrived
    }

    /// What was taken aside, the oldest first.
    #[cfg(test)]
    pub(super) fn kept(&self) -> impl Iterator<Item = &Bytes> {
        self.kept.iter()
    }

    /// Takes datagrams aside until it is dropped or the connection is gone.
    pub(super) async fn take_aside(&mut self) {
        while let Ok(datagram) = self.connection.read_datagram().await {
            if self.kept.len() >= KEPT {
                self.kept.pop_front();
            }
            // What was received together lies in one piece of memory, of which this may be a byte.
            self.kept.push_back(Bytes::copy_from_slice(&datagram));
            tokio::task::consume_budget().await; // whoever floods does not keep the time from going by
        }
    }
}

impl PacketReader for QuicReader {
    fn read<'a>(
        &'a mut self,
        packets: &'a mut Vec<Packet>,
    ) -> BoxFuture<'a, Result<Arrived, ReadError>> {
        Box::pin(self.read_next(packets))
    }

    fn rest(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { drop(tokio::time::timeout(time, self.take_aside()).await) })
    }
}

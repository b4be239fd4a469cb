//! What comes over QUIC: packets of both classes, on the stream and in datagrams.

use std::io;

use bytes::Bytes;
use quinn::{Connection, ReadError as StreamError, RecvStream};

use crate::driver::transport::stream::drain;
use crate::driver::transport::{Arrived, BoxFuture, PacketReader, ReadError};
use crate::wire::frame::{Decoder, FrameError, Packet, decode_datagram};

/// Taken from the stream at once.
const READ_BYTES: usize = 64 * 1024;
/// Datagrams handed on together: as many packets as a writer sends together.
const READ_DATAGRAMS: usize = 100;

pub(super) struct QuicReader {
    connection: Connection,
    stream: RecvStream,
    decoder: Decoder,
    failed: Option<FrameError>,
}

/// What came first.
enum Event {
    Stream(Result<Option<quinn::Chunk>, StreamError>),
    Datagram(Bytes),
    /// A stream beside the one that there is.
    Surplus,
}

impl QuicReader {
    pub(super) fn new(connection: Connection, stream: RecvStream) -> Self {
        Self { connection, stream, decoder: Decoder::new(), failed: None }
    }

    async fn read_next(&mut self, packets: &mut Vec<Packet>) -> Result<Arrived, ReadError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let event = tokio::select! {
            chunk = self.stream.read_chunk(READ_BYTES, true) => Event::Stream(chunk),
            datagram = self.connection.read_datagram() => {
                Event::Datagram(datagram.map_err(io::Error::from)?)
            }
            surplus = self.connection.accept_bi() => {
                drop(surplus.map_err(io::Error::from)?); // which stops it
                Event::Surplus
            }
        };
        match event {
            Event::Stream(Ok(Some(chunk))) => Ok(self.take_in(&chunk.bytes, packets)),
            Event::Stream(Ok(None)) if self.decoder.is_inside_packet() => Err(ReadError::Cut),
            Event::Stream(Ok(None)) => Err(ReadError::Closed),
            Event::Stream(Err(error)) => Err(io::Error::from(error).into()),
            Event::Datagram(first) => Ok(self.take_in_datagrams(first, packets).await),
            Event::Surplus => Ok(Arrived { bytes: 0, malformed: 1 }),
        }
    }

    fn take_in(&mut self, bytes: &[u8], packets: &mut Vec<Packet>) -> Arrived {
        let malformed = self.decoder.malformed();
        self.decoder.push(bytes);
        self.failed = drain(&mut self.decoder, packets).err();
        let malformed = self.decoder.malformed() - malformed;
        Arrived { bytes: bytes.len() as u64, malformed }
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
            next = tokio::select! {
                biased;
                datagram = self.connection.read_datagram() => datagram.ok(), // an error comes again
                () = std::future::ready(()) => None,
            };
        }
        if let Some(last) = next {
            arrived.bytes += last.len() as u64;
            arrived.malformed += decode_datagram(last, packets);
        }
        arrived
    }
}

impl PacketReader for QuicReader {
    fn read<'a>(
        &'a mut self,
        packets: &'a mut Vec<Packet>,
    ) -> BoxFuture<'a, Result<Arrived, ReadError>> {
        Box::pin(self.read_next(packets))
    }
}

//! Packets that the own host sends: read from the TUN, cut, sealed and queued on one task each queue.

use std::io;
use std::net::Ipv6Addr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::super::command::Input;
use super::super::outbox::Ingress;
use super::{FastPath, Hold, LinkPath, Path};
use crate::data::{Cause, Ends, Runs, TYPE_L3, USER_HEADER, VERSION, check};
use crate::seal::{OVERHEAD, Sealer};
use crate::tun::{Device, MTU, Offload, READ_BYTES, longest, narrow, split};
use crate::wire::data::DataPacket;

/// Reads taken in before what they brought is queued.
const READS: usize = 32;
/// Sealed bytes after which it is queued even though more may be there.
const ENOUGH: usize = 48 * 1024;
/// How long the host waits for a link that has enough to send. Then packets are dropped there, so
/// that a peer that does not read keeps nobody else waiting.
const PATIENCE: Duration = Duration::from_millis(10);
/// A device that fails is tried again after this long.
const PAUSE: Duration = Duration::from_millis(100);
/// What stands around an IP packet on a link.
const ADDED: usize = DataPacket::HEADER_LENGTH + USER_HEADER + OVERHEAD;
/// Sealed packets made in one allocation.
const CHUNK: usize = 80 * 1024;

/// Reads one queue of the TUN until the node closes.
pub(super) async fn run(fast: Arc<FastPath>, queue: usize) {
    let Some(device) = fast.devices.get(queue) else { return };
    let mut buffer = vec![0; READ_BYTES];
    let mut batch = Batch::default();
    loop {
        if let Err(error) = fill(&fast, device, &mut buffer, &mut batch).await {
            tracing::warn!(%error, "the TUN cannot be read");
            tokio::time::sleep(PAUSE).await;
        }
        if !batch.missed.is_empty() {
            let packets = std::mem::take(&mut batch.missed);
            if fast.core.send(Input::Ip { packets }).await.is_err() {
                return;
            }
        }
        let now = fast.milliseconds(Instant::now());
        for (link, packets) in batch.links.drain(..) {
            fast.shared.tally.add(Cause::Sent, packets.len() as u64);
            link.push(Ingress::Own, packets, &fast.shared);
            if link.outbox.has_enough() {
                let _ = tokio::time::timeout(PATIENCE, link.outbox.room()).await; // or it drops
            }
        }
        fast.shared.note(&std::mem::take(&mut batch.runs));
        fast.tell(now);
    }
}

/// What some reads come to.
#[derive(Default)]
struct Batch {
    links: Vec<(Arc<LinkPath>, Vec<Bytes>)>,
    /// What the core has to decide about.
    missed: Vec<(Option<Hold>, Bytes)>,
    runs: Runs,
    /// Where packets are sealed.
    sealed: BytesMut,
    bytes: usize,
}

/// Waits for a packet and takes in what follows at once.
async fn fill(
    fast: &FastPath,
    device: &Device,
    buffer: &mut [u8],
    batch: &mut Batch,
) -> io::Result<()> {
    batch.bytes = 0;
    if let Some((offload, packet)) = device.read(buffer).await? {
        fast.send(offload, packet, batch);
    }
    for _ in 0..READS {
        if batch.bytes >= ENOUGH {
            break;
        }
        match device.try_read(buffer)? {
            Some(Some((offload, packet))) => fast.send(offload, packet, batch),
            Some(None) => {}
            None => break,
        }
    }
    Ok(())
}

impl FastPath {
    /// Seals a packet of the host, or all that it stands for.
    fn send(&self, offload: Offload, packet: &mut [u8], batch: &mut Batch) {
        let checked = check(packet, longest(&offload, packet), self.shared.subnet, MTU);
        let path =
            checked.ok().filter(|ends| !self.holds.is_held(ends.destination)).and_then(|ends| {
                let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
                Some((ends, paths.get(&ends.destination).cloned()?))
            });
        let ready = path.as_ref().and_then(|(ends, path)| {
            let Path { known, link: Some(link), used } = &**path else { return None };
            used.store(self.milliseconds(Instant::now()), Ordering::Relaxed);
            Some((*ends, known.sealer.as_ref()?, link))
        });
        let Some((ends, sealer, link)) = ready else {
            return self.miss(offload, packet, checked.ok().map(|ends| ends.destination), batch);
        };
        let offload = match link.outbox.easy_length() {
            Some(easy) => narrow(offload, packet, easy.saturating_sub(ADDED)),
            None => offload,
        };
        let mut packets = Vec::new();
        let (sealed, runs) = (&mut batch.sealed, &mut batch.runs);
        let cut = split(&offload, packet, |headers, payload| {
            if let Some(bytes) = seal(sealer, ends, [headers, payload], sealed) {
                runs.add(ends.source, ends.destination, bytes.len());
                packets.push(bytes);
            }
        });
        if cut.is_err() {
            self.shared.tally.count(Cause::Refused);
        }
        batch.bytes += packets.iter().map(Bytes::len).sum::<usize>();
        match batch.links.iter_mut().find(|(other, _)| Arc::ptr_eq(other, link)) {
            Some((_, queued)) => queued.extend(packets),
            None => batch.links.push((Arc::clone(link), packets)),
        }
    }

    /// Leaves packets to the core; `destination` is that of packets it may send.
    fn miss(
        &self,
        offload: Offload,
        packet: &mut [u8],
        destination: Option<Ipv6Addr>,
        batch: &mut Batch,
    ) {
        let missed = &mut batch.missed;
        let cut = split(&offload, packet, |headers, payload| {
            let held = destination.map(|destination| self.holds.hold(destination));
            missed.push((held, [headers, payload].concat().into()));
        });
        if cut.is_err() {
            self.shared.tally.count(Cause::Refused);
        }
    }
}

/// Writes and seals a packet at the end of `buffer`, and cuts it off there.
fn seal(sealer: &Sealer, ends: Ends, parts: [&[u8]; 2], buffer: &mut BytesMut) -> Option<Bytes> {
    let length = ADDED + parts.iter().map(|part| part.len()).sum::<usize>();
    let payload = length - DataPacket::HEADER_LENGTH;
    if buffer.capacity() < length {
        *buffer = BytesMut::with_capacity(CHUNK.max(length));
    }
    let (field, hop_limit) = (u16::try_from(payload).ok()?, ends.hop_limit - 1);
    DataPacket::encode_header(hop_limit, ends.source, ends.destination, field, buffer);
    buffer.put_slice(&[VERSION, TYPE_L3, 0, 0]);
    parts.iter().for_each(|part| buffer.put_slice(part));
    let plain = buffer.get_mut(DataPacket::HEADER_LENGTH..)?;
    let (tag, nonce) = sealer.seal_in_place(plain)?;
    buffer.put_slice(&tag);
    buffer.put_slice(&nonce);
    Some(buffer.split().freeze())
}

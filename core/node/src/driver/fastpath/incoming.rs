//! Packets that a link brought.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::super::outbox::Ingress;
use super::{FastPath, Hold, LinkPath, Path, Remote};
use crate::LinkId;
use crate::data::{Cause, Opened, Runs, TYPE_L3, USER_HEADER, VERSION, check_ip};
use crate::tun::Coalescer;
use crate::wire::data::DataPacket;
use crate::wire::frame::Packet;

/// Where the hop limit of an IP packet stands.
const HOP_LIMIT: usize = 7;

/// What one batch comes to.
#[derive(Default)]
struct Batch {
    /// Opened packets, one after the other.
    buffer: Vec<u8>,
    /// IP packets for the TUN, where they lie.
    ip: Vec<Range<usize>>,
    opened: Vec<Opened>,
    forwarded: Vec<(Arc<LinkPath>, Vec<Bytes>)>,
    runs: Runs,
}

impl FastPath {
    /// Takes out of `packets`, all that one read of a link brought, what needs no core. Gives those
    /// it opened that are not for the TUN, and a hold for each data packet it left.
    pub(crate) fn intercept(
        &self,
        link: LinkId,
        packets: &mut Vec<Packet>,
    ) -> (Vec<Opened>, Vec<Hold>) {
        let is_data = |packet: &Packet| matches!(packet, Packet::Data(_));
        if !packets.iter().any(is_data) {
            return (Vec::new(), Vec::new());
        }
        let Some(from) = self.link(link) else { return (Vec::new(), Vec::new()) };
        let now = self.milliseconds(Instant::now());
        let mut batch = Batch::default();
        let (mut received, mut rest, mut held) = (0_u32, Vec::new(), Vec::new());
        {
            let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
            let mut last: Option<(Ipv6Addr, &Arc<Path>)> = None;
            for packet in packets.drain(..) {
                let Packet::Data(packet) = packet else {
                    rest.push(packet);
                    continue;
                };
                received += 1;
                let remote = Remote::of(&self.shared, packet.source, packet.destination);
                let address = remote.address();
                let path = match last {
                    Some((known, path)) if known == address => Some(path),
                    _ => paths.get(&address),
                };
                last = path.map(|path| (address, path));
                let is_ordinary = packet.hop_limit >= 2
                    && !self.shared.subnet.contains(packet.source)
                    && !self.holds.is_held(address);
                let taken = is_ordinary
                    && path.is_some_and(|path| self.take(remote, path, &packet, now, &mut batch));
                if !taken {
                    held.push(self.holds.hold(address));
                    rest.push(Packet::Data(packet));
                }
            }
        }
        let left = held.len() as u64;
        from.counters.rx_packets.fetch_add(u64::from(received) - left, Ordering::Relaxed);
        *packets = rest;
        from.received.fetch_add(received, Ordering::Relaxed);
        (self.finish(link, batch, now), held)
    }

    /// Handles one packet; false when the core has to.
    fn take(
        &self,
        remote: Remote,
        path: &Path,
        packet: &DataPacket,
        now: u64,
        batch: &mut Batch,
    ) -> bool {
        let taken = match remote {
            Remote::Beyond(_) => {
                path.link.as_ref().is_some_and(|link| forward(link, packet, batch))
            }
            Remote::Peer(_) => self.open(path, packet, batch),
        };
        if taken {
            path.used.store(now, Ordering::Relaxed);
            let length = DataPacket::HEADER_LENGTH + packet.payload.len();
            batch.runs.add(packet.source, packet.destination, length);
        }
        taken
    }

    fn open(&self, path: &Path, packet: &DataPacket, batch: &mut Batch) -> bool {
        let Some(sealer) = &path.known.sealer else { return false };
        let tally = &self.shared.tally;
        let start = batch.buffer.len();
        batch.buffer.extend_from_slice(&packet.payload);
        let sealed = batch.buffer.get_mut(start..).unwrap_or_default();
        let length = match sealer.open_in_place(sealed) {
            Ok(length) => length,
            Err(error) => {
                batch.buffer.truncate(start);
                tally.count(error.into());
                return true;
            }
        };
        batch.buffer.truncate(start + length);
        let plain = batch.buffer.get_mut(start..).unwrap_or_default();
        let (source, destination) = (packet.source, packet.destination);
        let hop_limit = packet.hop_limit - 1;
        if !self.devices.is_empty() && plain.starts_with(&[VERSION, TYPE_L3]) {
            let body = plain.get_mut(USER_HEADER..).unwrap_or_default();
            match check_ip(body, source, destination) {
                Ok(()) => {
                    if let Some(place) = body.get_mut(HOP_LIMIT) {
                        *place = hop_limit;
                    }
                    batch.ip.push(start + USER_HEADER..start + length);
                }
                Err(cause) => {
                    batch.buffer.truncate(start);
                    tally.count(cause);
                }
            }
            return true;
        }
        let (key, plain) = (path.known.key, Bytes::copy_from_slice(plain));
        batch.opened.push(Opened { source, destination, key, hop_limit, plain });
        batch.buffer.truncate(start);
        true
    }

    fn finish(&self, link: LinkId, mut batch: Batch, now: u64) -> Vec<Opened> {
        let forwarded: usize = batch.forwarded.iter().map(|(_, packets)| packets.len()).sum();
        self.shared.tally.add(Cause::Forwarded, forwarded as u64);
        for (next, packets) in batch.forwarded {
            next.push(Ingress::Link(link), packets, &self.shared);
        }
        self.write(&mut batch.buffer, &batch.ip, link);
        self.shared.note(&batch.runs);
        self.tell(now);
        batch.opened
    }

    /// Gives IP packets to the TUN, those of a flow as one where it can.
    fn write(&self, buffer: &mut [u8], packets: &[Range<usize>], link: LinkId) {
        if packets.is_empty() {
            return;
        }
        // Any queue takes any packet; that of one link is always the same, for the order's sake.
        let number = link.0 as usize % self.devices.len().max(1);
        let Some(device) = self.devices.get(number) else { return };
        self.shared.tally.add(Cause::Delivered, packets.len() as u64);
        let refused = match device.coalesces() {
            Some(has_udp) => {
                let mut coalescer = Coalescer::new(has_udp);
                for place in packets {
                    coalescer.add(buffer, place.clone());
                }
                let groups = coalescer.finish(buffer);
                device.write_groups(buffer, &groups)
            }
            None => packets
                .iter()
                .filter_map(|place| buffer.get(place.clone()))
                .map(|packet| u64::from(device.write_packet(packet).is_err()))
                .sum(),
        };
        self.shared.tally.add(Cause::DeviceFull, refused);
    }
}

fn forward(link: &Arc<LinkPath>, packet: &DataPacket, batch: &mut Batch) -> bool {
    let mut bytes = BytesMut::new();
    let counted = DataPacket { hop_limit: packet.hop_limit - 1, ..packet.clone() };
    if !counted.encode(&mut bytes) {
        return false;
    }
    let bytes = bytes.freeze();
    let same = batch.forwarded.iter_mut().find(|(other, _)| Arc::ptr_eq(other, link));
    match same {
        Some((_, packets)) => packets.push(bytes),
        None => batch.forwarded.push((Arc::clone(link), vec![bytes])),
    }
    true
}

//! The data plane (spec section 7): where a sealed packet goes, and what happens to it meanwhile.
//!
//! Packets for this node are opened and handed up; others are forwarded; both wait a bounded time
//! when nothing is known of the other end. Without a TUN, IP packets are checked and dropped. The
//! hop limit counts before anything else, also for packets that have arrived.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod icmp;
mod inner;
mod rate;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

pub use self::icmp::IcmpError;
use self::inner::is_honest_ip;
use self::rate::RateLimit;
use self::waiting::Waiting;
use crate::identity::SecretKey;
use crate::limits::DataLimits;
use crate::router::{RouteLookup, Router};
use crate::seal::{OVERHEAD, ReplayBudget, Sealer};
use crate::wire::data::DataPacket;
use crate::{LinkId, Prefix, PublicKey, in_overlay, subnet};

const VERSION: u8 = 1;
const TYPE_L3: u8 = 0;
const TYPE_MESSAGE: u8 = 1;
const TYPE_ICMP: u8 = 2;
/// What a packet starts with; the first hop counts already.
const HOP_LIMIT: u8 = 64;
const USER_HEADER: usize = 4;

/// What the data plane hands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A whole packet for a link.
    Transmit { link: LinkId, bytes: Bytes },
    /// A message packet from another node, opened.
    Message { source: Ipv6Addr, destination: Ipv6Addr, key: PublicKey, body: Bytes },
}

/// What happened to packets that went nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataCounters {
    /// The hop limit ran out.
    pub hop_limit: u64,
    /// Not sealed by whom they claim to come from, or reflected.
    pub unopened: u64,
    /// Opened, but making no sense.
    pub malformed: u64,
    /// No route, or no room to wait for one.
    pub no_route: u64,
    /// IP packets, for which there is no TUN.
    pub l3: u64,
    /// Valid error reports.
    pub errors: u64,
}

/// The data plane of one node.
pub(crate) struct DataPlane {
    secret: SecretKey,
    key: PublicKey,
    subnet: Prefix,
    limits: DataLimits,
    random: ChaCha20Rng,
    sealers: HashMap<PublicKey, Option<Sealer>>,
    replay_budget: Arc<ReplayBudget>,
    outbound: Waiting,
    inbound: Waiting,
    reports: RateLimit,
    counters: DataCounters,
    outputs: VecDeque<Output>,
}

impl DataPlane {
    pub(crate) fn new(
        secret: SecretKey,
        limits: DataLimits,
        random: ChaCha20Rng,
        now: Instant,
    ) -> Self {
        let key = secret.public_key();
        Self {
            subnet: Prefix::subnet_of(key.address()),
            outbound: Waiting::new(
                limits.outbound_per_subnet,
                limits.outbound,
                limits.outbound_bytes,
            ),
            inbound: Waiting::new(limits.inbound_per_subnet, limits.inbound, limits.inbound_bytes),
            reports: RateLimit::new(limits.errors_per_second, now),
            counters: DataCounters::default(),
            sealers: HashMap::new(),
            replay_budget: ReplayBudget::new(limits.replay_bytes),
            outputs: VecDeque::new(),
            secret,
            key,
            limits,
            random,
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn counters(&self) -> DataCounters {
        self.counters
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.outbound.poll_timeout(), self.inbound.poll_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let dropped = self.outbound.expire(now) + self.inbound.expire(now);
        self.counters.no_route += dropped as u64;
    }

    /// A packet came over a link (spec 7.2).
    pub(crate) fn handle(
        &mut self,
        from: LinkId,
        mut packet: DataPacket,
        router: &mut Router,
        now: Instant,
    ) {
        if self.subnet.contains(packet.source) {
            self.counters.malformed += 1; // ours come from here, not from there
            return;
        }
        if packet.hop_limit < 2 {
            self.counters.hop_limit += 1;
            self.report(IcmpError::HopLimitExceeded, from, &packet, router, now);
            return;
        }
        packet.hop_limit -= 1;
        if self.subnet.contains(packet.destination) {
            self.deliver(packet, router, now);
        } else {
            self.forward(Some(from), packet, router, now);
        }
    }

    /// Seals a message packet that `write` appends and sends it. Without a selected route it is
    /// dropped: whoever sends messages repeats them. False then.
    pub(crate) fn send_message(
        &mut self,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        expected: Option<PublicKey>,
        write: impl FnOnce(&mut BytesMut),
        router: &mut Router,
        now: Instant,
    ) -> bool {
        let RouteLookup::Selected { link, key, .. } = router.route(destination) else {
            router.lookup(destination, now);
            return false;
        };
        if expected.is_some_and(|expected| expected != key) {
            return false;
        }
        router.use_route(destination, now);
        match self.seal((source, destination), &key, TYPE_MESSAGE, write) {
            Some(bytes) => {
                self.outputs.push_back(Output::Transmit { link, bytes });
                true
            }
            None => false,
        }
    }

    /// A route to `prefix` exists now: what waited for it goes on.
    pub(crate) fn release(&mut self, prefix: Prefix, router: &mut Router, now: Instant) {
        let subnet = subnet_bits(prefix.address());
        for packet in self.outbound.take(subnet) {
            self.forward(None, packet, router, now);
        }
        for packet in self.inbound.take(subnet) {
            self.deliver(packet, router, now);
        }
    }

    fn forward(
        &mut self,
        from: Option<LinkId>,
        packet: DataPacket,
        router: &mut Router,
        now: Instant,
    ) {
        let destination = packet.destination;
        if !in_overlay(destination) {
            self.counters.no_route += 1;
            return;
        }
        match router.route(destination) {
            RouteLookup::Selected { link, .. } => {
                router.use_route(destination, now);
                let mut bytes = BytesMut::new();
                if packet.encode(&mut bytes) {
                    self.outputs.push_back(Output::Transmit { link, bytes: bytes.freeze() });
                }
            }
            RouteLookup::Unselected { .. } => {
                self.counters.no_route += 1;
                if let Some(from) = from {
                    self.report(IcmpError::NoRoute, from, &packet, router, now);
                }
            }
            RouteLookup::Unknown => {
                router.lookup(destination, now);
                let refused = self.outbound.push(subnet_bits(destination), packet, now).err();
                if let (Some(packet), Some(from)) = (refused, from) {
                    self.counters.no_route += 1;
                    self.report(IcmpError::NoRoute, from, &packet, router, now);
                }
            }
        }
    }

    fn deliver(&mut self, packet: DataPacket, router: &mut Router, now: Instant) {
        let Some(key) = router.key_of(packet.source) else {
            if !in_overlay(packet.source) {
                self.counters.malformed += 1;
                return;
            }
            router.lookup(packet.source, now);
            if self.inbound.push(subnet_bits(packet.source), packet, now).is_err() {
                self.counters.no_route += 1;
            }
            return;
        };
        let opened = self.sealer(&key).and_then(|sealer| sealer.open(&packet.payload).ok());
        let Some(mut body) = opened else {
            self.counters.unopened += 1;
            return;
        };
        let (source, destination) = (packet.source, packet.destination);
        match body.first_chunk::<USER_HEADER>() {
            Some([VERSION, TYPE_MESSAGE, _, _]) => {
                body.advance(USER_HEADER);
                self.outputs.push_back(Output::Message { source, destination, key, body });
            }
            Some([VERSION, TYPE_L3, _, _]) => {
                body.advance(USER_HEADER);
                let honest = is_honest_ip(&body, source, destination);
                let counter =
                    if honest { &mut self.counters.l3 } else { &mut self.counters.malformed };
                *counter += 1;
            }
            Some([VERSION, TYPE_ICMP, _, _]) => {
                body.advance(USER_HEADER);
                match icmp::parse(&body, source, destination) {
                    Some(report) => {
                        self.counters.errors += 1;
                        tracing::debug!(
                            error = ?report.error,
                            destination = %report.original_destination,
                            "a packet went nowhere",
                        );
                    }
                    None => self.counters.malformed += 1,
                }
            }
            _ => self.counters.malformed += 1,
        }
    }

    /// Tells the source of a packet that it went nowhere: only when the source is reached through
    /// the link the packet came from, since anybody else may have made the address up.
    fn report(
        &mut self,
        error: IcmpError,
        from: LinkId,
        packet: &DataPacket,
        router: &mut Router,
        now: Instant,
    ) {
        let RouteLookup::Selected { link, key, .. } = router.route(packet.source) else { return };
        if link != from || !self.reports.allows(subnet_bits(packet.source), now) {
            return;
        }
        let reporter = self.subnet.address();
        let ends = (packet.source, packet.destination);
        let write = |out: &mut BytesMut| icmp::build(error, reporter, ends, &packet.payload, out);
        if let Some(bytes) = self.seal((reporter, packet.source), &key, TYPE_ICMP, write) {
            self.outputs.push_back(Output::Transmit { link, bytes });
        }
    }

    /// A whole packet, written and sealed in one buffer.
    fn seal(
        &mut self,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        key: &PublicKey,
        kind: u8,
        write: impl FnOnce(&mut BytesMut),
    ) -> Option<Bytes> {
        let start = DataPacket::HEADER_LENGTH;
        let mut buffer = BytesMut::with_capacity(1500);
        DataPacket::encode_header(HOP_LIMIT - 1, source, destination, 0, &mut buffer);
        buffer.put_slice(&[VERSION, kind, 0, 0]);
        write(&mut buffer);
        let length = u16::try_from(buffer.len() - start + OVERHEAD).ok()?.to_be_bytes();
        for (byte, new) in buffer.iter_mut().skip(5).zip(length) {
            *byte = new; // the length field of the data header
        }
        self.sealer(key)?.seal(&mut buffer, start).then(|| buffer.freeze())
    }

    /// The sealer for a key; none for keys that share no secret.
    fn sealer(&mut self, key: &PublicKey) -> Option<&mut Sealer> {
        if self.sealers.len() >= self.limits.ciphers && !self.sealers.contains_key(key) {
            // Any of them: a sealer made anew starts from fresh random bits.
            let victim = self.sealers.keys().next().copied();
            victim.and_then(|victim| self.sealers.remove(&victim));
        }
        let (secret, own, random) = (&self.secret, &self.key, &mut self.random);
        let budget = &self.replay_budget;
        self.sealers
            .entry(*key)
            .or_insert_with(|| {
                let mut start = [0; 12];
                random.fill_bytes(&mut start);
                Sealer::new(&secret.shared_secret(key)?, own, key, start, Arc::clone(budget))
            })
            .as_mut()
    }
}

/// The upper half of an address, which names a node.
pub(crate) fn subnet_bits(address: Ipv6Addr) -> u64 {
    (subnet(address).to_bits() >> 64) as u64
}

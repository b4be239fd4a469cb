//! The data plane (spec section 7): where a sealed packet goes, and what happens to it meanwhile.
//!
//! Packets for this node are opened and handed up; others are forwarded; both wait a bounded time
//! when nothing is known of the other end. The hop limit counts before anything else, also for
//! packets that have arrived. What most packets need is known already: those go by the fast path of
//! the driver, which uses the same ciphers, checks and counters, and everything else comes here.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod cipher;
mod icmp;
mod inner;
mod local;
mod outgoing;
mod rate;
mod statistics;
mod tally;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rand_chacha::ChaCha20Rng;

use self::cipher::Ciphers;
pub use self::icmp::IcmpError;
pub(crate) use self::inner::check_ip;
pub(crate) use self::outgoing::{Ends, check};
use self::rate::RateLimit;
pub use self::statistics::{AddressCount, PacketStatistics};
pub(crate) use self::statistics::{Run, Runs, Statistics};
pub use self::tally::DataCounters;
pub(crate) use self::tally::{Cause, Tally};
use self::waiting::{Held, Waiting};
use crate::identity::SecretKey;
use crate::limits::DataLimits;
use crate::router::{RouteLookup, Router};
use crate::seal::{OVERHEAD, Sealer};
use crate::wire::data::DataPacket;
use crate::{LinkId, Prefix, PublicKey, in_overlay, subnet};

pub(crate) const VERSION: u8 = 1;
pub(crate) const TYPE_L3: u8 = 0;
const TYPE_MESSAGE: u8 = 1;
const TYPE_ICMP: u8 = 2;
/// What a packet starts with; the first hop counts already.
const HOP_LIMIT: u8 = 64;
pub(crate) const USER_HEADER: usize = 4;
/// What an error report has room for.
const REPORT: usize = 1500;

/// What the data plane hands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A whole packet for a link.
    Transmit { link: LinkId, bytes: Bytes },
    /// A message packet from another node, opened.
    Message { source: Ipv6Addr, destination: Ipv6Addr, key: PublicKey, body: Bytes },
    /// An IP packet for the TUN.
    Deliver(Bytes),
}

/// A packet for this node that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The outer addresses.
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    /// Who sealed it.
    pub(crate) key: PublicKey,
    /// Already counted down.
    pub(crate) hop_limit: u8,
    /// User header and body.
    pub(crate) plain: Bytes,
}

/// What all tasks that handle packets have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: Ipv6Addr,
    pub(crate) subnet: Prefix,
    pub(crate) tally: Tally,
    statistics: Mutex<Statistics>,
}

impl Shared {
    pub(crate) fn note(&self, runs: &Runs) {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).add_all(runs);
    }

    pub(crate) fn statistics(&self) -> PacketStatistics {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).read()
    }

    fn note_one(&self, source: Ipv6Addr, destination: Ipv6Addr, bytes: usize) {
        let run = Run { source, destination, packets: 1, bytes: bytes as u64 };
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).add(&run);
    }
}

/// What the fast path needs to know of an address.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Where packets to it leave.
    pub(crate) link: Option<LinkId>,
    pub(crate) key: PublicKey,
    /// Where it was asked for.
    pub(crate) sealer: Option<Arc<Sealer>>,
}

/// How messages get to an address at the moment.
pub(crate) struct Way {
    link: LinkId,
    /// Whom they are sealed for.
    pub(crate) key: PublicKey,
    sealer: Arc<Sealer>,
}

/// The data plane of one node.
pub(crate) struct DataPlane {
    shared: Arc<Shared>,
    ciphers: Ciphers,
    outbound: Waiting,
    inbound: Waiting,
    reports: RateLimit,
    answers: RateLimit,
    has_tun: bool,
    /// Messages sent and not yet counted.
    sent: Runs,
    outputs: VecDeque<Output>,
}

impl DataPlane {
    pub(crate) fn new(
        secret: SecretKey,
        limits: DataLimits,
        random: ChaCha20Rng,
        now: Instant,
    ) -> Self {
        let address = secret.public_key().address();
        let shared = Shared {
            address,
            subnet: Prefix::subnet_of(address),
            tally: Tally::default(),
            statistics: Mutex::new(Statistics::new(limits.statistics)),
        };
        Self {
            shared: Arc::new(shared),
            outbound: Waiting::new(
                limits.outbound_per_subnet,
                limits.outbound,
                limits.outbound_bytes,
            ),
            inbound: Waiting::new(limits.inbound_per_subnet, limits.inbound, limits.inbound_bytes),
            reports: RateLimit::new(limits.errors_per_second, now),
            answers: RateLimit::new(limits.answers_per_second, now),
            ciphers: Ciphers::new(secret, random, limits.ciphers, limits.replay_bytes),
            has_tun: false,
            sent: Runs::default(),
            outputs: VecDeque::new(),
        }
    }

    /// From now on IP packets are delivered to a TUN.
    pub(crate) fn attach_tun(&mut self) {
        self.has_tun = true;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is known of an address, with its sealer if that is asked for.
    pub(crate) fn known(
        &mut self,
        address: Ipv6Addr,
        with_sealer: bool,
        router: &Router,
    ) -> Option<Known> {
        let (link, key) = match router.route(address) {
            RouteLookup::Selected { link, key, .. } => (Some(link), key),
            RouteLookup::Unselected { key } => (None, key),
            RouteLookup::Unknown => return None,
        };
        let sealer = if with_sealer { Some(self.ciphers.sealer(&key)?) } else { None };
        Some(Known { link, key, sealer })
    }

    /// Whether packets of this key are still to be sealed and opened with this sealer.
    pub(crate) fn holds(&self, key: &PublicKey, sealer: &Arc<Sealer>) -> bool {
        self.ciphers.holds(key, sealer)
    }

    /// As long as this number stays the same, every sealer is still held.
    pub(crate) fn evictions(&self) -> u64 {
        self.ciphers.evictions()
    }

    /// A sealer was used beside this.
    pub(crate) fn note_use(&mut self, key: &PublicKey) {
        self.ciphers.sealer(key);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn counters(&self) -> DataCounters {
        self.shared.tally.counters()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.outbound.poll_timeout(), self.inbound.poll_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for held in self.outbound.expire(now) {
            self.give_up(held, now);
        }
        let dropped = self.inbound.expire(now).len();
        self.shared.tally.add(Cause::NoRoute, dropped as u64);
    }

    /// A packet came over a link (spec 7.2).
    pub(crate) fn handle(
        &mut self,
        from: LinkId,
        mut packet: DataPacket,
        router: &mut Router,
        now: Instant,
    ) {
        if self.shared.subnet.contains(packet.source) {
            self.shared.tally.count(Cause::Malformed); // ours come from here, not from there
            return;
        }
        let length = DataPacket::HEADER_LENGTH + packet.payload.len();
        self.shared.note_one(packet.source, packet.destination, length);
        if packet.hop_limit < 2 {
            self.shared.tally.count(Cause::HopLimit);
            self.report(IcmpError::HopLimitExceeded, from, &packet, router, now);
            return;
        }
        packet.hop_limit -= 1;
        if self.shared.subnet.contains(packet.destination) {
            self.deliver(Some(from), packet, router, now);
        } else {
            self.forward(Some(from), packet, router, now);
        }
    }

    /// The way of messages to an address now; none without a selected route: whoever sends messages
    /// repeats them.
    pub(crate) fn way(
        &mut self,
        destination: Ipv6Addr,
        router: &mut Router,
        now: Instant,
    ) -> Option<Way> {
        let RouteLookup::Selected { link, key, .. } = router.route(destination) else {
            router.lookup(destination, now);
            return None;
        };
        router.use_route(destination, now);
        Some(Way { link, key, sealer: self.ciphers.sealer(&key)? })
    }

    /// Seals a message packet of at most `length` bytes that `write` appends, and sends it.
    pub(crate) fn send_message(
        &mut self,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        way: &Way,
        length: usize,
        write: impl FnOnce(&mut BytesMut),
    ) {
        let kind = (TYPE_MESSAGE, HOP_LIMIT - 1);
        if let Some(bytes) = seal((source, destination), &way.sealer, kind, length, write) {
            self.sent.add(source, destination, bytes.len());
            self.outputs.push_back(Output::Transmit { link: way.link, bytes });
        }
    }

    /// Counts the messages sent since the last time.
    pub(crate) fn note_sent(&mut self) {
        self.shared.note(&self.sent);
        self.sent.clear();
    }

    /// A route to `prefix` exists now: what waited for it goes on.
    pub(crate) fn release(&mut self, prefix: Prefix, router: &mut Router, now: Instant) {
        let subnet = subnet_bits(prefix.address());
        for held in self.outbound.take(subnet) {
            match held {
                Held::Sealed(packet) => self.forward(None, packet, router, now),
                Held::Plain(packet) => self.handle_ip(packet, router, now),
            }
        }
        for held in self.inbound.take(subnet) {
            if let Held::Sealed(packet) = held {
                self.deliver(None, packet, router, now);
            }
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
            self.shared.tally.count(Cause::NoRoute);
            return;
        }
        match router.route(destination) {
            RouteLookup::Selected { link, .. } => {
                router.use_route(destination, now);
                let mut bytes = BytesMut::new();
                if packet.encode(&mut bytes) {
                    self.shared.tally.count(Cause::Forwarded);
                    self.outputs.push_back(Output::Transmit { link, bytes: bytes.freeze() });
                }
            }
            RouteLookup::Unselected { .. } => {
                self.shared.tally.count(Cause::NoRoute);
                if let Some(from) = from {
                    self.report(IcmpError::NoRoute, from, &packet, router, now);
                }
            }
            RouteLookup::Unknown => {
                if let Some(from) = from {
                    router.lookup_for(from, destination, now);
                }
                let held = Held::Sealed(packet);
                let refused = self.outbound.push(subnet_bits(destination), held, now).err();
                if let Some(Held::Sealed(packet)) = refused {
                    self.shared.tally.count(Cause::NoRoute);
                    if let Some(from) = from {
                        self.report(IcmpError::NoRoute, from, &packet, router, now);
                    }
                }
            }
        }
    }

    fn deliver(
        &mut self,
        from: Option<LinkId>,
        packet: DataPacket,
        router: &mut Router,
        now: Instant,
    ) {
        let Some(key) = router.key_of(packet.source) else {
            if !in_overlay(packet.source) {
                self.shared.tally.count(Cause::Malformed);
                return;
            }
            if let Some(from) = from {
                router.lookup_for(from, packet.source, now);
            }
            let subnet = subnet_bits(packet.source);
            if self.inbound.push(subnet, Held::Sealed(packet), now).is_err() {
                self.shared.tally.count(Cause::NoRoute);
            }
            return;
        };
        let Some(sealer) = self.ciphers.sealer(&key) else {
            self.shared.tally.count(Cause::Unopened);
            return;
        };
        let (source, destination, hop_limit) =
            (packet.source, packet.destination, packet.hop_limit);
        match sealer.open(&packet.payload) {
            Ok(plain) => {
                let opened = Opened { source, destination, key, hop_limit, plain };
                self.handle_opened(opened, router, now);
            }
            Err(error) => self.shared.tally.count(error.into()),
        }
    }

    /// A packet for this node was opened (spec 7.5).
    pub(crate) fn handle_opened(&mut self, opened: Opened, router: &mut Router, now: Instant) {
        let Opened { source, destination, key, hop_limit, plain: mut body } = opened;
        let Some([VERSION, kind, _, _]) = body.first_chunk::<USER_HEADER>() else {
            self.shared.tally.count(Cause::Malformed);
            return;
        };
        let kind = *kind;
        body.advance(USER_HEADER);
        match kind {
            TYPE_MESSAGE => {
                self.outputs.push_back(Output::Message { source, destination, key, body });
            }
            TYPE_L3 => match check_ip(&body, source, destination) {
                Ok(()) => self.handle_inner(body, hop_limit, router, now),
                Err(cause) => self.shared.tally.count(cause),
            },
            TYPE_ICMP => self.handle_report(&body, (source, destination), hop_limit, router),
            _ => self.shared.tally.count(Cause::Malformed),
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
        // A report comes from the network address of a /64, where no host is: about one of those
        // nothing is reported, or two nodes could keep each other busy.
        if packet.source == Prefix::subnet_of(packet.source).address() {
            return;
        }
        let reporter = self.shared.subnet.address();
        let about = (packet.source, packet.destination);
        let write = |out: &mut BytesMut| icmp::build(error, reporter, about, &packet.payload, out);
        let (ends, kind) = ((reporter, packet.source), (TYPE_ICMP, HOP_LIMIT - 1));
        let Some(sealer) = self.ciphers.sealer(&key) else { return };
        if let Some(bytes) = seal(ends, &sealer, kind, REPORT, write) {
            self.shared.tally.count(Cause::Reports);
            self.outputs.push_back(Output::Transmit { link, bytes });
        }
    }
}

/// A whole packet, written and sealed in one buffer; `length` is what `write` appends at most.
fn seal(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    sealer: &Sealer,
    (kind, hop_limit): (u8, u8),
    length: usize,
    write: impl FnOnce(&mut BytesMut),
) -> Option<Bytes> {
    let start = DataPacket::HEADER_LENGTH;
    // A buffer that is exactly full is handed on as it is.
    let mut buffer = BytesMut::with_capacity(start + USER_HEADER + length + OVERHEAD);
    DataPacket::encode_header(hop_limit, source, destination, 0, &mut buffer);
    buffer.put_slice(&[VERSION, kind, 0, 0]);
    write(&mut buffer);
    let length = u16::try_from(buffer.len() - start + OVERHEAD).ok()?.to_be_bytes();
    for (byte, new) in buffer.iter_mut().skip(5).zip(length) {
        *byte = new; // the length field of the data header
    }
    sealer.seal(&mut buffer, start).then(|| buffer.freeze())
}

/// The upper half of an address, which names a node.
pub(crate) fn subnet_bits(address: Ipv6Addr) -> u64 {
    (subnet(address).to_bits() >> 64) as u64
}

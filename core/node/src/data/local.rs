//! IP packets of and for this host (spec 7.5 to 7.7).

use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use super::outgoing::{self, Ends, Refusal, answer_echo};
use super::waiting::Held;
use super::{Cause, DataPlane, Output, TYPE_L3, USER_HEADER, VERSION, icmp, seal, subnet_bits};
use crate::router::{LookupState, RouteLookup, Router};
use crate::tun::MTU;

/// Where the hop limit stands.
const HOP_LIMIT: usize = 7;

impl DataPlane {
    /// An IP packet of this host is to leave, or to be refused, or to wait for a route.
    pub(crate) fn handle_ip(&mut self, packet: Bytes, router: &mut Router, now: Instant) {
        match outgoing::check(&packet, packet.len(), self.shared.subnet, MTU) {
            Ok(ends) => self.send_ip(ends, packet, router, now),
            Err(refusal) => self.refuse(&packet, refusal, now),
        }
    }

    fn send_ip(&mut self, ends: Ends, packet: Bytes, router: &mut Router, now: Instant) {
        let Ends { source, destination, hop_limit } = ends;
        let RouteLookup::Selected { link, key, .. } = router.route(destination) else {
            let waits = router.lookup(destination, now) != LookupState::RecentlyFailed;
            let held = Held::Plain(packet.clone());
            if !waits || self.outbound.push(subnet_bits(destination), held, now).is_err() {
                self.refuse(&packet, Refusal::NoRoute, now);
            }
            return;
        };
        router.use_route(destination, now);
        let write = |out: &mut BytesMut| out.put_slice(&packet);
        let (ends, kind) = ((source, destination), (TYPE_L3, hop_limit - 1));
        let sealer = self.ciphers.sealer(&key);
        match sealer.and_then(|sealer| seal(ends, &sealer, kind, packet.len(), write)) {
            Some(bytes) => {
                self.shared.tally.count(Cause::Sent);
                self.shared.note_one(source, destination, bytes.len());
                self.outputs.push_back(Output::Transmit { link, bytes });
            }
            None => self.refuse(&packet, Refusal::NoRoute, now),
        }
    }

    /// Tells the own host why its packet does not leave.
    fn refuse(&mut self, packet: &[u8], refusal: Refusal, now: Instant) {
        let cause = if refusal == Refusal::NoRoute { Cause::NoRoute } else { Cause::Refused };
        self.shared.tally.count(cause);
        if let Some(error) = outgoing::refuse(packet, refusal, self.shared.address)
            && self.has_tun
            && self.answers.allows(subnet_bits(self.shared.address), now)
        {
            self.outputs.push_back(Output::Deliver(error));
        }
    }

    /// A lookup failed: who waited for it is told at once instead of after its own patience.
    pub(crate) fn lookup_failed(&mut self, subnet: Ipv6Addr, now: Instant) {
        for held in self.outbound.take(subnet_bits(subnet)) {
            self.give_up(held, now);
        }
    }

    pub(super) fn give_up(&mut self, held: Held, now: Instant) {
        match held {
            Held::Plain(packet) => self.refuse(&packet, Refusal::NoRoute, now),
            Held::Sealed(_) => self.shared.tally.count(Cause::NoRoute),
        }
    }

    /// A checked IP packet arrived: it goes to the TUN. Without one the node itself answers a ping.
    pub(super) fn handle_inner(
        &mut self,
        packet: Bytes,
        hop_limit: u8,
        router: &mut Router,
        now: Instant,
    ) {
        if self.has_tun {
            let mut packet = BytesMut::from(packet);
            if let Some(place) = packet.get_mut(HOP_LIMIT) {
                *place = hop_limit;
            }
            self.shared.tally.count(Cause::Delivered);
            self.outputs.push_back(Output::Deliver(packet.freeze()));
            return;
        }
        let Some(answer) = answer_echo(&packet, self.shared.address) else {
            self.shared.tally.count(Cause::L3);
            return;
        };
        let asker = packet.get(8..24).and_then(|source| <[u8; 16]>::try_from(source).ok());
        let asker = asker.map_or(0, |source| subnet_bits(source.into()));
        if self.answers.allows(asker, now) {
            self.shared.tally.count(Cause::Echoed);
            self.handle_ip(answer, router, now);
        }
    }

    /// A report about a packet of this node: it counts only when it quotes an IP packet that was
    /// sealed here, and then the system hears of it in the form it knows.
    pub(super) fn handle_report(
        &mut self,
        body: &[u8],
        (source, destination): (Ipv6Addr, Ipv6Addr),
        hop_limit: u8,
        router: &Router,
    ) {
        let Some((error, quoted)) = self.quoted_packet(body, source, destination, router) else {
            self.shared.tally.count(Cause::Malformed);
            return;
        };
        self.shared.tally.count(Cause::Errors);
        tracing::debug!(?error, reporter = %source, "a packet went nowhere");
        if self.has_tun && !outgoing::is_icmp_error(&quoted) {
            let (kind, code) = error.code();
            let ends = (source, destination);
            let packet = outgoing::error((kind, code, 0), ends, hop_limit, &quoted);
            self.outputs.push_back(Output::Deliver(packet));
        }
    }

    fn quoted_packet(
        &mut self,
        body: &[u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
        router: &Router,
    ) -> Option<(icmp::IcmpError, Vec<u8>)> {
        let report = icmp::parse(body, source, destination)?;
        let key = router.key_of(report.original_destination)?;
        let mut quoted = self.ciphers.sealer(&key)?.open_own(report.quote)?;
        if !quoted.starts_with(&[VERSION, TYPE_L3]) {
            return None;
        }
        quoted.drain(..USER_HEADER);
        let own = quoted.get(8..24).and_then(|source| <[u8; 16]>::try_from(source).ok())?;
        self.shared.subnet.contains(own.into()).then_some((report.error, quoted))
    }
}

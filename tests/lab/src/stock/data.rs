//! Packets of the model: spec 7.2, without error reports.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use threephone_node::Prefix;
use threephone_node::engine::{Action, Class};
use threephone_node::wire::data::DataPacket;

use super::{Stock, Timer};

/// Packets that wait for one /64, and for its key.
const OUTBOUND: usize = 10_000;
const INBOUND: usize = 100;
const ALMOST_EXPIRED: Duration = Duration::from_secs(15);

impl Stock {
    /// A sealed packet of this node itself.
    pub(crate) fn originate(&mut self, destination: Ipv6Addr, payload: Bytes, now: Instant) {
        let source = self.id.public_key().address();
        let packet = DataPacket { hop_limit: 63, source, destination, payload };
        self.forward(packet, true, now);
    }

    pub(super) fn handle_data(&mut self, mut packet: DataPacket, now: Instant) {
        if packet.hop_limit < 2 {
            self.no_route += 1;
            return;
        }
        packet.hop_limit -= 1;
        if self.prefix.contains(packet.destination) {
            self.deliver(packet, now);
        } else {
            self.forward(packet, false, now);
        }
    }

    fn deliver(&mut self, packet: DataPacket, now: Instant) {
        let source = Prefix::subnet_of(packet.source);
        match self.table.longest(packet.source) {
            Some((_, [_, ..])) => self.delivered += 1,
            known => {
                if known.is_none() {
                    self.start_lookup(source, now);
                }
                let waiting = self.inbound.entry(source).or_default();
                if waiting.len() < INBOUND {
                    waiting.push(packet);
                }
            }
        }
    }

    fn forward(&mut self, packet: DataPacket, is_own: bool, now: Instant) {
        let subnet = Prefix::subnet_of(packet.destination);
        let known = self.table.longest(packet.destination);
        let known = known.map(|(prefix, set)| (prefix, set.first().copied()));
        match known {
            Some((prefix, Some(entry))) if entry.selected => {
                let link = entry.link;
                let mut bytes = BytesMut::new();
                packet.encode(&mut bytes);
                let (class, bytes) = (Class::Data, bytes.freeze());
                self.outputs.push_back(Action::Transmit { link, class, bytes });
                let expires = self.timers.at(Timer::Entry(prefix, link));
                if expires.is_some_and(|at| at < now + ALMOST_EXPIRED) {
                    self.start_lookup(subnet, now);
                }
                return;
            }
            Some((prefix, Some(entry))) if is_own => self.ask_seqno(prefix, entry.id, None, now),
            Some((_, Some(_))) => {
                self.no_route += 1;
                return;
            }
            Some((_, None)) => {}
            None => self.start_lookup(subnet, now),
        }
        let waiting = self.outbound.entry(subnet).or_default();
        if waiting.len() < OUTBOUND {
            waiting.push(packet);
        } else {
            self.no_route += 1;
        }
    }

    /// A route came or went: what waits for it goes on or is dropped.
    pub(super) fn settle_waiting(&mut self, prefix: Prefix, had_route: bool, now: Instant) {
        let has_route = self.table.selected(prefix).is_some();
        if had_route && !has_route {
            self.drop_waiting(prefix);
        }
        if !had_route && has_route {
            for packet in self.outbound.remove(&prefix).unwrap_or_default() {
                self.forward(packet, false, now);
            }
            for packet in self.inbound.remove(&prefix).unwrap_or_default() {
                self.deliver(packet, now);
            }
        }
    }

    pub(super) fn drop_waiting(&mut self, prefix: Prefix) {
        let dropped = self.outbound.remove(&prefix).unwrap_or_default();
        self.no_route += dropped.len() as u64;
    }
}

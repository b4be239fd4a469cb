//! What nodes send at a test's wish: messages, IP packets, and anything at all.

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes, BytesMut};
use rand_core::Rng;
use threephone_node::engine::Class;
use threephone_node::seal::{OVERHEAD, ReplayBudget, Sealer};
use threephone_node::wire::control::Tlv;
use threephone_node::{LinkId, MessageId, SecretKey, SendState, Target};

use super::{NodeId, World};
use crate::judge::Changed;
use crate::node::Brain;
use crate::stock::encoded;

impl World {
    /// One of our nodes sends a message; false when it refuses.
    pub fn send(&mut self, from: NodeId, to: NodeId, length: usize) -> bool {
        let (target, now) = (Target::Key(self.key(to)), self.now);
        let Brain::Ours(engine) = &mut self.nodes[from.0].brain else { return false };
        let payload = Bytes::from(vec![0x5a; length]);
        let sent = engine.send_message(target, Bytes::from_static(b"lab"), payload, now);
        if let Ok(message) = sent {
            self.letters.insert((from, message), now);
        }
        self.nodes[from.0].woke(true, now);
        self.collect(from, Changed::Anything);
        sent.is_ok()
    }

    pub(super) fn take_messages(&mut self, id: NodeId) {
        let now = self.now;
        let mut taken = Vec::new();
        if let Brain::Ours(engine) = &mut self.nodes[id.0].brain {
            taken.extend(std::iter::from_fn(|| engine.take(&|_| true, now)));
        }
        for message in taken {
            let sender = self.nodes.iter().position(|node| node.key == message.source_key);
            let sent = sender.and_then(|n| self.letters.remove(&(NodeId(n), message.id)));
            self.delays.extend(sent.map(|sent| now - sent));
        }
    }

    pub(super) fn told(&mut self, from: NodeId, message: MessageId, state: SendState) {
        if state == SendState::Aborted && self.letters.remove(&(from, message)).is_some() {
            self.aborted += 1;
        }
    }

    /// A stock node sends an empty IP packet, sealed, which any node counts when it arrives.
    pub fn ping(&mut self, from: NodeId, to: NodeId) {
        let (source, destination) = (self.address(from), self.address(to));
        let mut packet = BytesMut::from(&[1, 0, 0, 0][..]);
        packet.put_slice(&[0x60, 0, 0, 0, 0, 0, 59, 64]); // no payload, no next header
        packet.put_slice(&source.octets());
        packet.put_slice(&destination.octets());
        let mut start = [0; 12];
        self.random.fill_bytes(&mut start);
        let secret = SecretKey::from_bytes(self.nodes[from.0].secret);
        let keys = (self.key(from), self.key(to));
        let shared = secret.shared_secret(&keys.1);
        let sealer = shared
            .and_then(|shared| Sealer::new(&shared, &keys.0, &keys.1, start, ReplayBudget::new(0)));
        let Some(sealer) = sealer else { return };
        packet.reserve(OVERHEAD);
        sealer.seal(&mut packet, 0);
        if let Brain::Stock(stock) = &mut self.nodes[from.0].brain {
            stock.originate(destination, packet.freeze(), self.now);
            self.collect(from, Changed::Anything);
        }
    }

    /// A hostile node says something to a neighbour.
    pub fn say(&mut self, from: NodeId, to: NodeId, tlv: &Tlv) {
        self.say_bytes(from, to, encoded(tlv));
    }

    /// A hostile node writes bytes to a neighbour.
    pub fn say_bytes(&mut self, from: NodeId, to: NodeId, bytes: Bytes) {
        let class = if bytes.get(1) == Some(&0) { Class::Data } else { Class::Control };
        if let Some(link) = self.link_to(from, to) {
            self.transmit(from, link, class, bytes);
        }
    }

    /// A node looks for another.
    pub fn lookup(&mut self, from: NodeId, to: NodeId) {
        self.lookup_address(from, self.address(to));
    }

    /// A node looks for the node of an address, which need not exist.
    pub fn lookup_address(&mut self, from: NodeId, destination: Ipv6Addr) {
        if self.is_up(from) {
            self.nodes[from.0].brain.lookup(destination, self.now);
            self.collect(from, Changed::Anything);
        }
    }

    fn link_to(&self, from: NodeId, to: NodeId) -> Option<LinkId> {
        let links = self.nodes[from.0].links.iter();
        links
            .filter(|(_, (cable, end))| self.cables[cable.0].ends[1 - *end] == to)
            .map(|(link, _)| *link)
            .next()
    }
}

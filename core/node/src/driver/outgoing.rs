//! Packets on their way from the engine to the links.
//!
//! The engine says packet by packet what leaves. Data packets that follow each other to one link are
//! queued there together, and writers are woken when all is queued: so many small packets cost one
//! look at the queue and one write.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::core::Core;
use super::outbox::{Ingress, Pushed};
use crate::LinkId;
use crate::engine::Class;

/// What is to be queued, and whom to wake then.
#[derive(Default)]
pub(super) struct Leaving {
    /// Where the packets go, and where they came from.
    way: Option<(LinkId, Ingress)>,
    packets: Vec<Bytes>,
    to_wake: Vec<LinkId>,
}

impl Core {
    /// Queues a packet; data perhaps only at the next [`Core::flush`].
    pub(super) fn transmit(&mut self, id: LinkId, class: Class, bytes: Bytes, now: Instant) {
        if class == Class::Data {
            let way = Some((id, self.fast.ingress_of(&bytes)));
            if self.leaving.way != way {
                self.flush(now);
                self.leaving.way = way;
            }
            self.leaving.packets.push(bytes);
            return;
        }
        let Some(link) = self.links.get(&id) else { return };
        match link.outbox.push_control(bytes) {
            Pushed::Queued { wake } => {
                link.counters.tx_packets.fetch_add(1, Ordering::Relaxed);
                if wake {
                    self.leaving.to_wake.push(id);
                }
            }
            Pushed::Stuck => self.close_link(id, "the peer does not read", now),
        }
    }

    /// Queues the data packets that were put off.
    pub(super) fn flush(&mut self, now: Instant) {
        let leaving = &mut self.leaving;
        let Some((id, ingress)) = leaving.way.take() else { return };
        let count = leaving.packets.len() as u64;
        let packets = leaving.packets.drain(..);
        let Some(link) = self.links.get(&id) else { return };
        let (wake, dropped) = link.outbox.push_all(ingress, packets);
        if wake {
            leaving.to_wake.push(id);
        }
        link.counters.tx_packets.fetch_add(count.saturating_sub(dropped), Ordering::Relaxed);
        link.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        if count > dropped {
            self.power.note_use(now);
        }
    }

    /// Everything is queued that leaves in this turn.
    pub(super) fn wake_writers(&mut self) {
        for id in self.leaving.to_wake.drain(..) {
            if let Some(link) = self.links.get(&id) {
                link.outbox.wake();
            }
        }
    }
}

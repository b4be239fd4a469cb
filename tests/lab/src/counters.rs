//! What a node did, for reports: packets by kind, bytes, and how often it had to wake.

use threephone_node::engine::Class;

/// Sums over a node's time in the world, all its lives together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Hellos sent.
    pub hellos: u64,
    /// IHUs sent.
    pub ihus: u64,
    /// Updates sent, retractions among them.
    pub updates: u64,
    /// Retractions sent.
    pub retractions: u64,
    /// Route Requests sent.
    pub route_requests: u64,
    /// Seqno Requests sent.
    pub seqno_requests: u64,
    /// Bytes of control packets sent.
    pub control_bytes: u64,
    /// Data packets sent.
    pub data_packets: u64,
    /// Bytes of those.
    pub data_bytes: u64,
    /// Data packets lost on the way or for which a queue had no room.
    pub data_lost: u64,
    /// Different instants at which the node had something to do: packets or timers.
    pub wakeups: u64,
    /// Of those, such that a timer caused.
    pub timer_wakeups: u64,
}

impl Counters {
    /// Control packets of all kinds.
    pub fn control_packets(&self) -> u64 {
        self.hellos + self.ihus + self.updates + self.route_requests + self.seqno_requests
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = *self;
        for (value, earlier) in difference.fields().into_iter().zip(before.clone().fields()) {
            *value -= *earlier;
        }
        difference
    }

    /// Adds another node's.
    pub fn add(&mut self, other: &Self) {
        for (value, more) in self.fields().into_iter().zip(other.clone().fields()) {
            *value += *more;
        }
    }

    pub(crate) fn sent(&mut self, class: Class, bytes: &[u8]) {
        let size = bytes.len() as u64;
        if class == Class::Data {
            self.data_packets += 1;
            self.data_bytes += size;
            return;
        }
        self.control_bytes += size;
        match bytes.get(8) {
            Some(4) => self.hellos += 1,
            Some(5) => self.ihus += 1,
            Some(8) => {
                self.updates += 1;
                self.retractions += u64::from(bytes.get(18..20) == Some(&[0xff; 2]));
            }
            Some(9) => self.route_requests += 1,
            Some(10) => self.seqno_requests += 1,
            _ => {}
        }
    }

    fn fields(&mut self) -> [&mut u64; 12] {
        [
            &mut self.hellos,
            &mut self.ihus,
            &mut self.updates,
            &mut self.retractions,
            &mut self.route_requests,
            &mut self.seqno_requests,
            &mut self.control_bytes,
            &mut self.data_packets,
            &mut self.data_bytes,
            &mut self.data_lost,
            &mut self.wakeups,
            &mut self.timer_wakeups,
        ]
    }
}

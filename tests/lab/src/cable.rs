//! A cable between two nodes: how long packets take on it, which get lost, and how it fails.
//!
//! Control goes before data, keeps its order and is never lost, as on the network's transports: a
//! loss costs it the time of a retransmission. Data may be lost, and with `datagrams` overtaken.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use threephone_node::LinkId;
use threephone_node::engine::Class;

use crate::world::NodeId;

/// What a lost control packet waits for being sent again, besides a round trip.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Control that waits longer than this is stuck: a node gives such a link up.
const STUCK_BYTES: u64 = 6 * 1024 * 1024;

/// How a cable carries packets, each way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wire {
    /// Time on the way.
    pub latency: Duration,
    /// At most this much is added to each packet's time.
    pub jitter: Duration,
    /// Bits per second; none: as fast as needed.
    pub rate: Option<u64>,
    /// Bytes of data that wait for a slow wire before more is dropped.
    pub queue: u64,
    /// Lost data packets of a thousand.
    pub loss: u32,
    /// Whether data packets may overtake each other.
    pub datagrams: bool,
    /// What the transport adds to the cost of the link (spec 2.7).
    pub static_cost: u16,
}

impl Wire {
    /// A wire that takes so many milliseconds and does nothing wrong.
    pub const fn clean(milliseconds: u64) -> Self {
        Self {
            latency: Duration::from_millis(milliseconds),
            jitter: Duration::ZERO,
            rate: None,
            queue: 256 * 1024,
            loss: 0,
            datagrams: false,
            static_cost: 10,
        }
    }

    /// Mobile radio: 40 ms, much jitter, 10 Mbit/s, one packet of a hundred lost.
    pub const MOBILE: Self = Self {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(30),
        rate: Some(10_000_000),
        queue: 256 * 1024,
        loss: 10,
        datagrams: true,
        static_cost: 7,
    };
}

/// How a cable fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends are told, as when a connection is reset.
    Told,
    /// Nobody is told: what is sent vanishes, as when a cable is pulled.
    Silent,
}

/// One of the two directions.
#[derive(Debug, Clone, Copy)]
struct Lane {
    control_free: Instant,
    data_free: Instant,
    last_control: Instant,
    last_data: Instant,
}

#[derive(Debug)]
pub(crate) struct Cable {
    pub(crate) ends: [NodeId; 2],
    pub(crate) wire: Wire,
    pub(crate) links: [Option<LinkId>; 2],
    pub(crate) cut: Option<Cut>,
    /// Counts connections; what is under way belongs to one of them.
    pub(crate) generation: u32,
    pub(crate) redial_due: bool,
    /// Control that a silent cut holds up; it goes on if the cable is mended in time.
    pub(crate) held: Vec<(usize, bytes::Bytes)>,
    lanes: [Lane; 2],
}

/// What a cable does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives(Instant),
    Lost,
    Stuck,
}

impl Cable {
    pub(crate) fn new(ends: [NodeId; 2], wire: Wire, now: Instant) -> Self {
        let lane = Lane { control_free: now, data_free: now, last_control: now, last_data: now };
        Self {
            ends,
            wire,
            links: [None; 2],
            cut: None,
            generation: 0,
            redial_due: false,
            held: Vec::new(),
            lanes: [lane; 2],
        }
    }

    /// When a packet that end `from` sends now arrives at the other.
    pub(crate) fn carry(
        &mut self,
        from: usize,
        class: Class,
        size: usize,
        random: &mut ChaCha8Rng,
        now: Instant,
    ) -> Fate {
        let wire = self.wire;
        let lane = &mut self.lanes[from];
        let time = |bytes: u64| match wire.rate {
            Some(rate) => Duration::from_nanos(bytes * 8 * 1_000_000_000 / rate.max(1)),
            None => Duration::ZERO,
        };
        let duration = time(size as u64);
        let is_lost = wire.loss > 0 && random.next_u32() % 1000 < wire.loss;
        let jitter = match u32::try_from(wire.jitter.as_micros()) {
            Ok(most) if most > 0 => Duration::from_micros((random.next_u32() % most).into()),
            _ => Duration::ZERO,
        };
        match class {
            Class::Control => {
                let start = lane.control_free.max(now);
                if start.saturating_duration_since(now) > time(STUCK_BYTES) {
                    return Fate::Stuck;
                }
                lane.control_free = start + duration;
                lane.data_free = lane.data_free.max(start) + duration; // data waits meanwhile
                let again = if is_lost { RETRANSMISSION + wire.latency * 2 } else { jitter };
                let arrival = lane.control_free + wire.latency + again;
                lane.last_control = lane.last_control.max(arrival);
                Fate::Arrives(lane.last_control)
            }
            Class::Data => {
                let start = lane.data_free.max(now);
                if is_lost || start.saturating_duration_since(now) > time(wire.queue) {
                    return Fate::Lost;
                }
                lane.data_free = start + duration;
                let arrival = lane.data_free + wire.latency + jitter;
                if wire.datagrams {
                    return Fate::Arrives(arrival);
                }
                lane.last_data = lane.last_data.max(arrival);
                Fate::Arrives(lane.last_data)
            }
        }
    }

    /// A new connection starts with empty queues.
    pub(crate) fn reset(&mut self, now: Instant) {
        let ends = self.ends;
        let (wire, generation) = (self.wire, self.generation + 1);
        *self = Self { generation, ..Self::new(ends, wire, now) };
    }
}

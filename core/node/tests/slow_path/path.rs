//! Two engines with a simulated link between them, in virtual time: rate, delay, a queue that drops
//! what does not fit, and losses. Used by tests and by the benchmark.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::frame::Decoder;
use threephone_node::{LinkId, SecretKey, SendState, Target};

const LINK: LinkId = LinkId(1);

/// A link, the same each way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How much it carries.
    pub(crate) bytes_per_second: f64,
    /// One way.
    pub(crate) delay: Duration,
    /// How long a packet may wait before the link; data that would wait longer is dropped.
    pub(crate) queue: Duration,
    /// Data packets lost on the way.
    pub(crate) lost_per_mille: u64,
}

/// 2 Mbit/s, a round trip of 100 ms, and the queue of a modest router.
pub(crate) const SLOW: Shape = Shape {
    bytes_per_second: 250_000.0,
    delay: Duration::from_millis(50),
    queue: Duration::from_millis(400),
    lost_per_mille: 0,
};

/// What it took to carry a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    /// Until the receiver had it.
    pub(crate) time: Duration,
    /// Bytes of data packets handed to the link in its direction, by the payload.
    pub(crate) ratio: f64,
    /// Data packets that did not fit the queue.
    pub(crate) dropped: usize,
    /// The longest that a packet waited before the link.
    pub(crate) waited: Duration,
}

/// Messages of these lengths from one node to the other, which know each other already, each after
/// the one before has arrived; what the last one took.
pub(crate) fn carry(shape: Shape, lengths: &[usize], seed: u64) -> Result<Carried, &'static str> {
    let mut path = Path::new(shape, seed);
    path.run(Duration::from_secs(2), |_| false);
    let mut carried = Err("there is no message");
    for length in lengths {
        carried = Ok(path.carry(*length)?);
    }
    carried
}

/// Two engines and what is on its way between them.
struct Path {
    now: Instant,
    engines: [Engine; 2],
    wire: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, (usize, Bytes)>,
    /// When the sending end of each direction is free.
    free: [Instant; 2],
    number: u64,
    random: u64,
    shape: Shape,
    /// Bytes handed to the link by the first engine.
    sent: usize,
    dropped: usize,
    waited: Duration,
}

impl Path {
    fn new(shape: Shape, seed: u64) -> Self {
        let now = Instant::now();
        let engine = |name: u8| {
            let config = EngineConfig {
                secret: SecretKey::from_bytes([name; 32]),
                router_random: [name; 6],
                seed: [name ^ seed as u8; 32],
                limits: Limits::default(),
            };
            let mut engine = Engine::new(config, now);
            engine.link_up(LINK, 10, now);
            engine
        };
        Self {
            now,
            engines: [engine(1), engine(2)],
            wire: BinaryHeap::new(),
            packets: BTreeMap::new(),
            free: [now; 2],
            number: 0,
            random: seed.wrapping_mul(2).wrapping_add(1),
            shape,
            sent: 0,
            dropped: 0,
            waited: Duration::ZERO,
        }
    }

    fn carry(&mut self, length: usize) -> Result<Carried, &'static str> {
        let to = Target::Key(self.engines[1].public_key());
        let payload: Bytes = (0..length).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
        let (begun, sent) = (self.now, self.sent);
        let id = self.engines[0].send_message(to, Bytes::new(), payload.clone(), begun);
        let id = id.map_err(|_| "the message was refused")?;
        let mut arrived = None;
        self.run(Duration::from_secs(300), |path| {
            if arrived.is_none() {
                let now = path.now;
                arrived =
                    path.engines[1].take(&|_| true, now).map(|message| (now, message.payload));
            }
            path.engines[0].message_state(id) != Some(SendState::Pending)
        });
        let (at, received) = arrived.ok_or("the message did not arrive")?;
        if received != payload {
            return Err("another message arrived");
        }
        Ok(Carried {
            time: at.duration_since(begun),
            ratio: (self.sent - sent) as f64 / length.max(1) as f64,
            dropped: self.dropped,
            waited: self.waited,
        })
    }

    fn run(&mut self, limit: Duration, mut is_over: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        loop {
            self.settle();
            if is_over(self) {
                return;
            }
            self.settle();
            let timeouts = self.engines.iter().filter_map(Engine::poll_timeout);
            let arrival = self.wire.peek().map(|Reverse((at, _))| *at);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                return;
            };
            self.now = self.now.max(next);
            while self.wire.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
                self.arrive();
            }
            for engine in &mut self.engines {
                if engine.poll_timeout().is_some_and(|at| at <= self.now) {
                    engine.handle_timeout(self.now);
                }
            }
        }
    }

    fn arrive(&mut self) {
        let Some(Reverse((_, number))) = self.wire.pop() else { return };
        let Some((to, bytes)) = self.packets.remove(&number) else { return };
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        while let Ok(Some(packet)) = decoder.next() {
            self.engines[to].handle_packet(LINK, packet, self.now);
        }
    }

    fn settle(&mut self) {
        for from in 0..2 {
            while let Some(action) = self.engines[from].poll_action() {
                if let Action::Transmit { class, bytes, .. } = action {
                    self.post(from, class, bytes);
                }
            }
        }
    }

    fn post(&mut self, from: usize, class: Class, bytes: Bytes) {
        if from == 0 && class == Class::Data {
            self.sent += bytes.len();
        }
        let start = self.free[from].max(self.now);
        let waits = start.duration_since(self.now);
        if class == Class::Data && waits > self.shape.queue {
            self.dropped += 1;
            return;
        }
        self.waited = self.waited.max(waits);
        self.free[from] =
            start + Duration::from_secs_f64(bytes.len() as f64 / self.shape.bytes_per_second);
        if class == Class::Data && self.draw() % 1000 < self.shape.lost_per_mille {
            return;
        }
        self.number += 1;
        self.wire.push(Reverse((self.free[from] + self.shape.delay, self.number)));
        self.packets.insert(self.number, (1 - from, bytes));
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

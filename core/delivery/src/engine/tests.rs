//! Two engines in virtual time over a bad network, with restarts at any step.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::*;
use crate::EnvelopeId;
use crate::window::{Seen, Window};

/// What survives a restart: an outbox, a window, and what was applied.
struct Side {
    engine: Engine,
    key: PublicKey,
    life: u64,
    outbox: BTreeSet<u64>,
    window: Window,
    applied: BTreeMap<u64, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { to: usize, seq: u64, low: u64 },
    ArriveAcks { to: usize, seqs: Vec<u64> },
    Done { to: usize, life: u64, seq: u64, taken: bool },
    AcksDone { to: usize, life: u64 },
}

fn envelopes(seed: u64) -> u64 {
    if seed.is_multiple_of(20) { 400 } else { 25 }
}

struct World {
    sides: [Side; 2],
    events: BinaryHeap<std::cmp::Reverse<(u64, u64, Event)>>,
    count: u64,
    random: u64,
    now: u64,
    loss: u64,
}

impl World {
    /// Most worlds are small; every twentieth needs several pages and windows.
    fn new(seed: u64) -> Self {
        let side = |n: u8| Side {
            engine: Engine::new(seed + u64::from(n), Timing::default()),
            key: PublicKey::from_bytes([n; 32]),
            life: 0,
            outbox: (1..=envelopes(seed)).collect(),
            window: Window::new(1, Vec::new()),
            applied: BTreeMap::new(),
        };
        let (sides, events) = ([side(1), side(2)], BinaryHeap::new());
        let mut world = Self { sides, events, count: 0, random: seed, now: 0, loss: 25 };
        (0..2).for_each(|who| world.restart(who));
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        next_random(&mut self.random) % 100 < percent
    }

    fn at(&mut self, event: Event) {
        let at = self.now + next_random(&mut self.random) % 400;
        self.count += 1;
        self.events.push(std::cmp::Reverse((at, self.count, event)));
    }

    fn restart(&mut self, who: usize) {
        let seed = next_random(&mut self.random);
        let address = self.sides[1 - who].key.address();
        self.sides[who].life += 1;
        self.sides[who].engine = Engine::new(seed, Timing::default());
        self.input(who, Input::Queued { address, key: None });
    }

    fn input(&mut self, who: usize, input: Input) {
        let now = self.now;
        self.sides[who].engine.handle(input, now);
        self.act(who);
    }

    fn act(&mut self, who: usize) {
        let (to, life) = (1 - who, self.sides[who].life);
        while let Some(action) = self.sides[who].engine.poll() {
            match action {
                Action::Load { address, after, limit } => {
                    let open = self.sides[who].outbox.range(after + 1..).take(limit);
                    let rows: Vec<_> = open.map(|seq| Row { seq: *seq, bytes: 100 }).collect();
                    let more = rows.len() == limit;
                    let loaded = Input::Loaded { address, rows, more };
                    self.sides[who].engine.handle(loaded, self.now);
                }
                Action::Resolve { address } => {
                    let key = (!self.chance(self.loss)).then_some(self.sides[to].key);
                    self.sides[who].engine.handle(Input::Resolved { address, key }, self.now);
                }
                Action::Send { seq, low, .. } => {
                    let (lost, ack_lost) = (self.chance(self.loss), self.chance(self.loss));
                    let copies = u32::from(!lost) + u32::from(self.chance(self.loss));
                    (0..copies).for_each(|_| self.at(Event::Arrive { to, seq, low }));
                    self.at(Event::Done { to: who, life, seq, taken: !lost && !ack_lost });
                }
                Action::SendAcks { acks, .. } => {
                    let seqs = acks
                        .iter()
                        .map(|ack| {
                            u64::from(ack.id.as_bytes()[0]) << 8 | u64::from(ack.id.as_bytes()[1])
                        })
                        .collect();
                    if !self.chance(self.loss) {
                        self.at(Event::ArriveAcks { to, seqs });
                    }
                    self.at(Event::AcksDone { to: who, life });
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        let peer = |world: &Self, to: usize| world.sides[1 - to].key;
        match event {
            Event::Arrive { to, seq, low } => {
                let side = &mut self.sides[to];
                match side.window.take(seq, low) {
                    Seen::New => *side.applied.entry(seq).or_default() += 1,
                    Seen::Repeat => {}
                    Seen::Beyond => panic!("an honest sender went beyond the window"),
                }
                let mut id = [0; 16];
                id[..2].copy_from_slice(&(seq as u16).to_be_bytes());
                let ack = Ack { id: EnvelopeId::from_bytes(id), digest: [0; 32], code: 0 };
                let key = peer(self, to);
                self.input(to, Input::AckDue { address: key.address(), key, ack });
                self.input(to, Input::Heard { address: key.address(), key });
            }
            Event::ArriveAcks { to, seqs } => {
                let address = peer(self, to).address();
                for seq in seqs {
                    self.sides[to].outbox.remove(&seq);
                    self.input(to, Input::Settled { address, seq });
                }
            }
            Event::Done { to, life, seq, taken } if life == self.sides[to].life => {
                let address = peer(self, to).address();
                self.input(to, Input::SendDone { address, seq, taken });
            }
            Event::AcksDone { to, life } if life == self.sides[to].life => {
                let address = peer(self, to).address();
                self.input(to, Input::AckDone { address });
            }
            Event::Done { .. } | Event::AcksDone { .. } => {}
        }
    }

    fn step(&mut self) -> bool {
        let wakes = self.sides.iter().filter_map(|side| side.engine.next_wake()).min();
        let next = self.events.peek().map(|event| event.0.0);
        let Some(at) = wakes.into_iter().chain(next).min() else { return false };
        self.now = self.now.max(at);
        if next.is_some_and(|next| next <= self.now) {
            let event = self.events.pop().unwrap().0.2;
            self.event(event);
        } else {
            (0..2).for_each(|who| self.input(who, Input::Tick));
        }
        true
    }
}

#[test]
fn every_envelope_is_applied_once_and_every_outbox_empties() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let mut steps = 0u64;
        while world.step() {
            steps += 1;
            assert!(steps < 200_000, "seed {seed} does not come to an end");
            if steps < 4000 && next_random(&mut world.random).is_multiple_of(100) {
                world.restart((steps % 2) as usize);
            }
        }
        for side in &world.sides {
            assert!(side.outbox.is_empty(), "seed {seed}: {} left", side.outbox.len());
            assert_eq!(side.applied.len() as u64, envelopes(seed), "seed {seed}");
            assert!(side.applied.values().all(|times| *times == 1), "seed {seed}");
            assert_eq!(side.engine.sending(), 0);
        }
    }
}

#[test]
fn a_silent_peer_costs_one_probe_at_growing_intervals_until_a_route_appears() {
    let key = PublicKey::from_bytes([5; 32]);
    let address = key.address();
    let mut engine = Engine::new(1, Timing::default());
    engine.handle(Input::Queued { address, key: Some(key) }, 0);
    assert!(matches!(engine.poll(), Some(Action::Load { .. })));
    let rows = (1..=10).map(|seq| Row { seq, bytes: 1 }).collect();
    engine.handle(Input::Loaded { address, rows, more: false }, 0);
    let sends = |engine: &mut Engine| std::iter::from_fn(|| engine.poll()).count();
    assert_eq!(sends(&mut engine), 10);
    (1..=10).for_each(|seq| engine.handle(Input::SendDone { address, seq, taken: false }, 0));
    assert_eq!(sends(&mut engine), 0);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..8 {
        let wake = engine.next_wake().unwrap();
        waits.push(wake - now);
        now = wake;
        engine.handle(Input::Tick, now);
        assert_eq!(sends(&mut engine), 1);
        engine.handle(Input::SendDone { address, seq: 1, taken: false }, now);
    }
    assert!(waits[7] > waits[0] * 16, "{waits:?}");
    engine.handle(Input::Reachable { address }, now);
    assert_eq!(sends(&mut engine), 10);
}

//! Two engines in virtual time over a bad network, with restarts at any step.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::waits::next_random;
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

/// Every eleventh is large.
fn row(seq: u64) -> Row {
    Row { seq, bytes: if seq.is_multiple_of(11) { 3 << 20 } else { 100 } }
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
                    let rows: Vec<_> = open.map(|seq| row(*seq)).collect();
                    let more = rows.len() == limit;
                    let loaded = Input::Loaded { address, rows, more };
                    self.sides[who].engine.handle(loaded, self.now);
                }
                Action::Resolve { address } => {
                    let key = (!self.chance(self.loss)).then_some(self.sides[to].key);
                    self.sides[who].engine.handle(Input::Resolved { address, key }, self.now);
                }
                Action::Send { seq, .. } if !self.sides[who].outbox.contains(&seq) => {
                    let address = self.sides[to].key.address();
                    self.sides[who].engine.handle(Input::Unsent { address, seq }, self.now);
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
            assert_eq!((side.engine.sending(), side.engine.budget.used()), (0, 0));
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

/// An engine with `count` envelopes of `bytes` for each of `peers`, all loaded, keys known.
fn loaded(peers: std::ops::Range<u8>, count: u64, bytes: usize) -> (Engine, Vec<PublicKey>) {
    let mut engine = Engine::new(1, Timing::default());
    let keys: Vec<_> = peers.map(|n| PublicKey::from_bytes([n; 32])).collect();
    for key in &keys {
        let address = key.address();
        engine.handle(Input::Queued { address, key: Some(*key) }, 0);
        let rows = (1..=count).map(|seq| Row { seq, bytes }).collect();
        engine.handle(Input::Loaded { address, rows, more: false }, 0);
    }
    (engine, keys)
}

/// What it sends now, as address and sequence; lookups succeed when `found`.
fn sends(engine: &mut Engine, keys: &[PublicKey], found: bool, now: u64) -> Vec<(Ipv6Addr, u64)> {
    let mut sent = Vec::new();
    while let Some(action) = engine.poll() {
        match action {
            Action::Send { address, seq, .. } => sent.push((address, seq)),
            Action::Resolve { address } => {
                let key = keys.iter().copied().find(|key| found && key.address() == address);
                engine.handle(Input::Resolved { address, key }, now);
            }
            Action::Load { .. } | Action::SendAcks { .. } => {}
        }
    }
    sent
}

#[test]
fn bodies_on_the_way_are_bounded_and_everybody_has_a_turn() {
    let (mut engine, keys) = loaded(1..11, 5, 8 << 20);
    let mut on_the_way = sends(&mut engine, &keys, true, 0);
    let mut done = BTreeMap::<Ipv6Addr, u64>::new();
    let mut count = 0;
    while !on_the_way.is_empty() {
        assert!(on_the_way.len() <= 3 && engine.budget.used() <= 24 << 20);
        let (address, seq) = on_the_way.remove(0);
        engine.handle(Input::SendDone { address, seq, taken: true }, 0);
        engine.handle(Input::Settled { address, seq }, 0);
        *done.entry(address).or_default() += 1;
        on_the_way.extend(sends(&mut engine, &keys, true, 0));
        count += 1;
        if count == 10 {
            assert!(done.len() >= 9, "one peer starves the others: {done:?}");
        }
    }
    assert_eq!((count, engine.budget.used()), (50, 0));
}

#[test]
fn large_bodies_for_the_absent_hold_up_nothing() {
    let (mut engine, keys) = loaded(1..21, 3, 8 << 20);
    assert!(sends(&mut engine, &keys, false, 0).is_empty(), "sent without a way");
    assert_eq!(engine.budget.used(), 0);
    let friend = PublicKey::from_bytes([99; 32]);
    let address = friend.address();
    engine.handle(Input::Queued { address, key: Some(friend) }, 0);
    let rows = vec![Row { seq: 1, bytes: 8 << 20 }, Row { seq: 2, bytes: 10 }];
    engine.handle(Input::Loaded { address, rows, more: false }, 0);
    assert_eq!(sends(&mut engine, &[friend], true, 0), [(address, 2), (address, 1)]);
}

#[test]
fn small_bodies_go_out_however_full_the_budget_is() {
    let (mut engine, keys) = loaded(1..200, 16, 64 << 10);
    let sent = sends(&mut engine, &keys, true, 0);
    let peers: BTreeSet<_> = sent.iter().map(|(address, _)| *address).collect();
    assert_eq!(peers.len(), 199);
    assert!(engine.budget.used() <= (8 << 20) + 199 * (64 << 10));
}

#[test]
fn a_peer_that_comes_back_gets_everything_at_once_but_not_every_moment() {
    let (mut engine, keys) = loaded(1..2, 10, 10);
    let (key, address) = (keys[0], keys[0].address());
    let all = |engine: &mut Engine, now| sends(engine, &keys, true, now).len();
    let taken = |engine: &mut Engine, now| {
        (1..=10).for_each(|seq| engine.handle(Input::SendDone { address, seq, taken: true }, now));
    };
    assert_eq!(all(&mut engine, 0), 10);
    taken(&mut engine, 0);
    // A route appears while acknowledgements are still to be expected, then they are overdue.
    engine.handle(Input::Reachable { address }, 1_000);
    assert_eq!(all(&mut engine, 1_000), 0);
    assert_eq!(engine.next_wake(), Some(3_000));
    engine.handle(Input::Tick, 3_000);
    assert_eq!(all(&mut engine, 3_000), 10);
    taken(&mut engine, 3_000);
    // Flapping routes change nothing until the pause is over; then the last of them counts.
    for now in 3_001..3_900 {
        engine.handle(Input::Reachable { address }, now);
        assert_eq!(all(&mut engine, now), 0);
    }
    engine.handle(Input::Tick, 6_000);
    assert_eq!(all(&mut engine, 6_000), 10);
    taken(&mut engine, 6_000);
    // Heard in the middle of a conversation: nothing. After a silence: everything.
    engine.handle(Input::Heard { address, key }, 9_500);
    assert_eq!(all(&mut engine, 9_500), 10);
    taken(&mut engine, 9_500);
    engine.handle(Input::Heard { address, key }, 13_000);
    assert_eq!(all(&mut engine, 13_000), 0);
    engine.handle(Input::Heard { address, key }, 43_000);
    assert_eq!(all(&mut engine, 43_000), 10);
}

#[test]
fn a_route_that_flaps_without_carrying_anything_costs_a_window_every_few_seconds() {
    let (mut engine, keys) = loaded(1..2, 10, 10);
    let (address, mut tries) = (keys[0].address(), 0);
    for now in (0..30_000).step_by(10) {
        engine.handle(Input::Reachable { address }, now);
        for (_, seq) in sends(&mut engine, &keys, true, now) {
            tries += 1;
            engine.handle(Input::SendDone { address, seq, taken: false }, now);
        }
    }
    assert!((50..200).contains(&tries), "{tries} tries in thirty seconds");
}

#[test]
fn what_is_never_acknowledged_is_repeated_ever_more_rarely() {
    let (mut engine, keys) = loaded(1..2, 1, 10);
    let address = keys[0].address();
    let (mut now, mut tries) = (0, 0);
    while now < 24 * 3_600_000 {
        tries += sends(&mut engine, &keys, true, now).len();
        engine.handle(Input::SendDone { address, seq: 1, taken: true }, now);
        now = engine.next_wake().unwrap();
        engine.handle(Input::Tick, now);
    }
    assert!((96..220).contains(&tries), "{tries} tries a day");
}

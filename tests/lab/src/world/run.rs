//! How time goes on.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::LinkId;
use threephone_node::engine::Action;
use threephone_node::wire::control::Tlv;
use threephone_node::wire::frame::{Decoder, Packet};

use super::{Event, NodeId, Ways, World};
use crate::judge::Changed;
use crate::node::{Brain, Kind, State, Waiting};

/// More events than this at one instant never end.
const CROWD: u64 = 20_000_000;
/// Bytes of data that wait in the sockets of a frozen node.
const FROZEN_DATA: usize = 256 * 1024;

impl World {
    /// Goes to whatever happens next, unless that is after `end`: then to `end`. Whether something
    /// happened.
    pub fn step(&mut self, end: Instant) -> bool {
        if self.queue.peek().is_none_or(|Reverse(next)| next.at > end) {
            self.now = self.now.max(end);
            self.crowd = 0;
            return false;
        }
        let Some(Reverse(queued)) = self.queue.pop() else { return false };
        self.crowd = if queued.at > self.now { 0 } else { self.crowd + 1 };
        assert!(self.crowd < CROWD, "seed {}: time stands still at {:?}", self.seed, self.age());
        self.now = self.now.max(queued.at);
        self.events += 1;
        match queued.event {
            Event::Packet { cable, end, generation, bytes } => {
                self.arrive(cable, end, generation, bytes);
            }
            Event::Hangup { cable, end, generation } => {
                if self.cables[cable.0].generation == generation {
                    self.drop_end(cable, end);
                }
            }
            Event::Timeout { node, life } => self.time_out(node, life, queued.at),
            Event::Redial { cable } => self.redial(cable),
        }
        true
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Lets time pass until something holds, which is looked at every `every`. How long it took;
    /// none when it does not hold after `limit`.
    pub fn run_until(
        &mut self,
        limit: Duration,
        every: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Option<Duration> {
        let begun = self.now;
        loop {
            if holds(self) {
                return Some(self.now - begun);
            }
            if self.now - begun >= limit {
                return None;
            }
            self.run(every);
        }
    }

    fn time_out(&mut self, id: NodeId, life: u32, at: Instant) {
        let node = &mut self.nodes[id.0];
        if node.life != life || node.scheduled != Some(at) || node.state != State::Up {
            return;
        }
        node.scheduled = None;
        if node.brain.poll_timeout().is_some_and(|due| due <= self.now) {
            node.woke(true, self.now);
            node.brain.handle_timeout(self.now);
            self.note([1, id.0 as u64, self.age().as_nanos() as u64]);
            self.collect(id, Changed::Anything);
        } else {
            self.reschedule(id);
        }
    }

    /// A packet reached a node over a link.
    pub(super) fn receive(&mut self, id: NodeId, link: LinkId, bytes: Bytes) {
        let node = &mut self.nodes[id.0];
        match node.state {
            State::Stopped => return,
            State::Frozen => {
                let is_data = bytes.get(1) == Some(&0);
                if is_data && node.inbox_data + bytes.len() > FROZEN_DATA {
                    node.counters.data_lost += 1;
                    return;
                }
                node.inbox_data += if is_data { bytes.len() } else { 0 };
                node.inbox.push_back(Waiting::Packet(link, bytes));
                return;
            }
            State::Up => {}
        }
        node.woke(false, self.now);
        let mut changed = Changed::Anything;
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        // What makes no sense ends the link, as the driver does.
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    changed = match &packet {
                        Packet::Control(Tlv::Update(update)) => Changed::Only(update.prefix),
                        _ => Changed::Anything,
                    };
                    self.nodes[id.0].brain.handle(link, packet, self.now);
                }
                Err(_) => {
                    self.hang_up(id, link);
                    break;
                }
            }
        }
        self.note([2, id.0 as u64 | (bytes.len() as u64) << 32, self.age().as_nanos() as u64]);
        self.collect(id, changed);
    }

    /// Takes what a node wants done, judges its routes, and sets its alarm.
    pub(super) fn collect(&mut self, id: NodeId, changed: Changed) {
        let mut closed = Vec::new();
        while let Some(action) = self.nodes[id.0].brain.poll_action() {
            match action {
                Action::Transmit { link, class, bytes } => self.transmit(id, link, class, bytes),
                Action::Close { link, .. } => closed.push(link),
                Action::MessageReady { .. } => self.take_messages(id),
                Action::MessageState { id: message, state } => self.told(id, message, state),
                _ => {}
            }
        }
        self.count_arrivals(id);
        let node = &mut self.nodes[id.0];
        let selections = node.brain.selections();
        if selections != node.selections {
            node.selections = selections;
            let changed = match changed {
                Changed::Only(prefix) => vec![prefix],
                Changed::Anything => node.changed_ways(),
            };
            self.judge.look(&Ways(&self.nodes, &self.cables), id, &changed, self.now);
        }
        for link in closed {
            self.hang_up(id, link);
        }
        self.reschedule(id);
    }

    /// Sees to it that the node is woken when its brain wants.
    pub(super) fn reschedule(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.state != State::Up {
            return;
        }
        let Some(due) = node.brain.poll_timeout() else { return };
        let due = due.max(self.now);
        if node.scheduled.is_none_or(|at| due < at) {
            node.scheduled = Some(due);
            let life = node.life;
            self.push(due, Event::Timeout { node: id, life });
        }
    }

    fn count_arrivals(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        let delivered = node.brain.delivered();
        for _ in node.delivered..delivered {
            node.arrivals.push(self.now);
        }
        node.delivered = delivered;
    }

    /// What a hostile node heard and has not been asked about yet.
    pub fn heard(&mut self, node: NodeId) -> Vec<Tlv> {
        match &mut self.nodes[node.0].brain {
            Brain::Hostile(hostile) => hostile.heard.drain(..).collect(),
            _ => Vec::new(),
        }
    }

    /// Nodes of a kind.
    pub fn nodes_of(&self, kind: Kind) -> Vec<NodeId> {
        self.nodes().filter(|node| self.kind(*node) == kind).collect()
    }
}

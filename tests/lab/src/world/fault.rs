//! What goes wrong in a world, and what is mended.

use std::collections::BTreeSet;

use super::{CableId, Event, NodeId, World};
use crate::cable::Cut;
use crate::judge::Changed;
use crate::node::{Brain, State, Waiting};

impl World {
    /// Cuts a cable. It stays cut until it is mended.
    pub fn cut(&mut self, cable: CableId, how: Cut) {
        self.cables[cable.0].cut = Some(how);
        if how == Cut::Told {
            for end in [0, 1] {
                self.drop_end(cable, end);
            }
        }
    }

    /// Mends a cable. A connection that outlived a silent cut goes on with what was held up.
    pub fn mend(&mut self, id: CableId) {
        let cable = &mut self.cables[id.0];
        if cable.cut.take().is_none() {
            return;
        }
        if cable.links.iter().any(Option::is_none) {
            return self.dial(id);
        }
        let (at, generation) = (self.now + cable.wire.latency, cable.generation);
        for (end, bytes) in std::mem::take(&mut cable.held) {
            self.push(at, Event::Packet { cable: id, end: 1 - end, generation, bytes });
        }
    }

    /// Cuts every cable between these nodes and the others.
    pub fn part(&mut self, nodes: &[NodeId], how: Cut) -> Vec<CableId> {
        let inside: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let crosses = |[a, b]: [NodeId; 2]| inside.contains(&a) != inside.contains(&b);
        let cut: Vec<CableId> = self.cables().filter(|cable| crosses(self.ends(*cable))).collect();
        for cable in &cut {
            self.cut(*cable, how);
        }
        cut
    }

    /// A node ends, with all it knew; its neighbours are told.
    pub fn stop(&mut self, id: NodeId) {
        if std::mem::replace(&mut self.nodes[id.0].state, State::Stopped) == State::Stopped {
            return;
        }
        for cable in self.nodes[id.0].cables.clone() {
            let end = usize::from(self.cables[cable.0].ends[1] == id);
            self.drop_end(cable, end);
            self.tell_other(cable, end);
        }
        let node = &mut self.nodes[id.0];
        node.links.clear();
        node.inbox.clear();
        node.inbox_data = 0;
    }

    /// A stopped node starts again: the same key, another router id, and its cables are dialled.
    pub fn start(&mut self, id: NodeId) {
        if self.nodes[id.0].state != State::Stopped {
            return;
        }
        let life = self.nodes[id.0].life + 1;
        let seed = self.derive("seed", id, life);
        let node = &mut self.nodes[id.0];
        node.life = life;
        node.state = State::Up;
        node.scheduled = None;
        (node.selections, node.delivered) = (0, 0);
        node.brain = Brain::new(node.kind, node.secret, &node.limits, seed, self.now);
        self.reschedule(id);
        for cable in self.nodes[id.0].cables.clone() {
            self.dial(cable);
        }
    }

    /// A node neither reads nor writes from now on; its links stay up.
    pub fn freeze(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.state == State::Up {
            node.state = State::Frozen;
        }
    }

    /// A frozen node goes on, with all that waits for it.
    pub fn thaw(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.state != State::Frozen {
            return;
        }
        node.state = State::Up;
        node.scheduled = None;
        node.inbox_data = 0;
        for waiting in std::mem::take(&mut node.inbox) {
            match waiting {
                Waiting::Packet(link, bytes) => {
                    self.receive(id, link, bytes);
                    continue;
                }
                Waiting::Up(link, cost) => self.nodes[id.0].brain.link_up(link, cost, self.now),
                Waiting::Down(link) => self.nodes[id.0].brain.link_down(link, self.now),
            }
            self.collect(id, Changed::Anything);
        }
        self.nodes[id.0].woke(true, self.now);
        self.nodes[id.0].brain.handle_timeout(self.now);
        self.collect(id, Changed::Anything);
    }

    /// A stock node that has bumped its sequence number so far; what it announced is not repeated.
    pub fn set_stock_seqno(&mut self, id: NodeId, seqno: u16) {
        if let Brain::Stock(stock) = &mut self.nodes[id.0].brain {
            stock.set_seqno(seqno);
        }
    }
}

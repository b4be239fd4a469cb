//! How connections come and go, and how packets get onto them.

use std::time::Duration;

use bytes::Bytes;
use rand_core::Rng;
use threephone_node::LinkId;
use threephone_node::engine::Class;

use super::{CableId, Event, NodeId, World};
use crate::cable::{Cut, Fate};
use crate::judge::Changed;
use crate::node::{State, Waiting};

/// As long as a stock node waits before it dials again.
const REDIAL: Duration = Duration::from_secs(5);

impl World {
    /// Connects a cable anew, if both nodes run and it is whole.
    pub(super) fn dial(&mut self, id: CableId) {
        for end in [0, 1] {
            self.drop_end(id, end); // what is left of an earlier connection
        }
        let cable = &self.cables[id.0];
        let ends = cable.ends;
        let runs = |node: NodeId| self.nodes[node.0].state != State::Stopped;
        if cable.cut.is_some() || !ends.into_iter().all(runs) {
            return self.redial_later(id);
        }
        self.cables[id.0].reset(self.now);
        let static_cost = self.cables[id.0].wire.static_cost;
        for (end, node) in ends.into_iter().enumerate() {
            self.next_link += 1;
            let link = LinkId(self.next_link);
            self.cables[id.0].links[end] = Some(link);
            let node = &mut self.nodes[node.0];
            node.links.insert(link, (id, end));
            if node.state == State::Frozen {
                node.inbox.push_back(Waiting::Up(link, static_cost));
            } else {
                node.woke(false, self.now);
                node.brain.link_up(link, static_cost, self.now);
            }
        }
        for node in ends {
            if self.is_up(node) {
                self.collect(node, Changed::Anything);
            }
        }
    }

    pub(super) fn redial(&mut self, id: CableId) {
        self.cables[id.0].redial_due = false;
        if self.cables[id.0].links.iter().any(Option::is_none) {
            self.dial(id);
        }
    }

    fn redial_later(&mut self, id: CableId) {
        if !std::mem::replace(&mut self.cables[id.0].redial_due, true) {
            let jitter = Duration::from_millis((self.random.next_u32() % 1000).into());
            self.push(self.now + REDIAL + jitter, Event::Redial { cable: id });
        }
    }

    /// Ends a connection at one end only; that node is told.
    pub(super) fn drop_end(&mut self, id: CableId, end: usize) {
        let cable = &mut self.cables[id.0];
        let Some(link) = cable.links[end].take() else { return };
        let node_id = cable.ends[end];
        self.redial_later(id);
        let node = &mut self.nodes[node_id.0];
        node.links.remove(&link);
        match node.state {
            State::Stopped => {}
            State::Frozen => node.inbox.push_back(Waiting::Down(link)),
            State::Up => {
                node.woke(false, self.now);
                node.brain.link_down(link, self.now);
                self.collect(node_id, Changed::Anything);
            }
        }
    }

    /// A node closes a link; the other end hears of it unless the cable is cut.
    pub(super) fn hang_up(&mut self, node: NodeId, link: LinkId) {
        let Some((id, end)) = self.nodes[node.0].links.get(&link).copied() else { return };
        self.drop_end(id, end);
        self.tell_other(id, end);
    }

    /// The end of a connection is on its way to the other end.
    pub(super) fn tell_other(&mut self, id: CableId, end: usize) {
        let cable = &self.cables[id.0];
        if cable.cut != Some(Cut::Silent) && cable.links[1 - end].is_some() {
            let (at, generation) = (self.now + cable.wire.latency, cable.generation);
            self.push(at, Event::Hangup { cable: id, end: 1 - end, generation });
        }
    }

    pub(super) fn transmit(&mut self, node: NodeId, link: LinkId, class: Class, bytes: Bytes) {
        self.nodes[node.0].counters.sent(class, &bytes);
        let Some((id, end)) = self.nodes[node.0].links.get(&link).copied() else { return };
        let cable = &mut self.cables[id.0];
        if cable.cut == Some(Cut::Silent) {
            match class {
                Class::Control => cable.held.push((end, bytes)),
                Class::Data => self.nodes[node.0].counters.data_lost += 1,
            }
            return;
        }
        match cable.carry(end, class, bytes.len(), &mut self.random, self.now) {
            Fate::Arrives(at) => {
                let generation = cable.generation;
                self.push(at, Event::Packet { cable: id, end: 1 - end, generation, bytes });
            }
            Fate::Lost => self.nodes[node.0].counters.data_lost += 1,
            Fate::Stuck => {
                // Not from inside the sender's own turn.
                let generation = cable.generation;
                for end in [0, 1] {
                    self.push(self.now, Event::Hangup { cable: id, end, generation });
                }
            }
        }
    }

    pub(super) fn arrive(&mut self, id: CableId, end: usize, generation: u32, bytes: Bytes) {
        let cable = &mut self.cables[id.0];
        if cable.generation != generation {
            return;
        }
        if cable.cut == Some(Cut::Silent) {
            if bytes.get(1) == Some(&1) {
                cable.held.push((1 - end, bytes));
            }
            return;
        }
        if let Some(link) = cable.links[end] {
            let node = cable.ends[end];
            self.receive(node, link, bytes);
        }
    }
}

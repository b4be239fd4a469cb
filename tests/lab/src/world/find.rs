//! Who reaches whom: on the map, and by following routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use super::{NodeId, Ways, World};
use crate::node::{Kind, State};

/// Where a packet ends up that follows the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// At its destination, past these nodes.
    Arrives(Vec<NodeId>),
    /// At a node without a route.
    NoRoute(NodeId),
    /// On a cable that is cut, or at a node that does not run.
    Broken(NodeId),
    /// In a circle, which this node is part of.
    Loops(NodeId),
}

impl World {
    /// Follows the routes from one node to another, without sending anything.
    pub fn path(&self, from: NodeId, to: NodeId) -> Ending {
        let ways = Ways(&self.nodes, &self.cables);
        let destination = self.address(to);
        let mut path = vec![from];
        let mut at = from;
        while at != to {
            let Some((next, _)) = ways.next(at, destination) else { return Ending::NoRoute(at) };
            if !self.are_joined(at, next) {
                return Ending::Broken(at);
            }
            if path.contains(&next) {
                return Ending::Loops(next);
            }
            path.push(next);
            at = next;
        }
        Ending::Arrives(path)
    }

    /// Whether a node has a way for packets to an address.
    pub fn has_route(&self, node: NodeId, destination: Ipv6Addr) -> bool {
        self.nodes[node.0].brain.way(destination).is_some()
    }

    /// Running nodes by the part of the network they are in: whole cables join them. Hostile ones
    /// belong to no part.
    pub fn parts(&self) -> Vec<Vec<NodeId>> {
        let mut neighbours: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for cable in self.cables.iter().filter(|cable| cable.cut.is_none()) {
            let [a, b] = cable.ends;
            neighbours.entry(a).or_default().push(b);
            neighbours.entry(b).or_default().push(a);
        }
        let takes = |node: NodeId| {
            let node = &self.nodes[node.0];
            node.state == State::Up && node.kind != Kind::Hostile
        };
        let mut seen = BTreeSet::new();
        let mut parts = Vec::new();
        for first in self.nodes().filter(|node| takes(*node)) {
            if !seen.insert(first) {
                continue;
            }
            let mut part = vec![first];
            let mut index = 0;
            while let Some(at) = part.get(index).copied() {
                index += 1;
                let near = neighbours.get(&at).into_iter().flatten();
                part.extend(near.filter(|next| takes(**next) && seen.insert(**next)));
            }
            parts.push(part);
        }
        parts
    }

    /// Pairs that a packet of the first cannot reach the second of, though cables lead there.
    pub fn unreached(&self) -> Vec<(NodeId, NodeId, Ending)> {
        let mut missing = Vec::new();
        for part in self.parts() {
            for to in &part {
                for from in part.iter().filter(|from| *from != to) {
                    let ending = self.path(*from, *to);
                    if !matches!(ending, Ending::Arrives(_)) {
                        missing.push((*from, *to, ending));
                    }
                }
            }
        }
        missing
    }

    /// Has every node look for every other it cannot reach, as applications would, one destination
    /// every `pace`, until none is missing. How many are missing after so many rounds.
    pub fn acquire_all(&mut self, rounds: usize, pace: Duration) -> usize {
        for _ in 0..rounds {
            let mut wanted: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
            for (from, to, ending) in self.unreached() {
                match ending {
                    Ending::NoRoute(at) if at != from => {
                        // What a packet does that gets there; the node on the way looks.
                        wanted.entry(to).or_default().push(at);
                    }
                    _ => wanted.entry(to).or_default().push(from),
                }
            }
            if wanted.is_empty() {
                return 0;
            }
            for (to, mut askers) in wanted {
                askers.sort_unstable();
                askers.dedup();
                for from in askers {
                    self.lookup(from, to);
                }
                self.run(pace);
            }
            self.run(Duration::from_secs(21).saturating_sub(pace)); // a failed lookup is over
        }
        self.unreached().len()
    }

    fn are_joined(&self, a: NodeId, b: NodeId) -> bool {
        self.nodes[b.0].state == State::Up
            && self.nodes[a.0].cables.iter().any(|cable| {
                let cable = &self.cables[cable.0];
                cable.ends.contains(&b) && cable.cut.is_none()
            })
    }
}

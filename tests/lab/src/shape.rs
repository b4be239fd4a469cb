//! The shapes of networks.

use rand_core::Rng;
use threephone_node::limits::Limits;

use crate::cable::Wire;
use crate::node::Kind;
use crate::world::{NodeId, World};

/// Which nodes a network's cables join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One after the other.
    Line,
    /// A line whose ends meet.
    Ring,
    /// All around the first.
    Star,
    /// The first and the last, and all others between them.
    Diamond,
    /// A random tree, and for each node so many random cables more.
    Random {
        /// Cables beyond the tree, for ten nodes.
        more_per_ten: usize,
    },
}

impl World {
    /// Adds a network of nodes and its cables.
    pub fn build(&mut self, shape: Shape, kinds: &[Kind], wire: Wire) -> Vec<NodeId> {
        self.build_limited(shape, kinds, wire, &Limits::default())
    }

    /// As [`World::build`], with bounds of their own for the nodes.
    pub fn build_limited(
        &mut self,
        shape: Shape,
        kinds: &[Kind],
        wire: Wire,
        limits: &Limits,
    ) -> Vec<NodeId> {
        let add = |kind: &Kind| self.add_limited(*kind, limits.clone());
        let nodes: Vec<NodeId> = kinds.iter().map(add).collect();
        for (a, b) in self.joints(shape, nodes.len()) {
            self.connect(nodes[a], nodes[b], wire);
        }
        nodes
    }

    fn joints(&mut self, shape: Shape, count: usize) -> Vec<(usize, usize)> {
        let last = count.saturating_sub(1);
        match shape {
            Shape::Line => (1..count).map(|n| (n - 1, n)).collect(),
            Shape::Ring => (0..count).map(|n| (n, (n + 1) % count)).collect(),
            Shape::Star => (1..count).map(|n| (0, n)).collect(),
            Shape::Diamond => (1..last).flat_map(|n| [(0, n), (n, last)]).collect(),
            Shape::Random { more_per_ten } => {
                let mut joints: Vec<_> =
                    (1..count).map(|n| (self.random().next_u32() as usize % n, n)).collect();
                for _ in 0..count * more_per_ten / 10 {
                    let a = self.random().next_u32() as usize % count;
                    let b = self.random().next_u32() as usize % count;
                    if a != b && !joints.contains(&(a.min(b), a.max(b))) {
                        joints.push((a.min(b), a.max(b)));
                    }
                }
                joints
            }
        }
    }
}

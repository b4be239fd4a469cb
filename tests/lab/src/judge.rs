//! Looks for routing loops after each step.
//!
//! Routes of one router id never loop among nodes that keep to the protocol: that is what
//! feasibility is for, and such a loop is a violation. Two cases are outside of that promise and
//! counted apart: routes of a restarted node's old and new router id, which know nothing of each
//! other, and loops through nodes that are not ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use threephone_node::Prefix;

use crate::node::Kind;
use crate::world::{NodeId, Ways};

/// Violations that are kept.
const KEPT: usize = 20;
/// Loops that are followed until they are gone; one above that never counts as gone.
const FOLLOWED: usize = 100_000;

/// Which routes of a node may have changed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changed {
    Only(Prefix),
    Anything,
}

/// A circle that packets to a prefix would go round in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// Of which node.
    pub prefix: Prefix,
    /// Who is part of it.
    pub members: Vec<NodeId>,
    /// Whether all routes in it are of one router id.
    pub one_source: bool,
    /// Whether all nodes in it are ours.
    pub all_ours: bool,
    /// When it was seen first.
    pub since: Instant,
}

/// What was found out up to now.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Loops among our nodes over routes of one router id: there must be none.
    pub violations: Vec<Loop>,
    /// How many of those there were.
    pub violation_count: u64,
    /// Loops over routes of several router ids of one node, among our nodes.
    pub restart_loops: u64,
    /// Loops through nodes that are not ours.
    pub stock_loops: u64,
    /// How long the longest of either lasted, or has lasted yet.
    pub longest: Duration,
    /// How many of either are there now.
    pub open: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// By the prefix and, in their order, the nodes on it: a prefix may have several.
    open: BTreeMap<(Prefix, Vec<NodeId>), Loop>,
    /// Since when a prefix has had one loop or another: one whose members change is none the less there.
    looping: BTreeMap<Prefix, Instant>,
    /// Those too many to be followed.
    not_followed: usize,
    verdict: Verdict,
}

impl Judge {
    /// These ways of this node changed.
    pub(crate) fn look(&mut self, ways: &Ways<'_>, at: NodeId, changed: &[Prefix], now: Instant) {
        for prefix in changed {
            self.follow(ways, at, *prefix, now);
        }
    }

    fn follow(&mut self, ways: &Ways<'_>, at: NodeId, prefix: Prefix, now: Instant) {
        self.recheck(ways, prefix, now);
        self.follow_circle(ways, at, prefix, now);
        self.forget(prefix);
    }

    /// When no loop of a prefix is left, the next one is another.
    fn forget(&mut self, prefix: Prefix) {
        if self.of_prefix(prefix).next().is_none() {
            self.looping.remove(&prefix);
        }
    }

    fn of_prefix(&self, prefix: Prefix) -> impl Iterator<Item = (&(Prefix, Vec<NodeId>), &Loop)> {
        self.open.range((prefix, Vec::new())..).take_while(move |((of, _), _)| *of == prefix)
    }

    fn follow_circle(&mut self, ways: &Ways<'_>, at: NodeId, prefix: Prefix, now: Instant) {
        let Some(found) = circle(ways, at, prefix, now) else { return };
        if found.one_source && found.all_ours {
            self.verdict.violation_count += 1;
            if self.verdict.violations.len() < KEPT {
                self.verdict.violations.push(found);
            }
            return;
        }
        let name = (prefix, found.sorted());
        if self.open.contains_key(&name) {
            return;
        }
        let count = if found.all_ours {
            &mut self.verdict.restart_loops
        } else {
            &mut self.verdict.stock_loops
        };
        *count += 1;
        self.looping.entry(prefix).or_insert(now);
        if self.open.len() < FOLLOWED {
            self.open.insert(name, found);
        } else {
            self.not_followed += 1;
        }
    }

    /// Closes known loops of a prefix that are gone.
    fn recheck(&mut self, ways: &Ways<'_>, prefix: Prefix, now: Instant) {
        if let Some(since) = self.looping.get(&prefix) {
            self.verdict.longest = self.verdict.longest.max(now - *since);
        }
        let mut gone = Vec::new();
        for (name, open) in self.of_prefix(prefix) {
            let there = open.members.first().and_then(|member| circle(ways, *member, prefix, now));
            if there.is_none_or(|there| there.sorted() != name.1) {
                gone.push(name.clone());
            }
        }
        gone.iter().for_each(|name| drop(self.open.remove(name)));
    }

    pub(crate) fn verdict(&mut self, ways: &Ways<'_>, now: Instant) -> Verdict {
        let mut prefixes: Vec<Prefix> = self.open.keys().map(|(prefix, _)| *prefix).collect();
        prefixes.dedup();
        for prefix in prefixes {
            self.recheck(ways, prefix, now);
            self.forget(prefix);
        }
        Verdict { open: self.open.len() + self.not_followed, ..self.verdict.clone() }
    }
}

impl Loop {
    /// The nodes on it, wherever it was entered.
    fn sorted(&self) -> Vec<NodeId> {
        let mut members = self.members.clone();
        members.sort_unstable();
        members
    }
}

/// The circle that packets to this prefix go round in from here, if they come back.
fn circle(ways: &Ways<'_>, start: NodeId, prefix: Prefix, now: Instant) -> Option<Loop> {
    let destination = prefix.address();
    let (mut at, first) = ways.next(start, destination)?;
    let mut members = vec![start];
    let mut one_source = true;
    while at != start {
        if members.len() > ways.0.len() {
            return None; // a circle further on, which was seen when it closed
        }
        members.push(at);
        let (next, id) = ways.next(at, destination)?;
        one_source &= id == first;
        at = next;
    }
    let all_ours = members.iter().all(|member| ways.0[member.0].kind == Kind::Ours);
    Some(Loop { prefix, members, one_source, all_ours, since: now })
}

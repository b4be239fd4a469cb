//! Which of several routes packets take (spec 6.8), and what follows when that changes.
//!
//! The cheapest feasible route wins, as everywhere in the network. Nothing in the protocol proves
//! that whoever announces a route also delivers, so two things count before the cost: a route from
//! whose end nothing comes back although this node sends is avoided for a while, and where several
//! router ids compete for one prefix (a node that was restarted, or somebody who pretends to be it)
//! the one that answered just now stays, and after it those of peers that the owner chose.

use std::time::{Duration, Instant};

use super::destination::Entry;
use super::metric;
use super::{Router, RouterOutput};
use crate::{LinkId, Prefix};

/// Changes of a metric up to this size are noise: they neither switch nor announce a route.
const SIGNIFICANT: u16 = 10;
/// A node that answered within this time is certainly behind the selected route.
const PROVEN: Duration = Duration::from_secs(15);

/// What counts before the cost: the smaller the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_doubted: bool,
    is_unproven: bool,
    is_untrusted: bool,
}

impl Router {
    /// Selects anew after a change; `before` is what was selected before it.
    pub(super) fn reselect(&mut self, prefix: Prefix, before: Option<Entry>, now: Instant) {
        let best = self.best(prefix, now);
        if let Some(known) = self.table.get_mut(prefix) {
            known.select(best);
        }
        let after = self.table.selected(prefix).copied();
        let way = |entry: Option<Entry>| entry.map(|entry| (entry.link, entry.router_id));
        self.selections += u64::from(way(before) != way(after));
        match (before, after) {
            (None, None) => {}
            (Some(before), None) => self.lose_route(prefix, &before, now),
            (None, Some(after)) => self.gain_route(prefix, &after, now),
            (Some(before), Some(after)) => {
                let waiting = self.lookups.answer(prefix);
                self.queue_updates(prefix, &waiting);
                if before.link != after.link {
                    self.poison(prefix, after.link);
                }
                let held = self.table.get(prefix).is_some_and(|known| known.is_held());
                if !held && self.is_news(&before, &after) {
                    self.announce(prefix);
                }
            }
        }
        if let Some(after) = after {
            let waiting = self.pending.answer(prefix, after.router_id, after.seqno);
            self.queue_updates(prefix, &waiting);
        }
        self.table.settle(prefix, self.clock.tick(now));
    }

    fn lose_route(&mut self, prefix: Prefix, before: &Entry, now: Instant) {
        self.output(RouterOutput::RouteLost { prefix });
        self.lookups.renew(prefix);
        self.lookups.renew(Prefix::subnet_of(prefix.address()));
        let tick = self.clock.tick(now);
        let is_wanted = self.table.is_used(prefix, tick);
        let Some(known) = self.table.get_mut(prefix) else { return };
        known.lose(tick);
        let is_owed = known.take_announced();
        // Of a route that nobody used nobody needs another.
        if is_owed || is_wanted {
            self.request_seqno(prefix, (before.router_id, before.seqno), None, now);
        }
        if is_owed {
            self.announce(prefix);
        }
    }

    fn gain_route(&mut self, prefix: Prefix, after: &Entry, now: Instant) {
        let mut waiting = self.lookups.answer(prefix);
        waiting.union(&self.lookups.answer(Prefix::subnet_of(prefix.address())));
        let key = after.router_id.public_key();
        self.output(RouterOutput::RouteAcquired { prefix, key });
        self.queue_updates(prefix, &waiting);
        let Some(known) = self.table.get_mut(prefix) else { return };
        match known.hold() {
            None => self.announce(prefix),
            Some(hold) => {
                known.set_held(self.clock.after(hold, now));
                self.counters.damped += 1;
            }
        }
    }

    /// The neighbour whose route is to be selected.
    fn best(&self, prefix: Prefix, now: Instant) -> Option<LinkId> {
        let known = self.table.get(prefix)?;
        if let [only] = known.entries.as_slice() {
            let usable = self.is_usable(prefix, only);
            return usable.then_some(only.link);
        }
        let now = self.clock.tick(now);
        let contested = known.is_contested();
        let is_fresh = known.answered_ago(now).is_some_and(|ago| ago < PROVEN);
        let proven = known.selected().filter(|_| contested && is_fresh);
        let rank = |entry: &Entry| Rank {
            is_doubted: entry.doubted > now,
            is_unproven: proven
                .is_some_and(|proven| !proven.is_of_life(&entry.router_id, entry.seqno)),
            is_untrusted: contested && !self.is_trusted(entry.link),
        };
        let cost = |entry: &Entry| metric::add(entry.metric, self.cost(entry.link));
        let usable = known.entries.iter().filter(|entry| self.is_usable(prefix, entry));
        let best = usable.clone().min_by_key(|entry| (rank(entry), cost(entry)))?;
        let current = usable.into_iter().find(|entry| entry.selected);
        let keep = current.filter(|current| {
            rank(current) <= rank(best)
                && cost(best) >= metric::subtract(cost(current), SIGNIFICANT)
                && best.metric != 0
        });
        Some(keep.unwrap_or(best).link)
    }

    /// Metrics stop growing below infinity. A route that would be advertised no worse than it was
    /// received could go round in a circle, so it counts for as little as a retracted one.
    fn is_usable(&self, prefix: Prefix, entry: &Entry) -> bool {
        metric::add(entry.metric, self.cost(entry.link)) > entry.metric
            && !self.is_silent(entry.link)
            && self
                .table
                .get(prefix)
                .is_some_and(|known| known.is_feasible(&entry.router_id, entry.seqno, entry.metric))
    }

    fn is_trusted(&self, link: LinkId) -> bool {
        self.neighbours.get(&link).is_some_and(|neighbour| neighbour.is_trusted)
    }

    fn is_news(&self, before: &Entry, after: &Entry) -> bool {
        let advertised = |entry: &Entry| metric::add(entry.metric, self.cost(entry.link));
        before.router_id != after.router_id
            || before.metric.abs_diff(after.metric) > SIGNIFICANT
            || (before.link != after.link
                && advertised(before).abs_diff(advertised(after)) > SIGNIFICANT)
    }
}

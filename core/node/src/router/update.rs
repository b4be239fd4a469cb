//! Updates: taking them in, selecting routes, announcing what changed (spec 6.7, 6.8, 6.11, 6.12).

use std::time::{Duration, Instant};

use super::filter::{self, SUBNET_LENGTH};
use super::metric::{self, INFINITE};
use super::table::Entry;
use super::{Router, RouterOutput};
use crate::wire::control::{Tlv, Update};
use crate::{LinkId, Prefix};

/// Advertised in every Update, in centiseconds.
pub(super) const UPDATE_INTERVAL: u16 = 30_000;
/// How long a retracted route is kept.
const RETRACTION_HOLD: Duration = Duration::from_secs(6);
/// Changes of a metric up to this size are noise: they neither switch nor announce a route.
const SIGNIFICANT: u16 = 10;

impl Router {
    pub(super) fn handle_update(&mut self, link: LinkId, update: &Update, now: Instant) {
        // Own addresses are never routed: whoever announces them is wrong or lying.
        if !filter::is_acceptable(update) || self.config.prefix.covers(&update.prefix) {
            return;
        }
        let before = self.table.selected(update.prefix).copied();
        // A second key for the same /64 is an attack on the first while that one is reachable.
        let other_key =
            |entry: &Entry| entry.router_id.public_key() != update.router_id.public_key();
        if update.metric != INFINITE && before.as_ref().is_some_and(other_key) {
            return;
        }
        let changed = if self.table.entry(update.prefix, link).is_some() {
            self.change_entry(link, update, now)
        } else {
            self.add_entry(link, update, now)
        };
        if changed {
            self.reselect(update.prefix, before, now);
        }
    }

    fn change_entry(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        let feasible = self.is_feasible(update);
        let starving = self.table.selected(update.prefix).is_none();
        let Some(entry) = self.table.entry_mut(update.prefix, link) else { return false };
        if entry.selected && !feasible && entry.router_id == update.router_id {
            self.request_seqno(update.prefix, update.router_id, Some(link), now);
            return false;
        }
        if entry.metric == INFINITE && update.metric == INFINITE {
            return false;
        }
        entry.metric = update.metric;
        // A retraction names the node that retracts, not the one that the route led to.
        if update.metric != INFINITE {
            entry.seqno = update.seqno;
            entry.router_id = update.router_id;
        }
        if feasible {
            self.table.set_expiry(update.prefix, link, now + hold(update));
        } else if !entry.selected {
            if starving {
                self.request_seqno(update.prefix, update.router_id, Some(link), now);
            }
            return false;
        }
        true
    }

    fn add_entry(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        if !self.is_feasible(update) {
            if self.table.selected(update.prefix).is_none() {
                self.request_seqno(update.prefix, update.router_id, Some(link), now);
            }
            return false;
        }
        // One that ends at once would only make two floods, of its coming and its going.
        if update.metric == INFINITE || update.interval == 0 || !self.make_room(link, update, now) {
            return false;
        }
        let entry = Entry {
            link,
            router_id: update.router_id,
            metric: update.metric,
            seqno: update.seqno,
            selected: false,
        };
        self.table.insert(update.prefix, entry, now + hold(update));
        true
    }

    fn is_feasible(&self, update: &Update) -> bool {
        let source = (update.prefix, update.router_id);
        self.sources.is_feasible(source, update.seqno, update.metric)
    }

    /// Whether one more entry fits. What was asked for, and direct neighbours, push out a route of
    /// the same peer that is not in use; what nobody asked for does not.
    fn make_room(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        let limits = &self.config.limits;
        if self.table.count_of(link) < limits.prefixes_per_link
            && self.table.count() < limits.entries
        {
            return true;
        }
        let subnet = Prefix::subnet_of(update.prefix.address());
        if update.metric != 0 && !self.lookups.is_awaited(subnet) {
            return false;
        }
        let from = self.random_prefix();
        let Some(victim) = self.table.unused_after(link, from, now) else { return false };
        self.drop_entry(victim, link, now);
        true
    }

    /// Removes an entry at once and tells the others if it mattered.
    pub(super) fn drop_entry(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let before = self.table.selected(prefix).copied();
        self.table.remove(prefix, link);
        self.reselect(prefix, before, now);
    }

    /// An entry lost its route: by a dead peer or by time. One in use is kept for a while without
    /// being used, so that the key behind the prefix stays known.
    pub(super) fn lose_entry(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let before = self.table.selected(prefix).copied();
        match self.table.entry_mut(prefix, link) {
            Some(entry) if entry.selected => {
                entry.metric = INFINITE;
                self.table.set_expiry(prefix, link, now + RETRACTION_HOLD);
                self.reselect(prefix, before, now);
            }
            _ => self.table.remove(prefix, link),
        }
    }

    /// Selects anew after a change; `before` is what was selected before it.
    pub(super) fn reselect(&mut self, prefix: Prefix, before: Option<Entry>, now: Instant) {
        let best = self.best(prefix);
        self.table.select(prefix, best);
        let after = self.table.selected(prefix).copied();
        let way = |entry: Entry| (entry.link, entry.router_id);
        self.selections += u64::from(before.map(way) != after.map(way));
        match (before, after) {
            (None, None) => return,
            (Some(before), None) => {
                self.output(RouterOutput::RouteLost { prefix });
                self.request_seqno(prefix, before.router_id, None, now);
                self.retract(prefix);
            }
            (None, Some(after)) => {
                self.lookups.answer(prefix);
                self.lookups.answer(Prefix::subnet_of(prefix.address()));
                let key = after.router_id.public_key();
                self.output(RouterOutput::RouteAcquired { prefix, key });
                self.announce(prefix, &after, now);
            }
            (Some(before), Some(after)) => {
                self.lookups.answer(prefix);
                if self.is_news(&before, &after) {
                    self.announce(prefix, &after, now);
                }
            }
        }
        if let Some(after) = after {
            self.answer_waiting(prefix, &after, now);
        }
    }

    /// The neighbour whose route is to be selected (spec 6.8).
    fn best(&self, prefix: Prefix) -> Option<LinkId> {
        let cost = |entry: &Entry| metric::add(entry.metric, self.cost(entry.link));
        let usable = |entry: &&Entry| {
            let source = (prefix, entry.router_id);
            cost(entry) != INFINITE && self.sources.is_feasible(source, entry.seqno, entry.metric)
        };
        let set = self.table.set(prefix);
        let best = set.iter().filter(usable).min_by_key(|entry| cost(entry))?;
        let current = set.iter().filter(usable).find(|entry| entry.selected);
        let keep = current.filter(|current| {
            cost(best) >= metric::subtract(cost(current), SIGNIFICANT) && best.metric != 0
        });
        Some(keep.unwrap_or(best).link)
    }

    fn is_news(&self, before: &Entry, after: &Entry) -> bool {
        let advertised = |entry: &Entry| metric::add(entry.metric, self.cost(entry.link));
        before.router_id != after.router_id
            || before.metric.abs_diff(after.metric) > SIGNIFICANT
            || (before.link != after.link
                && advertised(before).abs_diff(advertised(after)) > SIGNIFICANT)
    }

    /// Sends the route to those that asked for a newer sequence number and have it now.
    fn answer_waiting(&mut self, prefix: Prefix, route: &Entry, now: Instant) {
        let requesters = self.pending.answer(prefix, route.router_id, route.seqno);
        for link in requesters.into_iter().filter(|link| *link != route.link) {
            self.send_route(link, prefix, route, now);
        }
    }

    /// Tells everyone but the next hop of the selected route of a prefix.
    fn announce(&mut self, prefix: Prefix, route: &Entry, now: Instant) {
        for link in self.links() {
            if link != route.link {
                self.send_route(link, prefix, route, now);
            }
        }
    }

    /// Advertises a route, and never again a worse one of the same sequence number as feasible.
    pub(super) fn send_route(&mut self, link: LinkId, prefix: Prefix, route: &Entry, now: Instant) {
        let metric = metric::add(route.metric, self.cost(route.link));
        let (seqno, router_id) = (route.seqno, route.router_id);
        if metric != INFINITE {
            self.sources.advertised((prefix, router_id), seqno, metric, now);
        }
        let interval = UPDATE_INTERVAL;
        self.send(link, Tlv::Update(Update { interval, seqno, metric, prefix, router_id }));
    }

    /// Tells everyone that this node has no route any more. No source entry: it is not a route.
    fn retract(&mut self, prefix: Prefix) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: INFINITE,
            prefix,
            router_id: self.config.router_id,
        };
        for link in self.links() {
            self.send(link, Tlv::Update(update));
        }
    }

    pub(super) fn send_static(&mut self, link: LinkId) {
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: 0,
            prefix: self.config.prefix,
            router_id: self.config.router_id,
        };
        self.send(link, Tlv::Update(update));
    }

    fn random_prefix(&mut self) -> Prefix {
        use rand_core::Rng;
        let bits = u128::from(self.random.next_u64()) << SUBNET_LENGTH;
        Prefix::subnet_of(std::net::Ipv6Addr::from_bits(0x04 << 120 | bits >> 7))
    }
}

/// 3.5 times the advertised interval; retractions are kept briefly.
fn hold(update: &Update) -> Duration {
    if update.metric == INFINITE {
        RETRACTION_HOLD
    } else {
        Duration::from_millis(35) * u32::from(update.interval)
    }
}

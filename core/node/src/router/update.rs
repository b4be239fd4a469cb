//! Updates as they come in, and routes as they end (spec 6.7 and 6.12).

use std::time::{Duration, Instant};

use rand_core::Rng;

use super::Router;
use super::clock::Tick;
use super::destination::Entry;
use super::filter::{self, SUBNET_LENGTH};
use super::metric::INFINITE;
use crate::wire::control::Update;
use crate::{LinkId, Prefix};

/// How long a retracted route is kept.
const RETRACTION_HOLD: Duration = Duration::from_secs(6);

impl Router {
    pub(super) fn handle_update(&mut self, link: LinkId, update: &Update, now: Instant) {
        // Own addresses are never routed: whoever announces them is wrong or lying.
        if self.config.prefix.covers(&update.prefix) {
            self.recognise_itself(link, update);
            return self.answer_impostor(update, now);
        }
        let known = self.table.get(update.prefix).and_then(|known| known.entry(link)).copied();
        if update.metric == INFINITE {
            // Of a route that is not there nothing need be taken back.
            if known.is_some_and(|entry| entry.metric != INFINITE) {
                self.retract_entry(update.prefix, link, now);
            }
            return;
        }
        if !self.is_welcome(link, known.as_ref(), update, now) {
            return;
        }
        let before = self.table.selected(update.prefix).copied();
        let changed = match known {
            Some(entry) => self.change_entry(entry, update, now),
            None => self.add_entry(link, update, now),
        };
        if changed {
            self.reselect(update.prefix, before, now);
        }
    }

    /// An Update with a finite metric: whether it may be looked at.
    fn is_welcome(
        &mut self,
        link: LinkId,
        known: Option<&Entry>,
        update: &Update,
        now: Instant,
    ) -> bool {
        let neighbour = self.neighbours.get_mut(&link);
        if !neighbour.is_some_and(|neighbour| neighbour.buckets.updates.take(now)) {
            self.counters.updates_over_rate += 1;
            return false;
        }
        // What was checked once for this prefix need not be hashed again.
        if known.is_some_and(|entry| entry.is_of_life(&update.router_id, update.seqno)) {
            return true;
        }
        if !filter::is_acceptable(update) {
            self.counters.filtered += 1;
            return false;
        }
        let (key, tick) = (update.router_id.public_key(), self.clock.tick(now));
        let subnet = Prefix::subnet_of(update.prefix.address());
        let taken = self.table.get(update.prefix).is_some_and(|known| known.is_of_other_key(&key));
        if taken || self.pins.refuse(subnet, &key, tick) {
            self.counters.other_key += 1;
            return false;
        }
        let Some(known) = self.table.get_mut(update.prefix) else { return true };
        let life = (&update.router_id, update.seqno);
        if known.selected().is_some_and(|route| !route.is_of_life(life.0, life.1)) {
            self.counters.other_router_id += 1;
        }
        known.admits(life.0, life.1, tick)
    }

    fn change_entry(&mut self, entry: Entry, update: &Update, now: Instant) -> bool {
        let (prefix, link) = (update.prefix, entry.link);
        let feasible = self.is_feasible(update);
        self.counters.infeasible += u64::from(!feasible);
        let source = (update.router_id, update.seqno);
        if !feasible && entry.selected && entry.is_of_life(&source.0, source.1) {
            self.request_seqno(prefix, source, Some(link), now);
            return false;
        }
        let starving = self.table.selected(prefix).is_none();
        let expires = self.clock.after(hold(update), now);
        let Some(known) = self.table.get_mut(prefix) else { return false };
        let Some(entry) = known.entry_mut(link) else { return false };
        entry.metric = update.metric;
        entry.seqno = update.seqno;
        entry.router_id = update.router_id;
        if feasible {
            entry.expires = expires;
            return true;
        }
        let was_selected = entry.selected;
        if starving {
            self.request_seqno(prefix, source, Some(link), now);
        }
        was_selected
    }

    fn add_entry(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        if !self.is_feasible(update) {
            self.counters.infeasible += 1;
            if self.table.selected(update.prefix).is_none() {
                let source = (update.router_id, update.seqno);
                self.request_seqno(update.prefix, source, Some(link), now);
            }
            return false;
        }
        // One that ends at once would only make two floods, of its coming and its going.
        if update.interval == 0 || !self.make_room(link, update, now) {
            return false;
        }
        let entry = Entry {
            router_id: update.router_id,
            link,
            expires: self.clock.after(hold(update), now),
            doubted: Tick::START,
            metric: update.metric,
            seqno: update.seqno,
            selected: false,
        };
        self.table.insert(update.prefix, entry);
        self.selections += 1; // the key behind the prefix may be known now
        true
    }

    /// The neighbour has no route any more. Its Update names itself, not the node that the route
    /// led to, so nothing of it is kept.
    fn retract_entry(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let before = self.table.selected(prefix).copied();
        let expires = self.clock.after(RETRACTION_HOLD, now);
        let Some(known) = self.table.get_mut(prefix) else { return };
        if let Some(entry) = known.entry_mut(link) {
            entry.metric = INFINITE;
            entry.expires = expires;
        }
        self.reselect(prefix, before, now);
    }

    fn is_feasible(&self, update: &Update) -> bool {
        self.table
            .get(update.prefix)
            .is_none_or(|known| known.is_feasible(&update.router_id, update.seqno, update.metric))
    }

    /// Whether one more entry fits. What is wanted pushes out a route that is not in use, of the
    /// same peer or of the one with the most; what nobody asked for does not, and is not taken in at
    /// all above the soft limit.
    fn make_room(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        let limits = &self.config.limits;
        let (count, of_link) = (self.table.count(), self.table.count_of(link));
        if of_link < limits.prefixes_per_link && count < limits.soft_entries.min(limits.entries) {
            return true;
        }
        let is_full = of_link >= limits.prefixes_per_link || count >= limits.entries;
        if !self.is_wanted(link, update, now) {
            let counters = &mut self.counters;
            let refused =
                if is_full { &mut counters.routes_refused } else { &mut counters.routes_unwanted };
            *refused += 1;
            return false;
        }
        !is_full || self.evict(link, of_link > 0, now)
    }

    /// Whether a route is one for which others make room.
    fn is_wanted(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        let subnet = Prefix::subnet_of(update.prefix.address());
        let is_used = self.table.is_used(update.prefix, self.clock.tick(now));
        if self.lookups.is_awaited(subnet) || is_used {
            return true;
        }
        let neighbour = self.neighbours.get_mut(&link).filter(|_| update.metric == 0);
        neighbour.is_some_and(|neighbour| neighbour.buckets.direct.take(now))
    }

    fn evict(&mut self, link: LinkId, has_routes: bool, now: Instant) -> bool {
        let from = if has_routes { Some(link) } else { self.table.greediest() };
        let Some(from) = from else { return false };
        let start = self.random_prefix();
        let victim = self.table.unused_after(from, start, self.clock.tick(now));
        let Some(victim) = victim else {
            self.counters.routes_refused += 1;
            return false;
        };
        self.counters.routes_evicted += 1;
        self.drop_entry(victim, from, now);
        true
    }

    /// Removes an entry at once and tells the others if it mattered.
    pub(super) fn drop_entry(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let before = self.table.selected(prefix).copied();
        self.table.remove(prefix, link);
        self.selections += 1;
        self.reselect(prefix, before, now);
    }

    /// An entry lost its route: by a dead peer or by time. One in use is kept for a while without
    /// being used, so that the key behind the prefix stays known.
    pub(super) fn lose_entry(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let selected = self.table.selected(prefix);
        if selected.is_some_and(|entry| entry.link == link) {
            self.retract_entry(prefix, link, now);
        } else {
            self.drop_entry(prefix, link, now);
        }
    }

    /// What is due of one prefix: entries end, and what was kept back is told.
    pub(super) fn end_entries(&mut self, prefix: Prefix, now: Instant) {
        let tick = self.clock.tick(now);
        let due = self.table.set(prefix).iter().filter(|entry| entry.expires <= tick);
        let due: Vec<LinkId> = due.map(|entry| entry.link).collect();
        for link in due {
            self.lose_entry(prefix, link, now);
        }
        if self.table.get_mut(prefix).is_some_and(|known| known.take_held(tick)) {
            self.announce(prefix);
        }
        self.table.settle(prefix, tick);
    }

    pub(super) fn random_prefix(&mut self) -> Prefix {
        let bits = u128::from(self.random.next_u64()) << SUBNET_LENGTH;
        Prefix::subnet_of(std::net::Ipv6Addr::from_bits(0x04 << 120 | bits >> 7))
    }
}

/// 3.5 times the advertised interval.
fn hold(update: &Update) -> Duration {
    Duration::from_millis(35) * u32::from(update.interval)
}

//! Updates of the model: spec 6.3, 6.6 to 6.8, 6.11 and 6.12.

use std::time::{Duration, Instant};

use threephone_node::wire::control::{Tlv, Update};
use threephone_node::{LinkId, Prefix, in_overlay};

use super::table::Entry;
use super::{INFINITE, Stock, Timer, UPDATE_INTERVAL, add, is_newer};

const RETRACTION_HOLD: Duration = Duration::from_secs(6);
const SOURCE_LIFETIME: Duration = Duration::from_secs(1800);
const SIGNIFICANT: u16 = 10;

impl Stock {
    pub(super) fn handle_update(&mut self, link: LinkId, update: Update, now: Instant) {
        if !passes(&update) || update.prefix == self.prefix {
            return;
        }
        let prefix = update.prefix;
        let asked = (prefix, update.router_id, update.seqno);
        let interested: Vec<LinkId> = self
            .searches
            .get(&asked)
            .map_or_else(Vec::new, |search| search.requesters.iter().copied().collect());
        let before = self.table.selected(prefix);
        if !self.take_in(link, &update, now) {
            return;
        }
        self.reselect(prefix, before, now);
        let after = self.table.selected(prefix);
        if is_change(before, after) {
            self.trigger(prefix, now);
        } else if let Some(after) = after {
            for to in interested.into_iter().filter(|to| *to != after.link) {
                self.send_entry(to, prefix, after, after.link, now);
            }
        }
        self.settle_waiting(prefix, before.is_some(), now);
    }

    /// Steps 4 to 6 of spec 6.7; false when it stops there.
    fn take_in(&mut self, link: LinkId, update: &Update, now: Instant) -> bool {
        let (prefix, id) = (update.prefix, update.router_id);
        let feasible = self.is_feasible(update);
        let selected = self.table.selected(prefix);
        let hold = if update.metric == INFINITE {
            RETRACTION_HOLD
        } else {
            Duration::from_millis(35) * u32::from(update.interval)
        };
        if self.table.set(prefix).is_empty() && !feasible {
            self.ask_seqno(prefix, id, Some(link), now);
            return false;
        }
        let Some(entry) = self.table.entry_mut(prefix, link) else {
            if !feasible && selected.is_none() {
                self.ask_seqno(prefix, id, Some(link), now);
            }
            if !feasible || update.metric == INFINITE {
                return false;
            }
            let (metric, seqno) = (update.metric, update.seqno);
            self.table.insert(prefix, Entry { link, id, metric, seqno, selected: false });
            self.timers.set(Timer::Entry(prefix, link), now + hold);
            return true;
        };
        if entry.selected && !feasible && entry.id == id {
            self.ask_seqno(prefix, id, Some(link), now);
            return false;
        }
        if entry.metric == INFINITE && update.metric == INFINITE {
            return false;
        }
        (entry.seqno, entry.metric, entry.id) = (update.seqno, update.metric, id);
        if feasible {
            self.timers.set(Timer::Entry(prefix, link), now + hold);
            return true;
        }
        std::mem::take(&mut entry.selected)
    }

    /// Spec 6.8, and the request when nothing is left. `before` is what was selected before.
    fn reselect(&mut self, prefix: Prefix, before: Option<Entry>, now: Instant) {
        let best = self.best(prefix);
        if let (None, Some(before)) = (best, before) {
            self.ask_seqno(prefix, before.id, None, now);
        }
        self.table.select(prefix, best);
        let way = |entry: Entry| (entry.link, entry.id);
        let after = self.table.selected(prefix);
        self.table.selections += u64::from(before.map(way) != after.map(way));
    }

    fn best(&self, prefix: Prefix) -> Option<LinkId> {
        let set = self.table.set(prefix);
        let cost = |entry: &Entry| add(entry.metric, self.cost(entry.link));
        let usable = |entry: &&Entry| {
            entry.metric != INFINITE
                && self.is_feasible(&Update {
                    interval: 0,
                    seqno: entry.seqno,
                    metric: entry.metric,
                    prefix,
                    router_id: entry.id,
                })
        };
        let best = set.iter().filter(usable).min_by_key(|entry| cost(entry))?;
        let Some(current) = set.iter().find(|entry| entry.selected) else {
            return Some(best.link);
        };
        let threshold = match cost(current) {
            INFINITE => INFINITE,
            finite => finite.saturating_sub(SIGNIFICANT),
        };
        let switches = best.link == current.link || cost(best) < threshold || best.metric == 0;
        Some(if switches { best.link } else { current.link })
    }

    pub(super) fn is_feasible(&self, update: &Update) -> bool {
        let Some((seqno, metric)) = self.sources.get(&(update.prefix, update.router_id)) else {
            return true;
        };
        update.metric == INFINITE
            || is_newer(update.seqno, *seqno)
            || (update.seqno == *seqno && update.metric < *metric)
    }

    /// Notes what is sent in the source table, own retractions too.
    pub(super) fn advertised(&mut self, update: &Update, now: Instant) {
        let source = (update.prefix, update.router_id);
        let known = self.sources.get(&source).copied();
        let replaces = known.is_none_or(|(seqno, metric)| {
            is_newer(update.seqno, seqno) || (update.seqno == seqno && update.metric < metric)
        });
        if replaces {
            self.sources.insert(source, (update.seqno, update.metric));
        }
        if replaces || update.metric != INFINITE {
            self.timers.set(Timer::Source(source.0, source.1), now + SOURCE_LIFETIME);
        }
    }

    /// Tells all how it stands with a prefix.
    fn trigger(&mut self, prefix: Prefix, now: Instant) {
        let route = self.table.longest(prefix.address());
        let route = route.and_then(|(found, set)| Some((found, *set.first()?)));
        if let Some((found, entry)) = route.filter(|(_, entry)| entry.selected) {
            for to in self.links().into_iter().filter(|to| *to != entry.link) {
                self.send_entry(to, found, entry, entry.link, now);
            }
            return;
        }
        let update = Update {
            interval: UPDATE_INTERVAL,
            seqno: self.seqno,
            metric: INFINITE,
            prefix,
            router_id: self.id,
        };
        self.advertised(&update, now);
        for to in self.links() {
            self.say(to, Tlv::Update(update));
        }
    }

    /// Spec 6.12: the time of an entry is over.
    pub(super) fn expire(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        match self.table.entry_mut(prefix, link).copied() {
            Some(entry) if entry.selected && entry.metric != INFINITE => {
                self.give_up(prefix, link, now);
            }
            Some(_) => self.table.remove(prefix, link),
            None => {}
        }
    }

    /// Spec 6.12: a peer is gone.
    pub(super) fn lose_peer(&mut self, link: LinkId, now: Instant) {
        for prefix in self.table.through(link) {
            if self.table.selected(prefix).is_some_and(|entry| entry.link == link) {
                self.give_up(prefix, link, now);
            } else {
                self.timers.cancel(Timer::Entry(prefix, link));
                self.table.remove(prefix, link);
            }
        }
    }

    /// A selected entry ends: it is kept for some seconds without being used.
    fn give_up(&mut self, prefix: Prefix, link: LinkId, now: Instant) {
        let before = self.table.selected(prefix);
        if let Some(entry) = self.table.entry_mut(prefix, link) {
            entry.metric = INFINITE;
        }
        self.timers.set(Timer::Entry(prefix, link), now + RETRACTION_HOLD);
        self.reselect(prefix, before, now);
        self.trigger(prefix, now);
        self.settle_waiting(prefix, true, now);
    }
}

/// The filters of spec 6.3.
fn passes(update: &Update) -> bool {
    in_overlay(update.prefix.address())
        && update.prefix.length() >= 64
        && (update.metric == INFINITE
            || update.prefix.contains(update.router_id.public_key().address()))
}

fn is_change(before: Option<Entry>, after: Option<Entry>) -> bool {
    match (before, after) {
        (None, None) => false,
        (Some(before), Some(after)) => {
            before.id != after.id || before.metric.abs_diff(after.metric) > SIGNIFICANT
        }
        _ => true,
    }
}

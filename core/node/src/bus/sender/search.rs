//! Looking for nodes that messages wait for and nothing leads to.
//!
//! A search goes through the whole network, so it is repeated with growing pauses, per /64 and not
//! per message. A new link is a reason to search at once: it may lead where the others did not.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{Event, Route, Sender, Timer};

/// First pause between lookups: longer than one takes to fail (15 s) and the router remembers that
/// it did (5 s). Doubles to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(21), Duration::from_secs(60));

/// The lookups for one /64.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    /// When the last began.
    last: Instant,
    /// When the next one is due, and how long to wait after that; none when nothing waits.
    next: Option<(Instant, Duration)>,
}

impl Sender {
    /// A link came up: what nobody could tell before may be known now.
    pub(crate) fn link_up(&mut self, now: Instant) {
        let searched = self.flows.iter().filter(|(_, flow)| flow.is_searched());
        let searched: Vec<u64> = searched.map(|(subnet, _)| *subnet).collect();
        for subnet in searched {
            self.look_up(subnet, PAUSE.0, now);
        }
    }

    /// Somebody wants to send to a /64 without a route: searches, unless that was done just now.
    pub(super) fn search(&mut self, subnet: u64, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet).filter(|flow| flow.is_searched()) else {
            return;
        };
        let soonest = flow.search.map(|search| search.last + PAUSE.0).filter(|at| *at > now);
        match (soonest, &mut flow.search) {
            (Some(soonest), Some(search)) if search.next.is_none_or(|(at, _)| at > soonest) => {
                search.next = Some((soonest, PAUSE.0));
                self.timers.push(Reverse((soonest, Timer::Lookup(subnet))));
            }
            (Some(_), _) => {}
            (None, _) => self.look_up(subnet, PAUSE.0, now),
        }
    }

    /// The time for the next lookup has come, unless it was moved.
    pub(super) fn search_due(&mut self, subnet: u64, at: Instant, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        let Some(search) = &mut flow.search else { return };
        let Some((_, pause)) = search.next.filter(|(next, _)| *next == at) else { return };
        search.next = None;
        if flow.is_searched() {
            self.look_up(subnet, (pause * 2).min(PAUSE.1), now);
        }
    }

    fn look_up(&mut self, subnet: u64, pause: Duration, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        flow.search = Some(Search { last: now, next: Some((now + pause, pause)) });
        self.timers.push(Reverse((now + pause, Timer::Lookup(subnet))));
        self.events.push_back(Event::Lookup { destination: flow.destination });
    }
}

impl super::Flow {
    /// Whether messages wait and nothing leads there.
    fn is_searched(&self) -> bool {
        self.messages > 0 && self.route == Route::None
    }
}

//! All that is known of one prefix: routes through neighbours, and what this node told others.
//!
//! Networks are large and most prefixes are never passed on, so what only those need that are sits
//! behind one pointer.

use std::time::Duration;

use super::clock::Tick;
use super::distance::{Distances, is_near};
use super::links::LinkSet;
use super::metric::INFINITE;
use crate::{LinkId, PublicKey, RouterId};

/// How long a feasibility distance is kept after its last use, as everywhere in the network.
pub(super) const DISTANCE_LIFETIME: Duration = Duration::from_secs(1800);
/// New router ids of one prefix taken at once, and then one in thirty seconds: a node has a new one
/// at each start, an attacker as often as it likes.
const NEW_IDS: u8 = 4;
const NEW_ID_INTERVAL: Duration = Duration::from_secs(30);
/// Losses of a route within about ten seconds of each other that make it one that flaps.
const FLAPPING: u8 = 4;
const CALM: Duration = Duration::from_secs(10);
/// How long the return of a flapping route is kept back, doubled with each further loss.
const HOLD: Duration = Duration::from_secs(2);
const HOLD_DOUBLINGS: u8 = 3;
/// How often all peers are asked for another way where the only one brings no answers: questions go
/// through the whole network, and the node may simply be off.
const ASK_OTHERS: Duration = Duration::from_secs(30);

/// A route through one neighbour: 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) router_id: RouterId,
    pub(super) link: LinkId,
    pub(super) expires: Tick,
    /// Avoided until then, since nothing came back from the node behind it.
    pub(super) doubted: Tick,
    /// As received, without the cost of the link.
    pub(super) metric: u16,
    pub(super) seqno: u16,
    pub(super) selected: bool,
}

impl Entry {
    /// Whether the route is of this life of a source.
    pub(super) fn is_of_life(&self, router_id: &RouterId, seqno: u16) -> bool {
        self.router_id == *router_id && is_near(self.seqno, seqno)
    }
}

/// What is known of one prefix.
#[derive(Debug)]
pub(super) struct Destination {
    /// The selected one, if there is one, comes first.
    pub(super) entries: Vec<Entry>,
    more: Option<Box<More>>,
    /// The earliest time for which this is in the schedule.
    pub(super) scheduled: Tick,
    /// When a packet last took the route.
    pub(super) used: Tick,
}

#[derive(Debug)]
struct More {
    distances: Distances,
    /// Who had this prefix from this node, and so hears of changes.
    told: LinkSet,
    /// Whether those believe in a route, and are owed a retraction.
    announced: bool,
    losses: u8,
    lost: Tick,
    /// When those told hear of a flapping route again.
    held: Tick,
    new_ids: u8,
    last_new_id: Tick,
    /// The first own packet since the node behind the prefix last answered.
    waiting_since: Tick,
    /// When others than the one peer that leads there were asked.
    asked: Tick,
    answered: Tick,
}

impl Destination {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), more: None, scheduled: Tick::NEVER, used: Tick::START }
    }

    pub(super) fn selected(&self) -> Option<&Entry> {
        self.entries.first().filter(|entry| entry.selected)
    }

    pub(super) fn entry(&self, link: LinkId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.link == link)
    }

    pub(super) fn entry_mut(&mut self, link: LinkId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.link == link)
    }

    /// Selects the entry of this neighbour, or none.
    pub(super) fn select(&mut self, link: Option<LinkId>) {
        for entry in &mut self.entries {
            entry.selected = Some(entry.link) == link;
        }
        if let Some(place) = self.entries.iter().position(|entry| entry.selected) {
            self.entries.swap(0, place);
        }
    }

    /// Whether another key has routes here.
    pub(super) fn is_of_other_key(&self, key: &PublicKey) -> bool {
        self.entries.iter().any(|entry| entry.router_id.public_key() != *key)
    }

    /// Whether no loop can come of a route: see [`Distances`]. Retractions always are feasible.
    pub(super) fn is_feasible(&self, router_id: &RouterId, seqno: u16, metric: u16) -> bool {
        let is_feasible = |more: &More| more.distances.is_feasible(router_id, seqno, metric);
        metric == INFINITE || self.more.as_deref().is_none_or(is_feasible)
    }

    /// The sequence number that makes any route of this life of a source feasible again.
    pub(super) fn next_seqno(&self, router_id: &RouterId, seqno: u16) -> u16 {
        let next = |more: &More| more.distances.next_seqno(router_id, seqno);
        self.more.as_deref().and_then(next).unwrap_or(1)
    }

    /// Notes that a route is advertised.
    pub(super) fn advertised(&mut self, route: &Entry, metric: u16, expires: Tick) {
        let more = self.more();
        more.announced = true;
        more.distances.advertised(route, metric, expires);
    }

    pub(super) fn distances(&self) -> usize {
        self.more.as_ref().map_or(0, |more| more.distances.len())
    }

    /// Drops the distances whose time is over, or all of them.
    pub(super) fn forget_distances(&mut self, until: Tick) -> usize {
        self.more.as_mut().map_or(0, |more| more.distances.forget(until))
    }

    /// Whether a life of a source may be taken in: known ones may, and now and then a new one.
    pub(super) fn admits(&mut self, router_id: &RouterId, seqno: u16, now: Tick) -> bool {
        let known = self.entries.iter().any(|entry| entry.is_of_life(router_id, seqno))
            || self.more.as_ref().is_some_and(|more| more.distances.knows(router_id, seqno));
        if known || self.entries.is_empty() {
            return true;
        }
        let more = self.more();
        let interval = NEW_ID_INTERVAL.as_secs();
        let gained = now.since(more.last_new_id).as_secs() / interval;
        if gained > 0 {
            let room = u64::from(NEW_IDS - more.new_ids);
            more.new_ids += gained.min(room) as u8; // at most the room there is
            more.last_new_id = now;
        }
        let admitted = more.new_ids > 0;
        more.new_ids = more.new_ids.saturating_sub(1);
        admitted
    }

    /// Whether routes of several lives of a node, or of several liars, compete.
    pub(super) fn is_contested(&self) -> bool {
        let first = self.entries.iter().find(|entry| entry.metric != INFINITE);
        first.is_some_and(|first| {
            let other = |entry: &Entry| !entry.is_of_life(&first.router_id, first.seqno);
            self.entries.iter().any(|entry| entry.metric != INFINITE && other(entry))
        })
    }

    pub(super) fn told(&self) -> LinkSet {
        self.more.as_ref().map_or_else(LinkSet::default, |more| more.told.clone())
    }

    pub(super) fn is_told(&self, place: u16) -> bool {
        self.more.as_ref().is_some_and(|more| more.told.contains(place))
    }

    pub(super) fn tell(&mut self, place: u16) {
        self.more().told.insert(place);
    }

    pub(super) fn forget_told(&mut self, place: u16) {
        if let Some(more) = &mut self.more {
            more.told.remove(place);
        }
    }

    /// Whether those told are owed a retraction; they are not any more when this returns.
    pub(super) fn take_announced(&mut self) -> bool {
        self.more.as_mut().is_some_and(|more| std::mem::take(&mut more.announced))
    }

    /// Notes the loss of the selected route. When it flaps, its return is to be kept back until the
    /// given moment.
    pub(super) fn lose(&mut self, now: Tick) {
        let Some(more) = &mut self.more else { return };
        let calm = now.since(more.lost).as_secs() / CALM.as_secs();
        more.losses = more.losses.checked_shr(calm.min(8) as u32).unwrap_or(0).saturating_add(1);
        more.lost = now;
        more.held = Tick::NEVER;
    }

    /// How long to keep back that the route is there again: nothing, unless it flaps.
    pub(super) fn hold(&self) -> Option<Duration> {
        let more = self.more.as_ref()?;
        let over = more.losses.checked_sub(FLAPPING)?;
        Some(HOLD * (1 << over.min(HOLD_DOUBLINGS)))
    }

    pub(super) fn set_held(&mut self, until: Tick) {
        self.more().held = until;
    }

    pub(super) fn is_held(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.held != Tick::NEVER)
    }

    /// Whether the time has come to tell of a route that was kept back.
    pub(super) fn take_held(&mut self, now: Tick) -> bool {
        let Some(more) = self.more.as_mut().filter(|more| more.held <= now) else { return false };
        more.held = Tick::NEVER;
        true
    }

    /// An own packet goes out. How long the node behind the prefix has not answered any.
    pub(super) fn await_answer(&mut self, now: Tick) -> Duration {
        let more = self.more();
        if more.waiting_since == Tick::START {
            more.waiting_since = now;
        }
        now.since(more.waiting_since)
    }

    /// Whether others may be asked for a way now: not again for [`ASK_OTHERS`].
    pub(super) fn may_ask_others(&mut self, now: Tick) -> bool {
        let more = self.more();
        let may = more.asked == Tick::START || now.since(more.asked) >= ASK_OTHERS;
        if may {
            more.asked = now;
        }
        may
    }

    /// The node behind the prefix answered, or another way to it is tried.
    pub(super) fn stop_waiting(&mut self) {
        if let Some(more) = &mut self.more {
            more.waiting_since = Tick::START;
        }
    }

    pub(super) fn note_answer(&mut self, now: Tick) {
        let more = self.more();
        more.waiting_since = Tick::START;
        more.answered = now;
    }

    /// How long ago the node behind the prefix proved that the selected route leads there.
    pub(super) fn answered_ago(&self, now: Tick) -> Option<Duration> {
        let answered = self.more.as_ref()?.answered;
        (answered != Tick::START).then(|| now.since(answered))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.distances() == 0
    }

    /// When something here is due next.
    pub(super) fn due(&self) -> Tick {
        let entries = self.entries.iter().map(|entry| entry.expires);
        let more =
            self.more.iter().flat_map(|more| more.distances.due().into_iter().chain([more.held]));
        entries.chain(more).min().unwrap_or(Tick::NEVER)
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_with(|| {
            Box::new(More {
                distances: Distances::default(),
                told: LinkSet::default(),
                announced: false,
                losses: 0,
                lost: Tick::START,
                held: Tick::NEVER,
                new_ids: NEW_IDS,
                last_new_id: Tick::START,
                waiting_since: Tick::START,
                asked: Tick::START,
                answered: Tick::START,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::clock::Clock;
    use super::*;

    fn id(random: u8) -> RouterId {
        RouterId::new(PublicKey::from_bytes([1; 32]), [random; 6])
    }

    fn entry(link: u64, router_id: RouterId, seqno: u16) -> Entry {
        let (expires, doubted) = (Tick::NEVER, Tick::START);
        Entry { router_id, link: LinkId(link), expires, doubted, metric: 1, seqno, selected: false }
    }

    #[test]
    fn a_route_takes_64_bytes_and_a_prefix_as_little() {
        assert_eq!(size_of::<Entry>(), 64);
        assert!(size_of::<Destination>() <= 48);
    }

    #[test]
    fn new_router_ids_of_a_known_prefix_are_rationed() {
        let (start, mut known) = (Instant::now(), Destination::new());
        let clock = Clock::new(start);
        let now = clock.tick(start);
        assert!(known.admits(&id(0), 0, now), "nothing is known yet");
        known.entries.push(entry(1, id(0), 0));
        let admitted = |known: &mut Destination, at| {
            (1..=20).filter(|number| known.admits(&id(*number), 0, at)).count()
        };
        assert_eq!(admitted(&mut known, now), usize::from(NEW_IDS));
        assert!(known.admits(&id(0), 0, now), "the known one always is");
        let later = clock.after(Duration::from_secs(60), start);
        assert_eq!(admitted(&mut known, later), 2);
        assert!(!known.admits(&id(0), 0x4000, later), "a number out of reach is another life");
    }

    #[test]
    fn a_route_that_is_lost_again_and_again_is_kept_back_and_forgiven_later() {
        let (start, mut known) = (Instant::now(), Destination::new());
        let clock = Clock::new(start);
        known.tell(1);
        for _ in 1..FLAPPING {
            known.lose(clock.tick(start));
            assert_eq!(known.hold(), None);
        }
        known.lose(clock.tick(start));
        assert_eq!(known.hold(), Some(HOLD));
        for _ in 0..10 {
            known.lose(clock.tick(start));
        }
        assert_eq!(known.hold(), Some(HOLD * 8), "there is an end to it");
        known.lose(clock.after(CALM * 4, start));
        assert_eq!(known.hold(), None);
    }

    #[test]
    fn the_selected_entry_comes_first() {
        let mut known = Destination::new();
        known.entries.extend((1..=3).map(|link| entry(link, id(0), 0)));
        known.select(Some(LinkId(2)));
        assert_eq!(known.selected().unwrap().link, LinkId(2));
        assert_eq!(known.entries.iter().filter(|entry| entry.selected).count(), 1);
        known.select(None);
        assert!(known.selected().is_none());
    }
}

//! One peer as the router sees it: how far away it is, whether it still answers (spec 6.2), and what
//! it may ask for.
//!
//! An IHU does not say which Hello it answers, so one Hello at most is open at a time, and an IHU
//! that nothing asked for counts for nothing: it can neither spoil the cost nor fake life.

use std::time::{Duration, Instant};

use super::RouterLimits;
use super::bucket::Bucket;
use super::metric::INFINITE;
use super::pace::Pace;
use super::request::HOP_COUNT;
use super::silence::Silence;
use crate::wire::control::Tlv;

pub(super) const DEAD_AFTER: Duration = Duration::from_secs(43);
const INITIAL_COST: u16 = 1000;

/// Why a Hello is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The regular one, which measures the cost.
    Beat,
    /// To learn that the peer has read what was sent, or that it is alive: may have to wait behind
    /// much else, so it measures nothing.
    Question,
}

#[derive(Debug)]
pub(super) struct Neighbour {
    /// Where it stands in sets of links.
    pub(super) place: u16,
    static_cost: u16,
    smoothed: u16,
    hello_seqno: u16,
    /// When the Hello was sent that waits for its IHU, and why.
    open_hello: Option<(Instant, Purpose)>,
    last_hello: Option<Instant>,
    pub(super) pace: Pace,
    pub(super) silence: Silence,
    /// Whether it may have a place in what is noted per prefix.
    pub(super) was_told: bool,
    /// Chosen by the owner of this node.
    pub(super) is_trusted: bool,
    /// It announced this node's own route as its own.
    pub(super) is_this_node: bool,
    /// It told of others' routes, or passed others' questions on: it is no leaf.
    pub(super) speaks_for_others: bool,
    pub(super) buckets: Buckets,
}

/// How much of each kind a peer may bring.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) hellos: Bucket,
    pub(super) ihus: Bucket,
    pub(super) updates: Bucket,
    pub(super) route_requests: Bucket,
    pub(super) seqno_requests: Bucket,
    /// How often it may ask for the full table.
    pub(super) wildcards: Bucket,
    /// Its own prefixes, which are taken in also when the table is above the soft limit.
    pub(super) direct: Bucket,
}

/// Own prefixes of one peer: one, and a few after restarts.
const DIRECT_BURST: u32 = 4;
const DIRECT_INTERVAL: Duration = Duration::from_secs(60);

impl Buckets {
    fn new(limits: &RouterLimits, now: Instant) -> Self {
        let every = |burst, interval| Bucket::new(burst, interval, now);
        let rate =
            |burst, per_second: u32| every(burst, Duration::from_secs(1) / per_second.max(1));
        Self {
            hellos: rate(limits.hellos_burst, limits.hellos_per_second),
            ihus: rate(limits.hellos_burst, limits.hellos_per_second),
            updates: rate(limits.updates_burst, limits.updates_per_second),
            route_requests: rate(limits.requests_burst, limits.requests_per_second),
            seqno_requests: rate(limits.requests_burst, limits.requests_per_second),
            wildcards: every(
                limits.wildcards_burst,
                Duration::from_secs(limits.wildcard_seconds.into()),
            ),
            direct: every(DIRECT_BURST, DIRECT_INTERVAL),
        }
    }
}

impl Neighbour {
    pub(super) fn new(place: u16, static_cost: u16, limits: &RouterLimits, now: Instant) -> Self {
        Self {
            place,
            static_cost,
            smoothed: INITIAL_COST,
            hello_seqno: 0,
            open_hello: None,
            last_hello: None,
            pace: Pace::default(),
            silence: Silence::default(),
            was_told: false,
            is_trusted: false,
            is_this_node: false,
            speaks_for_others: false,
            buckets: Buckets::new(limits, now),
        }
    }

    /// Notes what a TLV says about where the peer stands in the network.
    pub(super) fn note_place_in_network(&mut self, tlv: &Tlv) {
        // A retraction says nothing: leaves that lost their way send them too.
        self.speaks_for_others |= match tlv {
            Tlv::Update(update) => update.metric != 0 && update.metric != INFINITE,
            Tlv::RouteRequest(request) => request.generation > 0,
            Tlv::SeqnoRequest(request) => request.hop_count < HOP_COUNT,
            Tlv::Hello(_) | Tlv::Ihu(_) => false,
        };
    }

    /// Never 0, so that a route's advertised metric is always worse than the one received.
    pub(super) fn cost(&self) -> u16 {
        super::metric::add(self.smoothed, self.static_cost).max(1)
    }

    /// The number of the Hello to send now; none while another waits for its answer.
    pub(super) fn next_hello(&mut self, purpose: Purpose, now: Instant) -> Option<u16> {
        if self.open_hello.is_some() {
            return None;
        }
        self.open_hello = Some((now, purpose));
        self.last_hello = Some(now);
        self.pace.note_hello();
        let seqno = self.hello_seqno;
        self.hello_seqno = seqno.wrapping_add(1);
        Some(seqno)
    }

    pub(super) fn is_hello_open(&self) -> bool {
        self.open_hello.is_some()
    }

    pub(super) fn last_hello(&self) -> Option<Instant> {
        self.last_hello
    }

    /// Whether the IHU answers a Hello.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        let Some((sent, purpose)) = self.open_hello.take() else { return false };
        self.pace.note_answer();
        let elapsed = now.saturating_duration_since(sent);
        self.silence.note_round_trip(elapsed);
        if purpose == Purpose::Beat {
            let rtt = u16::try_from(elapsed.as_millis()).unwrap_or(u16::MAX);
            let smoothed = (9 * u32::from(self.smoothed) + u32::from(rtt)) / 10;
            self.smoothed = u16::try_from(smoothed).unwrap_or(u16::MAX);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn link_cost_is_smoothed_as_in_the_vectors() {
        let vectors = vectors();
        let numbers = |name: &str| -> Vec<u64> {
            let list = vectors["link_cost_smoothing"][name].as_array().unwrap();
            list.iter().map(|number| number.as_u64().unwrap()).collect()
        };
        let mut now = Instant::now();
        let mut neighbour = Neighbour::new(0, 0, &RouterLimits::default(), now);
        let mut smoothed = vec![u64::from(neighbour.cost())];
        for rtt in numbers("rtt_ms") {
            neighbour.next_hello(Purpose::Beat, now).unwrap();
            now += Duration::from_millis(rtt);
            assert!(neighbour.heard(now));
            smoothed.push(neighbour.cost().into());
        }
        assert_eq!(smoothed, numbers("smoothed_after"));
    }

    #[test]
    fn one_hello_is_open_at_most_and_an_unasked_ihu_changes_nothing() {
        let start = Instant::now();
        let mut neighbour = Neighbour::new(0, 10, &RouterLimits::default(), start);
        assert!(!neighbour.heard(start));
        assert_eq!(neighbour.cost(), 1010);
        assert_eq!(neighbour.next_hello(Purpose::Beat, start), Some(0));
        assert_eq!(neighbour.next_hello(Purpose::Question, start), None);
        assert!(neighbour.heard(start) && !neighbour.heard(start));
        assert_eq!(neighbour.cost(), 910);
        assert_eq!(neighbour.next_hello(Purpose::Question, start), Some(1));
        assert!(neighbour.heard(start));
        assert_eq!(neighbour.cost(), 910, "only the regular ones measure");
    }
}

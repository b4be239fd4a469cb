//! The peer table: whom to dial and when, whom to let in. Pure: time is passed in.
//!
//! Static peers are dialled for ever, with growing pauses and jitter, so that a network whose
//! router comes back is not hit by everybody in the same second. Inbound peers are forgotten when
//! their link ends. Everything is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::endpoint::Endpoint;
use crate::node::{PeerKind, PeerState, PeerStatus};
use crate::{LinkId, NodeError};

/// Configured by hand: nobody has more good reasons than this, and each costs a dial in 15 s.
const STATIC_PEERS: usize = 256;
/// Every inbound peer is sent every announcement and costs two tasks and two queues; a home router
/// serves far fewer, and a phone hardly any.
const INBOUND_PEERS: usize = 256;
/// Carrier-grade NAT and test set-ups put dozens of honest nodes behind one address; a single
/// stranger still cannot take more than an eighth of the places. IPv6 strangers own a /64.
const INBOUND_PEERS_PER_SOURCE: usize = 32;

/// A router that restarts is back in well under a second; the first try comes soon.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Long enough to cost nothing, short enough that a person who fixed the network does not wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A link that lived this long was a good one; one that did not counts as a failed attempt, so that
/// a peer that accepts and hangs up is not dialled in a tight loop.
const GOOD_LINK: Duration = Duration::from_secs(5);

/// Byte and packet counts of one peer over all its links.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) tx_bytes: AtomicU64,
    pub(crate) rx_bytes: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) malformed: AtomicU64,
}

/// The table is full for this source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many inbound peers")]
pub(crate) struct TooManyInbound;

struct Peer {
    kind: PeerKind,
    state: State,
    failures: u32,
    counters: Arc<Counters>,
}

enum State {
    Waiting {
        until: Instant,
    },
    Connecting,
    /// It dialled us and has not brought a packet yet: perhaps it is no node at all.
    Silent {
        link: LinkId,
        since: Instant,
    },
    Alive {
        link: LinkId,
        since: Instant,
    },
}

/// All peers by endpoint.
pub(crate) struct Peers {
    peers: HashMap<Endpoint, Peer>,
    random: ChaCha8Rng,
    first_packet: Duration,
}

/// Somebody was let in.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) counters: Arc<Counters>,
    /// The link to close for it.
    pub(crate) replaced: Option<LinkId>,
}

impl Peers {
    /// `seed` decides the jitter; who dials us has `first_packet` to bring a packet.
    pub(crate) fn new(seed: [u8; 32], first_packet: Duration) -> Self {
        Self { peers: HashMap::new(), random: ChaCha8Rng::from_seed(seed), first_packet }
    }

    /// Adds a peer to be dialled at once.
    pub(crate) fn add(&mut self, endpoint: Endpoint, now: Instant) -> Result<(), NodeError> {
        if self.peers.contains_key(&endpoint) {
            return Err(NodeError::PeerExists(endpoint));
        }
        if self.count(PeerKind::Static) >= STATIC_PEERS {
            return Err(NodeError::TooManyPeers(STATIC_PEERS));
        }
        let state = State::Waiting { until: now };
        let counters = Arc::default();
        self.peers.insert(endpoint, Peer { kind: PeerKind::Static, state, failures: 0, counters });
        Ok(())
    }

    /// Forgets a peer; gives the link to close, if it has one.
    pub(crate) fn remove(&mut self, endpoint: Endpoint) -> Result<Option<LinkId>, NodeError> {
        let peer = self.peers.remove(&endpoint).ok_or(NodeError::UnknownPeer(endpoint))?;
        Ok(peer.state.link())
    }

    /// The peers to dial now. Each counts as being dialled until [`Peers::dialled`] or
    /// [`Peers::dial_failed`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Endpoint> {
        let mut due = Vec::new();
        for (endpoint, peer) in &mut self.peers {
            if matches!(peer.state, State::Waiting { until } if until <= now) {
                peer.state = State::Connecting;
                due.push(*endpoint);
            }
        }
        due
    }

    /// The links whose peers have been silent for too long: to be closed.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<LinkId> {
        let overdue = |peer: &Peer| match peer.state {
            State::Silent { link, since } if since + self.first_packet <= now => Some(link),
            _ => None,
        };
        self.peers.values().filter_map(overdue).collect()
    }

    /// When the next peer is due, or overdue.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.peers.values().filter_map(|peer| match peer.state {
            State::Waiting { until } => Some(until),
            State::Silent { since, .. } => Some(since + self.first_packet),
            State::Connecting | State::Alive { .. } => None,
        });
        due.min()
    }

    /// The attempt failed: the peer is due again after a pause.
    pub(crate) fn dial_failed(&mut self, endpoint: Endpoint, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&endpoint)
            && matches!(peer.state, State::Connecting)
        {
            peer.failures = peer.failures.saturating_add(1);
            peer.state = State::Waiting { until: now + pause(peer.failures, &mut self.random) };
        }
    }

    /// The attempt succeeded. None when nobody waits for it any more: then hang up.
    pub(crate) fn dialled(
        &mut self,
        endpoint: Endpoint,
        link: LinkId,
        now: Instant,
    ) -> Option<Arc<Counters>> {
        let peer = self.peers.get_mut(&endpoint)?;
        if !matches!(peer.state, State::Connecting) {
            return None;
        }
        peer.state = State::Alive { link, since: now };
        Some(Arc::clone(&peer.counters))
    }

    /// A packet came over a link that had brought none.
    pub(crate) fn heard(&mut self, endpoint: Endpoint, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&endpoint)
            && let State::Silent { link: current, since } = peer.state
            && current == link
        {
            peer.state = State::Alive { link, since };
        }
    }

    /// Somebody connected. When the endpoint is in the table already the new link takes over from
    /// the old one; a static peer stays one. When there is no place, the oldest link that has
    /// brought nothing makes room: a node announces itself at once, so it costs no honest peer
    /// its place, and connections that say nothing keep nobody out.
    pub(crate) fn accept(
        &mut self,
        endpoint: Endpoint,
        link: LinkId,
        now: Instant,
    ) -> Result<Accepted, TooManyInbound> {
        let state = State::Silent { link, since: now };
        if let Some(peer) = self.peers.get_mut(&endpoint) {
            let old = std::mem::replace(&mut peer.state, state);
            return Ok(Accepted { counters: Arc::clone(&peer.counters), replaced: old.link() });
        }
        let replaced = self.make_room(source_of(&endpoint))?;
        let counters = Arc::<Counters>::default();
        let peer =
            Peer { kind: PeerKind::Inbound, state, failures: 0, counters: Arc::clone(&counters) };
        self.peers.insert(endpoint, peer);
        Ok(Accepted { counters, replaced })
    }

    /// Forgets the inbound peer that is to give its place to one from `source`, if one has to;
    /// gives its link.
    fn make_room(&mut self, source: u128) -> Result<Option<LinkId>, TooManyInbound> {
        let from_source = |endpoint: &Endpoint| source_of(endpoint) == source;
        let silent = if self.count_inbound(from_source) >= INBOUND_PEERS_PER_SOURCE {
            self.oldest_silent(from_source)
        } else if self.count(PeerKind::Inbound) >= INBOUND_PEERS {
            self.oldest_silent(|_| true)
        } else {
            return Ok(None);
        };
        let (link, endpoint) = silent.ok_or(TooManyInbound)?;
        self.peers.remove(&endpoint);
        Ok(Some(link))
    }

    fn count_inbound(&self, wanted: impl Fn(&Endpoint) -> bool) -> usize {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        inbound.filter(|(endpoint, _)| wanted(endpoint)).count()
    }

    /// Links are numbered in the order in which they were opened.
    fn oldest_silent(&self, wanted: impl Fn(&Endpoint) -> bool) -> Option<(LinkId, Endpoint)> {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        let silent = inbound.filter_map(|(endpoint, peer)| match peer.state {
            State::Silent { link, .. } if wanted(endpoint) => Some((link, *endpoint)),
            _ => None,
        });
        silent.min_by_key(|(link, _)| link.0)
    }

    /// A link ended: an inbound peer goes with it, a static one is due again after a pause.
    pub(crate) fn link_down(&mut self, endpoint: Endpoint, link: LinkId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&endpoint) else { return };
        let (State::Alive { link: current, since } | State::Silent { link: current, since }) =
            peer.state
        else {
            return;
        };
        if current != link {
            return;
        }
        if peer.kind == PeerKind::Inbound {
            self.peers.remove(&endpoint);
            return;
        }
        let good = now.duration_since(since) >= GOOD_LINK;
        peer.failures = if good { 1 } else { peer.failures.saturating_add(1) };
        peer.state = State::Waiting { until: now + pause(peer.failures, &mut self.random) };
    }

    /// The table, sorted by endpoint; `cost_of` gives the cost of a link.
    pub(crate) fn statuses(&self, cost_of: impl Fn(LinkId) -> Option<u16>) -> Vec<PeerStatus> {
        let status = |(endpoint, peer): (&Endpoint, &Peer)| PeerStatus {
            endpoint: *endpoint,
            kind: peer.kind,
            state: match peer.state {
                State::Waiting { .. } => PeerState::Dead,
                State::Connecting | State::Silent { .. } => PeerState::Connecting,
                State::Alive { .. } => PeerState::Alive,
            },
            tx_bytes: peer.counters.tx_bytes.load(Ordering::Relaxed),
            rx_bytes: peer.counters.rx_bytes.load(Ordering::Relaxed),
            dropped: peer.counters.dropped.load(Ordering::Relaxed),
            malformed: peer.counters.malformed.load(Ordering::Relaxed),
            link_cost: peer.state.link().and_then(&cost_of),
        };
        let mut statuses: Vec<PeerStatus> = self.peers.iter().map(status).collect();
        statuses.sort_by_key(|status| status.endpoint);
        statuses
    }

    fn count(&self, kind: PeerKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind).count()
    }
}

impl State {
    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Alive { link, .. } | Self::Silent { link, .. } => Some(*link),
            Self::Waiting { .. } | Self::Connecting => None,
        }
    }
}

/// Doubles with every failure; the upper half of it is left to chance.
fn pause(failures: u32, random: &mut ChaCha8Rng) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let half = longest / 2;
    half + half.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX))
}

/// Whom an inbound limit holds against: an IPv4 address, or the /64 an IPv6 host commands.
fn source_of(endpoint: &Endpoint) -> u128 {
    match endpoint.address().ip().to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    fn table() -> (Peers, Instant) {
        (Peers::new([7; 32], Duration::from_secs(5)), Instant::now())
    }

    #[test]
    fn a_new_static_peer_is_dialled_at_once_and_only_once_at_a_time() {
        let (mut peers, now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        assert_eq!(peers.poll_timeout(), Some(now));
        assert_eq!(peers.take_due(now), [ann]);
        assert_eq!(peers.take_due(now + LONGEST_PAUSE), []);
        assert_eq!(peers.poll_timeout(), None);
    }

    #[test]
    fn pauses_double_from_a_fifth_of_a_second_to_fifteen_seconds() {
        let (mut peers, mut now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        for failure in 0..12 {
            assert_eq!(peers.take_due(now), [ann]);
            peers.dial_failed(ann, now);
            let due = peers.poll_timeout().unwrap();
            let longest = (FIRST_PAUSE * (1 << failure)).min(LONGEST_PAUSE);
            assert!(due - now >= longest / 2 && due - now <= longest, "failure {failure}");
            now = due;
        }
    }

    #[test]
    fn a_good_link_forgets_the_failures_before_it() {
        let (mut peers, mut now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        for _ in 0..8 {
            peers.take_due(now);
            peers.dial_failed(ann, now);
            now = peers.poll_timeout().unwrap();
        }
        peers.take_due(now);
        peers.dialled(ann, LinkId(1), now).unwrap();
        now += GOOD_LINK;
        peers.link_down(ann, LinkId(1), now);
        assert!(peers.poll_timeout().unwrap() - now <= FIRST_PAUSE);
    }

    #[test]
    fn a_peer_that_hangs_up_at_once_is_not_dialled_in_a_tight_loop() {
        let (mut peers, mut now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        let mut last = Duration::ZERO;
        for link in 0..10 {
            peers.take_due(now);
            peers.dialled(ann, LinkId(link), now).unwrap();
            peers.link_down(ann, LinkId(link), now);
            last = peers.poll_timeout().unwrap() - now;
            now += last;
        }
        assert!(last >= LONGEST_PAUSE / 2);
    }

    #[test]
    fn a_peer_removed_while_being_dialled_is_hung_up_on() {
        let (mut peers, now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        peers.take_due(now);
        assert!(peers.remove(ann).unwrap().is_none());
        assert!(peers.dialled(ann, LinkId(1), now).is_none());
        assert!(matches!(peers.remove(ann), Err(NodeError::UnknownPeer(_))));
    }

    #[test]
    fn one_source_cannot_take_all_inbound_places() {
        let (mut peers, now) = table();
        let from = |port: usize, host: &str| endpoint(&format!("tcp://{host}:{}", 1000 + port));
        for port in 0..INBOUND_PEERS_PER_SOURCE {
            peers.accept(from(port, "192.0.2.1"), LinkId(port as u64), now).unwrap();
            peers.heard(from(port, "192.0.2.1"), LinkId(port as u64));
        }
        let mapped = "[::ffff:192.0.2.1]";
        assert_eq!(peers.accept(from(999, mapped), LinkId(999), now).unwrap_err(), TooManyInbound);
        peers.accept(from(0, "192.0.2.2"), LinkId(1000), now).unwrap();
        peers.link_down(from(0, "192.0.2.1"), LinkId(0), now);
        peers.accept(from(999, mapped), LinkId(999), now).unwrap();
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_oldest_silent_link_of_its_source() {
        let (mut peers, now) = table();
        let from = |port: u64| endpoint(&format!("tcp://192.0.2.1:{}", 1000 + port));
        for port in 0..INBOUND_PEERS_PER_SOURCE as u64 {
            peers.accept(from(port), LinkId(port), now).unwrap();
        }
        peers.accept(endpoint("tcp://192.0.2.2:1"), LinkId(100), now).unwrap();
        peers.heard(from(0), LinkId(0));
        assert_eq!(peers.accept(from(101), LinkId(101), now).unwrap().replaced, Some(LinkId(1)));
        assert_eq!(peers.accept(from(102), LinkId(102), now).unwrap().replaced, Some(LinkId(2)));
        assert_eq!(peers.peers.len(), INBOUND_PEERS_PER_SOURCE + 1);
    }

    #[test]
    fn silent_links_of_many_sources_make_room_and_others_do_not() {
        let (mut peers, now) = table();
        let from = |host: u64| endpoint(&format!("tcp://192.0.{}.{}:1", host / 256, host % 256));
        for host in 0..INBOUND_PEERS as u64 {
            peers.accept(from(host), LinkId(host), now).unwrap();
        }
        assert_eq!(peers.accept(from(999), LinkId(999), now).unwrap().replaced, Some(LinkId(0)));
        peers.heard(from(999), LinkId(999));
        (1..INBOUND_PEERS as u64).for_each(|host| peers.heard(from(host), LinkId(host)));
        assert_eq!(peers.accept(from(998), LinkId(998), now).unwrap_err(), TooManyInbound);
    }

    #[test]
    fn a_link_is_overdue_until_its_first_packet() {
        let (mut peers, now) = table();
        let (ann, late) = (endpoint("tcp://192.0.2.1:1"), now + Duration::from_secs(5));
        peers.accept(ann, LinkId(1), now).unwrap();
        assert_eq!(peers.statuses(|_| None)[0].state, PeerState::Connecting);
        assert_eq!(peers.poll_timeout(), Some(late));
        assert_eq!(peers.overdue(now), []);
        assert_eq!(peers.overdue(late), [LinkId(1)]);
        peers.heard(ann, LinkId(1));
        assert_eq!(peers.statuses(|_| None)[0].state, PeerState::Alive);
        assert_eq!((peers.overdue(late), peers.poll_timeout()), (vec![], None));
    }

    #[test]
    fn a_second_connection_from_the_same_endpoint_takes_over() {
        let (mut peers, now) = table();
        let ann = endpoint("tcp://192.0.2.1:1");
        peers.add(ann, now).unwrap();
        peers.take_due(now);
        peers.dialled(ann, LinkId(1), now).unwrap();
        assert_eq!(peers.accept(ann, LinkId(2), now).unwrap().replaced, Some(LinkId(1)));
        peers.heard(ann, LinkId(2));
        peers.link_down(ann, LinkId(1), now);
        let status = &peers.statuses(|_| Some(15))[0];
        assert_eq!((status.kind, status.state), (PeerKind::Static, PeerState::Alive));
        assert_eq!(status.link_cost, Some(15));
    }
}

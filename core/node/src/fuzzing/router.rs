//! Any bytes as what happens to a router: packets of few kinds about few nodes, from four peers, with
//! time between them; so that random bytes find their way into states that matter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::router::{Census, Router, RouterConfig, RouterLimits, RouterOutput};
use crate::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use crate::{LinkId, Prefix, PublicKey, RouterId};

const LIMITS: RouterLimits = RouterLimits {
    links: 3,
    prefixes_per_link: 6,
    soft_entries: 8,
    entries: 10,
    sources: 1000, // what is evicted cannot be checked
    lookups: 6,
    lookups_per_link: 2,
    failures: 3,
    seqno_requests: 3,
    pins: 2,
    hellos_burst: 20,
    hellos_per_second: 5,
    updates_burst: 60,
    updates_per_second: 10,
    requests_burst: 20,
    requests_per_second: 5,
    wildcards_burst: 2,
    wildcard_seconds: 30,
};

/// What this router advertised for each source: number, metric, and when. What is selected must be
/// better than the latest, as far as the numbers are of one life of the source.
type Distances = BTreeMap<(Prefix, RouterId), Vec<(u16, u16, Instant)>>;

/// What packets took a route to, and when last.
type Used = BTreeMap<Prefix, Instant>;

/// What happened in a step, as far as what follows is judged by it.
#[derive(Default)]
struct What {
    update: Option<Update>,
}

/// A route that no packet took for this long is not in use.
const IN_USE: Duration = Duration::from_secs(602); // to the tick
/// Less than there are sources.
const FEW_SOURCES: usize = 4;

/// Numbers further from each other are those of two lives.
const LEAP: u16 = 1024;
const LIVES: usize = 8;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Mostly near the edges, where rules change.
    fn number(&mut self) -> Option<u16> {
        let byte = self.byte()?;
        Some(match byte >> 6 {
            0 => u16::from(byte & 63),
            1 => u16::MAX - u16::from(byte & 63),
            2 => (0x8000 - 32) + u16::from(byte & 63),
            _ => u16::from(byte & 63) * 1000,
        })
    }
}

fn key(number: u8) -> PublicKey {
    // Number 0 is this router, 15 a key that shares no secret.
    PublicKey::from_bytes(if number == 15 { [0; 32] } else { [0x40 + number; 32] })
}

/// A router id and a prefix that fits it, unless the selector says otherwise.
fn source(selector: u8, shape: u8) -> (RouterId, Prefix) {
    let key = key(selector & 15);
    let router_id = RouterId::new(key, [selector >> 6; 6]);
    let length = match shape & 7 {
        0 => 128,
        1 => 72,
        2 => 63,
        _ => 64,
    };
    let address = if shape & 0xf0 == 0xf0 { [0x42; 16].into() } else { key.address() };
    let prefix = Prefix::new(address, length).unwrap_or(Prefix::subnet_of(address));
    (router_id, prefix)
}

fn tlv(kind: u8, reader: &mut Reader<'_>) -> Option<Tlv> {
    Some(match kind {
        0 => Tlv::Hello(Hello { seqno: 0, interval: 2000 }),
        1 => Tlv::Ihu(Ihu { rxcost: 1, interval: 6000 }),
        2 | 3 => {
            let (router_id, prefix) = source(reader.byte()?, reader.byte()?);
            let (seqno, metric) = (reader.number()?, reader.number()?);
            let interval = if metric == 7 { 0 } else { 30_000 };
            Tlv::Update(Update { interval, seqno, metric, prefix, router_id })
        }
        4 => {
            let (_, prefix) = source(reader.byte()?, reader.byte()?);
            let generation = reader.byte()?;
            let prefix = (generation & 0x20 == 0).then_some(prefix);
            Tlv::RouteRequest(RouteRequest { generation, prefix })
        }
        _ => {
            let (router_id, prefix) = source(reader.byte()?, reader.byte()?);
            let (seqno, hop_count) = (reader.number()?, reader.byte()?.max(1));
            Tlv::SeqnoRequest(SeqnoRequest { seqno, hop_count, router_id, prefix })
        }
    })
}

/// Plays the bytes, and again to a router that keeps few feasibility distances. Panics when a table
/// grows over its bound, when a route is selected that is not feasible or not acceptable, or when a
/// peer is sent what no node may send.
pub fn router(bytes: &[u8]) {
    play(bytes, LIMITS);
    play(bytes, RouterLimits { sources: FEW_SOURCES, ..LIMITS });
}

fn play(bytes: &[u8], limits: RouterLimits) {
    let start = Instant::now();
    let own = RouterId::new(key(0), [0; 6]);
    let prefix = Prefix::subnet_of(key(0).address());
    let remembers = limits.sources > FEW_SOURCES;
    let config = RouterConfig { router_id: own, prefix, seed: [9; 32], limits: limits.clone() };
    let own = own.public_key();
    let (mut router, mut now) = (Router::new(config, start), start);
    let (mut distances, mut used) = (Distances::new(), Used::new());
    let mut reader = Reader(bytes);
    loop {
        let before: BTreeSet<Prefix> = router.routes().map(|route| route.prefix).collect();
        let awaited: BTreeSet<Prefix> = router.queries().map(|query| query.prefix).collect();
        let Some(what) = step(&mut router, &mut reader, &mut used, &mut now) else { return };
        check_outputs(&mut router, own, remembers.then_some(&mut distances), now);
        check_tables(&router, &distances, prefix, now);
        let census = router.census();
        check_bounds(&census, &limits);
        // Above the soft limit nothing comes in that nobody asked for.
        if let Some(update) = what.update
            && census.entries > limits.soft_entries
            && !before.contains(&update.prefix)
            && router.routes().any(|route| route.prefix == update.prefix)
        {
            let is_used = used.get(&update.prefix).is_some_and(|at| now < *at + IN_USE);
            let is_awaited = awaited.contains(&Prefix::subnet_of(update.prefix.address()));
            assert!(is_used || is_awaited || update.metric == 0, "nobody asked for {update:?}");
        }
    }
}

fn check_bounds(census: &Census, limits: &RouterLimits) {
    let bounds = [
        (census.links, limits.links),
        (census.entries, limits.entries),
        (census.entries_of_a_link, limits.prefixes_per_link),
        (census.distances, limits.sources),
        (census.lookups, limits.lookups),
        (census.lookups_of_others, limits.lookups / 2),
        (census.lookups_of_a_peer, limits.lookups_per_link),
        (census.failures, limits.failures),
        (census.seqno_requests, limits.seqno_requests),
        (census.pins, limits.pins),
        (census.timers, 4 * limits.links + 1),
        (census.stale_times, 0),
    ];
    assert!(bounds.iter().all(|(held, bound)| held <= bound), "{census:?}");
}

fn step(
    router: &mut Router,
    reader: &mut Reader<'_>,
    used: &mut Used,
    now: &mut Instant,
) -> Option<What> {
    let what = reader.byte()?;
    let link = LinkId(u64::from(what >> 6));
    let mut done = What::default();
    match what & 15 {
        kind @ 0..=5 => {
            let tlv = tlv(kind, reader)?;
            done.update = if let Tlv::Update(update) = &tlv { Some(*update) } else { None };
            router.handle_tlv(link, tlv, *now);
        }
        6 => router.link_up(link, u16::from(what & 0x30), *now),
        7 if what & 0x30 == 0 => router.link_down(link, *now),
        7 | 8 => {
            let millis = u64::from(reader.byte()?) * if what & 0x10 == 0 { 10 } else { 4000 };
            *now += Duration::from_millis(millis);
            router.handle_timeout(*now);
            let next = router.poll_timeout();
            assert!(next.is_none_or(|next| next > *now), "what is due has been done");
        }
        9 if what & 0x10 != 0 => {
            router.lookup_for(link, key(reader.byte()? & 15).address(), *now);
        }
        9 => {
            let address = key(reader.byte()? & 15).address();
            if let Some(route) = router.selected(address) {
                used.insert(route.prefix, *now);
            }
            router.use_route(address, *now);
        }
        10 => drop(router.lookup(key(reader.byte()? & 15).address(), *now)),
        11 => router.note_traffic(link, u32::from(what & 0x10), u32::from(what & 0x20), *now),
        12 => router.expect_answer(key(reader.byte()? & 15).address(), *now),
        13 if what & 0x10 == 0 => router.confirm(key(reader.byte()? % 15), *now),
        13 => router.confirm_answer(key(reader.byte()? % 15), *now),
        14 => router.forget(&key(reader.byte()? & 15), *now),
        _ => router.trust(link),
    }
    Some(done)
}

/// Without distances their bound is what is checked, and not what they say.
fn check_outputs(
    router: &mut Router,
    own: PublicKey,
    mut distances: Option<&mut Distances>,
    now: Instant,
) {
    // A router forgets them after 1800 s. One that it may have forgotten is kept for a moment, to
    // know that it may be the one that is compared with.
    if let Some(distances) = &mut distances {
        distances.retain(|_, known| {
            known.retain(|(_, _, at)| now < *at + Duration::from_secs(1801));
            !known.is_empty()
        });
    }
    while let Some(output) = router.poll_output() {
        let RouterOutput::Send { tlv, .. } = output else { continue };
        match tlv {
            Tlv::Update(update) if update.router_id.public_key() == own => {
                assert!(update.metric == 0 || update.metric == u16::MAX);
            }
            Tlv::Update(update) => {
                assert!(update.metric != u16::MAX, "retractions are in the own name");
                assert!(update.prefix.contains(update.router_id.public_key().address()));
                let Some(distances) = &mut distances else { continue };
                let source = (update.prefix, update.router_id);
                let known = distances.entry(source).or_default();
                check_feasible(known, update.seqno, None, now);
                note_advertised(known, &update, now);
                forget_too_many_lives(distances, update.prefix);
            }
            Tlv::RouteRequest(request) => {
                let prefix = request.prefix.map(|prefix| prefix.length());
                assert!(request.generation <= 15 && prefix == Some(64));
            }
            Tlv::SeqnoRequest(request) => assert!(request.hop_count > 0),
            Tlv::Hello(_) | Tlv::Ihu(_) => {}
        }
    }
}

/// A router that is told of more lives of a prefix than it remembers forgets some of them.
fn forget_too_many_lives(distances: &mut Distances, prefix: Prefix) {
    let lives = distances.iter().filter(|((of, _), _)| *of == prefix);
    if lives.map(|(_, known)| known.len()).sum::<usize>() > LIVES {
        distances.retain(|(of, _), _| *of != prefix);
    }
}

/// How far two numbers are from each other.
fn apart(a: u16, b: u16) -> u16 {
    a.wrapping_sub(b).min(b.wrapping_sub(a))
}

/// Which of those advertised is of the same life; none where two may be.
fn of_life(known: &[(u16, u16, Instant)], seqno: u16) -> Option<usize> {
    let away = known.iter().enumerate().map(|(n, (of, ..))| (apart(*of, seqno), n));
    let mut near: Vec<_> = away.filter(|(away, _)| *away <= LEAP).collect();
    near.sort_unstable();
    match near[..] {
        [(first, _), (second, _), ..] if first == second => None,
        [(_, nearest), ..] => Some(nearest),
        [] => None,
    }
}

fn note_advertised(known: &mut Vec<(u16, u16, Instant)>, update: &Update, now: Instant) {
    let Some(index) = of_life(known, update.seqno) else {
        known.push((update.seqno, update.metric, now));
        return;
    };
    let (seqno, metric, at) = known[index];
    let is_fresh = now < at + Duration::from_secs(1799);
    let metric =
        if is_fresh && seqno == update.seqno { metric.min(update.metric) } else { update.metric };
    known[index] = (update.seqno, metric, now);
}

/// What is selected, or advertised, must not fall behind what was advertised, in its number and, for
/// the same number, its metric as received: it could be a loop.
fn check_feasible(known: &[(u16, u16, Instant)], seqno: u16, metric: Option<u16>, now: Instant) {
    let Some((last, best, at)) = of_life(known, seqno).map(|index| known[index]) else { return };
    if now >= at + Duration::from_secs(1799) {
        return;
    }
    let behind = last.wrapping_sub(seqno);
    assert!(behind == 0 || behind >= 0x8000, "{seqno} after {last}");
    let is_better = metric.is_none_or(|metric| metric < best);
    assert!(behind != 0 || is_better, "{metric:?} of {seqno} after {best}");
}

fn check_tables(router: &Router, distances: &Distances, own: Prefix, now: Instant) {
    let mut selected = BTreeMap::new();
    for route in router.routes() {
        assert!(!own.covers(&route.prefix), "own addresses are not routed");
        assert!(route.prefix.contains(route.key.address()) && route.key != key(15));
        if route.selected {
            assert!(selected.insert(route.prefix, route.link).is_none(), "one of a prefix");
            assert!(route.metric != u16::MAX);
            if let Some(known) = distances.get(&(route.prefix, route.router_id)) {
                check_feasible(known, route.seqno, Some(route.metric), now);
            }
        }
    }
}

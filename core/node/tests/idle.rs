//! How often an engine with one quiet peer has to be woken, in virtual time.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::{Duration, Instant};

use threephone_node::engine::{Action, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::control::{Hello, Ihu, Tlv, Update};
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{LinkId, Prefix, RouterId, SecretKey};

const LINK: LinkId = LinkId(1);
const HOUR: Duration = Duration::from_secs(3600);
/// From a Hello to its answer.
const ROUND_TRIP: Duration = Duration::from_millis(30);

/// What was sent since the last call.
fn sent(engine: &mut Engine) -> Vec<Tlv> {
    let mut decoder = Decoder::new();
    while let Some(action) = engine.poll_action() {
        match action {
            Action::Transmit { bytes, .. } => decoder.push(&bytes),
            Action::Close { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
    let tlvs = std::iter::from_fn(|| decoder.next().unwrap());
    tlvs.filter_map(|packet| match packet {
        Packet::Control(tlv) => Some(tlv),
        Packet::Data(_) => None,
    })
    .collect()
}

/// Wake-ups in an hour beside a peer as the stock daemon is one: it says Hello every 20 s on a beat
/// of its own, answers ours at once, and announces itself every 300 s.
fn wake_ups(seed: u8, offset: Duration, is_idle: bool) -> usize {
    let start = Instant::now();
    let key = SecretKey::from_bytes([9; 32]).public_key();
    let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]));
    let update = Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 0, prefix, router_id });
    let config = EngineConfig {
        secret: SecretKey::from_bytes([1; 32]),
        router_random: [1; 6],
        seed: [seed; 32],
        limits: Limits::default(),
    };
    let mut engine = Engine::new(config, start);
    engine.set_idle(is_idle, start);
    engine.link_up(LINK, 15, start);
    engine.handle_packet(LINK, Packet::Control(update.clone()), start);
    let (mut hello, mut announcement) = (start + offset, start + Duration::from_secs(300));
    let mut answers = std::collections::VecDeque::new();
    let (mut now, mut count) = (start, 0);
    // The first minutes find the beat.
    let counted = start + Duration::from_secs(120);
    while now < counted + HOUR {
        let said = sent(&mut engine);
        answers.extend(
            said.iter().filter(|tlv| matches!(tlv, Tlv::Hello(_))).map(|_| now + ROUND_TRIP),
        );
        let ours = engine.poll_timeout().into_iter();
        now = ours.chain(answers.front().copied()).chain([hello, announcement]).min().unwrap();
        count += usize::from(now >= counted);
        if now == hello {
            hello += Duration::from_secs(20);
            let hello = Hello { seqno: 0, interval: 2000 };
            engine.handle_packet(LINK, Packet::Control(Tlv::Hello(hello)), now);
        } else if now == announcement {
            announcement += Duration::from_secs(300);
            engine.handle_packet(LINK, Packet::Control(update.clone()), now);
        } else if answers.front() == Some(&now) {
            answers.pop_front();
            let ihu = Ihu { rxcost: 1, interval: 6000 };
            engine.handle_packet(LINK, Packet::Control(Tlv::Ihu(ihu)), now);
        } else {
            engine.handle_timeout(now);
        }
    }
    count
}

#[test]
fn a_quiet_peer_wakes_the_engine_twice_a_beat_and_hardly_ever_besides() {
    for seed in 0..20 {
        let offset = Duration::from_millis(1000 * u64::from(seed) + 37);
        let count = wake_ups(seed, offset, false);
        // The peer's Hello, which takes ours along, and its answer; and its announcements.
        assert!((360..=390).contains(&count), "{count} with seed {seed}");
    }
}

#[test]
fn an_idle_engine_wakes_three_times_in_two_beats() {
    for seed in 0..20 {
        let offset = Duration::from_millis(1000 * u64::from(seed) + 37);
        let count = wake_ups(seed, offset, true);
        assert!((270..=300).contains(&count), "{count} with seed {seed}");
    }
}

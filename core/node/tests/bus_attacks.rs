//! The known weaknesses of the message bus of older nodes (spec section 8), replayed against an
//! engine by peers that hold keys of their own and seal whatever they like.
//!
//! | weakness | test |
//! | --- | --- |
//! | short payloads crash the message task | `cut_packets_are_dropped_and_nothing_else` |
//! | INIT of a huge length takes memory | `an_announcement_costs_nothing_and_a_huge_one_is_refused` |
//! | pending and completed messages are unlimited and never expire | `what_is_begun_and_what_nobody_takes_is_bounded_and_expires` |
//! | REPLY bypasses the topic policy | `a_reply_flag_opens_no_door` |
//! | CHUNK, DONE, ABORTED, READ and ACK of others count | `nobody_else_can_write_to_abort_or_acknowledge_a_message` |
//! | a lost DONE ACK is never repaired | `every_repeat_of_a_complete_message_is_acknowledged` |
//! | a late INIT starts a message again | `a_late_init_delivers_nothing_twice` |
//! | no congestion control | tests of `bus_paths` |
//! | reflection | `a_reflected_message_is_dropped` |
//! | a bad topic file is ignored | unit tests of `bus::policy::file` |
//! | a silent service holds the task for ever | `a_service_that_says_nothing_is_given_up_after_a_minute` in `driver::forward`; `a_silent_service_holds_up_nobody_else` in `bus_api` |
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::seal::{ReplayBudget, Sealer};
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::wire::message::{MessageBody, MessagePacket};
use threephone_node::{
    LinkId, MessageId, Prefix, PublicKey, RouterId, SecretKey, SendState, Target, TopicAction,
    TopicPolicy,
};

const ID: MessageId = MessageId([7; 8]);

/// A node of ours and those who are linked to it.
struct Victim {
    engine: Engine,
    now: Instant,
    attackers: Vec<Attacker>,
}

struct Attacker {
    key: PublicKey,
    link: LinkId,
    sealer: Sealer,
    update: Update,
}

impl Victim {
    fn new(attackers: u8, limits: Limits) -> Self {
        let (now, secret) = (Instant::now(), SecretKey::from_bytes([1; 32]));
        let own = secret.public_key();
        let config = EngineConfig { secret, router_random: [1; 6], seed: [1; 32], limits };
        let mut engine = Engine::new(config, now);
        let attackers = (2..2 + attackers).map(|name| {
            let secret = SecretKey::from_bytes([name; 32]);
            let (key, link) = (secret.public_key(), LinkId(name.into()));
            engine.link_up(link, 10, now);
            let update = Update {
                interval: 30_000,
                seqno: 0,
                metric: 0,
                prefix: Prefix::subnet_of(key.address()),
                router_id: RouterId::new(key, [0; 6]),
            };
            engine.handle_packet(link, Packet::Control(Tlv::Update(update)), now);
            let shared = secret.shared_secret(&own).unwrap();
            let budget = ReplayBudget::new(1 << 20);
            Attacker {
                key,
                link,
                update,
                sealer: Sealer::new(&shared, &key, &own, [9; 12], budget).unwrap(),
            }
        });
        let attackers = attackers.collect();
        let mut victim = Self { engine, now, attackers };
        victim.said();
        victim
    }

    /// Time goes by, and the attackers stay in sight. Timers are not heeded: links would be found
    /// dead that nobody answers on.
    fn wait(&mut self, time: Duration) {
        self.now += time;
        for attacker in &self.attackers {
            let update = Packet::Control(Tlv::Update(attacker.update));
            self.engine.handle_packet(attacker.link, update, self.now);
        }
        self.said();
    }

    fn address(&self, attacker: usize) -> Ipv6Addr {
        self.attackers[attacker].key.address()
    }

    /// Hands in bytes as a message packet of an attacker.
    fn raw(&mut self, from: usize, body: &[u8]) {
        let attacker = &self.attackers[from];
        let mut payload = BytesMut::from(&[1, 1, 0, 0][..]);
        payload.put_slice(body);
        assert!(attacker.sealer.seal(&mut payload, 0));
        let packet = DataPacket {
            hop_limit: 64,
            source: attacker.key.address(),
            destination: self.engine.address(),
            payload: payload.freeze(),
        };
        self.engine.handle_packet(attacker.link, Packet::Data(packet), self.now);
    }

    /// Hands in a packet and gives what goes back to whom it came from.
    fn tell(&mut self, from: usize, id: MessageId, body: MessageBody) -> Vec<MessageBody> {
        let mut bytes = BytesMut::new();
        MessagePacket { id, body }.encode(&mut bytes);
        self.raw(from, &bytes);
        let said = self.said();
        said.into_iter()
            .filter(|(to, packet)| *to == from && packet.id == id)
            .map(|said| said.1.body)
            .collect()
    }

    /// A whole message at once; whether it was acknowledged.
    fn send(
        &mut self,
        from: usize,
        id: MessageId,
        topic: &'static str,
        text: &'static str,
    ) -> bool {
        self.tell(from, id, init(topic, text.len() as u64, false));
        self.tell(from, id, chunk(text));
        self.tell(from, id, done(text)) == [done_ack(text)]
    }

    /// What the node said to whom, opened.
    fn said(&mut self) -> Vec<(usize, MessagePacket)> {
        let mut said = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            let Action::Transmit { link, class: Class::Data, bytes } = action else { continue };
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            let Ok(Some(Packet::Data(packet))) = decoder.next() else { panic!("a data packet") };
            let to = self.attackers.iter().position(|attacker| attacker.link == link).unwrap();
            let opened = self.attackers[to].sealer.open(&packet.payload).unwrap();
            said.push((to, MessagePacket::decode(opened.slice(4..)).unwrap()));
        }
        said
    }

    fn take(&mut self) -> Option<Bytes> {
        let taken = self.engine.take(&|_| true, self.now).map(|message| message.payload);
        self.said();
        taken
    }
}

fn init(topic: &'static str, length: u64, reply: bool) -> MessageBody {
    MessageBody::Init { length, topic: topic.into(), reply }
}

fn chunk(text: &'static str) -> MessageBody {
    MessageBody::Chunk { index: 0, offset: 0, data: text.into() }
}

fn done(text: &str) -> MessageBody {
    MessageBody::Done { chunks: 1, hash: *blake3::hash(text.as_bytes()).as_bytes() }
}

fn done_ack(text: &str) -> MessageBody {
    MessageBody::DoneAck { chunks: 1, hash: *blake3::hash(text.as_bytes()).as_bytes() }
}

fn numbered(number: u32) -> MessageId {
    MessageId((u64::from(number) << 16 | 1).to_be_bytes())
}

#[test]
fn cut_packets_are_dropped_and_nothing_else() {
    let mut victim = Victim::new(1, Limits::default());
    for body in [init("topic", 5, false), chunk("hello"), done("hello"), MessageBody::Read] {
        let mut bytes = BytesMut::new();
        MessagePacket { id: ID, body }.encode(&mut bytes);
        for length in 0..bytes.len() {
            victim.raw(0, &bytes[..length]);
        }
    }
    victim.said();
    assert!(victim.send(0, numbered(1), "t", "still here"));
    assert_eq!(victim.take().unwrap(), "still here");
}

#[test]
fn an_announcement_costs_nothing_and_a_huge_one_is_refused() {
    let mut victim = Victim::new(1, Limits::default());
    for length in [(16 << 20) + 1, 1 << 40, u64::MAX] {
        assert_eq!(victim.tell(0, ID, init("t", length, false)), []);
    }
    // As large as allowed, from one source: only places are taken.
    for number in 0..2000 {
        victim.tell(0, numbered(number), init("t", 16 << 20, false));
    }
    assert_eq!(victim.engine.bus_counters().pending, 1024);
    assert_eq!(victim.engine.bus_counters().pending_bytes, 0);
}

#[test]
fn what_is_begun_and_what_nobody_takes_is_bounded_and_expires() {
    let mut victim = Victim::new(2, Limits::default());
    let taken = (0..5000).filter(|number| victim.send(0, numbered(*number), "spam", "x")).count();
    assert_eq!(taken, 4096, "of one source");
    let counters = victim.engine.bus_counters();
    assert_eq!((counters.ready, counters.pending), (4096, 5000 - 4096));
    assert!(victim.send(1, ID, "t", "others still get through"));
    victim.wait(Duration::from_secs(601));
    victim.engine.handle_timeout(victim.now);
    assert_eq!(victim.engine.bus_counters().pending, 0);
}

#[test]
fn a_reply_flag_opens_no_door() {
    let mut victim = Victim::new(2, Limits::default());
    let refuse = TopicPolicy { default: TopicAction::Reject, ..TopicPolicy::default() };
    victim.engine.set_topic_policy(refuse);
    assert_eq!(victim.tell(0, ID, init("", 5, true)), [], "nobody asked");
    victim.engine.reserve_topic("wanted".into());
    assert_eq!(victim.tell(0, ID, init("wanted", 5, false)).len(), 1, "somebody here subscribed");
    assert_eq!(victim.tell(0, numbered(2), init("other", 5, false)), []);
    // Asked, but somebody else; and not to be answered by them with the same id.
    let to = Target::Address(victim.address(1));
    let id = victim.engine.send_message(to, Bytes::new(), "?".into(), victim.now).unwrap();
    victim.engine.open_request(id, victim.address(1));
    victim.said();
    assert_eq!(victim.tell(0, id, init("", 5, true)), []);
    assert_eq!(victim.tell(1, id, init("", 5, true)).len(), 1, "whoever was asked may answer");
    // Once, and without REPLY not at all.
    assert_eq!(victim.tell(1, numbered(1), init("", 5, false)), []);
    victim.engine.close_request(id, victim.address(1));
    assert_eq!(victim.tell(1, id, done("hello")), [], "nobody waits any more");
    assert_eq!(victim.take(), None);
}

#[test]
fn nobody_else_can_write_to_abort_or_acknowledge_a_message() {
    let mut victim = Victim::new(2, Limits::default());
    victim.tell(0, ID, init("t", 5, false));
    for body in [chunk("HELLO"), MessageBody::Aborted, done("HELLO"), MessageBody::Read] {
        assert_eq!(victim.tell(1, ID, body), []);
    }
    victim.tell(0, ID, chunk("hello"));
    assert_eq!(victim.tell(0, ID, done("hello")), [done_ack("hello")]);
    assert_eq!(victim.take().unwrap(), "hello");

    let to = Target::Address(victim.address(0));
    let id = victim.engine.send_message(to, Bytes::new(), "hi".into(), victim.now).unwrap();
    victim.said();
    for (from, expected) in [(1, SendState::Pending), (0, SendState::Received)] {
        victim.tell(from, id, MessageBody::InitAck { length: 2, topic_length: 0, reply: false });
        victim.tell(from, id, MessageBody::ChunkAck { index: 0, offset: 0, size: 2 });
        victim.tell(from, id, done_ack("hi"));
        assert_eq!(victim.engine.message_state(id), Some(expected));
    }
    victim.tell(1, id, MessageBody::Read);
    assert_eq!(victim.engine.message_state(id), Some(SendState::Received));
    victim.tell(0, id, MessageBody::Read);
    assert_eq!(victim.engine.message_state(id), Some(SendState::Read));
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_counts_for_nothing() {
    let mut victim = Victim::new(1, Limits::default());
    let to = Target::Address(victim.address(0));
    let long = Bytes::from(vec![7; 5000]);
    let id = victim.engine.send_message(to, Bytes::new(), long, victim.now).unwrap();
    victim.said();
    for index in [4, 1 << 20, u64::MAX] {
        victim.tell(0, id, MessageBody::ChunkAck { index, offset: 0, size: 0 });
    }
    victim.tell(0, id, MessageBody::DoneAck { chunks: 4, hash: [0; 32] });
    assert_eq!(victim.engine.message_state(id), Some(SendState::Pending));
}

#[test]
fn every_repeat_of_a_complete_message_is_acknowledged() {
    let mut victim = Victim::new(1, Limits::default());
    assert!(victim.send(0, ID, "t", "once"));
    for minutes in [0, 1, 5, 9, 9, 9] {
        victim.wait(Duration::from_secs(60 * minutes));
        assert_eq!(victim.tell(0, ID, init("t", 4, false)).len(), 1);
        assert_eq!(victim.tell(0, ID, chunk("once")).len(), 1);
        assert_eq!(victim.tell(0, ID, done("once")), [done_ack("once")]);
    }
    assert_eq!(victim.take().unwrap(), "once");
    assert_eq!(victim.take(), None);
}

#[test]
fn a_late_init_delivers_nothing_twice() {
    let mut victim = Victim::new(1, Limits::default());
    assert!(victim.send(0, ID, "t", "once"));
    assert_eq!(victim.take().unwrap(), "once");
    for _ in 0..3 {
        victim.wait(Duration::from_secs(599));
        assert!(victim.send(0, ID, "t", "once"), "acknowledged like the first time");
        assert_eq!(victim.take(), None);
    }
}

#[test]
fn a_reflected_message_is_dropped() {
    let mut victim = Victim::new(1, Limits::default());
    let to = Target::Address(victim.address(0));
    victim.engine.send_message(to, "t".into(), "mine".into(), victim.now).unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| victim.engine.poll_action()).collect();
    let (own, mut reflected) = (victim.engine.address(), 0);
    for action in sent {
        let Action::Transmit { class: Class::Data, bytes, .. } = action else { continue };
        reflected += 1;
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let Ok(Some(Packet::Data(packet))) = decoder.next() else { panic!("a data packet") };
        // The key is the same both ways, so what comes back could be opened.
        let back = DataPacket { source: victim.address(0), destination: own, ..packet };
        victim.engine.handle_packet(victim.attackers[0].link, Packet::Data(back), victim.now);
    }
    assert_eq!((reflected, victim.engine.data_counters().reflected), (3, 3));
    assert_eq!(victim.said().len(), 0);
    assert_eq!(victim.take(), None);
}

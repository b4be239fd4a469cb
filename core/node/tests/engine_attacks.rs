//! Attacks on a whole engine, where the router has to hear from the message bus what really arrives
//! (spec 6.13), and the seals refuse what was seen before (spec 7.4).
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use threephone_node::engine::{Action, Class, Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::seal::{ReplayBudget, Sealer};
use threephone_node::wire::control::{Ihu, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::wire::message::{MessageBody, MessagePacket};
use threephone_node::{LinkId, MessageId, Prefix, PublicKey, RouterId, SecretKey, Target};

/// Leads to Ben.
const HONEST: LinkId = LinkId(1);
/// Leads to somebody who says that it does.
const LIAR: LinkId = LinkId(2);
const SECOND: Duration = Duration::from_secs(1);

/// Ann's engine, and Ben far away.
struct Scene {
    ann: Engine,
    now: Instant,
    ben: PublicKey,
    sealer: Sealer,
    /// Whether the honest peer knows a way, and says so when it is asked, as peers do.
    knows: bool,
}

impl Scene {
    fn new() -> Self {
        let (now, secret) = (Instant::now(), SecretKey::from_bytes([1; 32]));
        let (own, ben) = (secret.public_key(), SecretKey::from_bytes([2; 32]));
        let shared = ben.shared_secret(&own).unwrap();
        let budget = ReplayBudget::new(1 << 20);
        let sealer = Sealer::new(&shared, &ben.public_key(), &own, [9; 12], budget).unwrap();
        let limits = Limits::default();
        let config = EngineConfig { secret, router_random: [1; 6], seed: [1; 32], limits };
        let mut ann = Engine::new(config, now);
        ann.link_up(HONEST, 10, now);
        ann.link_up(LIAR, 10, now);
        Self { ann, now, ben: ben.public_key(), sealer, knows: false }
    }

    /// Ben's prefix is announced over a link.
    fn announce(&mut self, link: LinkId, random: u8, seqno: u16, metric: u16) {
        let (prefix, router_id) =
            (Prefix::subnet_of(self.ben.address()), RouterId::new(self.ben, [random; 6]));
        let update = Update { interval: 30_000, seqno, metric, prefix, router_id };
        self.ann.handle_packet(link, Packet::Control(Tlv::Update(update)), self.now);
    }

    fn next_hop(&self) -> LinkId {
        self.ann.selected_route(self.ben.address()).unwrap().link
    }

    fn write(&mut self) -> MessageId {
        let (to, text) = (Target::Key(self.ben), Bytes::from_static(b"hello"));
        self.ann.send_message(to, Bytes::new(), text, self.now).unwrap()
    }

    /// Does what is due for a while. Both peers answer every Hello; where data packets went.
    fn run(&mut self, time: Duration) -> Vec<LinkId> {
        let (end, mut data) = (self.now + time, Vec::new());
        loop {
            while let Some(action) = self.ann.poll_action() {
                let Action::Transmit { link, class, bytes } = action else { continue };
                let mut decoder = Decoder::new();
                decoder.push(&bytes);
                match (class, decoder.next().unwrap()) {
                    (Class::Data, _) => data.push(link),
                    (_, Some(Packet::Control(Tlv::Hello(_)))) => {
                        let ihu = Tlv::Ihu(Ihu { rxcost: 10, interval: 6000 });
                        self.ann.handle_packet(link, Packet::Control(ihu), self.now);
                    }
                    (_, Some(Packet::Control(Tlv::RouteRequest(_))))
                        if link == HONEST && self.knows =>
                    {
                        self.announce(HONEST, 1, 0, 500);
                    }
                    _ => {}
                }
            }
            match self.ann.poll_timeout().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            self.ann.handle_timeout(self.now);
        }
        self.now = end;
        data
    }

    /// A message packet of Ben, sealed.
    fn sealed(&self, id: MessageId, body: MessageBody) -> DataPacket {
        let mut payload = BytesMut::from(&[1, 1, 0, 0][..]);
        MessagePacket { id, body }.encode(&mut payload);
        assert!(self.sealer.seal(&mut payload, 0));
        let (source, destination) = (self.ben.address(), self.ann.address());
        DataPacket { hop_limit: 64, source, destination, payload: payload.freeze() }
    }

    /// A whole message of Ben.
    fn message(&self, number: u8, text: &'static str) -> [DataPacket; 3] {
        let init = MessageBody::Init { length: text.len() as u64, topic: "t".into(), reply: false };
        let chunk = MessageBody::Chunk { index: 0, offset: 0, data: text.into() };
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        let done = MessageBody::Done { chunks: 1, hash };
        [init, chunk, done].map(|body| self.sealed(MessageId([number; 8]), body))
    }

    fn hear(&mut self, packets: &[DataPacket]) {
        for packet in packets {
            self.ann.handle_packet(HONEST, Packet::Data(packet.clone()), self.now);
        }
    }

    fn taken(&mut self) -> Option<Bytes> {
        self.ann.take(&|_| true, self.now).map(|message| message.payload)
    }
}

#[test]
fn messages_leave_a_way_that_swallows_them() {
    let mut scene = Scene::new();
    scene.announce(HONEST, 1, 0, 500);
    scene.announce(LIAR, 1, 7, 0);
    scene.write();
    let first = scene.run(SECOND);
    assert!(first.contains(&LIAR) && !first.contains(&HONEST), "nothing tells it from the truth");
    let begun = scene.now;
    while !scene.run(SECOND).contains(&HONEST) {
        // After two seconds it is the next repeat that goes the other way.
        assert!(scene.now - begun < 2 * SECOND);
    }
    assert_eq!((scene.next_hop(), scene.ann.router_counters().undelivered), (HONEST, 1));
    // However often it says so.
    scene.announce(LIAR, 1, 9, 0);
    assert_eq!(scene.next_hop(), HONEST);
}

#[test]
fn messages_leave_a_way_that_swallows_them_when_nobody_else_was_asked_yet() {
    let mut scene = Scene::new();
    scene.run(SECOND);
    scene.announce(LIAR, 66, 0, 0);
    scene.knows = true;
    scene.write();
    let first = scene.run(SECOND);
    assert!(first.contains(&LIAR) && !first.contains(&HONEST), "there is no other way");
    let begun = scene.now;
    while !scene.run(SECOND).contains(&HONEST) {
        assert!(scene.now - begun < 10 * SECOND);
    }
    assert_eq!((scene.next_hop(), scene.ann.router_counters().undelivered), (HONEST, 1));
}

#[test]
fn another_router_id_takes_no_way_on_which_the_other_end_answers() {
    let mut scene = Scene::new();
    scene.announce(HONEST, 1, 0, 500);
    scene.announce(LIAR, 1, 0, 900);
    let id = scene.write();
    scene.run(SECOND);
    let answer = MessageBody::InitAck { length: 5, topic_length: 0, reply: false };
    let answer = scene.sealed(id, answer);
    scene.hear(&[answer]);
    scene.ann.cancel_message(id, scene.now);
    scene.announce(LIAR, 66, 0, 0);
    assert_eq!(scene.next_hop(), HONEST);
    scene.run(20 * SECOND);
    scene.announce(LIAR, 66, 0, 0);
    assert_eq!(scene.next_hop(), LIAR, "the other end has been silent since");
}

#[test]
fn what_was_recorded_is_not_delivered_again_however_late() {
    let mut scene = Scene::new();
    scene.announce(HONEST, 1, 0, 0);
    let message = scene.message(1, "pay ten");
    scene.hear(&message);
    assert_eq!(scene.taken().unwrap(), "pay ten");
    for minutes in [0, 1, 11, 30, 60] {
        // By then the bus has forgotten that it ever saw the message.
        let until = scene.now + Duration::from_secs(60 * minutes);
        while scene.now < until {
            scene.announce(HONEST, 1, 0, 0);
            scene.run(30 * SECOND);
        }
        let before = scene.ann.data_counters().replayed;
        scene.hear(&message);
        assert_eq!(scene.ann.data_counters().replayed - before, 3, "after {minutes} min");
        assert_eq!(scene.taken(), None);
    }
    let another = scene.message(2, "pay nine");
    scene.hear(&another);
    assert_eq!(scene.taken().unwrap(), "pay nine");
}

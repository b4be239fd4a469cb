//! Older nodes on the other side, modelled by the rules of spec 8.3 and 8.4 and nothing else.

use super::*;
use crate::bus::split;

/// An older sender: chunks of 1300 bytes with a short last one, everything unanswered again every
/// 100 ms, the INIT until it is acknowledged, DONE for ever.
struct OldSender {
    id: MessageId,
    payload: Vec<u8>,
    acked: Vec<bool>,
    has_begun: bool,
    is_done: bool,
}

impl OldSender {
    fn new(id: u8, payload: Vec<u8>) -> Self {
        let acked = vec![false; payload.len().div_ceil(1300)];
        Self { id: MessageId([id; 8]), payload, acked, has_begun: false, is_done: false }
    }

    fn packets(&self) -> Vec<MessagePacket> {
        let packet = |body| MessagePacket { id: self.id, body };
        if self.is_done {
            return vec![];
        }
        if !self.has_begun {
            return vec![packet(init(self.payload.len() as u64))];
        }
        if self.acked.iter().all(|acked| *acked) {
            let hash = *blake3::hash(&self.payload).as_bytes();
            return vec![packet(MessageBody::Done { chunks: self.acked.len() as u64, hash })];
        }
        let chunks = self.payload.chunks(1300).enumerate().filter(|(index, _)| !self.acked[*index]);
        let body = |(index, data): (usize, &[u8])| MessageBody::Chunk {
            index: index as u64,
            offset: index as u64 * 1300,
            data: Bytes::copy_from_slice(data),
        };
        chunks.map(|chunk| packet(body(chunk))).collect()
    }

    fn handle(&mut self, body: &MessageBody) {
        match body {
            MessageBody::InitAck { .. } => self.has_begun = true,
            MessageBody::ChunkAck { index, .. } => self.acked[*index as usize] = true,
            MessageBody::DoneAck { .. } => self.is_done = true,
            _ => {}
        }
    }
}

#[test]
fn an_older_sender_with_a_short_last_chunk_is_served_over_a_bad_path() {
    for seed in 0..50 {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut receiver = Receiver::new(BusLimits::default());
        let mut senders: Vec<_> =
            (0_u8..).zip(SIZES).map(|(id, size)| OldSender::new(id, payload(size, id))).collect();
        let mut now = Instant::now();
        for round in 0.. {
            assert!(round < 2900, "seed {seed}: an older sender has given up");
            let mut packets: Vec<_> = senders.iter().flat_map(OldSender::packets).collect();
            if packets.is_empty() {
                break;
            }
            packets.extend(packets.clone()); // some twice, all in any order
            while !packets.is_empty() {
                let packet = packets.swap_remove(random.next_u32() as usize % packets.len());
                if random.next_u32() % 2 == 0 {
                    receiver.handle(origin(ANN), packet, now);
                }
            }
            while let Some(Outgoing { packet, .. }) = receiver.poll_packet() {
                let sender = senders.iter_mut().find(|sender| sender.id == packet.id);
                if random.next_u32() % 4 != 0 {
                    sender.unwrap().handle(&packet.body);
                }
            }
            now += Duration::from_millis(100);
        }
        let taken = std::iter::from_fn(|| receiver.take(&ANY, now));
        let taken: BTreeMap<_, _> = taken.map(|message| (message.id, message.payload)).collect();
        assert_eq!(taken.len(), senders.len(), "seed {seed}");
        assert!(senders.iter().all(|sender| taken[&sender.id] == sender.payload), "seed {seed}");
    }
}

/// An older receiver: a repeated INIT resets the chunks, a repeated DONE is ignored, an INIT is
/// ignored while the message stands in the queue and starts it again after it was taken.
#[derive(Default)]
pub(super) struct OldReceiver {
    pending: BTreeMap<MessageId, (u64, Vec<Option<Bytes>>)>,
    queue: Vec<MessageId>,
    out: Vec<MessagePacket>,
    pub(super) delivered: BTreeMap<MessageId, (usize, Vec<u8>)>,
}

impl OldReceiver {
    pub(super) fn handle(&mut self, MessagePacket { id, body }: MessagePacket) {
        let answer = match body {
            MessageBody::Init { length, topic, reply } if !self.queue.contains(&id) => {
                let slots = vec![None; length.div_ceil(1300) as usize];
                self.pending.insert(id, (length, slots));
                MessageBody::InitAck { length, topic_length: topic.len() as u8, reply }
            }
            MessageBody::Chunk { index, offset, data } => {
                let Some((length, slots)) = self.pending.get_mut(&id) else { return };
                let (size, largest) = (data.len() as u64, length.div_ceil(250).max(1) - 1);
                let is_short = size < 250 && index != largest;
                if offset + size > *length || index > largest || is_short {
                    return;
                }
                slots.resize(slots.len().max(index as usize + 1), None);
                slots[index as usize] = Some(data);
                MessageBody::ChunkAck { index, offset, size }
            }
            MessageBody::Done { chunks, hash } => {
                let Some((length, slots)) = self.pending.get(&id) else { return };
                let Some(parts) = slots.iter().cloned().collect::<Option<Vec<_>>>() else { return };
                let whole = parts.concat();
                let is_right = slots.len() as u64 == chunks
                    && whole.len() as u64 == *length
                    && *blake3::hash(&whole).as_bytes() == hash;
                if !is_right {
                    return;
                }
                self.pending.remove(&id);
                self.queue.push(id);
                self.delivered.entry(id).or_insert((0, whole)).0 += 1;
                MessageBody::DoneAck { chunks, hash }
            }
            MessageBody::Aborted => {
                self.pending.remove(&id);
                return;
            }
            _ => return,
        };
        self.out.push(MessagePacket { id, body: answer });
    }

    /// An application takes everything.
    pub(super) fn take(&mut self) {
        for id in self.queue.drain(..) {
            self.out.push(MessagePacket { id, body: MessageBody::Read });
        }
    }

    pub(super) fn packets(&mut self) -> Vec<MessagePacket> {
        std::mem::take(&mut self.out)
    }
}

fn carry(seed: u64, path: Path, takes: bool) -> (World, BTreeMap<MessageId, Vec<u8>>) {
    let mut world = World::new(seed, path);
    world.old = Some(OldReceiver::default());
    world.takes = takes;
    let sizes = SIZES.into_iter().chain([20_000, 100_000]);
    let payloads = (0_u8..).zip(sizes).map(|(salt, size)| payload(size, salt));
    let sent: BTreeMap<_, _> =
        payloads.map(|payload| (world.send(payload.clone()), payload)).collect();
    world.run(sent.len());
    (world, sent)
}

#[test]
fn an_older_receiver_gets_everything_over_a_bad_path_and_hardly_anything_twice() {
    let (mut twice, mut all) = (0, 0);
    for seed in 0..50 {
        let (world, sent) = carry(seed, BAD, true);
        let delivered = world.old.unwrap().delivered;
        for (id, payload) in &sent {
            let (times, got) = delivered.get(id).unwrap_or_else(|| panic!("seed {seed}: {id}"));
            assert!(got == payload, "seed {seed}: {id}");
            twice += times - 1;
            let state = world.states[id];
            assert!(matches!(state, SendState::Received | SendState::Read), "{seed}: {state:?}");
        }
        all += sent.len();
    }
    // Both DONE ACK and READ have to be lost, or the INIT of a first try come very late.
    println!("{twice} of {all} twice");
    assert!(twice * 25 < all, "{twice} of {all}");
}

#[test]
fn over_a_clean_path_an_older_receiver_gets_each_packet_once() {
    let (world, sent) = carry(1, CLEAN, true);
    let delivered = world.old.unwrap().delivered;
    assert!(sent.keys().all(|id| delivered[id].0 == 1));
    let chunks: usize = sent.values().map(|payload| split::count(payload.len())).sum();
    // INIT, chunks and DONE, each answered, and READ.
    assert_eq!(world.sent as usize, 2 * (2 * sent.len() + chunks) + sent.len());
}

/// An older receiver that never repeats its DONE ACK, which was lost.
fn without_done_ack(takes: bool) -> (SendState, usize, usize) {
    let mut world = World::new(1, CLEAN);
    let mut old = OldReceiver::default();
    let id = world.send(payload(5000, 0));
    let end = world.now + Duration::from_secs(301);
    let mut packets = 0;
    while world.sender.state(id) == Some(SendState::Pending) && world.now < end {
        world.sender.pump(world.now);
        while let Some(Outgoing { packet, .. }) = world.sender.poll_packet() {
            packets += 1;
            old.handle(packet);
        }
        if takes {
            old.take();
        }
        for packet in old.packets() {
            if !matches!(packet.body, MessageBody::DoneAck { .. }) {
                world.sender.handle(BEN, &packet, world.now);
            }
        }
        let Some(next) = world.sender.poll_timeout() else { break };
        world.now = world.now.max(next);
        world.sender.handle_timeout(world.now);
    }
    (world.sender.state(id).unwrap(), old.delivered[&id].0, packets)
}

#[test]
fn a_lost_done_ack_is_made_good_by_read_and_else_ends_in_aborted_without_a_second_delivery() {
    let (state, times, _) = without_done_ack(true);
    assert_eq!((state, times), (SendState::Read, 1));
    let (state, times, packets) = without_done_ack(false);
    assert_eq!((state, times), (SendState::Aborted, 1), "nobody took it, so the sender must guess");
    assert!(packets < 500, "{packets} packets in five minutes");
}

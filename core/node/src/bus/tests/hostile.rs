//! Packets that no honest node sends, and those of others.

use super::*;

fn packet(body: MessageBody) -> MessagePacket {
    MessagePacket { id: MessageId([7; 8]), body }
}

fn chunk(index: u64, offset: u64, data: &'static [u8]) -> MessageBody {
    MessageBody::Chunk { index, offset, data: Bytes::from_static(data) }
}

fn answers(bodies: Vec<(Ipv6Addr, MessageBody)>) -> (Receiver, Vec<MessageBody>) {
    let mut receiver = Receiver::new(BusLimits::default());
    let now = Instant::now();
    for (from, body) in bodies {
        receiver.handle(origin(from), packet(body), now);
    }
    let answers =
        std::iter::from_fn(|| receiver.poll_packet()).map(|out| out.packet.body).collect();
    (receiver, answers)
}

#[test]
fn an_announcement_of_2_to_the_60_bytes_costs_nothing() {
    let (receiver, answers) = answers(vec![(ANN, init(1 << 60))]);
    assert!(answers.is_empty());
    assert_eq!(receiver.poll_timeout(), None, "nothing is kept");
}

#[test]
fn a_chunk_out_of_bounds_is_dropped() {
    for (index, offset) in [(u64::MAX, 0), (1, 0), (0, u64::MAX), (0, 1)] {
        let (_, answers) = answers(vec![(ANN, init(5)), (ANN, chunk(index, offset, b"hello"))]);
        assert_eq!(answers.len(), 1, "only the INIT is answered: {index} {offset}");
    }
}

#[test]
fn a_wrong_hash_or_count_is_not_acknowledged_and_a_right_one_then_is() {
    let hash = *blake3::hash(b"hello").as_bytes();
    let done = |chunks, hash| (ANN, MessageBody::Done { chunks, hash });
    let begun = || vec![(ANN, init(5)), (ANN, chunk(0, 0, b"hello"))];
    for wrong in [done(1, [0; 32]), done(2, hash), done(0, hash), done(u64::MAX, hash)] {
        let mut bodies = begun();
        bodies.push(wrong);
        assert_eq!(answers(bodies.clone()).1.len(), 2);
        bodies.push(done(1, hash));
        assert_eq!(answers(bodies).1.last(), Some(&MessageBody::DoneAck { chunks: 1, hash }));
    }
}

#[test]
fn nobody_else_can_write_into_or_abort_a_message() {
    let hash = *blake3::hash(b"hello").as_bytes();
    let done = MessageBody::Done { chunks: 1, hash };
    let (mut receiver, answers) = answers(vec![
        (ANN, init(5)),
        (MALLORY, chunk(0, 0, b"HELLO")),
        (MALLORY, MessageBody::Aborted),
        (MALLORY, done.clone()),
        (ANN, chunk(0, 0, b"hello")),
        (ANN, done),
    ]);
    assert_eq!(answers.len(), 3);
    assert_eq!(receiver.take(&ANY, Instant::now()).unwrap().payload, "hello");
}

#[test]
fn repeats_of_a_completed_message_are_acknowledged_for_ten_minutes_and_not_delivered() {
    let (mut receiver, now) = (Receiver::new(BusLimits::default()), Instant::now());
    let hash = *blake3::hash(b"hello").as_bytes();
    let bodies = [init(5), chunk(0, 0, b"hello"), MessageBody::Done { chunks: 1, hash }];
    for at in [now, now + Duration::from_secs(599)] {
        receiver.handle_timeout(at);
        for body in bodies.clone() {
            receiver.handle(origin(ANN), packet(body), at);
        }
        assert_eq!(std::iter::from_fn(|| receiver.poll_packet()).count(), 3);
        if at == now {
            assert!(receiver.take(&ANY, at).is_some());
            assert!(matches!(receiver.poll_packet().unwrap().packet.body, MessageBody::Read));
        }
    }
    assert!(receiver.take(&ANY, now).is_none());
}

#[test]
fn foreign_acknowledgements_are_ignored() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(b"hello".to_vec());
    world.sender.pump(world.now);
    let hash = *blake3::hash(b"hello").as_bytes();
    let body = MessageBody::DoneAck { chunks: 1, hash };
    world.sender.handle(MALLORY, &MessagePacket { id, body: body.clone() }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Pending));
    let wild = MessageBody::ChunkAck { index: u64::MAX, offset: 0, size: 0 };
    world.sender.handle(BEN, &MessagePacket { id, body: wild }, world.now);
    let wrong = MessageBody::DoneAck { chunks: 1, hash: [0; 32] };
    world.sender.handle(BEN, &MessagePacket { id, body: wrong }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Pending));
    world.sender.handle(BEN, &MessagePacket { id, body }, world.now);
    assert_eq!(world.sender.state(id), Some(SendState::Received));
}

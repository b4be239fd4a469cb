//! Whole messages over good and bad paths.

use super::*;

#[test]
fn every_message_arrives_once_over_a_bad_path() {
    for seed in 0..200 {
        let mut world = World::new(seed, BAD);
        let sent: BTreeMap<_, _> = SIZES
            .iter()
            .enumerate()
            .map(|(salt, size)| {
                (world.send(payload(*size, salt as u8)), payload(*size, salt as u8))
            })
            .collect();
        world.run(SIZES.len());
        assert_each_once(&world, &sent, seed);
    }
}

#[test]
fn large_messages_arrive_once_over_a_bad_path() {
    for (seed, size) in [(1, 100_000), (2, 100_000), (3, 1_366_549)] {
        let mut world = World::new(seed, BAD);
        let sent = BTreeMap::from([(world.send(payload(size, 0)), payload(size, 0))]);
        world.run(1);
        assert_each_once(&world, &sent, seed);
    }
}

#[test]
fn a_short_message_goes_out_whole_at_once() {
    let mut world = World::new(1, CLEAN);
    world.send(payload(2601, 0));
    world.sender.pump(world.now);
    let kinds: Vec<_> = std::iter::from_fn(|| world.sender.poll_packet())
        .map(|out| std::mem::discriminant(&out.packet.body))
        .collect();
    assert_eq!(kinds.len(), 5, "INIT, three chunks, DONE");
}

#[test]
fn a_clean_path_carries_each_packet_once() {
    let mut world = World::new(1, CLEAN);
    world.send(payload(1_366_549, 0));
    world.run(1);
    // INIT, 1052 chunks and DONE, each answered, and READ.
    assert_eq!(world.sent, 2 * (1 + 1052 + 1) + 1);
}

#[test]
fn ten_thousand_messages_go_through_with_little_work() {
    let mut world = World::new(1, CLEAN);
    let count = 10_000;
    let began = Instant::now();
    for salt in 0..count {
        world.send(payload(100, salt as u8));
    }
    world.run(count);
    assert_eq!(world.taken.len(), count);
    assert_eq!(world.sent, 7 * count as u64);
    println!("{:?} real, {:?} virtual", began.elapsed(), world.now - world.start);
}

#[test]
fn a_repeated_init_goes_alone_and_everything_follows_its_answer() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(payload(2601, 0));
    let pump = |sender: &mut Sender, now| {
        sender.pump(now);
        std::iter::from_fn(|| sender.poll_packet()).count()
    };
    assert_eq!(pump(&mut world.sender, world.now), 5);
    let later = world.now + Duration::from_secs(1);
    world.sender.handle_timeout(later);
    assert_eq!(pump(&mut world.sender, later), 1);
    let body = MessageBody::InitAck { length: 2601, topic_length: 5, reply: false };
    world.sender.handle(BEN, &MessagePacket { id, body }, later);
    assert_eq!(pump(&mut world.sender, later), 4);
}

#[test]
fn a_message_without_a_route_waits_goes_when_there_is_one_and_ends_after_five_minutes() {
    let mut world = World::new(1, CLEAN);
    let id = world.send(b"hello".to_vec());
    let ben = crate::data::subnet_bits(BEN);
    world.sender.set_route(ben, Route::None, world.now);
    while world.step(Duration::from_secs(100)) {}
    assert_eq!(world.sent, 0);
    world.sender.set_route(ben, Route::Exists, world.now);
    world.run(1);
    assert_eq!(world.taken.len(), 1);
    assert_eq!(world.sender.state(id), Some(SendState::Read));

    let mut world = World::new(1, Path { lost: 1000, ..CLEAN });
    let id = world.send(b"hello".to_vec());
    while world.sender.state(id) == Some(SendState::Pending) && world.step(Duration::from_secs(301))
    {
    }
    assert_eq!(world.sender.state(id), Some(SendState::Aborted));
    assert_eq!(world.now, world.start + Duration::from_secs(300));
}

/// Its receiver could not tell it from a repeat.
#[test]
fn a_second_answer_is_refused_for_as_long_as_the_first_is_remembered() {
    let mut world = World::new(1, CLEAN);
    let (to, id) = (Target::Address(BEN), MessageId([9; 8]));
    let answer = |world: &mut World, payload: &[u8]| {
        let draft = Draft { to, reply: Some(id), ..draft(b"", payload.to_vec()) };
        world.sender.send(draft, Route::Exists, world.now)
    };
    answer(&mut world, b"yes").unwrap();
    assert_eq!(answer(&mut world, b"no"), Err(SendError::IdInUse));
    world.run(1);
    assert_eq!(answer(&mut world, b"no"), Err(SendError::Answered));
    world.now += Duration::from_secs(1190);
    assert_eq!(answer(&mut world, b"no"), Err(SendError::Answered));
    world.now += Duration::from_secs(20);
    answer(&mut world, b"no").unwrap();
    // One that did not arrive is no answer.
    world.sender.cancel(id, world.now);
    answer(&mut world, b"no").unwrap();
    while world.taken.len() < 2 && world.step(Duration::from_secs(2000)) {}
    let taken: Vec<_> = world.taken.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(taken, [&b"yes"[..], b"no"]);
}

#[test]
fn messages_that_are_never_answered_hold_up_no_others() {
    let mut world = World::new(1, CLEAN);
    let (to, id) = (Target::Address(BEN), MessageId([9; 8]));
    world.unwanted = Some(id);
    let late = Draft { to, reply: Some(id), ..draft(b"", vec![1]) };
    world.sender.send(late, Route::Exists, world.now).unwrap();
    // As much as may be under way at once, and others behind it.
    let sent = [16 << 20, 3, 4].map(|length| (world.send(vec![7; length]), length));
    while world.taken.len() < 3 && world.step(Duration::from_secs(10)) {}
    let taken: Vec<_> = world.taken.iter().map(|message| message.payload.len()).collect();
    assert_eq!(taken.len(), 3, "{taken:?} after {:?}", world.now - world.start);
    assert!(sent.iter().all(|(_, length)| taken.contains(length)));
    assert_eq!(world.sender.state(id), Some(SendState::Pending));
}

//! Bounds, who meets them, and what is left behind.

use super::*;

#[test]
fn done_is_not_acknowledged_without_room_in_the_queue() {
    let limits = BusLimits { ready_per_source: 2, ..BusLimits::default() };
    let mut world = World::with_limits(1, CLEAN, limits);
    world.takes = false;
    let sent: BTreeMap<_, _> =
        (0..4).map(|salt| (world.send(payload(10, salt)), payload(10, salt))).collect();
    while world.step(Duration::from_secs(20)) {}
    assert_eq!(world.states.len(), 2);
    world.takes = true;
    world.run(4);
    assert_each_once(&world, &sent, 1);
}

#[test]
fn topics_that_nobody_reserved_leave_room_for_those_somebody_did() {
    let limits = BusLimits { ready: 10, ..BusLimits::default() };
    let (mut receiver, now) = (Receiver::new(limits), Instant::now());
    receiver.reserve(Bytes::from_static(b"chat"));
    let mut send = |number: u8, topic: &'static str| {
        let hash = *blake3::hash(b"").as_bytes();
        let topic = Bytes::from_static(topic.as_bytes());
        for body in [
            MessageBody::Init { length: 0, topic, reply: false },
            MessageBody::Done { chunks: 0, hash },
        ] {
            receiver.handle(origin(ANN), MessagePacket { id: MessageId([number; 8]), body }, now);
        }
        std::iter::from_fn(|| receiver.poll_packet()).count() == 2
    };
    assert_eq!((0..20).filter(|number| send(*number, "spam")).count(), 5);
    assert_eq!((20..40).filter(|number| send(*number, "chat")).count(), 5);
    let chat = Bytes::from_static(b"chat");
    assert_eq!(receiver.take(&Wanted::Topic(&chat), now).unwrap().id, MessageId([20; 8]));
}

#[test]
fn greedy_sources_cannot_lock_others_out() {
    let limits = BusLimits { pending: 100, pending_per_source: 50, ..BusLimits::default() };
    let (mut receiver, now) = (Receiver::new(limits), Instant::now());
    let mut begin = |from: u16, number: u8| {
        let source = Ipv6Addr::new(0x400, from, 0, 0, 0, 0, 0, 1);
        let packet = MessagePacket { id: MessageId([number; 8]), body: init(5000) };
        receiver.handle(origin(source), packet, now);
        receiver.poll_packet().is_some()
    };
    let greedy = (1..=4).map(|from| (0..200).filter(|number| begin(from, *number)).count());
    // The last two push others out only as long as they have little themselves.
    assert_eq!(greedy.collect::<Vec<_>>(), [50, 50, 16, 16]);
    assert!(begin(9, 1), "a newcomer finds a place");
    assert!(receiver.pending.len() <= 100);
}

#[test]
fn a_receiver_without_room_is_asked_rarely() {
    let limits = BusLimits { ready_per_source: 0, ..BusLimits::default() };
    let mut world = World::with_limits(1, CLEAN, limits);
    let id = world.send(payload(5000, 0));
    world.run(1);
    assert_eq!(world.states[&id], SendState::Aborted);
    assert!(world.sent < 500, "{} packets in five minutes", world.sent);
}

#[test]
fn when_all_is_said_nothing_wakes_up_any_more() {
    let mut world = World::new(1, CLEAN);
    for salt in 0..50 {
        world.send(payload(3000, salt));
    }
    world.run(50);
    while world.step(Duration::from_secs(1)) {}
    assert_eq!((world.sender.poll_timeout(), world.receiver.poll_timeout()), (None, None));
}

/// A message that starts over while the window is full has no turn before its deadline.
#[test]
fn a_deadline_that_passes_before_a_message_had_its_turn_does_not_stop_the_clock() {
    let mut world = World::new(1, Path { lost: 1000, ..CLEAN });
    let ben = crate::data::subnet_bits(BEN);
    let ids: Vec<_> = (0..300).map(|salt| world.send(payload(5000, salt as u8))).collect();
    for round in 0..40 {
        world.sender.pump(world.now);
        while world.sender.poll_packet().is_some() {}
        if round % 8 == 3 {
            world.sender.set_route(ben, Route::None, world.now);
            world.now += Duration::from_secs(2);
            world.sender.handle_timeout(world.now);
            world.sender.set_route(ben, Route::Exists, world.now);
        }
        world.now = world.now.max(world.sender.poll_timeout().unwrap());
        world.sender.handle_timeout(world.now);
        assert!(world.sender.poll_timeout().unwrap() > world.now);
    }
    assert_eq!(world.sender.state(ids[0]), Some(SendState::Pending));
}

#[test]
fn messages_given_up_leave_nothing_behind() {
    let mut world = World::new(1, CLEAN);
    let stuck = world.send(b"stuck".to_vec());
    world.sender.set_route(crate::data::subnet_bits(BEN), Route::None, world.now);
    for _ in 0..10_000 {
        let draft = draft(b"", b"given up".to_vec());
        let id = world.sender.send(draft, Route::None, world.now).unwrap();
        world.sender.cancel(id, world.now);
        assert!(world.sender.held() < 2000, "{}", world.sender.held());
    }
    assert_eq!(world.sender.state(stuck), Some(SendState::Pending));
}

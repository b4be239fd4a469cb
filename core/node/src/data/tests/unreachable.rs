//! What the own host hears when its packet finds no way (spec 7.7).

use super::*;
use crate::wire::checksum::Sum;

const ICMP: u8 = 58;

impl World {
    /// With a TUN, from which packets come and to which they go.
    fn with_tun() -> Self {
        let mut world = Self::new(DataLimits::default());
        world.data.attach_tun();
        world
    }

    fn send_ip(&mut self, packet: &[u8]) {
        self.data.handle_ip(Bytes::copy_from_slice(packet), &mut self.router, self.now);
    }

    /// Time goes by until the router's lookups have failed, which the data plane is told.
    fn let_lookups_fail(&mut self) {
        self.requests();
        self.now += Duration::from_secs(15);
        self.router.handle_timeout(self.now);
        while let Some(output) = self.router.poll_output() {
            if let RouterOutput::LookupFailed { prefix } = output {
                self.data.lookup_failed(prefix.address(), self.now);
            }
        }
    }

    /// What goes to the TUN.
    fn delivered(&mut self) -> Vec<Bytes> {
        let outputs = self.outputs().into_iter();
        outputs
            .map(|output| match output {
                Output::Deliver(packet) => packet,
                other => panic!("{other:?} is nothing for the TUN"),
            })
            .collect()
    }
}

/// An IP packet from this node, with a payload.
fn ip(to: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend(address(1).octets());
    packet.extend(address(to).octets());
    packet.extend(payload);
    packet
}

/// Asserts that this is an ICMPv6 "no route to destination" about a packet.
fn assert_no_route(error: &[u8], about: &[u8]) {
    let (header, body) = error.split_at(40);
    assert_eq!(header[0] >> 4, 6);
    assert_eq!(header[4..6], (body.len() as u16).to_be_bytes());
    assert_eq!(header[6], ICMP);
    let source = <[u8; 16]>::try_from(&header[8..24]).unwrap().into();
    assert_eq!(header[24..], address(1).octets(), "to whoever sent the packet");
    assert_eq!(body[..2], [1, 0], "no route to destination");
    assert!(Sum::pseudo(source, address(1), body.len(), ICMP).with(body).is_right());
    assert_eq!(body[8..], *about, "what it is about");
}

#[test]
fn a_packet_whose_lookup_fails_comes_back_to_the_tun_as_an_error() {
    let mut world = World::with_tun();
    let packets = [ip(3, 59, b"one"), ip(3, 59, b"two")];
    packets.iter().for_each(|packet| world.send_ip(packet));
    assert!(world.delivered().is_empty(), "they wait for a route");
    world.let_lookups_fail();
    let errors = world.delivered();
    assert_eq!(errors.len(), 2);
    errors.iter().zip(&packets).for_each(|(error, packet)| assert_no_route(error, packet));
    assert_eq!(world.data.counters().no_route, 2);
    world.pass(Duration::ZERO);
    assert!(world.delivered().is_empty(), "each is given up once");
    assert_eq!(world.data.poll_timeout(), None, "nothing waits any more");

    // Within the next seconds nobody is asked again, and the host hears at once.
    let third = ip(3, 59, b"three");
    world.send_ip(&third);
    let [error] = &world.delivered()[..] else { panic!("one error") };
    assert_no_route(error, &third);
}

#[test]
fn errors_about_errors_there_are_none_and_without_a_tun_nobody_is_told() {
    let mut world = World::with_tun();
    world.send_ip(&ip(3, ICMP, &[1, 0, 0, 0, 0, 0, 0, 0]));
    world.let_lookups_fail();
    assert!(world.delivered().is_empty());
    let mut world = World::new(DataLimits::default());
    world.send_ip(&ip(3, 59, b"one"));
    world.let_lookups_fail();
    assert!(world.outputs().is_empty());
    assert_eq!(world.data.counters().no_route, 1);
}

#[test]
fn the_host_is_told_of_its_own_failures_at_a_limited_rate() {
    let limits = DataLimits { answers_per_second: 50, ..DataLimits::default() };
    let mut world = World::new(limits);
    world.data.attach_tun();
    for _ in 0..100 {
        world.send_ip(&ip(3, 59, b"one"));
    }
    world.let_lookups_fail();
    assert_eq!(world.delivered().len(), 5, "a tenth for one /64");
}
